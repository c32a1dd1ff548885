"""Ditto: a model for all by FedAvg, and near to it a model of each party's own that never leaves.

Li, Hu, Beirami and Smith, "Ditto: Fair and Robust Federated Learning Through Personalization",
2021, algorithm 1. In a round a party trains the shared model as in FedAvg and, beside it, its own

    v_k ← a local fit of F_k(v) + λ/2 ‖v − θ_t‖²        from v_k

With λ → 0 the v_k are models trained alone; the larger λ, the nearer they stay to the shared one.
The first v_k is the first shared model the party sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fedguide.codec import Array
from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.averaging import averaging
from fedguide.horizontal.fitting import Steering
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.messages import Personalise
from fedguide.horizontal.server import ServerOptimizer
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.protocol import State
from fedguide.values import Vector


@dataclass(frozen=True)
class Own(State):
    """A party's own model v_k, shape ``(p,)``, and the last round it was trained in."""

    round: int
    params: Annotated[Vector, Array("float32", "p")]


def ditto(
    aggregator: Aggregator,
    pull: float,
    *,
    server: ServerOptimizer | None = None,
    keep_moments: bool = False,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm; ``pull`` is λ, the rest as for ``fedavg``.

    Raises:
        ConfigError: ``pull`` is not a finite number of at least 0.
    """
    if not (math.isfinite(pull) and pull >= 0):
        raise ConfigError(f"pull must be finite and at least 0, got {pull}")
    names = tuple(figures)
    return averaging(
        lambda number, params: Personalise(number, params, pull, keep_moments, names),
        aggregator,
        server,
        waiting,
    )


def near(trainer: Trainer, message: Personalise) -> Done:
    """A party's half: the change of the shared model leaves, its own model stays."""
    fitted = trainer.plainly()(message.params, trainer.moments, trainer.seed)
    delta = fitted.params - message.params
    kept = _trained(trainer, message)
    return Done(delta, fitted.examples, fitted.loss, moments=fitted.optimizer_state, kept=kept)


def _trained(trainer: Trainer, message: Personalise) -> Own:
    """The party's own model after the round; a round that is asked for again trains it once."""
    own = trainer.kept if isinstance(trainer.kept, Own) else Own(-1, message.params)
    if own.round == message.round:
        return own
    steering = Steering(pull=message.pull, anchor=message.params)
    fitted = trainer.bent()(own.params, None, trainer.seed, steering)
    return Own(message.round, fitted.params.astype("float32", copy=False))
