"""A real hub over TLS on 127.0.0.1 for tests, with members and clients; not a test itself."""

import datetime
import hashlib
import os
import threading
import time
from contextlib import ExitStack, contextmanager

from fedguide.crypto.certificates import issue_server, make_authority
from fedguide.crypto.signing import make_key
from fedguide.runtime import mailbox, members
from fedguide.runtime.hub import HubPlan, hub_app
from fedguide.runtime.hub_client import Access, HubClient, Surroundings
from fedguide.runtime.hub_server import hub_server, listen, tls_context
from fedguide.runtime.hub_tables import open_database
from fedguide.runtime.hub_wire import Decide, Propose, TaskView, pack, unpack

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
