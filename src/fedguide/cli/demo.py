"""``fedguide demo``: a synthetic market trains together, is compared, and is served."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table

if TYPE_CHECKING:
    from fedguide.runtime.compare import Comparison

ROUNDS, PATIENCE = 16, 3
"""Fewer than ``sim``: the demo is to be over within a minute, download of packages apart."""

SHOWN = ("nonneural", "alone", "together", "pooled")


def demo(
    serve: Annotated[bool, typer.Option(help="Serve the guide after the table")] = True,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port; 0 takes a free one")] = None,
    shops: Annotated[int, typer.Option("--shops", help="Shops of the market", min=2)] = 3,
    seed: Annotated[int | None, typer.Option("--seed", help="Another market", min=0)] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Train a guide on a synthetic market, compare it honestly, and serve it."""
    from fedguide import config
    from fedguide.cli.folders import save_run
    from fedguide.cli.guide import listen_and_serve
    from fedguide.cli.train import body, compared, cut_datasets, plan_of, released

    settings = config.load(found(path))
    out = begin("demo", as_json=as_json, lang=lang, fallback=settings.lang)
    number = settings.train.seed if seed is None else seed
    plan = plan_of(settings, number, 1, ROUNDS, PATIENCE, None)
    datasets = cut_datasets(settings, None, None, None, None, shops, "", number)
    shoppers = sum(len(dataset.events.user_ids) for dataset in datasets)
    out.note(
        f"synthetic market: {len(datasets)} shops, {shoppers:,} shoppers, no row leaves its shop",
        f"合成市场：{len(datasets)} 家商店，{shoppers:,} 位顾客，数据行不离开各自商店",
    )
    run = f"demo-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S-%f}"
    comparison = compared(out, datasets, plan, settings, settings.home / "ledgers" / run)
    record = body(comparison, plan, datasets) | {"run": run}
    shared = comparison.outcomes[0].trained["together"].shared
    folder = save_run(settings.home, run, released(datasets, comparison, plan), record, shared)
    out.finish(record | {"folder": str(folder)}, *_texts(out, comparison))
    if serve and not as_json:
        listen_and_serve(
            out,
            settings,
            folder,
            None,
            settings.serve.host if host is None else host,
            settings.serve.port if port is None else port,
        )


def _texts(out: Output, comparison: Comparison) -> list[Any]:
    """At most a dozen lines: the table, two verdicts, what left."""
    from fedguide.cli.train import traffic, verdict

    def cell(model: str, setting: str) -> str:
        row = next(
            r for r in comparison.rows if (r.model, r.setting, r.shop) == (model, setting, "mean")
        )
        return f"{row.ndcg10:.3f} [{row.low:.3f}, {row.high:.3f}]"

    heads = (
        out.pick("NDCG@10, 95 %", "NDCG@10，95 %"),
        out.pick("discovery", "新品"),
        out.pick("all items", "全部商品"),
    )
    names = {
        "nonneural": out.pick("without a network", "无网络"),
        "alone": out.pick("alone", "单独"),
        "together": out.pick("together", "联合"),
        "pooled": out.pick("pooled", "汇总"),
    }
    rows = [(names[m], cell(m, "discovery"), cell(m, "all")) for m in SHOWN]
    verdicts = [
        verdict(out, gap)
        for gap in comparison.differences
        if (gap.a, gap.setting) == ("together", "discovery") and gap.b in ("alone", "pooled")
    ]
    return [table("", heads, rows), *verdicts, traffic(out, comparison)]
