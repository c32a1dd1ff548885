"""``fedguide privacy``: what a plan would cost, what was spent, on what, and what is left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.ledgers import RunOption, ShopOption
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.errors import ConfigError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from fedguide.cli.ledgers import Standing
    from fedguide.config import Settings
    from fedguide.privacy.chain import Entry
    from fedguide.privacy.ledger import Ledger
    from fedguide.privacy.spend import Budget

app = typer.Typer(help="Privacy: price, budget, ledger, report / 隐私预算", no_args_is_help=True)


@app.command("price")
def price(
    noise_multiplier: Annotated[
        float, typer.Option("--noise-multiplier", help="Noise over sensitivity: σ/C, or scale/C")
    ],
    rounds: Annotated[int, typer.Option("--rounds", help="How many rounds")],
    sampling: Annotated[
        float, typer.Option("--sampling", help="Probability that a shopper is in a round")
    ] = 1.0,
    delta: Annotated[float, typer.Option("--delta", help="δ; 0 for pure ε")] = 1e-6,
    mechanism: Annotated[str, typer.Option("--mechanism", help="gaussian or laplace")] = "gaussian",
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Work out the ε of a plan before it is run, against both adversaries."""
    from fedguide import config
    from fedguide.cli.ledgers import figure, finite
    from fedguide.privacy.accounting import price_of
    from fedguide.privacy.events import Event
    from fedguide.privacy.mechanisms import Gaussian, Laplace
    from fedguide.privacy.spend import WARN_EPSILON

    settings = config.load(found(path))
    out = begin("privacy price", as_json=as_json, lang=lang, fallback=settings.lang)
    kinds: dict[str, type[Gaussian] | type[Laplace]] = {"gaussian": Gaussian, "laplace": Laplace}
    if mechanism not in kinds:
        raise ConfigError(f"--mechanism must be gaussian or laplace, got {mechanism!r}")
    done = Event("price", kinds[mechanism](noise_multiplier, 1.0), sampling, rounds)
    made = price_of([done], delta)
    data = {
        "mechanism": mechanism,
        "noise_multiplier": noise_multiplier,
        "rounds": rounds,
        "sampling": sampling,
        "delta": delta,
        "epsilon": finite(made.epsilon),
        "epsilon_insider": finite(made.epsilon_insider),
        "epsilon_rdp": finite(made.epsilon_rdp),
        "epsilon_insider_rdp": finite(made.epsilon_insider_rdp),
        "cap": settings.privacy.epsilon,
    }
    heads = (out.pick("adversary", "对手"), "ε (PLD)", "ε (RDP)")
    outsider = out.pick("outsider: does not know who was sampled", "外部：不知道谁被抽中")
    insider = out.pick("insider: knows who was sampled", "内部：知道谁被抽中")
    rows = [
        (outsider, figure(made.epsilon), figure(made.epsilon_rdp)),
        (insider, figure(made.epsilon_insider), figure(made.epsilon_insider_rdp)),
    ]
    judged = made.epsilon_insider if settings.privacy.adversary == "insider" else made.epsilon
    if judged > settings.privacy.epsilon:
        cap = settings.privacy.epsilon
        out.note(f"above the cap of {cap:g}: it would be refused", f"超过上限 {cap:g}：会被拒绝")
    elif judged > WARN_EPSILON:
        out.note(f"above {WARN_EPSILON:g}: a weak promise", f"超过 {WARN_EPSILON:g}：保护较弱")
    out.finish(data, table("", heads, rows))


