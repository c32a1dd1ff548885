"""Federated SGD: one step of gradient descent a round.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep
Networks from Decentralized Data", 2017, section 2. It minimises Σ p_k F_k(θ) by

    θ_{t+1} = θ_t − η Σ p_k g_k(θ_t)

which with p_k = n_k / n is gradient descent on the data of all parties together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import (
    Algorithm,
    ServerState,
    Waiting,
    ask_for_mean,
    remembered,
    report_of,
)
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.messages import Grade
from fedguide.protocol import Coordinator
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector


def fedsgd(
    aggregator: Aggregator,
    learning_rate: float,
    *,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm; ``learning_rate`` is η.

    Raises:
        ConfigError: ``learning_rate`` is not a finite number above 0.
    """
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ConfigError(f"learning_rate must be finite and above 0, got {learning_rate}")

    def init(params: Vector) -> ServerState:
        return ServerState(0, params, np.zeros(0, np.float32))

    def next_round(
        state: ServerState, cohort: Sequence[PartyId], root: Root
    ) -> Coordinator[ServerState]:
        grade = Grade(state.round, state.params, tuple(figures))
        mean = yield from ask_for_mean(
            grade, cohort, root, aggregator, waiting or Waiting(), state.last
        )
        params = state.params - learning_rate * mean.vector
        report, last = report_of(mean, figures), remembered(aggregator, mean)
        return ServerState(state.round + 1, params, state.memory, report, last)

    return Algorithm(init, next_round)
