"""``fedguide train``: runs over the hub, begun, watched, stopped and gone on with."""

from __future__ import annotations

import datetime
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.federation import members_of, passphrase
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.private import (
    ClipOption,
    DeltaOption,
    DpChoice,
    DpOption,
    EpsilonOption,
    NoiseOption,
    PartOption,
    SamplingOption,
    private_plan,
)
from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.crypto.signing import PublicKey
    from fedguide.models.plan import GuidePlan
    from fedguide.runtime.hub_wire import TaskView
    from fedguide.runtime.noising import Noising
    from fedguide.runtime.private_rounds import PrivatePlan
    from fedguide.runtime.proposal import Proposal
    from fedguide.runtime.rounds import RoundReport
    from fedguide.runtime.run_book import Entry, RunBook
    from fedguide.runtime.sqlite import SqliteJournal
    from fedguide.runtime.train_task import Finished

app = typer.Typer(help="Runs over the hub: start, watch, stop, resume / 联合训练",
                  no_args_is_help=True)  # fmt: skip

TaskArgument = Annotated[str, typer.Argument(help="Name of the run", show_default=False)]
ApprovalsOption = Annotated[
    float, typer.Option("--wait", help="Seconds that owners have to decide", min=0)
]

COLUMNS = ("user_id (stays)", "item_id (stays)", "kind", "time", "query (stays)", "title", "brand",
           "category", "price")  # fmt: skip
"""What training a guide reads of a shop's own data, on the shop's own machine."""

_LOOK_S = 0.5


@app.command("start")
def start(
    purpose: Annotated[str, typer.Option("--purpose", help="Why; owners read it")],
    task: Annotated[
        str | None, typer.Option("--task", help="Name of the run; default: the time")
    ] = None,
    party: Annotated[
        list[str] | None, typer.Option("--party", help="Who is asked; default: all admitted")
    ] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", help="Rounds", min=1)] = None,
    quorum: Annotated[
        int | None, typer.Option("--quorum", help="Fewest updates of a round", min=1)
    ] = None,
    deadline_s: Annotated[float, typer.Option("--deadline", help="Seconds of a round")] = 600.0,
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--algorithm",
            help="What a round is: a name of `fedguide explain`",
            metavar="NAME[:NUMBER]",
        ),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option("--first", help="A round ends with so many updates; all are asked", min=1),
    ] = None,
    fit_s: Annotated[
        float,
        typer.Option("--fit-seconds", help="Longest local training; fednova only, 0: no limit"),
    ] = 0.0,
    compress: Annotated[
        str,
        typer.Option(
            "--compress",
            help="Send less: none, int8, int4, top:SHARE or random:SHARE (random under sums)",
            metavar="NAME[:SHARE]",
        ),
    ] = "none",
    aggregation: Annotated[
        str, typer.Option("--aggregation", help="masked_sum, open_sum or weighted_mean")
    ] = "masked_sum",
    max_norm: Annotated[
        float, typer.Option("--max-norm", help="Of sums: longest update in L2")
    ] = 100.0,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the first model", min=0)] = None,
    dp: DpOption = None,
    epsilon: EpsilonOption = None,
    delta: DeltaOption = None,
    clip: ClipOption = None,
    noise: NoiseOption = None,
    sampling: SamplingOption = None,
    part: PartOption = None,
    shoppers: Annotated[
        int | None,
        typer.Option("--shoppers", help="Public figure: about how many all shops have", min=1),
    ] = None,
    approvals_s: ApprovalsOption = 86_400.0,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Propose a run, wait for the shops' owners, train with who approved, hand the model over."""
    from fedguide import config
    from fedguide.models.plan import GuidePlan
    from fedguide.runtime import homes
    from fedguide.runtime.proposal import Proposal, masked_terms

    choice = DpChoice(dp, epsilon, delta, clip, noise, sampling, part, rounds)
    settings = config.load(found(path))
    out = begin("train start", as_json=as_json, lang=lang, fallback=settings.lang)
    layout_of = _training().layout_of
    keys = _admitted(settings)
    parties = tuple(sorted(party or keys))
    strangers = [name for name in parties if name not in keys]
    if strangers or not parties:
        raise ConfigError(
            f"not admitted: {', '.join(strangers)}" if strangers else "nobody to train with",
            hint="fedguide federation show",
        )
    # A sum of fewer than three tells each what the other sent.
    masked = aggregation == "masked_sum"
    guide = GuidePlan(encoder=settings.train.encoder)
    private = private_plan(settings, choice, lambda: _declared(shoppers))
    noising = None if private is None else _noising(private, guide, len(parties))
    absent = 0 if noising is None else noising.absent
    all_shares = noising is not None and noising.placement == "distributed"
    least = len(parties) - absent if all_shares else max(3 if masked else 1, len(parties) // 2 + 1)
    name = task or f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}"
    proposal = Proposal(
        task=name,
        purpose=purpose,
        parties=parties,
        columns=COLUMNS,
        aggregation="open_sum" if masked else aggregation,  # type: ignore[arg-type]  # checked there
        rounds=(rounds or settings.train.rounds) if private is None else private.rounds,
        quorum=quorum or least,
        deadline_s=deadline_s,
        server_momentum=settings.train.server_momentum if noising is None else 0.0,
        keep_moments=settings.train.keep_client_moments and noising is None,
        max_norm=max_norm if noising is None else noising.clip,
        guide=guide,
        seed=settings.train.seed if seed is None else seed,
        size=layout_of(guide).size,
        noising=noising,
        algorithm=algorithm or settings.train.algorithm,
        first=first or 0,
        fit_s=fit_s,
        compress=compress,
    )
    if masked:
        key = homes.identity(settings.home, passphrase())
        terms = masked_terms(proposal, keys, key)
        proposal = replace(proposal, aggregation="masked_sum", terms=terms)
    with book_of(settings) as (book, journal):
        book.begin(proposal, time.time())
        _drive(out, settings, proposal, book, journal, approvals_s)


