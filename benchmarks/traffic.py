"""Bytes until the federated guide is good: float32 against quantised, sparse, and differences.

Online Retail, six shops (Dirichlet(2), seed 0), FedAvg over the real protocol, every message
counted as it is encoded, both ways. The target is 95 % of the best validation NDCG@10 (discovery,
bare network) that float32 reaches. Each way's bytes are those until its first round at the target;
what the model of that round is worth is read off test. A seed is one whole training of every way,
float32 among them, which sets the seed's target. A way's figure is its bytes summed over the seeds,
of float32's; a way that misses the target in one seed has none.

    make bench BENCH=traffic
    FEDGUIDE_DATA=… python benchmarks/traffic.py [--quick] [--json FILE]
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedguide.data.shops import load_shops
from fedguide.models.blend import weigh
from fedguide.models.evaluate import questions
from fedguide.models.fit import to_network
from fedguide.models.metrics import measure
from fedguide.models.plan import GuidePlan
from fedguide.models.served import Known, known, vectors_of, with_network
from fedguide.runtime.arms import BARE, TrainPlan, fits_of, train_together
from fedguide.runtime.baselines import Bench
from fedguide.values import Vector
from report import at_least, at_most, data_folder, finish, parser, show
from robust import bench_of

WAYS = ("none", "int8", "int4", "top:0.1", "top:0.05", "top:0.02", "rank:4", "rank:8", "random:0.1")
QUICK = ("none", "int4", "top:0.05")
SHARE = 0.95


@dataclass(frozen=True)
class Ground:
    """The shops, ready: benches, and questions of both slices by shop."""

    plan: TrainPlan
    benches: tuple[Bench, ...]
    asked: Mapping[str, Mapping[str, Known]]


@dataclass(frozen=True)
class Line:
    """One way: when it reached the target, after how many bytes, and what its model is worth.

    ``round`` and ``bytes`` are ``None`` if it never did.
    """

    way: str
    seed: int
    round: int | None
    bytes: int | None
    a_round: float
    validation: float
    test: float
    seconds: float


def ground(data: Path, rounds: int, size: int) -> Ground:
    """Cuts the shops and prepares every question."""
    source = data / "online_retail" / "online_retail.parquet"
    shops = load_shops(source, format_name="online-retail", shops=6, spec="dirichlet:2", seed=0)
    guide = GuidePlan(size=size)
    benches = tuple(bench_of(shop, guide) for shop in shops)
    asked = {
        part: {
            bench.shop.name: known(
                bench.model,
                bench.shop,
                questions(cases, len(bench.shop.catalogue), "discovery"),
                guide.recent_days,
            )
            for bench in benches
            if len(cases := getattr(bench.shop, part))
        }
        for part in ("validation", "test")
    }
    plan = TrainPlan(guide, rounds=rounds, patience=rounds, fine_tune_rounds=0)
    return Ground(plan, benches, asked)


def ndcg(field: Ground, part: str, params: Vector) -> float:
    """Mean NDCG@10 over the shoppers of all shops, discovery, bare network."""
    network = to_network(params, field.plan.guide)
    values = []
    for bench in field.benches:
        seen = field.asked[part].get(bench.shop.name)
        if seen is not None and len(seen.asked):
            st = with_network(seen, network, vectors_of(network, bench.features))
            values.append(measure(weigh(st, BARE), st.asked.targets).ndcg10)
    return float(np.concatenate(values).mean())


def run(field: Ground, way: str, seed: int, target: float | None) -> tuple[Line, list[float]]:
    """Trains one way; without a target its own best gives one."""
    start = time.perf_counter()
    scores: list[float] = []
    worth: list[float] = []

    def seen(params: Vector) -> None:
        scores.append(ndcg(field, "validation", params))
        worth.append(ndcg(field, "test", params))

    plan = replace(field.plan, compress=way)
    fits = fits_of([bench.shop for bench in field.benches], plan.guide)
    trained = train_together(
        field.benches,
        fits,
        plan,
        seed,
        time.monotonic,
        lambda *_told: None,
        seen=seen,
    )
    sizes = [report.bytes_up + report.bytes_down for report in trained.history]
    goal = SHARE * max(scores) if target is None else target
    at = next((n for n, score in enumerate(scores) if score >= goal), None)
    best = int(np.argmax(scores)) if at is None else at
    return (
        Line(
            way,
            seed,
            None if at is None else at + 1,
            None if at is None else int(sum(sizes[: at + 1])),
            float(np.mean(sizes)),
            scores[best],
            worth[best],
            time.perf_counter() - start,
        ),
        scores,
    )


def main() -> None:
    """Runs every way and prints one table."""
    options = parser(__doc__)
    options.add_argument(
        "--quick", action="store_true", help="fewer ways and rounds, small network"
    )
    options.add_argument("--rounds", type=int, help="most rounds; default: 40, or 12 if quick")
    options.add_argument("--size", type=int, help="of item vectors; default: 128, or 32 if quick")
    options.add_argument("--seeds", type=int, default=3, help="trainings of every way")
    options.add_argument("--ways", help="only these, by commas; float32 is always there")
    given = options.parse_args()
    data = data_folder()
    if data is None:
        raise SystemExit("needs FEDGUIDE_DATA")
    rounds, size = (12, 32) if given.quick else (40, 128)
    field = ground(data, given.rounds or rounds, given.size or size)
    ways = QUICK if given.quick else WAYS
    if given.ways:
        ways = ("none", *(way for way in given.ways.split(",") if way != "none"))
    lines: list[Line] = []
    targets = []
    for seed in range(1, 1 + given.seeds):
        target = None
        for way in ways:
            line, scores = run(field, way, seed, target)
            if way == "none":
                target = SHARE * max(scores)
                targets.append(target)
            lines.append(line)
            print(f"seed {seed}, {way}: {line}", flush=True)
    report(ways, lines, targets, given)


@dataclass(frozen=True)
class Total:
    """A way over all seeds: bytes of float32's and test of float32's; ``None``: not always there.

    ``worst`` is the largest share of bytes in one seed.
    """

    way: str
    rounds: tuple[int | None, ...]
    share: float | None
    worst: float | None
    test: float


def total_of(way: str, lines: list[Line]) -> Total:
    """Adds a way up."""
    mine, plain = ([one for one in lines if one.way == name] for name in (way, "none"))
    pairs = [(a.bytes, b.bytes) for a, b in zip(mine, plain, strict=True)]
    test = sum(one.test for one in mine) / sum(one.test for one in plain)
    rounds = tuple(one.round for one in mine)
    if not all(a and b for a, b in pairs):
        return Total(way, rounds, None, None, test)
    share = sum(a or 0 for a, _ in pairs) / sum(b or 0 for _, b in pairs)
    return Total(way, rounds, share, max((a or 0) / (b or 1) for a, b in pairs), test)


def report(ways: tuple[str, ...], lines: list[Line], targets: list[float], given: Any) -> None:
    """One table and the bars."""
    totals = [total_of(way, lines) for way in ways]
    a_round = {
        way: float(np.mean([one.a_round for one in lines if one.way == way])) for way in ways
    }
    told = ", ".join(f"{target:.4f}" for target in targets)
    show(
        f"bytes until validation NDCG@10 is 95 % of float32's best ({told})",
        ("way", "rounds", "of float32", "worst seed", "MB a round", "test, of float32's"),
        [
            (
                one.way,
                " ".join(str(number or "-") for number in one.rounds),
                f"1/{1 / one.share:.1f}" if one.share else "-",
                f"1/{1 / one.worst:.1f}" if one.worst else "-",
                f"{a_round[one.way] / 1e6:.3f}",
                f"{one.test:.3f}",
            )
            for one in totals
        ],
    )
    bars = []
    reached = [one for one in totals[1:] if one.share]
    if reached:
        least = min(reached, key=lambda one: one.share or 1.0)
        share = least.share or 1.0
        bars = [
            at_most(f"{least.way}: bytes to the target, of float32", share, 1 / 8),
            at_most(f"{least.way}: the same, stretch", share, 1 / 16),
            at_least(f"{least.way}: test NDCG@10, of float32's at the target", least.test, 0.95),
        ]
    data = {
        "lines": [asdict(line) for line in lines],
        "totals": [asdict(one) for one in totals],
        "targets": targets,
    }
    finish("traffic", bars, data, given.json)


if __name__ == "__main__":
    main()
