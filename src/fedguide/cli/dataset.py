"""``fedguide data``: check, profile, import, pour, synth."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.source import (
    STORE_SUFFIX,
    ColumnOption,
    FormatOption,
    WithholdOption,
    columns,
    read_kept,
)
from fedguide.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fedguide.data.check import Report
    from fedguide.data.contract import Dataset
    from fedguide.data.profile import Profile

app = typer.Typer(help="Data: check, profile, import, pour, synth / 数据", no_args_is_help=True)

PathArgument = Annotated[Path, typer.Argument(help="File or folder", show_default=False)]


@app.command("check")
def check(
    source: PathArgument,
    format_name: FormatOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say what is wrong with a file, in which rows, and how to mend it; changes nothing."""
    from fedguide import config
    from fedguide.data.check import check as check_file

    settings = config.load(found(path))
    out = begin("data check", as_json=as_json, lang=lang, fallback=settings.lang)
    reports = check_file(
        source,
        int(time.time()),
        format_name=format_name or settings.data.format,
        columns=columns(settings.data, column),
        withhold=(*settings.data.withhold, *(withhold or ())),
    )
    data = {"reports": [_report(report, out) for report in reports]}
    out.finish(data, *(part for report in reports for part in _report_texts(report, out)))
    if not all(report.ok for report in reports):
        raise typer.Exit(DataError.exit_code)