@app.command("resume")
def resume(
    task: TaskArgument,
    approvals_s: ApprovalsOption = 86_400.0,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Go on with a run that was stopped, lost its quorum, or whose process died."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("train resume", as_json=as_json, lang=lang, fallback=settings.lang)
    with book_of(settings) as (book, journal):
        entry = book.get(task)
        if entry.status == "done":
            raise ConfigError(f"{task} is done", hint="fedguide train status")
        book.ask_to_stop(task, stop=False)
        _drive(out, settings, entry.proposal, book, journal, approvals_s)


@app.command("stop")
def stop(
    task: TaskArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Let a run end after its current round; ``train resume`` goes on with it."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("train stop", as_json=as_json, lang=lang, fallback=settings.lang)
    with book_of(settings) as (book, _):
        book.ask_to_stop(task, stop=True)
    said = out.pick(f"{task} ends after its current round", f"{task} 将在本轮后停止")
    out.finish({"task": task}, said)


@app.command("status")
def status(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Every run of this coordinator: how it stands, rounds done, who takes part."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("train status", as_json=as_json, lang=lang, fallback=settings.lang)
    with book_of(settings) as (book, journal):
        seen = [_plain(entry, history_of(journal, entry)) for entry in book.all()]
    heads = (
        out.pick("run", "训练"),
        out.pick("status", "状态"),
        out.pick("rounds", "轮次"),
        out.pick("loss", "损失"),
        out.pick("shops", "商店"),
        out.pick("purpose", "用途"),
    )
    rows = [
        (
            run["task"],
            run["status"],
            f"{len(run['history'])}/{run['rounds']}",
            f"{run['history'][-1]['loss']:.4f}" if run["history"] else "-",
            ", ".join(run["cohort"] or run["parties"]),
            run["purpose"],
        )
        for run in seen
    ]
    out.finish({"runs": seen}, table("", heads, rows))


@app.command("watch")
def watch(
    task: TaskArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Follow a run from another terminal, round by round, until it ends."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("train watch", as_json=as_json, lang=lang, fallback=settings.lang)
    shown = 0
    with book_of(settings) as (book, journal):
        while True:
            entry = book.get(task)
            history = history_of(journal, entry)
            for report in history[shown:]:
                _say_round(out, entry.proposal, report)
            shown = len(history)
            if entry.status in ("stopped", "failed", "done"):
                break
            time.sleep(_LOOK_S)
    said = f"{task}: {entry.status}" + (f": {entry.detail}" if entry.detail else "")
    out.finish(_plain(entry, history), said)


@contextmanager
def book_of(settings: Settings) -> Iterator[tuple[RunBook, SqliteJournal]]:
    """The driver's book and journal."""
    from fedguide.runtime import homes
    from fedguide.runtime.run_book import RunBook
    from fedguide.runtime.sqlite import SqliteJournal, journal_key, sqlite_engine

    homes.federation_of(settings.home)
    folder = homes.private_folder(settings.home / "driver")
    key = journal_key(folder / "driver.key", os.urandom)
    engine = sqlite_engine(folder / "driver.db")
    try:
        yield RunBook(engine), SqliteJournal(engine, key)
    finally:
        engine.dispose()


def _drive(
    out: Output,
    settings: Settings,
    proposal: Proposal,
    book: RunBook,
    journal: SqliteJournal,
    approvals_s: float,
) -> None:
    from fedguide.cli.ledgers import budget_of, opened, own_place
    from fedguide.runtime import homes
    from fedguide.runtime.charged import operators_charge
    from fedguide.runtime.hub_client import Access, HubClient, Surroundings
    from fedguide.runtime.train_task import Driving, train_task
    from fedguide.seeds import fresh_roots

    first_params = _training().first_params
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    federation = homes.federation_of(settings.home)
    key = homes.identity(settings.home, passphrase())
    authority = homes.authority_of(settings.home).certificate
    access = Access(federation.address, authority, homes.COORDINATOR, key)
    around = Surroundings(time.time, time.monotonic, time.sleep, os.urandom)
    lock = settings.home / "driver" / f"{proposal.task}.lock"
    with (
        homes.only_one(lock, f"the run {proposal.task}"),
        HubClient(access, around) as client,
        opened(own_place(settings)) as ledger,
    ):
        roots = fresh_roots(os.urandom)
        charge = operators_charge(ledger, budget_of(settings), federation.name)
        driving = Driving(
            client, book, journal, roots, time.monotonic, approvals_s, key, charge, heads=True
        )
        finished = train_task(
            driving,
            proposal,
            first_params(proposal.guide, proposal.seed),
            lambda view: _say_view(out, view),
            lambda report: _say_round(out, proposal, report),
        )
    _finish(out, proposal, finished)


def _finish(out: Output, proposal: Proposal, finished: Finished) -> None:
    history = finished.run.history
    sent = sum(report.bytes_up for report in history)
    data = {
        "task": proposal.task,
        "rounds": len(history),
        "has_model": list(finished.has_model),
        "bytes_from_shops": sent,
        "raw_rows_sent": 0,
        "dp": proposal.noise_in_words,
        "history": [asdict(report) for report in history],
    }
    has = ", ".join(finished.has_model) or "-"
    price = _price_in_words(proposal)
    out.finish(
        data,
        out.pick(
            f"{proposal.task}: {len(history)} rounds; {sent / 1e6:.1f} MB left the shops as model "
            f"updates; raw rows sent: 0; dp: {proposal.noise_in_words}{price}; "
            f"the model is at: {has}",
            f"{proposal.task}：{len(history)} 轮；以模型更新的形式离开商店 {sent / 1e6:.1f} MB；"
            f"原始数据行：0；差分隐私：{proposal.noise_in_words}{price}；模型已交付：{has}",
        ),
    )


def _price_in_words(proposal: Proposal) -> str:
    from fedguide.runtime.consent import price_in_words

    return "" if proposal.noising is None else f", {price_in_words(proposal)}"


def _say_view(out: Output, view: TaskView) -> None:
    said = ", ".join(f"{name}: {decision}" for name, decision, _ in view.decisions)
    out.note(f"{view.task} was proposed; {said}", f"{view.task} 已提案；{said}")


def _say_round(out: Output, proposal: Proposal, report: RoundReport) -> None:
    missing = "".join(f"; {m.party} {m.reason}" for m in report.missing)
    shops, examples, seconds = len(report.parties), report.examples, report.seconds
    out.note(
        f"round {report.round}/{proposal.rounds}: loss {report.loss:.4f}, "
        f"{shops} shops, {examples:,} examples, {seconds:.1f} s{missing}",
        f"第 {report.round}/{proposal.rounds} 轮：损失 {report.loss:.4f}，"
        f"{shops} 家商店，{examples:,} 个样本，{seconds:.1f} 秒{missing}",
    )


def history_of(journal: SqliteJournal, entry: Entry) -> list[RoundReport]:
    """The rounds that are done, from the last checkpoint."""
    from fedguide.codec import Limits, decode
    from fedguide.runtime.proposal import ALLOWED
    from fedguide.runtime.rounds import RunState

    checkpoint = journal.checkpoint(entry.proposal.task)
    if checkpoint is None:
        return []
    size = len(checkpoint.state)
    limits = Limits(size, max_header_bytes=size, max_text=size)
    state = decode(checkpoint.state, ALLOWED, limits)
    return list(state.history) if isinstance(state, RunState) else []


def _plain(entry: Entry, history: list[RoundReport]) -> dict[str, Any]:
    return {
        "task": entry.proposal.task,
        "purpose": entry.proposal.purpose,
        "status": entry.status,
        "detail": entry.detail,
        "rounds": entry.proposal.rounds,
        "parties": list(entry.proposal.parties),
        "cohort": None if entry.cohort is None else list(entry.cohort),
        "history": [asdict(report) for report in history],
    }


def _admitted(settings: Settings) -> dict[str, PublicKey]:
    """The parties that may take part, and the keys they enrolled with."""
    from fedguide.runtime import members

    with members_of(settings) as db:
        everybody = members.members(db)
    return {
        m.party: m.key for m in everybody if m.role in members.ANSWERS and m.status == "admitted"
    }


def _declared(shoppers: int | None) -> int:
    """The public figure; a coordinator has no rows to count."""
    if shoppers is None:
        raise ConfigError(
            "noise needs a public figure: about how many shoppers all shops have together",
            hint="--shoppers 5000, or [dp] shoppers in fedguide.toml",
        )
    return shoppers


def _noising(private: PrivatePlan, guide: GuidePlan, parties: int) -> Noising:
    from fedguide.runtime.noising import noising_of

    return noising_of(private, guide, parties)


def _training() -> Any:
    try:
        from fedguide.models import fit
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"training needs {error.name}, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from error
    return fit
