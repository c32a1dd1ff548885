"""Server optimisers: what the coordinator does with the mean change of a round.

A pure pair on flat vectors. Its memory is one float32 vector, so that it survives bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedguide.errors import ConfigError
from fedguide.values import Vector


@dataclass(frozen=True)
class ServerOptimizer:
    """``init(params) -> memory`` and ``update(delta, memory, params) -> (params, memory)``.

    ``delta`` is the mean change Σ p_k (θ_k − θ), so it points where the loss falls.
    """

    init: Callable[[Vector], Vector]
    update: Callable[[Vector, Vector, Vector], tuple[Vector, Vector]]


def momentum_sgd(learning_rate: float = 1.0, momentum: float = 0.0) -> ServerOptimizer:
    """Plain steps with momentum: v ← momentum · v + delta; θ ← θ + learning_rate · v.

    Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated
    Visual Classification", 2019, section 4. With rate 1 and momentum 0 it is the averaging of
    McMahan et al. 2017, and keeps nothing.

    Raises:
        ConfigError: ``momentum`` is outside [0, 1), or ``learning_rate`` not finite and above 0.
    """
    if not 0 <= momentum < 1:
        raise ConfigError(f"momentum must be in [0, 1), got {momentum}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ConfigError(f"learning_rate must be finite and above 0, got {learning_rate}")

    def init(params: Vector) -> Vector:
        return np.zeros_like(params) if momentum else np.zeros(0, np.float32)

    def update(delta: Vector, memory: Vector, params: Vector) -> tuple[Vector, Vector]:
        velocity = momentum * memory + delta if momentum else delta
        return params + learning_rate * velocity, velocity if momentum else memory

    return ServerOptimizer(init, update)


def adam(
    learning_rate: float, first: float = 0.9, second: float = 0.99, epsilon: float = 1e-3
) -> ServerOptimizer:
    """Steps of about ``learning_rate`` a coordinate, whatever the length of the mean change.

    Reddi et al., "Adaptive Federated Optimization", 2021, algorithm 2 (FedAdam), with the bias
    corrections of Kingma and Ba, "Adam", 2015, algorithm 1. ``epsilon`` is τ, relative to the root
    of the mean square of the change, so that it does not depend on the change's scale: a
    coordinate that hardly ever moves makes no large steps.

    Raises:
        ConfigError: a number is out of its range.
    """
    for name, value in (("first", first), ("second", second)):
        if not 0 <= value < 1:
            raise ConfigError(f"{name} must be in [0, 1), got {value}")
    for name, value in (("learning_rate", learning_rate), ("epsilon", epsilon)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be finite and above 0, got {value}")

    def init(params: Vector) -> Vector:
        return np.zeros(2 * len(params) + 1, np.float32)

    def update(delta: Vector, memory: Vector, params: Vector) -> tuple[Vector, Vector]:
        size, count = len(params), float(memory[-1]) + 1
        mean = first * memory[:size] + (1 - first) * delta
        square = second * memory[size:-1] + (1 - second) * delta * delta
        centred = mean / (1 - first**count)
        root = np.sqrt(square / (1 - second**count))
        rough = np.sqrt(np.mean(root.astype(np.float64) ** 2))
        step = learning_rate * centred / (root + max(epsilon * rough, np.finfo(np.float32).tiny))
        kept = np.concatenate([mean, square, np.array([count])]).astype(np.float32)
        return (params + step).astype(np.float32), kept

    return ServerOptimizer(init, update)
