"""Every horizontal algorithm, aggregator and robust rule by name; the contract suite runs all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from fedguide.horizontal.algorithm import Algorithm, Counted, ServerState
from fedguide.horizontal.bulyan import BULYAN
from fedguide.horizontal.choice import OFFERS, Offer
from fedguide.horizontal.clipping import centred_clipping
from fedguide.horizontal.ditto import ditto
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedbuff import fedbuff
from fedguide.horizontal.fednova import fednova
from fedguide.horizontal.fedopt import adaptive
from fedguide.horizontal.fedper import fedper
from fedguide.horizontal.fedprox import fedprox
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.geometric import GEOMETRIC
from fedguide.horizontal.krum import KRUM, MULTI_KRUM
from fedguide.horizontal.masked_job import masked_mean, masked_sides
from fedguide.horizontal.masked_messages import MASKED_WIRE
from fedguide.horizontal.mean import Aggregator, weighted_mean
from fedguide.horizontal.median import MEDIAN
from fedguide.horizontal.messages import Grade, Submission, Train
from fedguide.horizontal.methods import KEPT, METHODS
from fedguide.horizontal.norm_bound import norm_bound
from fedguide.horizontal.packing import weighted_packing
from fedguide.horizontal.party import PartyState
from fedguide.horizontal.patch import Patched
from fedguide.horizontal.qfedavg import qfedavg
from fedguide.horizontal.robust import LEAST_BUCKET, bucketed, robust_mean
from fedguide.horizontal.rules import Rule, most_bad
from fedguide.horizontal.scaffold import scaffold
from fedguide.horizontal.server import momentum_sgd
from fedguide.horizontal.sides import Job, Sides, both
from fedguide.horizontal.summed import Addend, Packing, Summation, open_sum, summed
from fedguide.horizontal.thin import THIN_WIRE
from fedguide.horizontal.thrift import THRIFT_WIRE
from fedguide.horizontal.trimmed import TRIMMED

Builder: TypeAlias = Callable[[Aggregator], Algorithm[ServerState]]
"""Builds an algorithm, in one telling configuration, around an aggregator."""

ALGORITHMS: Mapping[str, Builder] = MappingProxyType(
    {
        "fedsgd": lambda aggregator: fedsgd(aggregator, learning_rate=0.1),
        "fedavg": fedavg,
        "fedavg_kept": lambda aggregator: fedavg(aggregator, keep_moments=True),
        "fedavgm": lambda aggregator: fedavg(aggregator, server=momentum_sgd(0.5, 0.9)),
        "fedprox": lambda aggregator: fedprox(aggregator, pull=0.5),
        "fedadagrad": lambda aggregator: fedavg(aggregator, server=adaptive("adagrad", 0.3, 0.0)),
        "fedadam": lambda aggregator: fedavg(aggregator, server=adaptive("adam", 0.1, 0.5)),
        "fedyogi": lambda aggregator: fedavg(aggregator, server=adaptive("yogi", 0.2, 0.5)),
        "scaffold": scaffold,
        "fednova": lambda aggregator: fednova(aggregator, momentum=0.5),
        "qfedavg": lambda aggregator: qfedavg(aggregator, q=1.0, learning_rate=0.1),
        "fedbuff": fedbuff,
        "ditto": lambda aggregator: ditto(aggregator, pull=0.5),
        "fedper": fedper,
    }
)


def offer_of(name: str) -> Offer:
    """How large an algorithm's updates are and what it needs; FedAvg's where nothing is said."""
    return OFFERS.get(name, OFFERS["fedavg"])


def _over_updates(name: str) -> Callable[[Job], Sides]:
    """A rule against as many bad parties as it can withstand among all there are."""
    rule = ROBUST_RULES[name]
    return lambda job: both(robust_mean(rule, most_bad(rule, len(job.parties)), name))


def _over_buckets(name: str) -> Callable[[Job], Sides]:
    """A rule over buckets of three, summed in the open."""
    rule = ROBUST_RULES[name]

    def build(job: Job) -> Sides:
        bad = most_bad(rule, len(job.parties) // LEAST_BUCKET)
        return both(bucketed(rule, bad, open_sum(), weighted_packing(job.bounds), name=name))

    return build


def _over_masked_buckets(name: str) -> Callable[[Job], Sides]:
    """A rule over buckets of three, each summed under masks of its own."""
    rule = ROBUST_RULES[name]

    def build(job: Job) -> Sides:
        bad = most_bad(rule, len(job.parties) // LEAST_BUCKET)

        def around(packing: Packing, summation: Summation) -> Aggregator:
            return bucketed(rule, bad, summation, packing, name=name)

        return masked_sides(job, weighted_packing(job.bounds), around)

    return build


ROBUST_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "median": MEDIAN,
        "trimmed": TRIMMED,
        "krum": KRUM,
        "multi_krum": MULTI_KRUM,
        "bulyan": BULYAN,
        "geometric": GEOMETRIC,
        "clipping": centred_clipping(),
        "norm_bound": norm_bound(),
    }
)
"""Every robust rule by name, as a job can choose it."""

AGGREGATORS: Mapping[str, Callable[[Job], Sides]] = MappingProxyType(
    {
        "weighted_mean": lambda job: both(weighted_mean(job.weighting)),
        "open_sum": lambda job: both(summed(weighted_packing(job.bounds), open_sum())),
        "masked_sum": masked_mean,
        **{name: _over_updates(name) for name in ROBUST_RULES},
        **{f"bucketed_{name}": _over_buckets(name) for name in ROBUST_RULES},
        **{f"masked_bucketed_{name}": _over_masked_buckets(name) for name in ROBUST_RULES},
    }
)
"""Builds both sides of an aggregator for a job in one process, in one telling configuration."""

WIRE: tuple[type, ...] = (
    *(Train, Grade, *METHODS, Submission, Patched, Addend, PartyState, Counted),
    *KEPT,
    *THRIFT_WIRE,
    *THIN_WIRE,
    *MASKED_WIRE,
)
"""Every kind of message and party state of these algorithms: what a courier has to allow."""
