"""The simulator beside the plain loop, pfl, FedJAX and flwr on the same work, and at a million.

Peers: FedAvg, 2,000 clients of about 100 samples, 100 a round, a 3,700 x 32 table and an MLP
64-32-1, one epoch, batch 20, SGD 0.1 (``peers/clients.py``). Every peer runs its own algorithm and
engine in an environment of its own, made on first use, and begins with the same parameters. Seconds
a round are medians after the first two rounds (compilation and warming up are told apart); our
rounds are timed right before and right after each peer, and the ratio is held against those,
because a busy machine changes from minute to minute. Everybody has one core and one thread, except
flwr, which has all cores and starts processes. Parity: our parameters after the same rounds in the
simulator and in the plain loop.

Scale: one pass over shoppers of about 20 samples, 1,000 a round: cost a shopper and peak memory.
"""

from __future__ import annotations

import os

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
if CORES:
    os.sched_setaffinity(0, {max(CORES)})  # before JAX counts its threads

import functools  # noqa: E402
import hashlib  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from fedguide.horizontal.algorithm import ServerState  # noqa: E402
from fedguide.horizontal.fedavg import fedavg  # noqa: E402
from fedguide.horizontal.local import (  # noqa: E402
    Engine,
    Epochs,
    Model,
    engine,
    local_fit,
    ravel_params,
)
from fedguide.horizontal.mean import weighted_mean  # noqa: E402
from fedguide.horizontal.party import PartyEnv, PartyState, answer  # noqa: E402
from fedguide.horizontal.shards import Shard  # noqa: E402
from fedguide.protocol import Courier, run  # noqa: E402
from fedguide.runtime.couriers import Party, in_process  # noqa: E402
from fedguide.runtime.crowd import Bundle, Shape, train_together  # noqa: E402
from fedguide.runtime.multitude import Multitude, drawn_seeds, multitude  # noqa: E402
from fedguide.runtime.simulator import simulated  # noqa: E402
from fedguide.seeds import Root, mixed, seeded_root  # noqa: E402
from fedguide.values import PartyId  # noqa: E402
from report import ROOT, Bar, at_least, at_most, finish, parser, show  # noqa: E402

PEERS = ROOT / "benchmarks" / "peers"
sys.path.insert(0, str(PEERS))
import clients  # noqa: E402

WARM = 2
COHORT_AT_SCALE = 1000


@dataclass(frozen=True)
class Peer:
    """A peer: what is installed, its script, rounds, the bar for its ratio, cores."""

    requirements: tuple[str, ...]
    script: str
    rounds: int
    bar: float
    all_cores: bool = False

    @property
    def environment(self) -> Path:
        """Its own environment."""
        return ROOT / f".venv-{self.script.removeprefix('simulate_')}-sim"


OTHERS = {
    "pfl 0.6": Peer(("pfl[pytorch]==0.6.0", "torch==2.13.*"), "simulate_pfl", 6, 15),
    "FedJAX 0.0.17": Peer(("fedjax==0.0.17", f"jax=={jax.__version__}"), "simulate_fedjax", 12, 5),
    "flwr 1.41": Peer(
        ("flwr[simulation]==1.41.*", "torch==2.13.*"), "simulate_flwr", 5, 100, all_cores=True
    ),
}


def apply(params: Any, x: Any) -> Any:
    """One logit a pair."""
    seen = params["table"][x].reshape(x.shape[0], -1)
    hidden = jax.nn.relu(seen @ params["w1"] + params["b1"])
    return (hidden @ params["w2"] + params["b2"])[:, 0]


def loss(model: Any, x: Any, y: Any) -> Any:
    """Mean cross-entropy."""
    logit = model(x)
    return jnp.mean(jnp.logaddexp(0, logit) - y * logit)


PARAMS = {name: jnp.asarray(value) for name, value in clients.first_params().items()}
FLAT = ravel_params(PARAMS)[0]
PLAN = Epochs(1, clients.BATCH)


def compiled() -> Engine:
    """Model, loss and optimiser."""
    return engine(Model(lambda _key: PARAMS, apply), loss, {}, optax.sgd(clients.RATE), PARAMS)


