"""q-FedAvg: parties with a higher loss count more, so that none is left behind.

Li, Sanjabi, Beirami and Smith, "Fair Resource Allocation in Federated Learning", 2020, algorithm
2. It minimises Σ p_k / (q + 1) F_k^{q+1}. With δ_k the change of local training from θ_t, F_k the
party's loss at θ_t, and L one over the local learning rate,

    v_k = F_k^q δ_k        h_k = F_k^q + q F_k^{q−1} L ‖δ_k‖²
    θ_{t+1} = θ_t + Σ p_k v_k / Σ p_k h_k

(the paper's Δ_k and h_k, both over L). Its sums over a cohort drawn by p_k are here means by the
aggregator's p_k. With q = 0 every h_k is 1, and it is FedAvg.

An update is (v_k, h_k): p + 1 numbers. Where an aggregator shortens long updates, both shrink
alike and the step of a single party stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fedguide.errors import ConfigError, ProtocolError, RefusedError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.averaging import Reading, averaging
from fedguide.horizontal.mean import Aggregator, Mean
from fedguide.horizontal.messages import Fair
from fedguide.horizontal.server import ServerOptimizer
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.values import Vector

LEAST_LOSS = 1e-10
"""A loss of 0 to a power below 1 has no slope; the authors' code adds the same."""


def qfedavg(
    aggregator: Aggregator,
    q: float,
    learning_rate: float,
    *,
    server: ServerOptimizer | None = None,
    keep_moments: bool = False,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm.

    Args:
        aggregator: makes the mean of the updates.
        q: 0 is FedAvg; the larger, the more a high loss counts.
        learning_rate: of the parties' local training; L is one over it.
        server: what the step does to the model; the default adds it.
        keep_moments: parties keep their optimisers' moments from round to round.
        figures: names of figures about the model a round begins with, to be handed in.
        waiting: quorum and deadline of a round.

    Raises:
        ConfigError: a number is out of its range. While running: ``ProtocolError`` if the weights
            do not add up to anything above 0.
    """
    if not (math.isfinite(q) and q >= 0):
        raise ConfigError(f"q must be finite and at least 0, got {q}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ConfigError(f"learning_rate must be finite and above 0, got {learning_rate}")
    names, lipschitz = tuple(figures), 1 / learning_rate

    def step(mean: Mean) -> Vector:
        total = np.float32(mean.vector[-1])
        if not total > 0:
            raise ProtocolError(f"the parties' weights add up to {total:g}, must be above 0")
        return mean.vector[:-1] / total

    return averaging(
        lambda number, params: Fair(number, params, q, lipschitz, keep_moments, names),
        aggregator,
        server,
        waiting,
        Reading(step, longer=1),
    )


def weighed(trainer: Trainer, message: Fair) -> Done:
    """A party's half: its change by F^q, and its share of the normaliser.

    Raises:
        RefusedError: it does not tell its loss at the model that came in.
    """
    if trainer.gradient is None:
        raise RefusedError("policy: this party does not weigh its change by its loss in this task")
    fitted = trainer.plainly()(message.params, trainer.moments, trainer.seed)
    delta = (fitted.params - message.params).astype(np.float64)
    loss = max(trainer.gradient(message.params).loss, 0.0) + LEAST_LOSS
    weight = loss**message.q
    slope = message.q * loss ** (message.q - 1) * message.lipschitz * float(delta @ delta)
    vector = np.append(weight * delta, weight + slope).astype(np.float32)
    return Done(vector, fitted.examples, fitted.loss, moments=fitted.optimizer_state)
