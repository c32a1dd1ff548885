"""``fedguide join`` and ``fedguide party``: a shop's side of a federation."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.federation import passphrase
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.shop import needs_training
from fedguide.cli.source import DataOption
from fedguide.errors import ConfigError, NotAuthorizedError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.runtime.consent import Considered, Desk, Rules
    from fedguide.runtime.homes import Membership
    from fedguide.runtime.hub_client import HubClient
    from fedguide.runtime.party_process import Happened

app = typer.Typer(help="This shop in its federation: start, tasks, approve / 参与方",
                  no_args_is_help=True)  # fmt: skip

TaskArgument = Annotated[str, typer.Argument(help="Name of the task", show_default=False)]

_TRY_S = 10.0
"""How long a short command waits for the hub."""


def join(
    invitation: Annotated[str, typer.Argument(help="The one string of the invitation")],
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Join a federation: make this shop's key, pin the hub, show what would leave, enrol."""
    from fedguide import config
    from fedguide.crypto.certificates import fingerprint, to_pem
    from fedguide.crypto.invitation import read_invitation
    from fedguide.runtime import homes
    from fedguide.runtime.hub_wire import Enrol, Standing, pack, unpack

    settings = config.load(found(path))
    out = begin("join", as_json=as_json, lang=lang, fallback=settings.lang)
    read = read_invitation(invitation, time.time())
    authority = to_pem(read.authority)
    member = homes.Membership(
        read.federation, read.party, read.address, authority.decode(), read.coordinator
    )
    key = homes.identity(settings.home, passphrase())
    with client_of(settings, member) as client:
        body = pack(Enrol(read.token, key.public))
        standing = unpack(client.call("POST", "/v1/enrol", body), Standing)
    homes.save_membership(settings.home, member)
    data = {
        "federation": read.federation,
        "party": read.party,
        "address": read.address,
        "authority": fingerprint(authority),
        "key": str(key.public),
        "status": standing.status,
    }
    waits = standing.status != "admitted"
    out.finish(
        data,
        out.pick(f"{read.party} of {read.federation}", f"{read.federation} 的 {read.party}"),
        out.pick(f"hub        {read.address}", f"中枢     {read.address}"),
        out.pick(f"authority  {fingerprint(authority)}", f"证书指纹 {fingerprint(authority)}"),
        out.pick(f"our key    {key.public}", f"本店公钥 {key.public}"),
        *_what_leaves(out),
        out.pick(
            f"status     {standing.status}"
            + ("; the operator runs: fedguide federation approve " + read.party if waits else ""),
            f"状态     {standing.status}"
            + ("；请运营方执行 fedguide federation approve " + read.party if waits else ""),
        ),
        out.pick("next: fedguide party start", "下一步：fedguide party start"),
    )


@app.command("start")
def start(
    data: DataOption = None,
    rows: Annotated[
        Path | None,
        typer.Option("--table", help="A partner's table for vertical tasks: a row a customer"),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Of --table: the column that names the customer")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say every answer, not only their number")
    ] = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Serve this party's part until stopped (Ctrl-C): see tasks, train on own rows, release."""
    from fedguide import config
    from fedguide.runtime import homes
    from fedguide.runtime.party_process import PartyProcess

    settings = config.load(found(path))
    out = begin("party start", as_json=as_json, lang=lang, fallback=settings.lang)
    member = homes.membership_of(settings.home)
    source, partners = data or settings.party.data, rows or settings.vertical.table
    if source is None and partners is None:
        raise ConfigError(
            "the party has no data to train on",
            hint="--data orders.duckdb, or for a partner --table customers.csv",
        )
    from fedguide.cli.partner import Worker

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock = settings.home / "party" / "lock"
    with homes.only_one(lock, "a party"), desk_of(settings) as desk:
        shop = Worker(settings, source, partners, key or settings.vertical.key, desk)
        on_event = _reporter(out, verbose=verbose)
        try:
            with client_of(settings, member, patience_s=3600.0) as client:
                process = PartyProcess(
                    client,
                    desk,
                    rules_of(settings),
                    shop.keeping,
                    shop.prepare,
                    time.time,
                    on_event,
                    lambda: shop.release(on_event),
                )
                _say_online(out, client, member)
                process.run(lambda: False)
        finally:
            shop.close()


