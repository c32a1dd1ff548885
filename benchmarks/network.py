"""How fast is a trip over the hub: 1 kB there and back, and 50 MB one way; beside flwr's own.

A hub and a party are real processes on 127.0.0.1, the driver is this one. Everything is on that is
on in production: TLS 1.3, a signature and a stored nonce for every request, the hub's database and
the journals of driver and party in SQLite with every commit on disk, sealed party state. The peer
is flwr's SuperLink and SuperNode with the same sizes in a venv of its own (``--peer FOLDER`` makes
it; SuperLink insecure on the loopback, telemetry off).
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Limits
from fedguide.models.plan import GuidePlan
from fedguide.protocol import Ask, Message, State
from fedguide.runtime.couriers import Party
from fedguide.runtime.driver import Durable, Progress, drive_round
from fedguide.runtime.https import over_https
from fedguide.runtime.hub_client import Access, HubClient, Surroundings
from fedguide.runtime.hub_wire import Propose, TaskView, pack, unpack
from fedguide.runtime.party_process import Work
from fedguide.runtime.proposal import Proposal, proposal_bytes
from fedguide.runtime.sqlite import SqliteJournal, sqlite_engine
from fedguide.seeds import seeded_roots
from fedguide.values import PartyId
from report import ROOT, Bar, at_least, at_most, finish, parser, show

sys.path.insert(0, str(ROOT))

SMALL, LARGE = 1_000, 50_000_000
SMALL_TRIPS, LARGE_TRIPS = 100, 3
SHOP = "shop-a"


@dataclass(frozen=True)
class Blob(Message):
    """Bytes, and how many are wanted back."""

    body: Annotated[NDArray[np.uint8], Array("uint8", "bytes")]
    wanted: int


@dataclass(frozen=True)
class Count(State):
    """How many messages were answered."""

    answered: int = 0


ALLOWED = (Blob, Count)
LIMITS = Limits(2 * LARGE, {"bytes": LARGE})


def answer(_env: object, state: Count, message: Blob) -> tuple[Count, Blob]:
    """As many bytes as are wanted; they do not compress."""
    body = np.random.default_rng(state.answered).integers(0, 256, message.wanted, np.uint8)
    return Count(state.answered + 1), Blob(body, 0)


def proposal(task: str) -> Proposal:
    """Only its size matters here."""
    return Proposal(
        task=task, purpose="benchmark", parties=(SHOP,), columns=(), aggregation="weighted_mean",
        rounds=1, quorum=1, deadline_s=600.0, server_momentum=0.0, keep_moments=False,
        max_norm=1.0, guide=GuidePlan(), seed=0, size=LARGE // 4 + 100,
    )  # fmt: skip


# The processes


def serve_party(folder: Path) -> None:
    """The party's process: answers until it is ended."""
    from fedguide.runtime.consent import Desk, Rules
    from fedguide.runtime.party_files import PartyFiles
    from fedguide.runtime.party_process import PartyProcess

    files = PartyFiles(folder / "party")
    desk = Desk(sqlite_engine(folder / "party" / "party.db"))
    work = Work(Party(None, answer, Count), ALLOWED, LIMITS)
    rules = Rules(decide="policy", least_parties=1)
    process = PartyProcess(client(folder, SHOP), desk, rules, files, lambda _p: work, time.time)
    process.run(lambda: False)


def serve_hub(folder: Path) -> None:
    """The hub's process, as ``fedguide hub`` runs it."""
    from fedguide.runtime.hub import HubPlan, hub_app
    from fedguide.runtime.hub_server import hub_server, listen, tls_context
    from fedguide.runtime.hub_tables import open_database

    engine = open_database(f"sqlite:///{folder / 'hub.db'}")
    listening = listen("127.0.0.1", int((folder / "port").read_text()))
    context = tls_context(folder / "server.pem", folder / "server.key")
    hub_server(hub_app(engine, time.time, HubPlan()), context).run(sockets=[listening])


def client(folder: Path, name: str) -> HubClient:
    """A connection in somebody's name; identities follow from names, as in the kill matrix."""
    from fedguide.crypto.signing import key_of
    from fedguide.seeds import derive, seeded_root

    key = key_of(derive(seeded_root(8), "identity", name))
    around = Surroundings(time.time, time.monotonic, time.sleep, os.urandom, patience_s=300.0)
    address = f"https://127.0.0.1:{(folder / 'port').read_text()}"
    return HubClient(Access(address, (folder / "ca.pem").read_bytes(), name, key), around)


@contextmanager
def process(role: str, folder: Path) -> Iterator[int]:
    """Another process of this script; gives its id."""
    made = subprocess.Popen([sys.executable, __file__, "--role", role, str(folder)])
    try:
        yield made.pid
    finally:
        made.terminate()
        made.wait()


