"""Masked sums beside the plain float32 mean, flwr's SecAgg+ and the bare cipher, in one run.

n parties with d = 1M coordinates, of whom a part drops out after sharing out (the costliest
moment for the server). Timed, as CPU seconds of one thread so that a busy machine decides nothing:
a client's whole work (rounding to the grid, keys, shares, masks, signatures, encoding of what it
sends), the server's whole work (every check, adding up, taking masks off), bytes of one masked
vector, and whether the mean is the open sum's bit for bit. The floor is AES-256-CTR alone over as
many streams as a client has neighbours, with the same library. flwr runs in an environment of its
own (``.venv-flwr``, made on first use) on the same vectors, its own functions alone: messages are
encoded in our time and not in its.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fedguide.codec import encode
from fedguide.horizontal.masked_messages import MaskedInput
from fedguide.horizontal.mean import Aggregator, Mean, Terms, Update
from fedguide.horizontal.names import AGGREGATORS
from fedguide.horizontal.sides import Job
from fedguide.protocol import Ask, Message, Missing, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from report import ROOT, Bar, at_least, at_most, finish, parser, show

PEER = "flwr==1.41.*"
PEER_ENV = ROOT / ".venv-flwr"
NARROW_BITS = 22
BLOCK = 1 << 17


@dataclass(frozen=True)
class Figures:
    """One masked sum: seconds, bytes, and whether it is exact."""

    client_s: float
    steps_s: dict[str, float]
    server_s: float
    upload_bytes: int
    is_exact: bool


def vector_of(client: int, size: int) -> np.ndarray:
    """The same vectors as on the peer's side."""
    draws = np.random.default_rng([7, client])
    return (0.01 * draws.standard_normal(size)).astype(np.float32)


def job_of(clients: int, size: int, bits: int) -> Job:
    """A job whose clip bound leaves these vectors as they are."""
    parties = tuple(PartyId(f"p{i:03d}") for i in range(clients))
    bound = 0.02 * size**0.5
    # With 22 bits and 200 parties one party may weigh 2^13 examples.
    return Job("bench", parties, size, seeded_root(1), 0, bound, 1 << 12, modulus_bits=bits)


def update_of(client: int, size: int) -> Update:
    """A party's update of the one round."""
    return Update(0, vector_of(client, size), 1000, 1.0, np.zeros(0))


def masked(clients: int, size: int, dropped: int, bits: int) -> Figures:
    """Runs one masked sum; ``dropped`` parties fall silent after their shares are out."""
    job = job_of(clients, size, bits)
    sides = AGGREGATORS["masked_sum"](job)
    own = {party: sides.party(party) for party in job.parties}
    gone = set(job.parties[:dropped])
    steps: dict[str, list[float]] = {}
    states, first, uploads = {}, {}, set()
    for number, party in enumerate(job.parties):
        update = update_of(number, size)
        start = time.process_time()
        states[party], first[party] = own[party].submit(update, seeded_root(2, party))
        encode(first[party])
        steps.setdefault("MaskKeys", []).append(time.process_time() - start)
    parties_s = 0.0

    def courier(ask: Ask) -> Replies:
        nonlocal parties_s
        answers = {}
        begun = time.process_time()
        for party, message in ask.to.items():
            if party in gone and ask.trip > 0:
                continue
            start = time.process_time()
            states[party], reply = own[party].answer(states[party], message, seeded_root(2, party))
            sent = encode(reply)
            steps.setdefault(type(reply).__name__, []).append(time.process_time() - start)
            if isinstance(reply, MaskedInput):
                uploads.add(len(sent))
            answers[party] = reply
        parties_s += time.process_time() - begun
        missing = tuple(Missing(p, "lost") for p in ask.to if p not in answers)
        return Replies(answers, missing)

    start = time.process_time()
    mean = collect(sides.coordinator, job, first, courier)
    server_s = time.process_time() - start - parties_s
    open_mean = opened(job, dropped)
    # A quiet moment's client: every step's fastest; the median is in the JSON.
    best = {step: min(times) for step, times in steps.items()}
    medians = {step: statistics.median(times) for step, times in steps.items()}
    return Figures(
        sum(best.values()),
        medians,
        server_s,
        uploads.pop(),
        np.array_equal(mean.vector, open_mean.vector) and mean.parties == open_mean.parties,
    )


