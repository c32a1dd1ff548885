"""FedPer: a shared part of the model by FedAvg, a personal part that never leaves its party.

Arivazhagan, Aggarwal, Singh and Choudhary, "Federated Learning with Personalization Layers", 2019,
algorithms 1 and 2. The coordinator holds, sends and averages the shared (base) parameters alone; a
party puts its own (personalisation) parameters to them, trains both together, hands in the change
of the shared ones and keeps the others. The coordinator does not even learn how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fedguide.codec import Array
from fedguide.errors import RefusedError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.averaging import averaging
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.messages import TrainShared
from fedguide.horizontal.server import ServerOptimizer
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.protocol import State
from fedguide.values import Vector


@dataclass(frozen=True)
class Mine(State):
    """A party's own part, shape ``(m,)``, before and after the last round it trained in.

    A round that is asked for again begins from the same one again.
    """

    round: int
    before: Annotated[Vector, Array("float32", "m")]
    after: Annotated[Vector, Array("float32", "m")]


def fedper(
    aggregator: Aggregator,
    *,
    server: ServerOptimizer | None = None,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm; ``init`` takes the shared part of the first model."""
    names = tuple(figures)
    return averaging(
        lambda number, params: TrainShared(number, params, names), aggregator, server, waiting
    )


def with_own(trainer: Trainer, message: TrainShared) -> Done:
    """A party's half: both parts are trained, the change of the shared one leaves.

    Raises:
        RefusedError: the party has no part of its own.
    """
    personal = trainer.personal
    if personal is None:
        raise RefusedError("policy: no part of this party's model is its own in this task")
    kept = trainer.kept if isinstance(trainer.kept, Mine) else Mine(-1, *[personal.first] * 2)
    mine = kept.before if kept.round == message.round else kept.after
    fitted = trainer.plainly()(personal.whole(message.params, mine), None, trainer.seed)
    delta = fitted.params[~personal.own] - message.params
    own = Mine(message.round, mine, fitted.params[personal.own].astype("float32"))
    return Done(delta, fitted.examples, fitted.loss, kept=own)
