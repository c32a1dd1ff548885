"""The round that most algorithms share: one question to all, the mean, a step of the coordinator.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017,
algorithm 1, with the step left to a server optimiser (Reddi et al., "Adaptive Federated
Optimization", 2021, algorithm 1). What an algorithm asks, and how it reads its step off the mean,
is its own; ``fedavg`` is the plainest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fedguide.horizontal.algorithm import (
    Algorithm,
    ServerState,
    Waiting,
    ask_each,
    remembered,
    report_of,
)
from fedguide.horizontal.mean import Aggregator, Mean, Terms
from fedguide.horizontal.messages import Question
from fedguide.horizontal.server import ServerOptimizer, momentum_sgd
from fedguide.protocol import Coordinator
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector

Ask: TypeAlias = Callable[[int, Vector], Question]
"""What is asked in a round: ``(number of the round, parameters) -> message``."""


@dataclass(frozen=True)
class Reading:
    """How the step is read off the mean.

    Attributes:
        step: the mean to the step of the model, shape ``(p,)``.
        longer: numbers that an update has beside the p of the model.
        figures: figures of the algorithm's own, behind those that were asked for.
    """

    step: Callable[[Mean], Vector] = lambda mean: mean.vector
    longer: int = 0
    figures: int = 0


def averaging(
    ask: Ask,
    aggregator: Aggregator,
    server: ServerOptimizer | None,
    waiting: Waiting | None,
    reading: Reading | None = None,
) -> Algorithm[ServerState]:
    """The algorithm that asks this and takes the step it reads; ``None`` are the plain ones."""
    optimizer, plan, read = server or momentum_sgd(), waiting or Waiting(), reading or Reading()

    def init(params: Vector) -> ServerState:
        return ServerState(0, params, optimizer.init(params))

    def next_round(
        state: ServerState, cohort: Sequence[PartyId], root: Root
    ) -> Coordinator[ServerState]:
        message = ask(state.round, state.params)
        asked = len(message.figures)
        size = len(state.params) + read.longer
        terms = Terms(state.round, size, asked + read.figures, root, state.last)
        mean = yield from ask_each(dict.fromkeys(cohort, message), terms, aggregator, plan)
        params, memory = optimizer.update(read.step(mean), state.memory, state.params)
        report = report_of(replace(mean, figures=mean.figures[:asked]), message.figures)
        return ServerState(state.round + 1, params, memory, report, remembered(aggregator, mean))

    return Algorithm(init, next_round)
