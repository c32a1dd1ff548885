"""FedAdagrad, FedAdam and FedYogi: adaptive steps of the coordinator.

Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar and McMahan, "Adaptive Federated
Optimization", 2021, algorithm 2. With Δ_t the mean change of a round,

    m_t = β1 m_{t−1} + (1 − β1) Δ_t
    v_t = v_{t−1} + Δ_t²                                    (FedAdagrad)
    v_t = v_{t−1} − (1 − β2) Δ_t² sign(v_{t−1} − Δ_t²)      (FedYogi)
    v_t = β2 v_{t−1} + (1 − β2) Δ_t²                        (FedAdam)
    θ_{t+1} = θ_t + η m_t / (√v_t + τ)

with m_{−1} = 0 and v_{−1} = τ². There are no bias corrections; ``server.adam`` has them, and a τ
that follows the scale of the changes.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np

from fedguide.errors import ConfigError
from fedguide.horizontal.server import ServerOptimizer
from fedguide.values import Vector

Kind: TypeAlias = Literal["adagrad", "adam", "yogi"]
"""How the second moment is kept."""


def adaptive(
    kind: Kind,
    learning_rate: float,
    first: float = 0.9,
    second: float = 0.99,
    tau: float = 1e-3,
) -> ServerOptimizer:
    """The server optimiser for ``fedavg``; defaults of β1, β2 and τ are the paper's (section 5).

    Args:
        kind: which of the three.
        learning_rate: η.
        first: β1; the paper runs FedAdagrad with 0.
        second: β2, not used by FedAdagrad.
        tau: τ, how little a coordinate may move before its steps stop growing.

    Raises:
        ConfigError: a number is out of its range, or ``kind`` unknown.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}")
    for name, value in (("first", first), ("second", second)):
        if not 0 <= value < 1:
            raise ConfigError(f"{name} must be in [0, 1), got {value}")
    for name, value in (("learning_rate", learning_rate), ("tau", tau)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be finite and above 0, got {value}")

    def init(params: Vector) -> Vector:
        return np.concatenate([np.zeros_like(params), np.full_like(params, tau**2)])

    def update(delta: Vector, memory: Vector, params: Vector) -> tuple[Vector, Vector]:
        mean, square = np.split(memory.astype(np.float64), 2)
        squared = delta.astype(np.float64) ** 2
        mean = first * mean + (1 - first) * delta
        square = _second(kind, square, squared, second)
        moved = params + learning_rate * mean / (np.sqrt(square) + tau)
        return moved.astype(np.float32), np.concatenate([mean, square]).astype(np.float32)

    return ServerOptimizer(init, update)


def _second(
    kind: Kind,
    square: np.ndarray[tuple[int], np.dtype[np.float64]],
    squared: np.ndarray[tuple[int], np.dtype[np.float64]],
    second: float,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """v_t."""
    match kind:
        case "adagrad":
            return square + squared
        case "yogi":
            return square - (1 - second) * squared * np.sign(square - squared)
        case "adam":
            return second * square + (1 - second) * squared