@app.command("status")
def status(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """How this shop stands: with the hub, its process, its tasks."""
    from fedguide import config
    from fedguide.errors import ConnectionFailedError
    from fedguide.runtime import homes
    from fedguide.runtime.hub_wire import Standing, unpack

    settings = config.load(found(path))
    out = begin("party status", as_json=as_json, lang=lang, fallback=settings.lang)
    member = homes.membership_of(settings.home)
    standing = "unreachable"
    try:
        with client_of(settings, member) as client:
            standing = unpack(client.once("GET", "/v1/me"), Standing).status
    except NotAuthorizedError as error:
        standing = str(error)
    except ConnectionFailedError:
        pass
    with desk_of(settings) as desk:
        tasks, paused = desk.all(), desk.paused
    runs = homes.is_running(settings.home / "party" / "lock")
    body = {
        "federation": member.federation,
        "party": member.party,
        "address": member.address,
        "status": standing,
        "running": runs,
        "paused": paused,
        "tasks": [_plain(one) for one in tasks],
    }
    yes = {True: out.pick("yes", "是"), False: out.pick("no", "否")}
    out.finish(
        body,
        out.pick(
            f"{member.party} of {member.federation} at {member.address}: {standing}; "
            f"running: {yes[runs]}; paused: {yes[paused]}",
            f"{member.federation} 的 {member.party}（{member.address}）：{standing}；"
            f"运行中：{yes[runs]}；暂停：{yes[paused]}",
        ),
        _task_table(out, tasks),
    )


@app.command("tasks")
def tasks(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Every task proposed to this shop: purpose, what is read, what leaves, price, who learns."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("party tasks", as_json=as_json, lang=lang, fallback=settings.lang)
    with desk_of(settings) as desk:
        seen = desk.all()
    shown = [_described(out, one) for one in seen]
    nothing = out.pick("no task was proposed yet", "尚无任务提案")
    out.finish({"tasks": [_plain(one) for one in seen]}, *(shown or [nothing]))


@app.command("try")
def try_(
    task: TaskArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Carry a proposed task out on made-up rows first: does it run here, what would leave?"""
    from fedguide import config
    from fedguide.runtime import homes
    from fedguide.runtime.consent import objections
    from fedguide.runtime.proposal import Proposal

    settings = config.load(found(path))
    out = begin("party try", as_json=as_json, lang=lang, fallback=settings.lang)
    member = homes.membership_of(settings.home)
    with desk_of(settings) as desk, client_of(settings, member) as client:
        _catch_up(desk, client)
        considered = desk.get(task)
    try:
        from fedguide.runtime.mock import mock_run
    except ModuleNotFoundError as error:
        raise needs_training(error) from error
    if not isinstance(considered.proposal, Proposal):
        raise ConfigError(
            f"{task} is a vertical task: there is no try on made-up rows",
            hint="fedguide vertical train, on copies of files, is its rehearsal",
        )
    mocked = mock_run(considered.proposal, time.monotonic)
    said = objections(rules_of(settings), considered.proposal, member.party)
    data = {
        "task": task,
        "synthetic": True,
        "parties": mocked.parties,
        "seconds_a_round": round(mocked.seconds, 3),
        "bytes_up_a_round": mocked.bytes_up,
        "bytes_down_a_round": mocked.bytes_down,
        "objections": said,
    }
    broken = "; ".join(said)
    out.finish(
        data,
        out.pick(
            f"{task} runs here, on made-up rows of {mocked.parties} synthetic shops; own rows were "
            "not touched, nothing was charged",
            f"{task} 可在此运行：{mocked.parties} 家合成商店的虚构数据；未触及本店数据，未扣预算",
        ),
        out.pick(
            f"a round: {mocked.seconds:.2f} s here, {mocked.bytes_up:,} bytes leave, "
            f"{mocked.bytes_down:,} bytes come",
            f"每轮：本机 {mocked.seconds:.2f} 秒，发出 {mocked.bytes_up:,} 字节，"
            f"收到 {mocked.bytes_down:,} 字节",
        ),
        out.pick(
            f"own rules object: {broken}" if said else f"next: fedguide party approve {task}",
            f"本店规则反对：{broken}" if said else f"下一步：fedguide party approve {task}",
        ),
    )


@app.command("approve")
def approve(
    task: TaskArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Let a task run on this shop's rows, exactly as it was proposed."""
    _decide("approved", task, "", path, as_json, lang)


@app.command("refuse")
def refuse(
    task: TaskArgument,
    reason: Annotated[str, typer.Option("--reason", help="Told to the coordinator")] = "",
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Take no part in a task, or no longer."""
    _decide("refused", task, reason, path, as_json, lang)


@app.command("pause")
def pause(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Answer nothing until ``party resume``."""
    _switch(path, as_json, lang, on=True)


@app.command("resume")
def resume(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Answer again after ``party pause``."""
    _switch(path, as_json, lang, on=False)


@app.command("leave")
def leave(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Leave the federation for good; models and decisions stay in this home."""
    from fedguide import config
    from fedguide.runtime import homes

    settings = config.load(found(path))
    out = begin("party leave", as_json=as_json, lang=lang, fallback=settings.lang)
    member = homes.membership_of(settings.home)
    with client_of(settings, member) as client:
        client.call("POST", "/v1/leave")
    homes.forget_membership(settings.home)
    left = out.pick(f"{member.party} left {member.federation}", f"{member.party} 已退出")
    out.finish({"party": member.party, "federation": member.federation}, left)


@contextmanager
def client_of(
    settings: Settings, member: Membership, patience_s: float = _TRY_S
) -> Iterator[HubClient]:
    """A connection to the hub in the party's name."""
    from fedguide.runtime import homes
    from fedguide.runtime.hub_client import Access, HubClient, Surroundings

    key = homes.identity(settings.home, passphrase())
    around = Surroundings(time.time, time.monotonic, time.sleep, os.urandom, patience_s)
    access = Access(member.address, member.authority.encode(), member.party, key)
    with HubClient(access, around) as client:
        yield client


@contextmanager
def desk_of(settings: Settings) -> Iterator[Desk]:
    """The owner's decisions."""
    from fedguide.runtime import homes
    from fedguide.runtime.consent import Desk
    from fedguide.runtime.sqlite import sqlite_engine

    folder = homes.private_folder(settings.home / "party")
    engine = sqlite_engine(folder / "party.db")
    try:
        yield Desk(engine)
    finally:
        engine.dispose()


def rules_of(settings: Settings) -> Rules:
    """What the owner wrote down in ``[party]``."""
    from fedguide.runtime.consent import Rules

    said = settings.party
    return Rules(
        said.decide,
        said.purposes,
        said.least_parties,
        said.aggregations,
        said.most_rounds,
        said.most_epsilon,
    )


def _decide(
    decision: Any, task: str, reason: str, path: Path | None, as_json: bool, lang: str | None
) -> None:
    from fedguide import config
    from fedguide.runtime import homes
    from fedguide.runtime.party_process import tell

    settings = config.load(found(path))
    command = "approve" if decision == "approved" else "refuse"
    out = begin(f"party {command}", as_json=as_json, lang=lang, fallback=settings.lang)
    member = homes.membership_of(settings.home)
    with desk_of(settings) as desk, client_of(settings, member) as client:
        _catch_up(desk, client)
        # Kept here first: if the hub cannot be told now, the party's process tells it later.
        considered = desk.decide(task, decision, by="owner", now_s=time.time(), reason=reason)
        tell(client, considered)
    out.finish(_plain(considered), _described(out, considered))


def _catch_up(desk: Desk, client: HubClient) -> None:
    """Sees what is proposed, so that a decision needs no running process."""
    from fedguide.runtime.hub_wire import Offers, unpack

    for offer in unpack(client.call("GET", "/v1/tasks"), Offers).offers:
        desk.see(offer.task, offer.proposal, offer.status)


def _switch(path: Path | None, as_json: bool, lang: str | None, *, on: bool) -> None:
    from fedguide import config

    settings = config.load(found(path))
    command = "pause" if on else "resume"
    out = begin(f"party {command}", as_json=as_json, lang=lang, fallback=settings.lang)
    with desk_of(settings) as desk:
        desk.pause(on=on)
    said = out.pick("paused", "已暂停") if on else out.pick("not paused", "未暂停")
    out.finish({"paused": on}, said)


def _say_online(out: Output, client: HubClient, member: Membership) -> None:
    from fedguide.runtime.hub_wire import Standing, unpack

    standing = unpack(client.call("GET", "/v1/me"), Standing)
    out.note(
        f"{member.party} is online at {member.address}: {standing.status}",
        f"{member.party} 已连接 {member.address}：{standing.status}",
    )


def _reporter(out: Output, *, verbose: bool) -> Callable[[Happened], None]:
    """One line for everything that happens; of answers, unless ``verbose``, the sum at the end."""
    lock = threading.Lock()
    answers, sent_bytes = Counter[str](), Counter[str]()
    words = {
        "proposed": "收到提案",
        "decided": "已决定",
        "answered": "已回复",
        "refused": "已拒绝",
        "failed": "失败",
        "ended": "已结束",
        "released": "已发布",
    }

    def report(event: Happened) -> None:
        trip = f" trip {event.trip}" if event.trip >= 0 else ""
        sent = f" {event.bytes_sent:,} bytes left" if event.bytes_sent else ""
        detail = f": {event.detail}" if event.detail else ""
        with lock:
            if event.what == "answered":
                answers[event.task] += 1
                sent_bytes[event.task] += event.bytes_sent
                if not verbose:
                    return
            if event.what == "ended" and (count := answers.pop(event.task, 0)):
                left = sent_bytes.pop(event.task)
                detail = out.pick(
                    f": {count} answers, {left:,} bytes left",
                    f"：共回复 {count} 次，发出 {left:,} 字节",
                )
            out.note(
                f"{event.what} {event.task}{trip}{sent}{detail}",
                f"{words.get(event.what, event.what)} {event.task}{trip}{sent}{detail}",
            )

    return report


def _what_leaves(out: Output) -> list[str]:
    return [
        out.pick(
            "leaves     nothing yet. Each task says what would leave before anything runs,",
            "离开本店 目前没有。每项任务在运行前都会说明将有什么离开本店，",
        ),
        out.pick(
            "           and waits for: fedguide party approve TASK. Rows never leave.",
            "         并等待 fedguide party approve 任务。原始数据行从不离开。",
        ),
    ]


def _described(out: Output, one: Considered) -> str:
    """A task as its owner has to see it."""
    from fedguide.runtime.consent import price_in_words, price_of_task
    from fedguide.runtime.vertical_proposal import VerticalProposal

    proposal = one.proposal
    price = (
        out.pick("no noise is added: no bound", "不加噪声：没有上界")
        if price_of_task(proposal) is None
        else f"{price_in_words(proposal)}: {proposal.noise_in_words}"
    )
    reads = ", ".join(proposal.columns) or out.pick(
        "all columns that [vertical] offers", "[vertical] 提供的所有列"
    )
    by = f" ({one.by})" if one.by else ""
    lines = [
        (out.pick("task", "任务"), f"{proposal.task}: {one.decision}{by}, {one.status}"),
        (out.pick("purpose", "用途"), proposal.purpose),
        (out.pick("with", "参与方"), ", ".join(proposal.parties)),
        (out.pick("read here", "本地读取"), reads),
        (out.pick("algorithm", "算法"), proposal.algorithm),
        (out.pick("leaves", "离开本店"), "; ".join(proposal.leaves)),
        (out.pick("price", "代价"), price),
        (out.pick("who learns", "谁能看到"), "; ".join(proposal.learns)),
    ]
    if isinstance(proposal, VerticalProposal):
        asked = f"{proposal.driver}, {out.pick('key', '公钥')} {proposal.key}"
        lines.insert(2, (out.pick("asked by", "发起方"), asked))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines) + "\n"


def _task_table(out: Output, tasks_: list[Considered]) -> Any:
    heads = (
        out.pick("task", "任务"),
        out.pick("decision", "决定"),
        out.pick("by", "由"),
        out.pick("status", "状态"),
        out.pick("purpose", "用途"),
    )
    rows = [(t.proposal.task, t.decision, t.by, t.status, t.proposal.purpose) for t in tasks_]
    return table("", heads, rows)


def _plain(one: Considered) -> dict[str, Any]:
    from fedguide.runtime.consent import price_of_task

    proposal = one.proposal
    price = price_of_task(proposal)
    return {
        "task": proposal.task,
        "purpose": proposal.purpose,
        "parties": list(proposal.parties),
        "columns": list(proposal.columns),
        "algorithm": proposal.algorithm,
        "leaves": list(proposal.leaves),
        "learns": list(proposal.learns),
        "noise": proposal.noise_in_words,
        "epsilon": None if price is None else price.epsilon,
        "epsilon_insider": None if price is None else price.epsilon_insider,
        "delta": None if price is None else price.delta,
        "decision": one.decision,
        "by": one.by,
        "reason": one.reason,
        "status": one.status,
    }