def collect(side: Aggregator, job: Job, first: dict[PartyId, Message], courier: object) -> Mean:
    """The coordinator's half, driven to its end."""
    ask = Ask(dict.fromkeys(job.parties, Message()), 1)
    terms = Terms(0, job.size, 0, seeded_root(3))
    return run(side.collect(ask, Replies(first), terms), courier)


def opened(job: Job, dropped: int) -> Mean:
    """The mean of the same vectors added up in the open."""
    side = AGGREGATORS["open_sum"](job).coordinator
    replies = {
        party: side.submit(update_of(number, job.size), seeded_root(2, party))[1]
        for number, party in enumerate(job.parties)
        if number >= dropped
    }
    return collect(side, job, replies, None)


def floor_s(streams: int, size: int) -> float:
    """Seconds of AES-256-CTR alone: that many keystreams of ``size`` words, kept nowhere."""
    zeros, out = bytes(BLOCK), bytearray(BLOCK)
    start = time.process_time()
    for number in range(streams):
        stream = Cipher(AES(number.to_bytes(32, "big")), CTR(bytes(16))).encryptor()
        for at in range(0, 4 * size, BLOCK):
            stream.update_into(memoryview(zeros)[: min(BLOCK, 4 * size - at)], out)
    return time.process_time() - start


def plain_s(clients: int, size: int) -> float:
    """Seconds of adding up float32 vectors in the open."""
    vectors = [vector_of(number, size) for number in range(min(clients, 50))]
    start = time.process_time()
    total = np.zeros(size, np.float32)
    for number in range(clients):
        total += vectors[number % len(vectors)]
    total /= clients
    return time.process_time() - start


