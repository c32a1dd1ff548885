"""Two hundred parties at one hub, a tenth of them dropping; and a million junk requests.

``--part crowd``: the hub is a process of its own (TLS, signatures, nonces, mailboxes; SQLite or a
real Postgres), the parties are threads of another, the driver is this one. Every party fetches the
question and hands in an update of its own; each round another tenth says nothing, and the round
ends at ``--first`` answers. The parties' training and journals are left out: what is measured is
the hub. ``--part junk``: requests that are unsigned, wrongly signed, oversized, of unknown routes
or no HTTP, over kept and new connections; nothing may be stored and the hub has to answer after.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Limits, encode
from fedguide.crypto.certificates import issue_server, make_authority
from fedguide.crypto.requests import new_request, signed_headers
from fedguide.crypto.signing import SigningKey, key_of, make_key
from fedguide.errors import FedGuideError
from fedguide.protocol import Ask, Message
from fedguide.runtime import mailbox, members
from fedguide.runtime.https import over_https
from fedguide.runtime.hub_client import Access, HubClient, Surroundings, fetch, pinned, send
from fedguide.runtime.hub_tables import META, open_database
from fedguide.runtime.hub_wire import (
    INLINE_BYTES,
    Decide,
    Mail,
    PostReply,
    Propose,
    TaskView,
    pack,
    unpack,
)
from fedguide.seeds import derive, seeded_root
from fedguide.values import PartyId
from network import processor_s
from report import Bar, at_least, at_most, finish, parser, show

DRIVER, TASK = "coordinator", "crowd"
PROPOSAL = b"a proposal"


@dataclass(frozen=True)
class Update(Message):
    """Numbers, there and back."""

    numbers: Annotated[NDArray[np.float32], Array("float32", "p")]


def key(name: str) -> SigningKey:
    """Identities follow from names."""
    return key_of(derive(seeded_root(8), "identity", name))


def client(folder: Path, name: str) -> HubClient:
    """A connection in somebody's name."""
    around = Surroundings(time.time, time.monotonic, time.sleep, os.urandom, patience_s=300.0)
    address = f"https://127.0.0.1:{(folder / 'port').read_text()}"
    return HubClient(Access(address, (folder / "ca.pem").read_bytes(), name, key(name)), around)


def prepare(folder: Path, url: str, names: list[str]) -> None:
    """A hub with everybody admitted, and a free port."""
    import datetime

    now = datetime.datetime.now(datetime.UTC)
    authority = make_authority("crowd", now)
    server = issue_server(authority, ["127.0.0.1"], now)
    (folder / "url").write_text(url)
    (folder / "ca.pem").write_bytes(authority.certificate)
    (folder / "server.pem").write_bytes(server.certificate)
    (folder / "server.key").write_bytes(server.key)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(probe.getsockname()[1]))
    engine = open_database(url)
    with engine.begin() as db:
        members.add_driver(db, DRIVER, key(DRIVER).public, time.time())
        for name in names:
            token = name.encode().ljust(16)
            members.invite(db, name, token, time.time() + 3600, admit=True)
            members.enrol(db, name, key(name).public, token, time.time())
    engine.dispose()


# The processes


def serve_hub(folder: Path) -> None:
    """The hub's process."""
    from fedguide.runtime.hub import HubPlan, hub_app
    from fedguide.runtime.hub_server import hub_server, listen, tls_context

    engine = open_database((folder / "url").read_text())
    listening = listen("127.0.0.1", int((folder / "port").read_text()))
    context = tls_context(folder / "server.pem", folder / "server.key")
    hub_server(hub_app(engine, time.time, HubPlan()), context).run(sockets=[listening])


