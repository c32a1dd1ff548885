"""A real hub over TLS on 127.0.0.1 for tests, with members and clients; not a test itself."""

import datetime
import hashlib
import os
import threading
import time
from contextlib import ExitStack, contextmanager

from fedguide.crypto.certificates import issue_server, make_authority
from fedguide.crypto.signing import make_key
from fedguide.models.plan import GuidePlan
from fedguide.runtime import mailbox, members
from fedguide.runtime.consent import Desk, Rules
from fedguide.runtime.hub import HubPlan, hub_app
from fedguide.runtime.hub_client import Access, HubClient, Surroundings
from fedguide.runtime.hub_server import hub_server, listen, tls_context
from fedguide.runtime.hub_tables import open_database
from fedguide.runtime.hub_wire import Decide, Propose, TaskView, pack, unpack
from fedguide.runtime.party_process import PartyProcess
from fedguide.runtime.proposal import Proposal, proposal_bytes
from fedguide.runtime.run_book import RunBook
from fedguide.runtime.sqlite import SqliteJournal, SqlitePartyStore, sqlite_engine
from fedguide.runtime.train_task import Driving
from fedguide.seeds import seeded_roots

DRIVER = "coordinator"


class Wall:
    """The hub's or a client's clock, which a test may move."""

    def __init__(self):
        self.ahead_s = 0.0

    def __call__(self):
        return time.time() + self.ahead_s


class HubWorld:
    """A hub that can be stopped and started again on the same port and database."""

    def __init__(self, folder, url=None, plan=None, header_s=5.0):
        self.url = url or f"sqlite:///{folder / 'hub.db'}"
        self.plan = plan or HubPlan()
        self.header_s = header_s
        self.wall = Wall()
        self.keys = {}
        self.log = []
        self.port = 0
        now = datetime.datetime.now(datetime.UTC)
        authority = make_authority("test", now)
        server = issue_server(authority, ["127.0.0.1", "localhost"], now)
        self.authority = authority.certificate
        self.certificate, self.key = folder / "server.pem", folder / "server.key"
        self.certificate.write_bytes(server.certificate)
        self.key.write_bytes(server.key)
        self._clients = ExitStack()
        self._kept = {}
        self._thread = None
        self.start()

    @property
    def address(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self):
        self.engine = open_database(self.url)
        app = hub_app(self.engine, self.wall, self.plan, self.log.append)
        listening = listen("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        ready = threading.Event()
        context = tls_context(self.certificate, self.key)
        self._server = hub_server(app, context, ready.set, header_s=self.header_s)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        assert ready.wait(20)

    def stop(self):
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._thread = None
            self.engine.dispose()

    def close(self):
        self._clients.close()
        self.stop()

    def admit(self, *names, role=members.PARTY):
        """Members with keys of their own."""
        with self.engine.begin() as db:
            for name in names:
                key = self.keys[name] = make_key()
                if role == members.DRIVER:
                    members.add_driver(db, name, key.public, time.time())
                else:
                    token = os.urandom(16)
                    members.invite(db, name, token, time.time() + 60, admit=True)
                    members.enrol(db, name, key.public, token, time.time())

    def client(self, name, **options):
        """A client in a member's name, closed with the world; the same one without options."""
        if options:
            return self._client(name, **options)
        if name not in self._kept:
            self._kept[name] = self._client(name)
        return self._kept[name]

    def _client(self, name, *, key=None, wall=None, patience_s=20.0, pause=time.sleep):
        around = Surroundings(wall or time.time, time.monotonic, pause, os.urandom, patience_s)
        access = Access(self.address, self.authority, name, key or self.keys[name])
        return self._clients.enter_context(HubClient(access, around))

    def propose(self, task, *parties, max_bytes=1 << 20, approve=True, proposal=b"proposal"):
        """A task that all parties approved."""
        driver = self.client(DRIVER)
        body = pack(Propose(task, proposal, max_bytes, parties))
        view = unpack(driver.call("POST", "/v1/tasks", body), TaskView)
        if approve:
            with self.engine.begin() as db:
                for name in parties:
                    digest = hashlib.sha256(proposal).digest()
                    mailbox.decide(db, name, task, Decide(digest, True))
        return view


class Kept:
    """Where a party of a test keeps things: one SQLite file, sealed."""

    def __init__(self, path):
        self.engine = sqlite_engine(path)
        self.key = bytes(range(64))
        self.journal = SqliteJournal(self.engine, self.key)

    def store(self, task):
        return SqlitePartyStore(self.engine, task, self.key)

    def forget(self, task):
        self.store(task).forget()
        self.journal.forget(task)


@contextmanager
def at_work(world, folder, prepare, names=("shop-a", "shop-b", "shop-c"), rules=None, events=None):
    """Parties in threads of this process, each with a file of its own, until the end."""
    stopping = threading.Event()
    events = [] if events is None else events
    threads, kept = [], []
    for name in names:
        keeping = Kept(folder / f"{name}.db")
        process = PartyProcess(
            world.client(name, patience_s=30.0),
            Desk(keeping.engine),
            rules or Rules(decide="policy", least_parties=1),
            keeping,
            lambda proposal, name=name, keeping=keeping: prepare(name, proposal, keeping),
            time.time,
            lambda event, name=name: events.append((name, event)),
        )

        def serve(process=process):
            while not stopping.is_set():
                process.turn(1)

        threads.append(threading.Thread(target=serve))
        kept.append(keeping)
    for thread in threads:
        thread.start()
    try:
        yield events
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        for keeping in kept:
            keeping.engine.dispose()


@contextmanager
def driver_of(world, folder, key):
    """What drives a run in the world, its book and journal in a file of the folder."""
    engine = sqlite_engine(folder / "driver.db")
    yield Driving(
        world.client(DRIVER),
        RunBook(engine),
        SqliteJournal(engine, bytes(64)),
        seeded_roots(1),
        time.monotonic,
        60.0,
        key,
    )
    engine.dispose()


def proposal_of(task, size, parties=("shop-a", "shop-b", "shop-c"), **changes):
    """A small proposal, for the parties of the world."""
    values = {
        "task": task,
        "purpose": "a test",
        "parties": parties,
        "columns": ("x",),
        "aggregation": "weighted_mean",
        "rounds": 3,
        "quorum": len(parties),
        "deadline_s": 60.0,
        "server_momentum": 0.0,
        "keep_moments": False,
        "max_norm": 1.0,
        "guide": GuidePlan(),
        "seed": 0,
        "size": size,
    }
    return Proposal(**{**values, **changes})


def agreed(world, proposal):
    """Proposes and waits until everybody decided."""
    driver = world.client(DRIVER)
    body = Propose(proposal.task, proposal_bytes(proposal), proposal.max_bytes, proposal.parties)
    view = unpack(driver.call("POST", "/v1/tasks", pack(body)), TaskView)
    while any(said == "waiting" for _, said, _ in view.decisions):
        decided = sum(said != "waiting" for _, said, _ in view.decisions)
        path = f"/v1/tasks/{proposal.task}?decided={decided}&wait=20"
        view = unpack(driver.call("GET", path, wait_s=20), TaskView)
    return view


@contextmanager
def hub_world(folder, **options):
    """A world with a driver and three admitted parties."""
    world = HubWorld(folder, **options)
    try:
        world.admit(DRIVER, role=members.DRIVER)
        world.admit("shop-a", "shop-b", "shop-c")
        yield world
    finally:
        world.close()
