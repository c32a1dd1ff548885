"""``fedguide shopper``: what is known of one person, and their right to see, take and end it."""

from __future__ import annotations

import datetime
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table
from fedguide.errors import ConfigError, DataError, NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.data.contract import Dataset

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
    from fedguide.cli.rights import rights_of, stores

    settings = config.load(found(path))
    out = begin("shopper show", as_json=as_json, lang=lang, fallback=settings.lang)
    rights = rights_of(settings, lasting=True)
    known = list(_known(stores(settings, store or ()), shopper))
    said = rights.register.said(shopper)
    if not known and said is None:
        raise NotFoundError("no store knows this shopper", hint="--store FILE.duckdb")
    held = [{"store": str(where), **_facts(dataset)} for where, dataset in known]
    allowed = rights.allows(shopper)
    residual = _residual(settings, [where for where, _ in known])
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
    from fedguide.cli.rights import rights_of, stores

    settings = config.load(found(path))
    out = begin("shopper export", as_json=as_json, lang=lang, fallback=settings.lang)
    known = list(_known(stores(settings, store or ()), shopper))
    if not known:
        raise NotFoundError("no store knows this shopper", hint="--store FILE.duckdb")
    data = {
        "shopper": shopper,
        "said": rights_of(settings, lasting=True).register.said(shopper),
        "stores": [{"store": str(where), "events": _rows(dataset)} for where, dataset in known],
    }
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
    from fedguide.cli import audience_store
    from fedguide.cli.ledgers import opened, own_place
    from fedguide.cli.rights import rights_of, stores

    settings = config.load(found(path))
    out = begin("shopper delete", as_json=as_json, lang=lang, fallback=settings.lang)
    register = rights_of(settings, lasting=True).register
    places = stores(settings, store or ())
    # The tombstone first: whatever fails after it, nobody is trained with or served as them.
    register.record([shopper], "erased")
    gone, failed = _forget(places, shopper)
    audiences = audience_store.forget(settings.home, shopper)
    residual = _residual(settings, list(gone))
    with opened(own_place(settings)) as ledger:
        party = settings.privacy.party
        record = ledger.erased(party, register.pseudonym(shopper), residual).seq
    if failed:
        raise DataError(
            f"{len(failed)} of {len(places)} stores could not be rewritten: {failed[0]}",
            hint="stop what uses them, then the same command again",
        )
    events = sum(gone.values())
    data = {
        "erased": True,
        "events": events,
        "stores": [str(where) for where in gone],
        "audiences": audiences,
        "residual": residual,
        "ledger_record": record,
    }
    out.finish(
        data,
        out.pick(
            f"erased: {events:,} events in {len(gone)} stores; the files were written anew",
            f"已删除：{len(gone)} 个数据库中的 {events:,} 个事件；文件已重写",
        ),
        out.pick("remains in trained models: ", "已训练模型中残留：") + residual,
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


def _known(places: Sequence[Path], shopper: str) -> Iterator[tuple[Path, Dataset]]:
    """The stores that know a shopper, with their events.

    Raises:
        DataError: a store is damaged, or another process has it open.
    """
    from fedguide.data.store import Store

    for where in places:
        with Store(where) as store:
            if store.knows(shopper):
                yield where, store.read_shopper(shopper)


def _forget(places: Sequence[Path], shopper: str) -> tuple[dict[Path, int], list[str]]:
    """Events removed from the stores that had any, and what kept us from looking into others."""
    from fedguide.data.store import Store

    gone: dict[Path, int] = {}
    failed = []
    for where in places:
        try:
            with Store(where) as store:
                removed = store.forget(shopper)
        except DataError as error:
            failed.append(str(error))
            continue
        if removed:
            gone[where] = removed
    return gone, failed


def _facts(dataset: Dataset) -> dict[str, Any]:
    rows = _rows(dataset)
    kinds = [row["kind"] for row in rows]
    return {
        "shop": dataset.name,
        "events": len(rows),
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "first": rows[0]["time"],
        "last": rows[-1]["time"],
        "latest": rows[-LATEST:],
    }


def _rows(dataset: Dataset) -> list[dict[str, Any]]:
    """Every event in words, oldest first."""
    from fedguide.values import KINDS

    events, items = dataset.events, dataset.catalogue
    made = []
    for row in range(len(events)):
        item, query, basket = events.items[row], events.queries[row], events.baskets[row]
        facts = {
            "kind": KINDS[int(events.kinds[row])],
            "time": _time(int(events.times[row]), clocked=dataset.clocked),
            "item": items.ids[item] if item >= 0 else None,
            "title": items.titles[item] if item >= 0 else None,
            "query": events.query_texts[query] if query >= 0 else None,
            "quantity": _number(float(events.quantities[row])),
            "price": _number(float(events.prices[row])),
            "basket": events.basket_ids[basket] if basket >= 0 else None,
            "group": events.groups[int(events.users[row])] or None,
        }
        made.append({name: value for name, value in facts.items() if value is not None})
    return made


def _number(value: float) -> float | None:
    return round(value, 4) if value == value else None  # noqa: PLR0124 - NaN is not itself


def _time(seconds: int, *, clocked: bool) -> str | int:
    if not clocked:
        return seconds
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def _residual(settings: Settings, holding: Sequence[Path]) -> str:
    """What trained models may still tell of somebody in these stores, in words.

    Nothing takes that back; what bounds it is the noise that was added. A model trained without
    noise has no bound.
    """
    bare, said = [], []
    for name, spent in _privacy_of_runs(holding):
        if spent.get("mechanism", "none") == "none":
            bare.append(name)
        else:
            bound = spent["epsilon_insider"]
            epsilon = "∞" if bound is None else f"{bound:.3g}"
            said.append(f"ε = {epsilon} at δ = {spent['delta']:.1g} (run {name})")
    if bare:
        said.insert(0, f"no bound (trained without noise: {', '.join(bare)})")
    return "; ".join([*said, *_ledgered(settings)]) or "nothing was trained"


def _privacy_of_runs(holding: Sequence[Path]) -> list[tuple[str, dict[str, Any]]]:
    """Of each run that has one of these stores: its name and its receipt."""
    from fedguide.cli.folders import run_record

    folders = {where.parents[2] for where in holding if len(where.parents) > 2}
    return [
        (folder.name, run_record(folder).get("privacy", {}))
        for folder in sorted(folders)
        if (folder / "run.json").is_file()
    ]


def _ledgered(settings: Settings) -> list[str]:
    """What the party's own ledger says of all its shoppers."""
    from fedguide.cli.ledgers import budget_of, figure, is_there, opened, own_place

    if not is_there(own_place(settings)):
        return []
    with opened(own_place(settings)) as ledger:
        counts = ledger.counts(settings.privacy.party)
    if not counts:
        return []
    if importlib.util.find_spec("dp_accounting") is None:
        return ["ε of the ledger: pip install 'fedguide[train]'"]
    budget = budget_of(settings)
    return [f"ε = {figure(ledger.price(counts, budget))} at δ = {budget.delta:.1g} (ledger)"]
