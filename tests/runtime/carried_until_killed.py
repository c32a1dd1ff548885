"""Large payloads between real processes that die, for ``test_carrying.py``; not a test.

Each line on stdin, ``FOLDER ROLE STOP``, is one run: a hub, a party and a driver, forked so that
imports are paid for once. ``ROLE`` SIGKILLs itself at its ``STOP``-th mark, once, and is started
again. Marks stand around chunks, files and the rows that name them. It says ``done KILLS``.
"""

import os
import signal
import sys
import time
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import event

from fedguide.codec import Array, Limits
from fedguide.models.plan import GuidePlan
from fedguide.protocol import Ask, Message, State
from fedguide.runtime.consent import Desk, Rules
from fedguide.runtime.couriers import Party
from fedguide.runtime.driver import Durable, Progress, drive_round, resume
from fedguide.runtime.homes import private_folder
from fedguide.runtime.https import over_https
from fedguide.runtime.hub import HubPlan, hub_app
from fedguide.runtime.hub_server import hub_server, listen, tls_context
from fedguide.runtime.hub_tables import open_database
from fedguide.runtime.hub_wire import CHUNK_BYTES, Propose, TaskView, pack, unpack
from fedguide.runtime.party_files import PartyFiles
from fedguide.runtime.party_process import PartyProcess, Work
from fedguide.runtime.proposal import Proposal, proposal_bytes
from fedguide.runtime.spill import Spill
from fedguide.runtime.sqlite import SqliteJournal, sqlite_engine
from fedguide.seeds import seeded_roots
from fedguide.values import PartyId
from tests.runtime.federated_until_killed import Marks, append, client, say
from tests.runtime.killing import COORDINATOR, NEVER, prepare

TASK, SHOP = "large", PartyId("shop-a")
SIZE = CHUNK_BYTES + 1_000_000
LIMITS = Limits(2 * SIZE, {"bytes": SIZE})


@dataclass(frozen=True)
class Blob(Message):
    """Two chunks of bytes."""

    body: Annotated[NDArray[np.uint8], Array("uint8", "bytes")]


@dataclass(frozen=True)
class Sum(State):
    """What came back, and how often."""

    total: int = 0
    trips: int = 0


def hub(folder, mark):
    """Marks stand before and after the commit of a chunk and of a reply."""
    step = ContextVar("step", default="")
    engine = open_database(f"sqlite:///{folder / 'hub.db'}")

    @event.listens_for(engine, "commit")
    def _commit(_db):
        if step.get():
            mark(f"before commit {step.get()}")

    app = hub_app(engine, time.time, HubPlan())

    async def marked(scope, receive, send):
        method, path = scope.get("method", ""), scope.get("path", "")
        last = path.rsplit("/", 1)[-1]
        step.set(f"chunk {last}" if method == "PUT" else last if last == "reply" else "")

        async def answering(message):
            if step.get() and message["type"] == "http.response.start":
                mark(f"after commit {step.get()}")
            await send(message)

        await app(scope, receive, answering)

    listening = listen("127.0.0.1", int((folder / "port").read_text()))
    context = tls_context(folder / "server.pem", folder / "server.key")
    hub_server(marked, context).run(sockets=[listening])


def spill_marks(mark):
    """A mark between a file and the row that names it."""
    named = Spill._named

    def marked(self, new, place, content):
        mark("before name")
        name = named(self, new, place, content)
        mark("after name")
        return name

    Spill._named = marked


def party(folder, mark):
    """Marks stand around its answer's file and row, and around every chunk it sends."""
    spill_marks(mark)
    files = PartyFiles(folder / SHOP)
    speaking = client(folder, SHOP)
    call = speaking.call

    def marked(method, target, *args, **kwargs):
        answered = call(method, target, *args, **kwargs)
        if method == "PUT":
            mark(f"after chunk {target.rsplit('/', 1)[-1]}")
        return answered

    speaking.call = marked

    def answer(_env, state, message):
        # New bytes each time: an answer made twice would not be the same.
        body = np.frombuffer(os.urandom(SIZE), np.uint8)
        append(folder / "answers.txt", str(int(body.sum())))
        return Sum(int(message.body.sum()), state.trips + 1), Blob(body)

    work = Work(Party(None, answer, Sum), (Blob, Sum), LIMITS)
    desk = Desk(sqlite_engine(folder / SHOP / "desk.db"))
    rules = Rules(decide="policy", least_parties=1)
    process = PartyProcess(speaking, desk, rules, files, lambda _p: work, time.time)
    process.run(lambda: False)


def driver(folder, mark):
    """Marks stand around the trip's file and row, and after the checkpoint."""
    spill_marks(mark)
    speaking = client(folder, COORDINATOR)
    plan = Proposal(
        task=TASK, purpose="to be killed", parties=(SHOP,), columns=(), aggregation="weighted_mean",
        rounds=1, quorum=1, deadline_s=300.0, server_momentum=0.0, keep_moments=False,
        max_norm=1.0, guide=GuidePlan(), seed=0, size=SIZE,
    )  # fmt: skip
    proposed = Propose(TASK, proposal_bytes(plan), plan.max_bytes, plan.parties)
    view = unpack(speaking.call("POST", "/v1/tasks", pack(proposed)), TaskView)
    while any(said == "waiting" for _, said, _ in view.decisions):
        asked = speaking.call("GET", f"/v1/tasks/{TASK}?decided=0&wait=5", wait_s=5)
        view = unpack(asked, TaskView)
    private_folder(folder / "driver")
    journal = SqliteJournal(sqlite_engine(folder / "driver" / "driver.db"), bytes(64))
    durable = Durable(TASK, journal, seeded_roots(1), time.monotonic, (Blob, Sum), LIMITS)

    def asks(state, _root):
        body = np.random.default_rng(7).integers(0, 256, SIZE, np.uint8)
        replies = yield Ask({SHOP: Blob(body)}, 1, deadline_s=300.0)
        return Sum(state.total + int(replies.answers[SHOP].body.sum()), state.trips + 1)

    progress: Progress[Sum] = resume(durable, Sum())
    if not progress.round:
        progress = drive_round(durable, progress, asks, over_https(speaking, TASK, LIMITS, (Blob,)))
        mark("after checkpoint")
    (folder / "result.txt").write_text(f"{progress.state.total} {progress.state.trips}")
    speaking.call("POST", f"/v1/tasks/{TASK}/end", task=TASK)


ROLES = {"hub": hub, "party": party, "driver": driver}


def start(role, folder, stop):
    """A process of this role; gives its id."""
    if child := os.fork():
        return child
    code = 1
    try:
        ROLES[role](folder, Marks(folder, role, stop))
        code = 0
    except BaseException:
        (folder / f"died-{role}.txt").write_text(traceback.format_exc())
        raise
    finally:
        os._exit(code)


def run(folder, kill, stop):
    """One run to its end; gives how many were killed on the way."""
    prepare(folder)
    living = {start(role, folder, stop if role == kill else NEVER): role for role in ROLES}
    killed = 0
    try:
        while True:
            child, status = os.wait()
            role, code = living.pop(child), os.waitstatus_to_exitcode(status)
            if role == "driver" and code == 0:
                return killed
            if code != -signal.SIGKILL:
                raise RuntimeError(f"{role} ended with {code}")
            killed += 1
            living[start(role, folder, NEVER)] = role
    finally:
        for child in living:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    for line in sys.stdin:
        where, kill, stop = line.split()
        say(f"done {run(Path(where), kill, int(stop))}")
