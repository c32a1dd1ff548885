"""``fedguide fit``: a guide from this shop's own data alone; nothing leaves, nobody is needed."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, progress
from fedguide.cli.source import ColumnOption, FormatOption, SeedOption, WithholdOption
from fedguide.cli.train import EncoderOption, PatienceOption, RoundsOption, plan_of, require_new

if TYPE_CHECKING:
    from fedguide.runtime.arms import TrainPlan
    from fedguide.runtime.shop_release import ShopRelease
    from fedguide.values import ShopData


def fit(
    data: Annotated[Path, typer.Option("--data", help="File, folder or store (.duckdb)")],
    format_name: FormatOption = None,
    seed: SeedOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run; default: the time")
    ] = None,
    rounds: RoundsOption = None,
    patience: PatienceOption = None,
    encoder: EncoderOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Train a guide on one shop's own data, alone, and sign a release to serve."""
    from fedguide import config
    from fedguide.cli.folders import Trained, save_run
    from fedguide.cli.shop import card_of, one_dataset
    from fedguide.data.split import split

    settings = config.load(found(path))
    out = begin("fit", as_json=as_json, lang=lang, fallback=settings.lang)
    number = settings.train.seed if seed is None else seed
    run = name or datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    require_new(settings.home, run)
    plan = plan_of(settings, number, 1, rounds, patience, encoder).train
    dataset = one_dataset(settings, data, format_name, column, withhold)
    (shop,) = split([dataset])
    made = _trained(out, shop, plan, number)
    card = card_of(dataset, shop, made, (dataset.name,), made.rounds, 0)
    record: dict[str, Any] = {
        "run": run,
        "federation": False,
        "parties": [dataset.name],
        "rounds": made.rounds,
        "chosen": made.chosen,
        "rows": [],
        "metrics": [
            {"slate": m.setting, "ndcg10": m.value, "low": m.low, "high": m.high, "cases": m.cases}
            for m in made.metrics
        ],
    }
    folder = save_run(settings.home, run, [Trained(dataset, made.model, card)], record)
    out.finish(record | {"folder": str(folder)}, *_texts(out, dataset.name, made, run))


def _trained(out: Output, shop: ShopData, plan: TrainPlan, seed: int) -> ShopRelease:
    from fedguide.runtime.shop_release import alone_release

    with progress() as bars:
        task = bars.add_task("alone", total=plan.rounds, note="")
        if bars.disable:
            out.note("… training", "… 训练中")

        def on_round(_stage: str, done: int, score: float | None) -> None:
            note = "" if score is None else f" NDCG@20 {score:.4f}"
            bars.update(task, completed=done, total=plan.rounds, note=note)

        return alone_release(shop, plan, seed, time.monotonic, on_round)


def _texts(out: Output, shop: str, made: ShopRelease, run: str) -> list[str]:
    count = len(made.model)
    lines = [
        out.pick(
            f"{shop}: {count:,} items, trained alone for {made.rounds} rounds; 0 bytes left",
            f"{shop}：{count:,} 件商品，独自训练 {made.rounds} 轮；离开本店 0 字节",
        )
    ]
    lines += [
        f"NDCG@10 {metric.setting}: {metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}], "
        + out.pick(f"{metric.cases} shoppers of test", f"{metric.cases} 位测试顾客")
        for metric in made.metrics
    ]
    lines.append(
        out.pick(
            f"run {run} is saved; fedguide serve, fedguide ask WISH",
            f"训练 {run} 已保存；fedguide serve，fedguide ask 愿望",
        )
    )
    return lines