def serve_crowd(folder: Path, count: int) -> None:
    """The parties' process: one thread each."""
    threads = [
        threading.Thread(target=serve_party, args=(folder, number), daemon=True)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve_party(folder: Path, number: int) -> None:
    """Answers for ever, but says nothing in every tenth trip."""
    seen = ""
    with client(folder, name_of(number)) as me:
        while True:
            path = f"/v1/mailbox?seen={seen}&wait=20"
            mail = unpack(me.call("GET", path, wait_s=20), Mail)
            seen = mail.news.hex()
            letter = mail.letter
            if letter is None:
                continue
            if (number + letter.trip) % 10 == 0:
                # It is away; the message stays where it is until the trip is over.
                time.sleep(letter.left_s if letter.left_s < 2 else 2)
                continue
            answer_one(me, letter, number)


def answer_one(me: HubClient, letter: Any, number: int) -> None:
    """Fetches a question, and hands in as many numbers."""
    task, trip, content = letter.task, letter.trip, letter.content
    try:
        question = fetch(me, task, letter.sender, content, 1 << 30)
        size = (len(question) - 64) // 4
        reply = encode(Update(np.full(size, number + trip, np.float32)))
        sent = send(me, task, reply, inline=len(reply) <= INLINE_BYTES)
        body = pack(PostReply(content.sha256, sent))
        me.call("POST", f"/v1/tasks/{task}/trips/{trip}/reply", body, task=task, trip=trip)
    except FedGuideError:
        return  # the round ended without it


def name_of(number: int) -> str:
    """What a party is called."""
    return f"shop-{number:04d}"


@contextmanager
def process(role: str, folder: Path, *more: str) -> Iterator[int]:
    """Another process of this script; gives its id."""
    made = subprocess.Popen([sys.executable, __file__, "--role", role, str(folder), *more])
    try:
        yield made.pid
    finally:
        made.terminate()
        made.wait()


def rss_mb(pid: int) -> float:
    """Memory of a process, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


# The crowd


def crowd(url: str, folder: Path, parties: int, rounds: int, size: int) -> dict[str, Any]:
    """So many rounds of so many parties on the hub of this database."""
    names = [name_of(number) for number in range(parties)]
    prepare(folder, url, names)
    first = parties * 9 // 10 - 1
    with process("hub", folder) as hub, client(folder, DRIVER) as me:
        me.call("GET", "/v1/me")
        propose(me, url, names, size)
        with process("crowd", folder, str(parties)):
            limits = Limits(8 * size + (1 << 16), {"p": 2 * size})
            courier = over_https(me, TASK, limits, (Update,))
            seconds, memory, answers = [], [rss_mb(hub)], 0
            before = 0.0
            for trip in range(rounds + 1):
                message = Update(np.full(size, trip, np.float32))
                start = time.perf_counter()
                to = {PartyId(name): message for name in names}
                replies = courier(Ask(to, parties // 2, 120.0, first, trip))
                if trip:  # in the first one everybody connects
                    seconds.append(time.perf_counter() - start)
                    answers += len(replies.answers)
                else:
                    before = processor_s(hub)
                memory.append(rss_mb(hub))
                complete = len(replies.answers) == first
                assert complete, (len(replies.answers), replies.missing[:3])
            used = processor_s(hub) - before
    return {
        "rounds": rounds,
        "answers": answers,
        "seconds_a_round": statistics.median(seconds),
        "answers_a_second": answers / sum(seconds),
        "hub_cpu_ms_an_answer": used / answers * 1e3,
        "rss_mb": memory,
        "updates_mb": parties * 4 * size / 1e6,
    }


def propose(me: HubClient, url: str, names: list[str], size: int) -> None:
    """A task that everybody approved."""
    body = pack(Propose(TASK, PROPOSAL, 8 * size + (1 << 16), tuple(names)))
    unpack(me.call("POST", "/v1/tasks", body), TaskView)
    engine = open_database(url)
    digest = hashlib.sha256(PROPOSAL).digest()
    with engine.begin() as db:
        for name in names:
            mailbox.decide(db, name, TASK, Decide(digest, True))
    engine.dispose()


# Junk


def junk(folder: Path, requests: int, connections: int) -> dict[str, Any]:
    """So many requests that nobody may make."""
    from sqlalchemy import func, select

    url = f"sqlite:///{folder / 'hub.db'}"
    prepare(folder, url, ["shop-0000"])
    with process("hub", folder) as hub, client(folder, DRIVER) as me:
        me.call("GET", "/v1/me")

        def rows() -> dict[str, int]:
            engine = open_database(url)
            with engine.connect() as db:
                found = {
                    table.name: db.execute(select(func.count()).select_from(table)).scalar_one()
                    for table in META.sorted_tables
                }
            engine.dispose()
            return found

        kept, memory = rows(), [rss_mb(hub)]
        statuses: dict[str, int] = {}
        lock = threading.Lock()

        def throw(number: int, count: int) -> None:
            seen = thrower(folder, number, count)
            with lock:
                for status, times in seen.items():
                    statuses[status] = statuses.get(status, 0) + times

        start, before = time.perf_counter(), processor_s(hub)
        share = requests // connections
        threads = [threading.Thread(target=throw, args=(n, share)) for n in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, used = time.perf_counter() - start, processor_s(hub) - before
        memory.append(rss_mb(hub))
        me.call("GET", "/v1/me")
        left = {name: count for name, count in rows().items() if name != "nonces"}
        same = left == {name: count for name, count in kept.items() if name != "nonces"}
    return {
        "requests": sum(statuses.values()),
        "seconds": seconds,
        "hub_cpu_s": used,
        "statuses": statuses,
        "rss_mb": memory,
        "nothing_stored": same,
    }


def thrower(folder: Path, seed: int, count: int) -> dict[str, int]:
    """One sender of junk: what it was answered, by status."""
    import http.client

    draws = random.Random(seed)  # noqa: S311 - junk, nothing secret
    context = pinned((folder / "ca.pem").read_bytes())
    port = int((folder / "port").read_text())
    stranger = make_key()
    seen: dict[str, int] = {}
    line = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
    for _ in range(count):
        method, target, headers, body = one_junk(draws, stranger)
        try:
            if method == "raw":
                if line.sock is None:
                    line.connect()
                line.sock.sendall(body)
                status = "400" if b" 400 " in line.sock.recv(64) else "closed"
                line.close()
            else:
                line.request(method, target, body, headers)
                answer = line.getresponse()
                answer.read()
                status = str(answer.status)
        except (OSError, http.client.HTTPException):
            line.close()
            status = "closed"
        seen[status] = seen.get(status, 0) + 1
    line.close()
    return seen


def one_junk(draws: random.Random, stranger: SigningKey) -> tuple[str, str, dict[str, str], bytes]:
    """A request that must be refused; most of them leave the connection open."""
    kind = draws.random()
    nonsense = draws.randbytes(draws.randrange(200))
    if kind < 0.9:
        where = f"/v1/{draws.randrange(10**6)}/{nonsense[:9].hex()}"
        return draws.choice(["GET", "POST", "PUT", "DELETE"]), where, {}, nonsense
    if kind < 0.95:
        target = f"/v1/tasks/{draws.randrange(99)}/trips/{draws.randrange(-5, 99)}"
        request = new_request(
            "POST", target, nonsense, party=draws.choice([DRIVER, "shop-0000", "nobody"]),
            now_s=time.time(), entropy=draws.randbytes,
        )  # fmt: skip
        return "POST", target, signed_headers(stranger, request), nonsense
    if kind < 0.98:
        return "POST", "/v1/enrol", {"fedguide-party": "x" * draws.randrange(99)}, nonsense * 20
    return "raw", "", {}, nonsense + b"\r\n\r\n"


def main() -> int:
    """Measures what is asked for."""
    made = parser(__doc__)
    made.add_argument("--part", choices=("crowd", "junk"), default="crowd")
    made.add_argument("--parties", type=int, default=200)
    made.add_argument("--rounds", type=int, default=10)
    made.add_argument("--size", type=int, default=25_000, help="numbers of an update")
    made.add_argument("--databases", default="sqlite,postgres")
    made.add_argument("--requests", type=int, default=1_000_000)
    made.add_argument("--connections", type=int, default=16)
    made.add_argument("--role", nargs="+", metavar="ROLE", help="used by itself")
    args = made.parse_args()
    if args.role:
        role, folder, *more = args.role
        if role == "hub":
            serve_hub(Path(folder))
        else:
            serve_crowd(Path(folder), int(more[0]))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its processes end with it
    with tempfile.TemporaryDirectory() as scratch:
        if args.part == "junk":
            return _junk(Path(scratch), args)
        return _crowd(Path(scratch), args)


def _crowd(scratch: Path, args: argparse.Namespace) -> int:
    found: dict[str, dict[str, Any]] = {}
    load = os.getloadavg()[0]
    for database in args.databases.split(","):
        folder = scratch / database
        folder.mkdir()
        with ExitStack() as stack:
            url = f"sqlite:///{folder / 'hub.db'}"
            if database == "postgres":
                import postgres

                url = stack.enter_context(postgres.running(durable=True)).create("hub")
            found[database] = crowd(url, folder, args.parties, args.rounds, args.size)
    rows = [
        (
            name,
            f["rounds"],
            f"{f['seconds_a_round']:.2f}",
            f"{f['answers_a_second']:.1f}",
            f"{f['hub_cpu_ms_an_answer']:.1f}",
            f"{f['rss_mb'][1]:.0f}",
            f"{f['rss_mb'][-1]:.0f}",
        )
        for name, f in found.items()
    ]
    show(
        f"{args.parties} parties, a tenth away, {4 * args.size / 1e3:g} kB each "
        f"(load {load:.1f} on {os.cpu_count()} cores)",
        ("hub on", "rounds", "s a round", "answers/s", "hub cpu ms", "MB after 1", "MB at end"),
        rows,
    )
    bars = []
    for name, f in found.items():
        memory: list[float] = f["rss_mb"]
        grown = max(memory[2:]) - memory[1]
        bars.append(at_most(f"{name}: MB grown since the first round", grown, f["updates_mb"]))
        bars.append(Bar(f"{name}: answers a second", float(f["answers_a_second"]), "printed", None))
    finish("hub_crowd", bars, {"crowd": found, "load_average": load}, args.json)
    return 0


def _junk(scratch: Path, args: argparse.Namespace) -> int:
    found = junk(scratch, args.requests, args.connections)
    good = sum(n for status, n in found["statuses"].items() if status[0] == "2")
    memory: list[float] = found["rss_mb"]
    show("junk", ("status", "requests"), sorted(found["statuses"].items()))
    bars = [
        at_least("junk requests", float(found["requests"]), 1_000_000),
        at_most("accepted", float(good), 0),
        at_least("nothing stored, and the hub answers", float(bool(found["nothing_stored"])), 1),
        at_most("MB grown", memory[-1] - memory[0], 64.0),
        Bar("requests a second", found["requests"] / found["seconds"], "printed", None),
    ]
    finish("hub_junk", bars, found, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
