"""The three ways to train that are compared: alone, together, pooled.

All start from the same parameters, take the same local fit, are judged after every round on the
same validation questions, stop by the same patience, and are fine-tuned alike. *together* is the
real thing: the horizontal FedAvg through the durable driver, every message counted in bytes.
*alone* takes at least ``LEAST_STEPS`` steps between two looks at validation, so that a shop
with two batches an epoch is not stopped before it has begun. *pooled* holds every shop's rows,
which is what nobody wants; it is there to show what federation costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.server import momentum_sgd
from fedguide.models.blend import DEPTH, Stack, weigh
from fedguide.models.encoders import Network
from fedguide.models.evaluate import some_of
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import (
    Fit,
    Fitted,
    common_shapes,
    first_params,
    make_fit,
    make_pooled_fit,
    to_network,
    train_rounds,
)
from fedguide.models.metrics import ndcg_at
from fedguide.models.plan import GuidePlan
from fedguide.models.scorer import ShopModel, SlateWeights
from fedguide.models.served import Known, vectors_of, with_network
from fedguide.runtime.couriers import Clock, Party, in_process
from fedguide.runtime.rounds import RoundReport, RoundsPlan, in_memory, run_rounds
from fedguide.seeds import derive, seeded_root, seeded_roots
from fedguide.values import PartyId, ShopData, Vector

ARMS = ("alone", "together", "pooled")
"""The ways to train, in the order in which tables show them."""

LEAST_STEPS = 16
"""Fewest optimiser steps of a shop alone between two looks at its validation."""

BARE = SlateWeights(network=1.0)
"""The weights of the network by itself."""


@dataclass(frozen=True)
class TrainPlan:
    """How every arm is trained.

    Attributes:
        guide: the network and its local fit.
        rounds: most rounds (alone and pooled: epochs).
        patience: rounds without a better validation before the end.
        server_momentum: of the federated coordinator; 0 is plain averaging.
        keep_moments: parties keep their optimiser's moments from round to round.
        fine_tune_rounds: most local epochs after training, at ``fine_tune_rate``; the number
            that is best on the sum of all shops' validation is taken, 0 included.
        fine_tune_rate: AdamW's learning rate while fine-tuning.

    Raises:
        ConfigError: a number is out of range.
    """

    guide: GuidePlan = field(default_factory=GuidePlan)
    rounds: int = 60
    patience: int = 9
    server_momentum: float = 0.0
    keep_moments: bool = False
    fine_tune_rounds: int = 3
    fine_tune_rate: float = 3e-4

    def __post_init__(self) -> None:
        """Checks the ranges that no other plan checks."""
        for name in ("rounds", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.fine_tune_rounds < 0:
            raise ConfigError(f"fine_tune_rounds must be at least 0, got {self.fine_tune_rounds}")
        if not self.fine_tune_rate > 0:
            raise ConfigError(f"fine_tune_rate must be above 0, got {self.fine_tune_rate}")


@dataclass(frozen=True)
class Bench:
    """A shop on the bench: its data, what it knows without a network, its validation questions.

    Attributes:
        shop: the data.
        model: sales and neighbours, no network.
        features: text features of the items.
        validation: setting to questions with all components but the network's.
    """

    shop: ShopData
    model: ShopModel
    features: NDArray[np.int32]
    validation: Mapping[str, Known]


@dataclass(frozen=True)
class Trained:
    """What an arm gives.

    Attributes:
        arm: one of ``ARMS``.
        params: the parameters each shop ends with, by shop.
        rounds: the best round, by shop.
        fine_tuned: local epochs of fine-tuning that were kept.
        seconds: for training, judging included.
        history: every round of *together*; empty for the others.
    """

    arm: str
    params: Mapping[str, Vector]
    rounds: Mapping[str, int]
    fine_tuned: int
    seconds: float
    history: tuple[RoundReport, ...] = ()


OnRound = Callable[[str, int, float], None]
"""Told the arm (or arm and shop), the round just done and its validation score."""


def network_stack(bench: Bench, setting: str, params: Vector, plan: GuidePlan) -> Stack:
    """A shop's validation questions with the components of the network of these parameters."""
    network = to_network(params, plan)
    return with_network(bench.validation[setting], network, vectors_of(network, bench.features))


def validation_values(bench: Bench, params: Vector, plan: GuidePlan) -> NDArray[np.float64]:
    """NDCG@20 of the bare network for each of a shop's discovery questions on validation.

    A shop without any discovery question is judged on all items instead; empty if it has no
    validation case at all.
    """
    setting = "discovery" if len(bench.validation["discovery"].asked) else "all"
    st = network_stack(bench, setting, params, plan)
    return ndcg_at(weigh(st, BARE), st.asked.targets, DEPTH)


def judge_of(benches: Sequence[Bench], plan: GuidePlan) -> Callable[[Vector], float]:
    """Mean over the validation shoppers of these shops; only a sum and a count leave a shop."""

    def judge(params: Vector) -> float:
        values = [validation_values(bench, params, plan) for bench in benches]
        count = sum(map(len, values))
        return float(sum(v.sum() for v in values)) / count if count else 0.0

    return judge


def can_judge(benches: Sequence[Bench]) -> bool:
    """Is there any validation question?"""
    return any(len(bench.validation["all"].asked) for bench in benches)
