"""Every horizontal algorithm and robust rule by name; the contract suite runs all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.horizontal.bulyan import BULYAN
from fedguide.horizontal.clipping import centred_clipping
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.geometric import GEOMETRIC
from fedguide.horizontal.krum import KRUM, MULTI_KRUM
from fedguide.horizontal.mean import Aggregator, weighted_mean
from fedguide.horizontal.median import MEDIAN
from fedguide.horizontal.messages import Grade, Submission, Train
from fedguide.horizontal.norm_bound import norm_bound
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.party import PartyState
from fedguide.horizontal.robust import LEAST_BUCKET, bucketed, robust_mean
from fedguide.horizontal.rules import Rule, most_bad
from fedguide.horizontal.server import momentum_sgd
from fedguide.horizontal.summed import Addend, open_sum, summed
from fedguide.horizontal.trimmed import TRIMMED

Builder: TypeAlias = Callable[[Aggregator], Algorithm[ServerState]]
"""Builds an algorithm, in one telling configuration, around an aggregator."""

ALGORITHMS: Mapping[str, Builder] = MappingProxyType(
    {
        "fedsgd": lambda aggregator: fedsgd(aggregator, learning_rate=0.1),
        "fedavg": fedavg,
        "fedavg_kept": lambda aggregator: fedavg(aggregator, keep_moments=True),
        "fedavgm": lambda aggregator: fedavg(aggregator, server=momentum_sgd(0.5, 0.9)),
    }
)


def _over_updates(name: str) -> Callable[[Bounds], Aggregator]:
    """A rule against as many bad parties as it can withstand among all there are."""
    rule = ROBUST_RULES[name]
    return lambda bounds: robust_mean(rule, most_bad(rule, bounds.parties), name)


def _over_buckets(name: str) -> Callable[[Bounds], Aggregator]:
    """A rule over buckets of three, summed in the open."""
    rule = ROBUST_RULES[name]

    def build(bounds: Bounds) -> Aggregator:
        bad = most_bad(rule, bounds.parties // LEAST_BUCKET)
        return bucketed(rule, bad, open_sum(), weighted_packing(bounds), name=name)

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

AGGREGATORS: Mapping[str, Callable[[Bounds], Aggregator]] = MappingProxyType(
    {
        "mean": lambda bounds: weighted_mean(bounds.weighting),
        "summed": lambda bounds: summed(weighted_packing(bounds), open_sum()),
        **{name: _over_updates(name) for name in ROBUST_RULES},
        **{f"bucketed_{name}": _over_buckets(name) for name in ROBUST_RULES},
    }
)
"""Every aggregator by name, in one telling configuration for the parties of ``bounds``."""

WIRE: tuple[type, ...] = (Train, Grade, Submission, Addend, PartyState)
"""Every kind of message and party state of these algorithms: what a courier has to allow."""
