"""Real hub, driver and party processes of a masked, noised run, for ``killing.py``; not a test.

Each line on stdin, ``ROLE FOLDER STOP``, starts a process of its own (a fork, so that the imports
are paid for once): ``hub``, ``driver``, or the name of a party. It says ``started PID`` and, when
the process is gone, ``gone PID EXITCODE``. A process SIGKILLs itself at its ``STOP``-th mark; marks
stand before and after everything that is written to disk or said over the network. What matters of
a run is appended to files of the folder.
"""

import hashlib
import os
import selectors
import signal
import sys
import time
import traceback
import zlib
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import event

from fedguide.cli.ledgers import verifier
from fedguide.crypto.signing import key_of, sign
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.private_fit import guarded_fit
from fedguide.horizontal.roster import Policy, consent
from fedguide.models.plan import GuidePlan
from fedguide.privacy.chain import PURPOSE, Signer
from fedguide.privacy.ledger import open_ledger
from fedguide.privacy.policy import Policy as PrivacyPolicy
from fedguide.privacy.policy import TaskTerms
from fedguide.privacy.spend import Budget
from fedguide.privacy.witness import Witness, head_text
from fedguide.runtime.consent import Desk, Rules
from fedguide.runtime.couriers import Party
from fedguide.runtime.handover import with_handover
from fedguide.runtime.heads import Heads, with_heads
from fedguide.runtime.hub import HubPlan, hub_app
from fedguide.runtime.hub_client import Access, HubClient, Surroundings
from fedguide.runtime.hub_server import hub_server, listen, tls_context
from fedguide.runtime.hub_tables import open_database
from fedguide.runtime.journal import journaled_roots
from fedguide.runtime.noising import Noising
from fedguide.runtime.party_files import PartyFiles
from fedguide.runtime.party_process import PartyProcess, Work
from fedguide.runtime.permits import permit
from fedguide.runtime.proposal import (
    ALLOWED,
    Proposal,
    masked_terms,
    partys_aggregator,
    task_limits,
)
from fedguide.runtime.run_book import RunBook
from fedguide.runtime.sqlite import SqliteJournal, journal_key, sqlite_engine
from fedguide.runtime.train_task import Driving, train_task
from fedguide.seeds import derive, seeded_entropy, seeded_root, seeded_roots, stream
from fedguide.values import PartyId

ROUNDS, SIZE, TASK = 3, 6, "masked"
SHOPS = {PartyId("shop-a"): 40, PartyId("shop-b"): 25, PartyId("shop-c"): 60}
COORDINATOR = "coordinator"
NOISING = Noising(
    noise="gaussian",
    multiplier=1.5,
    clip=1.0,
    cohort=sum(SHOPS.values()),
    placement="distributed",
    absent=0,
    sampling=1.0,
    unit="shopper",
    delta=1e-6,
    part="tower",
    trained=((0, SIZE),),
    baskets=4,
    learning_rate=0.2,
)
BUDGET = Budget(epsilon=8.0, delta=1e-6)
POLLS = ("/collect", "/v1/mailbox")
"""What is asked again and again, however often; a hub's marks leave it out."""


def key(name):
    """Everybody's identity follows from its name: the same in every run."""
    return key_of(derive(seeded_root(8), "identity", name))


class Marks:
    """Counts what a process passes, and ends it where it is told to."""

    def __init__(self, folder, role, stop):
        self._file = folder / f"marks-{role}.txt"
        self._stop, self._passed = stop, 0

    def __call__(self, name):
        with self._file.open("a") as file:
            file.write(f"{name}\n")
        if self._passed == self._stop:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # the signal is on its way
        self._passed += 1


class Marked:
    """An object some of whose methods are marked before, after, or both."""

    def __init__(self, inner, mark, before=(), after=(), note=None):
        self._inner, self._mark, self._before, self._after = inner, mark, before, after
        self._note = note

    def __getattr__(self, name):
        def call(*arguments):
            if name in self._before:
                self._mark(f"before {name}")
            result = getattr(self._inner, name)(*arguments)
            if self._note is not None:
                self._note(name, arguments)
            if name in self._after:
                self._mark(f"after {name}")
            return result

        return call


