"""Every horizontal algorithm and aggregator by name; the contract suite runs all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.masked_job import masked_mean
from fedguide.horizontal.masked_messages import MASKED_WIRE
from fedguide.horizontal.mean import Aggregator, weighted_mean
from fedguide.horizontal.messages import Grade, Submission, Train
from fedguide.horizontal.packing import weighted_packing
from fedguide.horizontal.party import PartyState
from fedguide.horizontal.server import momentum_sgd
from fedguide.horizontal.sides import Job, Sides, both
from fedguide.horizontal.summed import Addend, open_sum, summed

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

AGGREGATORS: Mapping[str, Callable[[Job], Sides]] = MappingProxyType(
    {
        "weighted_mean": lambda job: both(weighted_mean(job.weighting)),
        "open_sum": lambda job: both(summed(weighted_packing(job.bounds), open_sum())),
        "masked_sum": masked_mean,
    }
)
"""Builds both sides of an aggregator for a job in one process."""

WIRE: tuple[type, ...] = (Train, Grade, Submission, Addend, PartyState, *MASKED_WIRE)
"""Every kind of message and party state of these algorithms: what a courier has to allow."""