def peer_python() -> Path:
    """The peer's interpreter, in an environment of its own, made on first use."""
    python = PEER_ENV / "bin" / "python"
    if not (PEER_ENV / ".ready").is_file():
        print(f"making {PEER_ENV.name} with {PEER} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(PEER_ENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)
        (PEER_ENV / ".ready").touch()
    return python


def peer(clients: int, size: int, dropped: int, work: str) -> dict[str, float | None]:
    """The peer's figures on the same work."""
    script = ROOT / "benchmarks" / "peers" / "secaggplus.py"
    command = [peer_python(), script, "--clients", clients, "--size", size, "--dropped", dropped]
    done = subprocess.run(
        [*map(str, command), "--work", work],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    figures: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Every size and drop-out rate; ours and the peer's next to each other in time."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="n = 50 with 10 % dropped out, alone")
    made.add_argument("--size", type=int, default=1_000_000, help="coordinates (default: 1M)")
    made.add_argument("--no-peer", action="store_true", help="without flwr")
    args = made.parse_args()
    sizes = (50,) if args.quick else (10, 50, 200)
    rates = (0.1,) if args.quick else (0.0, 0.1, 0.3)
    rows, data = [], []
    for clients in sizes:
        for rate in rates:
            dropped = round(rate * clients)
            one = measure(clients, args.size, dropped, peer_work(clients, rate, args))
            data.append(one)
            rows.append(row_of(one))
    heads = ("n", "gone", "bits", "client ms", "floor ms", "x floor", "flwr client ms")
    heads += ("server s", "flwr server s", "plain s", "upload / float32", "exact")
    show("masked sums, d = " + f"{args.size:,}", heads, [row for part in rows for row in part])
    load = os.getloadavg()[0]
    print(f"\nload average {load:.1f} on {os.cpu_count()} cores")
    finish("secure_aggregation", bars_of(data), {"runs": data, "load": load}, args.json)


def peer_work(clients: int, rate: float, args: object) -> str | None:
    """How much of the peer's work is done; all of 200 clients' would take it hours."""
    if args.no_peer or (clients == 200 and rate != 0.1):
        return None
    if clients == 200:
        return "client"
    return "all" if clients == 10 else "server"


def measure(clients: int, size: int, dropped: int, work: str | None) -> dict[str, object]:
    """Ours at 32 bits and narrow, the floor, the plain mean and the peer."""
    floors, runs = [floor_s(clients - 1, size)], []
    for bits in (32, NARROW_BITS):
        runs.append(masked(clients, size, dropped, bits))
        floors.append(floor_s(clients - 1, size))
    theirs = peer(clients, size, dropped, work) if work else None
    if clients <= 50:
        runs[0] = better(runs[0], masked(clients, size, dropped, 32))
        floors.append(floor_s(clients - 1, size))
    return {
        "clients": clients,
        "size": size,
        "dropped": dropped,
        "ours": {str(b): vars(r) for b, r in zip((32, NARROW_BITS), runs, strict=True)},
        "floor_s": min(floors),
        "plain_s": plain_s(clients, size),
        "flwr": theirs,
    }


def better(one: Figures, other: Figures) -> Figures:
    """The faster of two runs of the same work, each half by itself."""
    client = min((one, other), key=lambda f: f.client_s)
    return Figures(
        client.client_s,
        client.steps_s,
        min(one.server_s, other.server_s),
        one.upload_bytes,
        one.is_exact and other.is_exact,
    )


def row_of(one: dict) -> list[tuple[object, ...]]:
    """The table's lines of one size and drop-out rate."""
    theirs = one["flwr"] or {}
    lines = []
    for bits, ours in one["ours"].items():
        served = theirs.get("server_s")
        lines.append(
            (
                one["clients"],
                one["dropped"],
                bits,
                f"{1e3 * ours['client_s']:.1f}",
                f"{1e3 * one['floor_s']:.1f}",
                f"{ours['client_s'] / one['floor_s']:.2f}",
                f"{1e3 * theirs['client_s']:.0f}" if theirs else "-",
                f"{ours['server_s']:.3f}",
                f"{served:.2f}" if served else "-",
                f"{one['plain_s']:.3f}",
                f"{ours['upload_bytes'] / (4 * one['size']):.4f}",
                "yes" if ours["is_exact"] else "NO",
            )
        )
    return lines


def bars_of(data: list[dict]) -> list[Bar]:
    """The bars, at n = 50 with 10 % dropped out, and exactness everywhere."""
    bars = []
    for one in data:
        if one["clients"] == 50 and one["dropped"] == 5:
            ours, narrow = one["ours"]["32"], one["ours"][str(NARROW_BITS)]
            bars.append(at_most("client n=50, ms", 1e3 * ours["client_s"], 60))
            bars.append(
                at_most("client / AES floor (stretch)", ours["client_s"] / one["floor_s"], 1.3)
            )
            if one["flwr"]:
                theirs = one["flwr"]
                bars += [
                    at_least("flwr client / ours", theirs["client_s"] / ours["client_s"], 8),
                    at_least(
                        "flwr masking / our client", theirs["masking_s"] / ours["client_s"], 8
                    ),
                    at_least("flwr server / ours", theirs["server_s"] / ours["server_s"], 40),
                ]
            plain = 4 * one["size"]
            bars.append(at_most("upload / float32", ours["upload_bytes"] / plain, 1.01))
            bars.append(
                at_most(
                    f"upload / float32, {NARROW_BITS} bits (stretch)",
                    narrow["upload_bytes"] / plain,
                    0.70,
                )
            )
    inexact = sum(not ours["is_exact"] for one in data for ours in one["ours"].values())
    bars.append(Bar("sums that are not exact", float(inexact), "== 0", inexact == 0))
    return bars


if __name__ == "__main__":
    main()