def say(line):
    """One line to the test, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def append(path, line):
    with path.open("a") as file:
        file.write(line + "\n")


def client(folder, name):
    address = f"https://127.0.0.1:{(folder / 'port').read_text()}"
    around = Surroundings(time.time, time.monotonic, time.sleep, os.urandom, patience_s=90.0)
    return HubClient(Access(address, (folder / "ca.pem").read_bytes(), name, key(name)), around)


def proposal():
    plain = Proposal(
        task=TASK,
        purpose="to be killed",
        parties=tuple(SHOPS),
        columns=("x",),
        aggregation="open_sum",
        rounds=ROUNDS,
        quorum=3,
        deadline_s=300.0,
        server_momentum=0.0,
        keep_moments=False,
        max_norm=NOISING.clip,
        guide=GuidePlan(),
        seed=0,
        size=SIZE,
        noising=NOISING,
    )
    keys = {name: key(name).public for name in SHOPS}
    return replace(
        plain, aggregation="masked_sum", terms=masked_terms(plain, keys, key(COORDINATOR))
    )


# The hub

STEP = ContextVar("step", default="")


def hub(folder, mark):
    """Marks stand before a commit, and between it and the answer."""
    engine = open_database(f"sqlite:///{folder / 'hub.db'}")

    @event.listens_for(engine, "commit")
    def _commit(_db):
        if STEP.get():
            mark(f"before commit {STEP.get()}")

    app = hub_app(engine, time.time, HubPlan())

    async def marked(scope, receive, send):
        path = scope.get("path", "")
        step = scope.get("method", "") not in ("", "GET") and not path.endswith(POLLS)
        STEP.set(path.rsplit("/", 1)[-1] if step else "")

        async def answering(message):
            if step and message["type"] == "http.response.start":
                mark(f"after commit {STEP.get()}")
            await send(message)

        await app(scope, receive, answering)

    listening = listen("127.0.0.1", int((folder / "port").read_text()))
    context = tls_context(folder / "server.pem", folder / "server.key")
    hub_server(marked, context).run(sockets=[listening])


# A party


class Slopes:
    """Every shopper's slope of least squares; every pass over them writes one line."""

    def __init__(self, name, folder):
        draws = stream(seeded_root(11), "data", name)
        self._x = draws.normal(size=(SHOPS[name], SIZE)).astype(np.float32)
        self._y = self._x @ np.arange(SIZE, dtype=np.float32)
        self._y += draws.normal(size=SHOPS[name]).astype(np.float32)
        self._name, self._folder = name, folder
        self.shoppers, self.places = np.arange(SHOPS[name]), np.arange(SIZE)

    def each(self, params, chosen, seed):
        append(self._folder / "fits.txt", f"{self._name} {seed} {zlib.crc32(params.tobytes())}")
        x = self._x[chosen]
        yield x * (x @ params - self._y[chosen])[:, None]


class MarkedFiles:
    """A party's files with marks around what it keeps."""

    def __init__(self, files, mark, folder, name):
        self._files, self._mark, self._folder, self._name = files, mark, folder, name

    def store(self, task):
        def note(method, arguments):
            if method == "put":
                _, answered, _ = arguments
                digest = hashlib.sha256(answered.reply).hexdigest()
                append(self._folder / "answers.txt", f"{self._name} {answered.trip} {digest}")

        return Marked(self._files.store(task), self._mark, ("put",), ("put",), note)

    def forget(self, task):
        self._files.forget(task)
        self._mark("after forget")


def ledger_of(folder, name):
    where = folder / name / "ledger.db"
    mark = where.with_suffix(".mark")
    # A clock that stands and a drawn name that is known: heads are the same in every run.
    entropy = seeded_entropy(zlib.crc32(f"{name} ledger".encode()))
    return open_ledger(str(where), name, mark, clock=lambda: 0.0, entropy=entropy)