def names_of(count: int) -> list[PartyId]:
    """The clients' names."""
    return [PartyId(f"c{number:07d}") for number in range(count)]


@functools.lru_cache(4)
def base_root(task: str, number: int) -> Root:
    """What all clients' roots of a round are derived from."""
    return seeded_root(0, task, number)


def party(made: Engine, name: PartyId, shard: Shard) -> Party:
    """One client."""

    def roots(task: str, number: int) -> Root:
        key = base_root(task, number).value
        return Root(hashlib.blake2b(name.encode(), key=key, digest_size=32).digest())

    fit = local_fit(made, shard, PLAN)
    env = PartyEnv("simulation", roots, weighted_mean(), len(shard.x), fit=fit)
    return Party(env, answer, PartyState)


ALGORITHM = fedavg(weighted_mean())


@dataclass
class Ours:
    """A run of ours over one courier, gone on with whenever it is timed."""

    courier: Courier
    many: int
    size: int
    state: ServerState
    cpu: list[float] = field(default_factory=list)

    def rounds(self, count: int) -> list[float]:
        """Seconds of so many more rounds."""
        names, seconds = names_of(self.many), []
        for _ in range(count):
            number = self.state.round
            chosen = [names[i] for i in clients.cohort(number, self.many, self.size)]
            start, start_cpu = time.perf_counter(), time.process_time()
            step = ALGORITHM.next_round(self.state, chosen, seeded_root(1, number))
            self.state = run(step, self.courier)
            seconds.append(time.perf_counter() - start)
            self.cpu.append(time.process_time() - start_cpu)
        return seconds


def ours(many: int, size: int, told: list[tuple[Shape, float]]) -> tuple[Ours, Ours]:
    """The simulator and the plain loop over the same clients."""
    made = compiled()
    shards = {name: Shard(*clients.client(i)) for i, name in enumerate(names_of(many))}
    parties = {name: party(made, name, shard) for name, shard in shards.items()}
    together = train_together(
        made, PARAMS, shards, PLAN, "table", on_compile=lambda *one: told.append(one)
    )
    plain = in_process(parties, time.monotonic)
    first = ALGORITHM.init(FLAT)
    return Ours(simulated(parties, together), many, size, first), Ours(plain, many, size, first)


