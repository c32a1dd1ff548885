"""``fedguide shopper``: what is known of one person, and their right to see, take and end it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table
from fedguide.errors import ConfigError, DataError, NotFoundError

if TYPE_CHECKING:
    pass

app = typer.Typer(
    help="One shopper: show, export, delete, optout, consent / 顾客权利", no_args_is_help=True
)

ShopperArgument = Annotated[
    str, typer.Argument(help="Shopper id, as in the shop's own data", show_default=False)
]
StoreOption = Annotated[
    list[Path] | None, typer.Option("--store", help="A store to look into as well; repeatable")
]

LATEST = 5


@app.command("show")
def show(
    shopper: ShopperArgument,
    store: StoreOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say what is known of a shopper, whether it is used, and what models may remember."""
    from fedguide import config
    from fedguide.cli.persons import facts_of, known_in, residual_of
    from fedguide.cli.rights import rights_of, stores

    settings = config.load(found(path))
    out = begin("shopper show", as_json=as_json, lang=lang, fallback=settings.lang)
    rights = rights_of(settings, lasting=True)
    known = list(known_in(stores(settings, store or ()), shopper))
    said = rights.register.said(shopper)
    if not known and said is None:
        raise NotFoundError("no store knows this shopper", hint="--store FILE.duckdb")
    held = [{"store": str(where), **facts_of(dataset)} for where, dataset in known]
    allowed = rights.allows(shopper)
    residual = residual_of(settings, [where for where, _ in known])
    data = {"shopper": shopper, "said": said, "used": allowed, "stores": held}
    used = out.pick("used", "使用中") if allowed else out.pick("not used", "不使用")
    head = out.pick(
        f"{shopper}: said {said or 'nothing'}; {used} for training and profile",
        f"{shopper}：表态 {said or '无'}；训练与画像{used}",
    )
    heads = (
        out.pick("store", "数据库"),
        out.pick("events", "事件"),
        out.pick("first", "首次"),
        out.pick("last", "最近"),
    )
    rows = [(one["store"], str(one["events"]), str(one["first"]), str(one["last"])) for one in held]
    remains = out.pick("in trained models: ", "已训练模型中：") + residual
    out.finish(
        data | {"residual": residual}, head, *([table("", heads, rows)] if rows else []), remains
    )


@app.command("export")
def export(
    shopper: ShopperArgument,
    target: Annotated[
        Path | None, typer.Option("--out", help="File to write; default: the terminal")
    ] = None,
    store: StoreOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Give a shopper everything that is kept of them, as JSON."""
    from fedguide import config
    from fedguide.cli.persons import exported

    settings = config.load(found(path))
    out = begin("shopper export", as_json=as_json, lang=lang, fallback=settings.lang)
    data = exported(settings, shopper, store or ())
    text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)
    if target is None:
        out.finish(data, text)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise ConfigError(f"{target} is already there", hint="choose another --out") from None
    out.finish({"file": str(target)}, str(target))


@app.command("delete")
def delete(
    shopper: ShopperArgument,
    store: StoreOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Erase a shopper from every store at once; an import does not bring them back."""
    from fedguide import config
    from fedguide.cli.persons import erase

    settings = config.load(found(path))
    out = begin("shopper delete", as_json=as_json, lang=lang, fallback=settings.lang)
    gone = erase(settings, shopper, store or ())
    events = sum(gone.events.values())
    data = {
        "erased": True,
        "events": events + gone.received,
        "stores": [str(where) for where in gone.events],
        "received": gone.received,
        "audiences": gone.audiences,
        "ad_views": gone.ad_views,
        "residual": gone.residual,
        "ledger_record": gone.ledger_record,
    }
    out.finish(
        data,
        out.pick(
            f"erased: {events:,} events in {len(gone.events)} stores; the files were written anew",
            f"已删除：{len(gone.events)} 个数据库中的 {events:,} 个事件；文件已重写",
        ),
        out.pick("remains in trained models: ", "已训练模型中残留：") + gone.residual,
    )


@app.command("optout")
def optout(
    shopper: ShopperArgument,
    switch: Annotated[str, typer.Argument(help="on or off")] = "on",
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Take a shopper out of training and personalisation, from the next round on; or back in."""
    from fedguide import config
    from fedguide.cli.rights import rights_of

    settings = config.load(found(path))
    out = begin("shopper optout", as_json=as_json, lang=lang, fallback=settings.lang)
    if switch not in ("on", "off"):
        raise ConfigError(f"optout is on or off, got {switch!r}", hint="shopper optout ID on")
    rights = rights_of(settings, lasting=True)
    changed = rights.register.record([shopper], "out" if switch == "on" else "in")
    used = rights.allows(shopper)
    out.finish(
        {"shopper": shopper, "optout": switch, "changed": bool(changed), "used": used},
        out.pick(f"opt-out {switch}: ", f"退出 {switch}：")
        + (
            out.pick("used again from the next round on", "下一轮起恢复使用")
            if used
            else out.pick(
                "not trained with from the next round on, not profiled from now on",
                "下一轮起不参与训练，即刻起不再个性化",
            )
        ),
    )


@app.command("consent")
def consent(
    source: Annotated[Path, typer.Argument(help="File of shopper ids, one a line")],
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Record that these shoppers said yes; keeps keyed hashes, not their ids."""
    from fedguide import config
    from fedguide.cli.rights import rights_of

    settings = config.load(found(path))
    out = begin("shopper consent", as_json=as_json, lang=lang, fallback=settings.lang)
    if not source.is_file():
        raise NotFoundError(f"no file {source}")
    try:
        lines = source.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{source} is not text in UTF-8") from None
    shoppers = [name for line in lines if (name := line.strip())]
    changed = rights_of(settings, lasting=True).register.record(shoppers, "in")
    out.finish(
        {"shoppers": len(shoppers), "changed": changed},
        out.pick(f"{changed:,} new consents", f"新增同意 {changed:,} 人"),
    )