def party(folder, mark, name):
    """Marks stand after a root is drawn, around charges and what is kept, and after an answer."""
    files = PartyFiles(folder / name, seeded_entropy(zlib.crc32(name.encode())))
    engine = sqlite_engine(folder / name / "party.db")
    desk = Desk(engine)

    def fresh(task, number):
        append(folder / "draws.txt", f"{name} {task} {number}")
        return seeded_root(7, name, task, number)

    journal = SqliteJournal(engine, journal_key(folder / name / "party.key", os.urandom))
    roots = journaled_roots(Marked(journal, mark, after=("put_root",)), fresh)

    ledger = Marked(ledger_of(folder, name), mark, before=("charge",), after=("charge",))

    def seat(signed):
        known = desk.pin(signed.terms.identities)
        policy = Policy(PartyId(name), key(name).public, key(COORDINATOR).public, known)
        return consent(signed, policy, key(name))

    def prepare(task):
        aggregator = partys_aggregator(task, seat)
        guard = task.noising.guard(len(task.parties))
        terms = TaskTerms(
            task=task.task,
            purpose="recommend",
            cohort=guard.parties,
            shoppers=SHOPS[name],
            events=(guard.event(task.task),),
            clip=guard.clip,
            rounds=task.rounds,
        )
        env = PartyEnv(
            task.task,
            roots,
            aggregator,
            SHOPS[name],
            guarded=guarded_fit(Slopes(name, folder), guard, task.noising.slices),
            permit=permit(ledger, PrivacyPolicy(BUDGET), terms, name),
        )
        half = Party(env, answer, PartyState)

        def keep(adopt):
            files.keep_model(task.task, adopt)
            mark("after keep_model")

        party = with_heads(with_handover(half, keep), Heads(show, keep_heads))
        return Work(party, ALLOWED, task_limits(task))

    witness = Witness(folder / name / "heads.json", verifier())
    signer = Signer(str(key(name).public), lambda text: sign(key(name), PURPOSE, text))

    def show():
        return head_text(ledger.signed_head(signer))

    def keep_heads(heads):
        mark("before keep_heads")
        witness.keep(heads)
        mark("after keep_heads")

    def said(happened):
        if happened.what in ("answered", "proposed", "decided"):
            mark(f"after {happened.what}")

    process = PartyProcess(
        client(folder, name),
        desk,
        Rules(decide="policy"),
        MarkedFiles(files, mark, folder, name),
        prepare,
        time.time,
        said,
    )
    process.run(lambda: False)


# The driver


def driver(folder, mark):
    """Marks stand around every trip it records, after its roots and its checkpoints."""
    engine = sqlite_engine(folder / "driver.db")
    journal = Marked(
        SqliteJournal(engine, journal_key(folder / "driver.key", seeded_entropy(3))),
        mark,
        before=("record",),
        after=("put_root", "record", "put_checkpoint"),
    )
    book = Marked(RunBook(engine), mark, after=("begin", "set_cohort"))
    task = proposal()
    driving = Driving(
        client(folder, COORDINATOR),
        book,
        journal,
        seeded_roots(5),
        time.monotonic,
        300.0,
        key(COORDINATOR),
        heads=True,
    )
    book.begin(task, 0.0)
    finished = train_task(driving, task, np.zeros(SIZE, np.float32))
    (folder / "model.bin").write_bytes(finished.run.best_params.tobytes())
    (folder / "has_model.txt").write_text(" ".join(finished.has_model))


def life(role, folder, stop):
    mark = Marks(folder, role, stop)
    if role == "hub":
        hub(folder, mark)
    elif role == "driver":
        driver(folder, mark)
    else:
        party(folder, mark, PartyId(role))


def warm():
    """Compiles, and imports the accountant, once for all processes."""
    guard = NOISING.guard(len(SHOPS))
    NOISING.price(TASK, len(SHOPS), ROUNDS)
    slopes = Slopes("shop-b", Path(os.devnull).parent)
    slopes.each = lambda *_: iter([np.ones((2, SIZE), np.float32)])
    guarded_fit(slopes, guard, NOISING.slices)(np.zeros(SIZE, np.float32), 0, seeded_root(0))


def spawn(role, folder, stop):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        life(role, Path(folder), stop)
        code = 0
    except BaseException:
        with (Path(folder) / f"died-{role}.txt").open("a") as file:
            traceback.print_exc(file=file)
        raise
    finally:
        os._exit(code)  # never back into the parent's loop


def main():
    """Starts processes and tells of their ends, until stdin is closed."""
    warm()
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    while True:
        for chosen, _ in selector.select():
            if chosen.fileobj is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return
                role, folder, stop = line.split()
                say(f"started {spawn(role, folder, int(stop))}")
            else:
                os.read(woken, 1000)
                tell_of_the_dead()


def tell_of_the_dead():
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if child == 0:
            return
        say(f"gone {child} {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