def environment_of(peer: Peer) -> Path:
    """The peer's interpreter, its environment made on first use.

    Raises:
        CalledProcessError: it cannot be installed.
    """
    python = peer.environment / "bin" / "python"
    if not (peer.environment / ".ready").is_file():
        print(f"making {peer.environment.name} with {peer.requirements} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(peer.environment)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *peer.requirements]
        subprocess.run(install, check=True, capture_output=True, text=True)
        (peer.environment / ".ready").touch()
    return python


def theirs(peer: Peer, many: int, size: int) -> dict[str, Any]:
    """Seconds of each round, and the loss a peer ended at; or why it did not run."""
    try:
        python = environment_of(peer)
        with tempfile.TemporaryDirectory() as folder:
            numbers = map(str, (many, size, peer.rounds))
            command = [str(python), str(PEERS / f"{peer.script}.py"), *numbers, folder]
            if CORES and peer.all_cores:
                os.sched_setaffinity(0, CORES)  # a process begins with its maker's
            done = subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                timeout=1500,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        return {"failed": f"{type(error).__name__}: {' '.join(last)[:200]}"}
    except subprocess.TimeoutExpired:
        return {"failed": "took more than 1500 s"}
    finally:
        if CORES:
            os.sched_setaffinity(0, {max(CORES)})
    line = next(one for one in done.stdout.splitlines() if one.startswith('{"seconds"'))
    return json.loads(line)


def beside(args: Any) -> tuple[list[Bar], dict[str, Any]]:
    """The peers' part."""
    many, size = (400, 40) if args.quick else (2000, 100)
    told: list[tuple[Shape, float]] = []
    quick, plain = ours(many, size, told)
    first = quick.rounds(WARM)
    while len(told) < 20:  # until no cohort brings a new shape
        known = len(told)
        quick.rounds(8)
        if len(told) == known:
            break
    before = quick.rounds(10)
    plain_s = statistics.median(plain.rounds(WARM + 4)[WARM:])
    after = quick.rounds(10)
    own_s = statistics.median(before + after)
    own_cpu, plain_cpu = statistics.median(quick.cpu[-20:]), statistics.median(plain.cpu[WARM:])
    rows = [
        ("fedguide, simulator", *ratios(own_s, own_s, own_cpu, own_cpu), ""),
        ("fedguide, plain loop", *ratios(plain_s, own_s, plain_cpu, own_cpu), ""),
    ]
    data: dict[str, Any] = {
        "clients": many,
        "a_round": size,
        "simulator_s": own_s,
        "plain_s": plain_s,
        "first_round_s": first[0],
        "compiled": [{"shape": shape, "seconds": seconds} for shape, seconds in told],
        "parity": parity(many, size, plain),
        "peers": {},
    }
    bars = [at_least("plain loop / simulator", plain_s / own_s, 15)]
    for name, peer in OTHERS.items():
        if args.peers and not any(one in name for one in args.peers.split(",")):
            continue
        around = quick.rounds(10)
        figures = theirs(peer, many, size)
        around += quick.rounds(10)
        if "failed" in figures:
            rows.append((name, "-", "-", "-", "-", figures["failed"]))
            bars.append(Bar(f"{name} / simulator", None, f">= {peer.bar:g}", None))
        else:
            peer_s, own_s = statistics.median(figures["seconds"][WARM:]), statistics.median(around)
            note = f"loss {figures['loss']:.5f}, first round {figures['seconds'][0]:.1f} s"
            # Of flwr's processes only the one that drives is counted.
            peer_cpu = statistics.median(figures["cpu"][WARM:])
            own_cpu = statistics.median(quick.cpu[-20:])
            rows.append((name, *ratios(peer_s, own_s, peer_cpu, own_cpu), note))
            bars.append(at_least(f"{name} / simulator", peer_s / own_s, peer.bar))
            figures |= {"peer_s": peer_s, "simulator_s": own_s, "ratio": peer_s / own_s}
            figures |= {"peer_cpu_s": peer_cpu, "simulator_cpu_s": own_cpu}
        data["peers"][name] = figures
    far = data["parity"]
    bars.append(Bar("parity with the plain loop", far, "<= 1e-06", far <= 1e-6))  # unrounded
    show(f"{size} of {many:,} clients a round", HEADS, rows)
    compiling = ", ".join(f"{shape} {seconds:.1f} s" for shape, seconds in told)
    print(f"\nprograms compiled (parties, steps, rows): {compiling}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return bars, data


HEADS = ("", "ms a round", "x ours", "CPU ms a round", "x ours", "note")


def ratios(seconds: float, own: float, cpu: float, own_cpu: float) -> tuple[str, ...]:
    """Milliseconds of a round and how many times ours, by the wall and by the processor."""
    return (
        f"{seconds * 1e3:.1f}",
        f"{seconds / own:.1f}",
        f"{cpu * 1e3:.1f}",
        f"{cpu / own_cpu:.1f}",
    )


def parity(many: int, size: int, plain: Ours) -> float:
    """Largest difference of a parameter, after the plain loop's rounds from the same start."""
    again, _ = ours(many, size, [])
    again.rounds(plain.state.round)
    return float(np.abs(again.state.params - plain.state.params).max())


def shoppers(many: int) -> Multitude:
    """So many shoppers of 8 to 32 samples; examples are hashes, made when they are asked for."""
    everybody = np.arange(many)
    counts = 8 + (mixed(23, 0, everybody) % np.uint64(25)).astype(np.int64)

    def bundle(rows: Any) -> Bundle:
        each = counts[rows]
        nth = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        example = np.repeat(rows, each) * 32 + nth
        drawn = [mixed(24, turn, example) for turn in range(3)]
        x = np.stack([one % np.uint64(clients.ITEMS) for one in drawn[:2]], axis=1)
        y = (drawn[2] & np.uint64(1)).astype(np.float32)
        return Bundle(each, x.astype(np.int32), y)

    return Multitude(names_of(many), counts, bundle, drawn_seeds(25))


def one_pass(many: int) -> dict[str, float]:
    """Every shopper trains once, 1,000 a round."""
    told: list[tuple[Shape, float]] = []
    start, start_cpu = time.perf_counter(), time.process_time()
    everybody = shoppers(many)
    courier = multitude(
        everybody, compiled(), PARAMS, PLAN, "table", on_compile=lambda *one: told.append(one)
    )
    state, answered = ALGORITHM.init(FLAT), 0
    for at in range(0, many, COHORT_AT_SCALE):
        cohort = everybody.names[at : at + COHORT_AT_SCALE]
        state = run(ALGORITHM.next_round(state, cohort, seeded_root(1, state.round)), courier)
        answered += len(state.report.parties) if state.report else 0
    seconds, compiling = time.perf_counter() - start, sum(one for _, one in told)
    return {
        "shoppers": many,
        "seconds": seconds,
        "compiling_s": compiling,
        "cpu_s": time.process_time() - start_cpu,
        "micros_each": (seconds - compiling) / many * 1e6,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20),
        "answered": answered,
    }


def scale(args: Any) -> tuple[list[Bar], dict[str, Any]]:
    """The scale part."""
    sizes = [int(one) for one in args.sizes.split(",")] if args.sizes else None
    sizes = sizes or ([2000, 4000] if args.quick else [10_000, 30_000, 100_000, 300_000, 1_000_000])
    runs = []
    if CORES:
        os.sched_setaffinity(0, CORES)
    for many in sizes:
        runs.append(one_pass(many))
        print(f"{many:,} shoppers: {runs[-1]['seconds']:.1f} s", file=sys.stderr)
    rows = [
        (
            f"{one['shoppers']:,}",
            f"{one['seconds']:.1f}",
            f"{one['compiling_s']:.1f}",
            f"{one['cpu_s']:.1f}",
            f"{one['micros_each']:.0f}",
            f"{one['peak_gb']:.2f}",
        )
        for one in runs
    ]
    heads = ("shoppers", "s", "of it compiling", "CPU s", "us a shopper", "peak GB so far")
    show("one pass, 1,000 a round", heads, rows)
    if len(runs) > 1:
        # What is paid once (starting, compiling) is in every run: a line's slope has none of it.
        slopes = [
            (b["cpu_s"] - a["cpu_s"]) / (b["shoppers"] - a["shoppers"]) * 1e6
            for a, b in itertools.pairwise(runs)
        ]
        told = ", ".join(f"{one:.0f}" for one in slopes)
        print(f"CPU us for one more shopper, from each size to the next: {told}")
    largest, each = runs[-1], [one["micros_each"] for one in runs]
    bars = [at_most("us a shopper, dearest / cheapest", max(each) / min(each), 1.5)]
    if largest["shoppers"] >= 1_000_000:
        bars += [
            at_least("1,000,000 shoppers, one pass: answered", largest["answered"], 1_000_000),
            at_most("1,000,000 shoppers, one pass: minutes", largest["seconds"] / 60, 5),
            at_most("1,000,000 shoppers, one pass: GB", largest["peak_gb"], 8),
        ]
    return bars, {"runs": runs}


def main() -> None:
    """Both parts, or one."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="fewer clients, smaller sizes")
    made.add_argument("--part", choices=("peers", "scale"), help="one part alone")
    made.add_argument("--peers", help="only peers whose names hold one of these, by commas")
    made.add_argument("--sizes", help="numbers of shoppers of the scale part, by commas")
    args = made.parse_args()
    bars: list[Bar] = []
    data: dict[str, Any] = {}
    for name, part in (("peers", beside), ("scale", scale)):
        if args.part in (None, name):
            more, data[name] = part(args)
            bars += more
    finish("simulation", bars, data, args.json)


if __name__ == "__main__":
    main()