@app.command("profile")
def profile(
    source: PathArgument,
    format_name: FormatOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Count shoppers, items, events; since when; how much is bought again."""
    from fedguide import config
    from fedguide.data.profile import profile as profile_of

    settings = config.load(found(path))
    out = begin("data profile", as_json=as_json, lang=lang, fallback=settings.lang)
    datasets = read_kept(source, format_name, settings, column, withhold)
    profiles = [profile_of(dataset) for dataset in datasets]
    data = {"profiles": [dataclasses.asdict(made) for made in profiles]}
    out.finish(data, *(_profile_table(made, out) for made in profiles))


@app.command("import")
def import_(
    source: PathArgument,
    target: Annotated[Path, typer.Option("--out", help=f"Store to write, NAME{STORE_SUFFIX}")],
    format_name: FormatOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Import a file into a store; a source of several shops makes one store each."""
    from fedguide import config
    from fedguide.cli.rights import remember_store
    from fedguide.data.store import write_store

    settings = config.load(found(path))
    out = begin("data import", as_json=as_json, lang=lang, fallback=settings.lang)
    if target.suffix != STORE_SUFFIX:
        raise ConfigError(f"--out must end in {STORE_SUFFIX}, got {target.name!r}")
    datasets = read_kept(source, format_name, settings, column, withhold)
    single = len(datasets) == 1
    targets = [
        target if single else target.with_name(f"{target.stem}-{d.name}{STORE_SUFFIX}")
        for d in datasets
    ]
    for made in targets:
        if made.exists():
            raise ConfigError(f"{made} is already there", hint="choose another --out")
    stores = []
    for dataset, made in zip(datasets, targets, strict=True):
        made.parent.mkdir(parents=True, exist_ok=True)
        write_store(made, dataset)
        remember_store(settings.home, made)
        stores.append({"path": str(made), **_imported(dataset)})
    lines = [out.pick("imported ", "已导入 ") + _imported_line(store, out) for store in stores]
    out.finish({"stores": stores}, *lines)


@app.command("pour")
def pour(
    store: Annotated[
        Path | None,
        typer.Argument(
            help=f"Store, NAME{STORE_SUFFIX}; default: [party] data", show_default=False
        ),
    ] = None,
    shop: Annotated[
        str | None, typer.Option("--shop", help="Whose events; default: the store's own shop")
    ] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Bring the events that serving received into a store, to be trained on; each event once."""
    from fedguide import config
    from fedguide.cli.pouring import pour as pour_into

    settings = config.load(found(path))
    out = begin("data pour", as_json=as_json, lang=lang, fallback=settings.lang)
    target = store or settings.party.data
    if target is None or target.suffix != STORE_SUFFIX:
        raise ConfigError(f"events are poured into a store, NAME{STORE_SUFFIX}, got {target}")
    done = pour_into(settings, target, shop)
    out.finish(
        {"path": str(target), **dataclasses.asdict(done)},
        out.pick(
            f"{target}: {done.added:,} events added; {done.known:,} were in already, "
            f"{done.left_out:,} left out (erased shoppers, personal data in a search)",
            f"{target}：新增 {done.added:,} 个事件；{done.known:,} 个已在库中，"
            f"{done.left_out:,} 个未导入（已删除的顾客、含个人信息的搜索）",
        ),
    )


@app.command("synth")
def synth(
    target: Annotated[Path, typer.Option("--out", help="Folder to write, one a shop")],
    shops: Annotated[int, typer.Option("--shops", help="Shops", min=1)] = 4,
    shoppers: Annotated[int, typer.Option("--shoppers", help="Of each shop", min=1)] = 300,
    items: Annotated[int, typer.Option("--items", help="Of each shop", min=10)] = 300,
    days: Annotated[int, typer.Option("--days", help="Length of the record", min=10)] = 180,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same market", min=0)] = 7,
    file_format: Annotated[str, typer.Option("--file-format", help="csv or parquet")] = "csv",
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Write the synthetic market: shops, and the first shop's logistics and payment partners."""
    from fedguide.data.output import write_dataset, write_partners
    from fedguide.data.partners import partners
    from fedguide.data.synth import market
    from fedguide.data.truth import MarketPlan

    out = begin("data synth", as_json=as_json, lang=lang)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is not an empty folder", hint="choose another --out")
    made = market(MarketPlan(shops=shops, shoppers=shoppers, items=items, days=days, seed=seed))
    files: list[Path] = []
    for shop in made.shops:
        files += write_dataset(shop, target / shop.name, file_format)
    files += write_partners(partners(made), target / "partners", file_format)
    lines = [str(file) for file in files]
    out.note("synthetic data", "合成数据")
    out.finish({"synthetic": True, "files": lines}, *lines)


def _report(report: Report, out: Output) -> dict[str, Any]:
    from fedguide.data.findings import render

    body = {
        "name": report.name,
        "path": str(report.path),
        "rows": report.rows,
        "usable": report.usable,
        "columns": dict(report.columns),
        "withheld": list(report.withheld),
        "ok": report.ok,
    }
    body["findings"] = [
        {
            "code": finding.code,
            "severity": finding.severity,
            "column": finding.column,
            "count": finding.count,
            "rows": list(finding.rows),
            **dataclasses.asdict(render(finding, "zh" if out.lang == "zh" else "en")),
        }
        for finding in report.findings
    ]
    return body


def _report_texts(report: Report, out: Output) -> list[str]:
    """A report as lines: a head, then three lines a finding."""
    made = _report(report, out)
    head = out.pick(
        f"{report.name}: {report.usable:,} of {report.rows:,} rows can be imported",
        f"{report.name}：{report.rows:,} 行中 {report.usable:,} 行可导入",
    )
    if report.withheld:
        head += out.pick("; withheld: ", "；已屏蔽：") + ", ".join(report.withheld)
    names = {
        "error": out.pick("error", "错误"),
        "warning": out.pick("warning", "警告"),
        "note": out.pick("note", "提示"),
    }
    lines = [head]
    for finding in made["findings"]:
        lines.append(f"{names[finding['severity']]}  {finding['message']}")
        if finding["rows"]:
            more = " …" if finding["count"] > len(finding["rows"]) else ""
            lines.append(f"  {out.pick('rows', '行')} {', '.join(map(str, finding['rows']))}{more}")
        lines.append(f"  {out.pick('fix', '办法')}: {finding['fix']}")
    if not made["findings"]:
        lines.append(out.pick("nothing found", "没有发现问题"))
    return lines


def _profile_table(made: Profile, out: Output) -> Any:
    rows = []
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if field.name == "name" or value in ((), {}, ""):
            continue
        if hasattr(value, "items"):
            text = ", ".join(f"{key} {_number(part)}" for key, part in value.items())
        elif isinstance(value, tuple):
            text = ", ".join(value)
        else:
            text = _number(value)
        rows.append((field.name, text))
    return table(made.name, (out.pick("figure", "项目"), out.pick("value", "数值")), rows)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _imported(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "events": len(dataset.events),
        "shoppers": len(dataset.events.user_ids),
        "items": len(dataset.catalogue),
        "withheld": list(dataset.withheld),
        "dropped": {reason: count for reason, count in dataset.dropped.items() if count},
        "synthetic": dataset.synthetic,
    }


def _imported_line(store: dict[str, Any], out: Output) -> str:
    line = out.pick(
        f"{store['path']}: {store['events']:,} events, {store['shoppers']:,} shoppers, "
        f"{store['items']:,} items",
        f"{store['path']}：{store['events']:,} 个事件，{store['shoppers']:,} 位顾客，"
        f"{store['items']:,} 件商品",
    )
    if store["dropped"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in store["dropped"].items())
        line += out.pick("; left out: ", "；未导入：") + reasons
    if store["withheld"]:
        line += out.pick("; withheld: ", "；已屏蔽：") + ", ".join(store["withheld"])
    return line