class Driver:
    """The driver with its journal on disk."""

    def __init__(self, folder: Path, task: str) -> None:
        self._client = client(folder, "coordinator")
        plan = proposal(task)
        body = Propose(task, proposal_bytes(plan), plan.max_bytes, plan.parties)
        view = unpack(self._client.call("POST", "/v1/tasks", pack(body)), TaskView)
        while any(said == "waiting" for _, said, _ in view.decisions):
            answer_ = self._client.call("GET", f"/v1/tasks/{task}?decided=0&wait=20", wait_s=20)
            view = unpack(answer_, TaskView)
        engine = sqlite_engine(folder / f"{task}.db")
        journal = SqliteJournal(engine, bytes(64))
        self._durable = Durable(
            task, journal, seeded_roots(1), time.monotonic, ALLOWED, replace(LIMITS)
        )
        self._courier = over_https(self._client, task, LIMITS, ALLOWED)
        self._progress: Progress[Count] = Progress(0, 0, Count())

    def trips(self, count: int, down: int, up: int) -> list[float]:
        """Seconds of each of so many trips in one round, journaled one by one."""
        body = np.random.default_rng(7).integers(0, 256, down, np.uint8)
        taken: list[float] = []
        durable = replace(self._durable, on_trip=lambda trip: taken.append(trip.seconds))

        def asks(state: Count, _root: object):
            for _ in range(count):
                yield Ask({PartyId(SHOP): Blob(body, up)}, 1)
            return state

        start = time.perf_counter()
        self._progress = drive_round(durable, self._progress, asks, self._courier)
        total = time.perf_counter() - start
        # The trip's own seconds leave out the journal; the whole round's are spread over the trips.
        return [one + (total - sum(taken)) / count for one in taken]

    def close(self) -> None:
        """Gives the connection back."""
        self._client.close()


def processor_s(pid: int) -> float:
    """Seconds of processor time a process has had: what load on the machine does not change."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """Seconds of each trip, and processor seconds of hub, party and driver a trip."""

    seconds: list[float]
    processor: dict[str, float]


def ours() -> dict[str, Measured]:
    """Our trips, by what they carry."""
    from tests.runtime.killing import prepare

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        prepare(folder)
        with process("hub", folder) as hub, process("party", folder) as party:
            driver = Driver(folder, "trips")
            pids = {"hub": hub, "party": party, "driver": os.getpid()}

            def measured(count: int, down: int, up: int) -> Measured:
                before = {name: processor_s(pid) for name, pid in pids.items()}
                seconds = driver.trips(count, down, up)
                used = {n: (processor_s(pid) - before[n]) / count for n, pid in pids.items()}
                return Measured(seconds, used)

            try:
                driver.trips(10, SMALL, SMALL)  # the first ones open and connect
                return {
                    "1 kB": measured(SMALL_TRIPS, SMALL, SMALL),
                    "50 MB down": measured(LARGE_TRIPS, LARGE, 8),
                    "50 MB up": measured(LARGE_TRIPS, 8, LARGE),
                }
            finally:
                driver.close()


def main() -> int:
    """Measures ours, and flwr where its venv is asked for."""
    made = parser(__doc__)
    made.add_argument("--peer", type=Path, metavar="FOLDER", help="venv of flwr; made if absent")
    made.add_argument("--role", nargs=2, metavar=("ROLE", "FOLDER"), help="used by itself")
    args = made.parse_args()
    if args.role:
        role, folder = args.role
        (serve_hub if role == "hub" else serve_party)(Path(folder))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its processes end with it
    load = os.getloadavg()[0]
    found = ours()
    rows = [
        (
            name,
            f"{statistics.median(v.seconds) * 1e3:.1f}",
            f"{max(v.seconds) * 1e3:.1f}",
            len(v.seconds),
            *(f"{v.processor[who] * 1e3:.1f}" for who in ("hub", "party", "driver")),
        )
        for name, v in found.items()
    ]
    show(
        f"our trips, ms (load average {load:.1f} on {os.cpu_count()} cores)",
        ("trip", "median", "worst", "trips", "cpu: hub", "party", "driver"),
        rows,
    )
    median_s = {name: statistics.median(v.seconds) for name, v in found.items()}
    p50_ms = median_s["1 kB"] * 1e3
    rates = {name: LARGE / 1e6 / median_s[name] for name in ("50 MB down", "50 MB up")}
    bars = [
        at_most("1 kB trip, ms p50", p50_ms, 50.0),
        at_least("50 MB to a party, MB/s", rates["50 MB down"], 60.0),
        at_least("50 MB from a party, MB/s", rates["50 MB up"], 60.0),
    ]
    data: dict[str, object] = {
        "trips": {name: asdict(v) for name, v in found.items()},
        "load_average": load,
    }
    if args.peer:
        import flower_peer

        peer = flower_peer.measure(args.peer, SMALL, LARGE)
        data["flwr"] = peer
        slower = peer["small_s"] / (p50_ms / 1e3)
        bars.append(at_least("flwr's 1 kB trip over ours", slower, 60.0))
        bars.append(Bar("flwr, 50 MB, MB/s", peer["large_mb_per_s"], "measured", None))
    finish("network", bars, data, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
