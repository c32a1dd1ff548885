"""FedProx: local training that is held back towards the model it began with.

Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, "Federated Optimization in Heterogeneous
Networks", 2020, algorithm 2. A party minimises (equation 2)

    h_k(θ; θ_t) = F_k(θ) + μ/2 ‖θ − θ_t‖²

inexactly, by its usual local training; the changes are averaged as in FedAvg. With μ = 0 it asks
for plain training and is FedAvg bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.averaging import averaging
from fedguide.horizontal.fitting import Steering
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.messages import Prox, Question, Train
from fedguide.horizontal.server import ServerOptimizer
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.values import Vector


def fedprox(
    aggregator: Aggregator,
    pull: float,
    *,
    server: ServerOptimizer | None = None,
    keep_moments: bool = False,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm; ``pull`` is μ, the rest as for ``fedavg``.

    Raises:
        ConfigError: ``pull`` is not a finite number of at least 0.
    """
    if not (math.isfinite(pull) and pull >= 0):
        raise ConfigError(f"pull must be finite and at least 0, got {pull}")
    names = tuple(figures)

    def ask(number: int, params: Vector) -> Question:
        if not pull:
            return Train(number, params, keep_moments, names)
        return Prox(number, params, pull, keep_moments, names)

    return averaging(ask, aggregator, server, waiting)


def held_back(trainer: Trainer, message: Prox) -> Done:
    """A party's half: training with the proximal term; the change leaves."""
    steering = Steering(pull=message.pull, anchor=message.params)
    fitted = trainer.bent()(message.params, trainer.moments, trainer.seed, steering)
    delta = fitted.params - message.params
    return Done(delta, fitted.examples, fitted.loss, moments=fitted.optimizer_state)