@app.command("budget")
def budget(
    run: RunOption = None,
    shop: ShopOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say what every account has spent, what is left, and for how many rounds it lasts."""
    from fedguide import config
    from fedguide.cli.ledgers import budget_of, figure, peers

    settings = config.load(found(path))
    out = begin("privacy budget", as_json=as_json, lang=lang, fallback=settings.lang)
    allowed = budget_of(settings)
    accounts = _standings(settings, allowed, run, shop)
    heads = (
        out.pick("account", "账户"),
        "ε",
        out.pick("cap", "上限"),
        out.pick("left", "剩余"),
        out.pick("rounds left", "剩余轮数"),
    )
    rows = []
    for account in accounts:
        lasts = account["rounds_left"]
        spent, left = account["epsilon"], account["left"]
        rows.append(
            (
                account["account"],
                figure(float("inf") if spent is None else spent),
                f"{allowed.epsilon:g}",
                f"{left:.3g}",
                "-" if lasts is None else f"{lasts:,}",
            )
        )
    _warn(out, accounts)
    others = peers(settings.home)
    _warn_of(out, others)
    shown = [table("", heads, rows)] if rows else []
    data = {"accounts": accounts, "cap": allowed.epsilon, "delta": allowed.delta, "peers": others}
    out.finish(data | {"adversary": allowed.adversary}, *shown, *_nothing(out, accounts))


@app.command("ledger")
def ledger(
    count: Annotated[int, typer.Option("-n", "--count", help="How many, newest last", min=0)] = 20,
    verify: Annotated[bool, typer.Option("--verify", help="Go through the whole chain")] = False,
    acknowledge: Annotated[
        bool,
        typer.Option("--acknowledge", help="Count what a restored ledger lost as spent, and go on"),
    ] = False,
    known: Annotated[
        Path | None, typer.Option("--known", help="A head of it that somebody else has kept")
    ] = None,
    head: Annotated[
        Path | None, typer.Option("--head", help="Write the signed head here, for others to keep")
    ] = None,
    run: RunOption = None,
    shop: ShopOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Print the records of a ledger: charges, refusals, lost rows, erasures."""
    from fedguide import config
    from fedguide.cli.ledgers import one_place, opened, signer_of
    from fedguide.privacy.chain import head_to_json

    settings = config.load(found(path))
    out = begin("privacy ledger", as_json=as_json, lang=lang, fallback=settings.lang)
    place = one_place(settings, run, shop)
    with opened(place) as book:
        if known is not None:
            _confront(settings, book, known, goes_on=acknowledge)
        if acknowledge:
            _acknowledge(out, book)
        book.require_whole()
        if verify:
            book.verify()
        signer = signer_of(settings.home)
        signed = head_to_json(book.signed_head(signer))
        if head is not None:
            head.write_text(json.dumps(signed) + "\n", encoding="utf-8")
        entries = list(book.entries())
    shown = entries[-count:] if count else entries
    data = {
        "party": place.party,
        "records": [dict(entry.record) | {"hash": entry.hash} for entry in shown],
        "of": len(entries),
        "verified": verify,
        **signed,
    }
    good = out.pick("the chain verifies", "链完整") if verify else ""
    out.finish(data, _records(out, shown), *([good] if good else []))


@app.command("report")
def report(
    run: RunOption = None,
    shop: ShopOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Report to a privacy officer: what left, when, to whom, what for, what is left."""
    from fedguide import config
    from fedguide.cli.ledgers import budget_of, each, peers, places

    settings = config.load(found(path))
    out = begin("privacy report", as_json=as_json, lang=lang, fallback=settings.lang)
    allowed = budget_of(settings)
    released = [
        {"party": one["party"], **line}
        for one in each(places(settings, run, shop), lambda book: {"lines": _released(book)})
        for line in one["lines"]
    ]
    accounts = _standings(settings, allowed, run, shop)
    _warn(out, accounts)
    others = peers(settings.home)
    _warn_of(out, others)
    shown = [_report_table(out, released)] if released else []
    shown += [
        *_left_in_words(out, released),
        *(_spent_in_words(out, account, allowed) for account in accounts),
        *(_seen_in_words(out, peer) for peer in others),
    ]
    body = [line | {"what": [json.loads(what) for what in line["what"]]} for line in released]
    data = {"released": body, "accounts": accounts, "cap": allowed.epsilon, "delta": allowed.delta}
    data |= {"peers": others}
    out.finish(data, *shown, *_nothing(out, released))


def _report_table(out: Output, released: Iterable[Mapping[str, Any]]) -> Any:
    from fedguide.cli.ledgers import when

    heads = (
        out.pick("task", "任务"),
        out.pick("account", "账户"),
        out.pick("to", "接收方"),
        out.pick("purpose", "用途"),
        out.pick("first", "首次"),
        out.pick("last", "最近"),
        out.pick("rounds", "轮数"),
    )
    rows = [
        (
            _short(line["task"]),
            line["account"],
            line["recipient"] or "-",
            line["purpose"] or line["kind"],
            when(line["first"]),
            when(line["last"]),
            str(line["rounds"]) if line["kind"] == "charge" else line["kind"],
        )
        for line in released
    ]
    made = table("", heads, rows)
    for column in made.columns[:-1]:
        column.justify = "left"
    return made


def _left_in_words(out: Output, released: Iterable[Mapping[str, Any]]) -> list[str]:
    from fedguide.cli.ledgers import summary

    whats = sorted({what for line in released for what in line["what"]})
    return [out.pick("what left: ", "离开的内容：") + summary(what) for what in whats]


def _spent_in_words(out: Output, account: Mapping[str, Any], allowed: Budget) -> str:
    from fedguide.cli.ledgers import figure

    spent = figure(float("inf") if account["epsilon"] is None else account["epsilon"])
    lasts, name, cap = account["rounds_left"], account["account"], f"{allowed.epsilon:g}"
    said = out.pick(
        f"{name}: ε {spent} of {cap} at δ {allowed.delta:.1g}",
        f"{name}：ε {spent} / {cap}，δ {allowed.delta:.1g}",
    )
    if lasts is None:
        return said
    return said + out.pick(f"; lasts {lasts:,} more rounds", f"；还可 {lasts:,} 轮")


def _standings(
    settings: Settings, allowed: Budget, run: str | None, shop: str | None
) -> list[dict[str, Any]]:
    """Every account of every ledger, in figures."""
    from fedguide.cli.ledgers import each, last_charges, places, standing

    def accounts(book: Ledger) -> dict[str, Any]:
        last = last_charges(book)
        return {
            "accounts": [
                _figures(standing(book, name, last.get(name, {}), allowed), allowed)
                for name in book.spent()
            ]
        }

    found_there = each(places(settings, run, shop), accounts)
    return [{"party": one["party"], **line} for one in found_there for line in one["accounts"]]


def _figures(made: Standing, allowed: Budget) -> dict[str, Any]:
    from fedguide.cli.ledgers import finite

    return {
        "account": made.account,
        "epsilon": finite(made.total),
        "epsilon_noised": made.epsilon,
        "epsilon_outsider": made.epsilon_outsider,
        "left": max(0.0, allowed.epsilon - made.epsilon) if made.total < float("inf") else 0.0,
        "unnoised": made.unnoised,
        "rounds_left": made.rounds_left,
    }


def _released(book: Ledger) -> list[dict[str, Any]]:
    """The records put together by task, account, purpose, recipient and kind."""
    from fedguide.privacy.chain import spent_by

    lines: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in book.entries():
        record = entry.record
        facts = {name: str(record.get(name, "")) for name in ("purpose", "recipient", "why")}
        key = (record["kind"], record["task"], record["account"], *facts.values())
        fresh = {
            "kind": record["kind"],
            "task": record["task"],
            "account": record["account"],
            **facts,
            "first": record["time"],
            "last": record["time"],
            "rounds": 0,
            "what": [],
        }
        line = lines.setdefault(key, fresh)
        line["last"] = record["time"]
        line["rounds"] += 1
        line["what"] = sorted({*line["what"], *(what for _, what in spent_by(record))})
    return list(lines.values())


def _records(out: Output, entries: Iterable[Entry]) -> Any:
    from fedguide.cli.ledgers import mechanism_in_words, when

    heads = (
        "#",
        out.pick("when", "时间"),
        out.pick("kind", "类型"),
        out.pick("task", "任务"),
        out.pick("round", "轮次"),
        out.pick("account", "账户"),
        out.pick("what", "内容"),
    )
    rows = []
    for entry in entries:
        record = entry.record
        done = "; ".join(
            f"{item['times']} x {mechanism_in_words(item['what'])}" for item in record["spent"]
        )
        about = done or str(record.get("why") or record.get("residual") or "")
        place = (str(record["seq"]), when(record["time"]), record["kind"], _short(record["task"]))
        rows.append((*place, str(record["round"]), record["account"], about))
    made = table("", heads, rows)
    for column in (1, 2, 3, 5, 6):
        made.columns[column].justify = "left"
    made.columns[6].no_wrap = False
    return made


def _confront(settings: Settings, book: Ledger, known: Path, *, goes_on: bool) -> None:
    """Holds the ledger against a kept head; with ``goes_on`` it will be acknowledged next."""
    from fedguide.cli.folders import signing_key
    from fedguide.cli.ledgers import verifier
    from fedguide.privacy.chain import head_from_json

    if not known.is_file():
        raise NotFoundError(f"no file {known}", hint="--known HEAD.json")
    try:
        value = json.loads(known.read_text("utf-8"))
    except ValueError:
        raise ConfigError(f"{known} is not the head of a ledger") from None
    own_key = str(signing_key(settings.home).public)
    try:
        book.confront(head_from_json(value), verifier(), own_key)
    except RefusedError:
        if not goes_on:
            raise


def _acknowledge(out: Output, book: Ledger) -> None:
    receipt = book.acknowledge()
    if receipt is None:
        out.note("nothing was lost", "没有丢失")
        return
    out.note(
        f"what was lost is counted as spent, record {receipt.seq}",
        f"丢失的记录已计为花费，记录 {receipt.seq}",
    )


def _warn(out: Output, accounts: Iterable[Mapping[str, Any]]) -> None:
    from fedguide.privacy.spend import WARN_EPSILON

    for account in accounts:
        name = account["account"]
        if account["unnoised"]:
            out.note(
                f"{name}: something was released without noise: ε = ∞",
                f"{name}：曾有未加噪声的发布：ε = ∞",
            )
        elif account["epsilon"] > WARN_EPSILON:
            out.note(
                f"{name}: ε is above {WARN_EPSILON:g}: a weak promise",
                f"{name}：ε 超过 {WARN_EPSILON:g}：保护较弱",
            )


def _warn_of(out: Output, others: Iterable[Mapping[str, Any]]) -> None:
    """Says whose ledger contradicts what it showed before."""
    for peer in others:
        if peer["doubt"]:
            out.note(
                f"the ledger of {peer['party']} contradicts itself: {peer['doubt']}",
                f"{peer['party']} 的账本自相矛盾：{peer['doubt']}",
            )


def _seen_in_words(out: Output, peer: Mapping[str, Any]) -> str:
    from fedguide.cli.ledgers import when

    party, records, at = peer["party"], peer["records"], when(peer["seen"])
    return out.pick(
        f"ledger of {party}: record {records:,}, shown {at}",
        f"{party} 的账本：第 {records:,} 条记录，出示于 {at}",
    )


def _nothing(out: Output, lines: list[dict[str, Any]]) -> list[str]:
    return [] if lines else [out.pick("nothing was charged yet", "尚无花费")]


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"
