"""FedBuff: the coordinator goes on when a few changes are in; slow parties' count when they come.

Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek and Huba, "Federated Learning with Buffered
Asynchronous Aggregation", 2022, algorithm 1, with the discount 1/√(1 + τ) for a change that was
made from a model τ rounds old (section 5.1). A round ends with the first K answers. A party whose
answer came too late keeps its change and hands it in when it is asked next, without training
again; the coordinator's message says which of its answers was counted, so that no change counts
twice and none is lost. The party discounts its own change: the coordinator needs only the mean.

With K the whole cohort and nobody late it is FedAvg bit for bit. Deviation: a party learns of the
newest model when it is asked, at the beginning of a round, not at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from fedguide.codec import Array
from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import (
    Algorithm,
    Counted,
    ServerState,
    Waiting,
    ask_each,
    remembered,
    report_of,
)
from fedguide.horizontal.mean import Aggregator, Terms
from fedguide.horizontal.messages import Buffered
from fedguide.horizontal.server import ServerOptimizer, momentum_sgd
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.protocol import Coordinator, State
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector


@dataclass(frozen=True)
class Pending(State):
    """A party's newest change, kept until it is counted.

    Attributes:
        base: the round whose model it was made from.
        answered: the round in which it was handed in last.
        vector: the change, shape ``(p,)``, not discounted.
        examples: how many examples it was made on.
        loss: mean loss over them.
    """

    base: int
    answered: int
    vector: Annotated[Vector, Array("float32", "p")]
    examples: int
    loss: float


def fedbuff(
    aggregator: Aggregator,
    buffer: int | None = None,
    *,
    most_late: int = 10,
    server: ServerOptimizer | None = None,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm.

    Args:
        aggregator: makes the mean of the changes; no masked sum and no robust rule.
        buffer: K, answers that end a round; ``None`` is two thirds of the cohort, rounded up.
        most_late: a change from a model more rounds old than this is not handed in any more.
        server: what the mean change does to the model; the default adds it.
        figures: names of figures about the model a round begins with, to be handed in.
        waiting: quorum and deadline of a round; the quorum is at most K.

    Raises:
        ConfigError: a number is out of its range.
    """
    if buffer is not None and buffer < 1:
        raise ConfigError(f"buffer must be at least 1, got {buffer}")
    if most_late < 0:
        raise ConfigError(f"most_late must be at least 0, got {most_late}")
    optimizer, plan = server or momentum_sgd(), waiting or Waiting()

    def init(params: Vector) -> ServerState:
        return ServerState(0, params, optimizer.init(params), kept=Counted())

    def next_round(
        state: ServerState, cohort: Sequence[PartyId], root: Root
    ) -> Coordinator[ServerState]:
        counted = state.kept if isinstance(state.kept, Counted) else Counted()
        number, names = state.round, tuple(figures)
        to = {
            party: Buffered(number, state.params, counted.of(party), most_late, names)
            for party in cohort
        }
        first = min(buffer or -(-2 * len(cohort) // 3), len(cohort))
        quorum = min(plan.quorum or len(cohort) // 2 + 1, first)
        terms = Terms(number, len(state.params), len(names), root, state.last)
        asked = replace(plan, quorum=quorum)
        mean = yield from ask_each(to, terms, aggregator, asked, first)
        params, memory = optimizer.update(mean.vector, state.memory, state.params)
        report, last = report_of(mean, names), remembered(aggregator, mean)
        kept = counted.with_round(number, mean.parties)
        return ServerState(number + 1, params, memory, report, last, kept)

    return Algorithm(init, next_round)


def latest(trainer: Trainer, message: Buffered) -> Done:
    """A party's half: the change that was not counted yet, discounted, or a new one."""
    pending = trainer.kept if isinstance(trainer.kept, Pending) else None
    if pending is None or not _is_due(pending, message):
        fitted = trainer.plainly()(message.params, None, trainer.seed)
        delta = (fitted.params - message.params).astype(np.float32, copy=False)
        pending = Pending(message.round, message.round, delta, fitted.examples, fitted.loss)
    vector = pending.vector * np.float32(discount(message.round - pending.base))
    kept = replace(pending, answered=message.round)
    return Done(vector, pending.examples, pending.loss, kept=kept)


def _is_due(pending: Pending, message: Buffered) -> bool:
    """Was the change not counted, and is it young enough to be?"""
    uncounted = message.counted != pending.answered
    return uncounted and message.round - pending.base <= message.most_late


def discount(late: int) -> float:
    """What a change from a model so many rounds old is multiplied by."""
    return float((1 + late) ** -0.5)
