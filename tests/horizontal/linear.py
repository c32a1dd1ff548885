"""Parties with a linear regression each, in plain numpy: small enough to work out by hand.

F_k(w) is the mean over the party's rows of (x·w − y)² / 2. One more parameter than columns is an
intercept: what a party can keep to itself where part of a model is personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.fitting import Steering
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.trainer import Personal
from fedguide.runtime.couriers import Party
from fedguide.seeds import seeded_root
from fedguide.values import PartyId, Vector


@dataclass(frozen=True)
class Rows:
    """One party's data: ``x`` of shape (n, p), ``y`` of shape (n,)."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]


@dataclass(frozen=True)
class Fitted:
    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float
    steps: int = 1
    slope: Vector = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Graded:
    gradient: Vector
    examples: int
    loss: float


def columns(rows: Rows, params: Vector) -> NDArray[np.float32]:
    """The rows as wide as the parameters."""
    if len(params) == rows.x.shape[1]:
        return rows.x
    return np.append(rows.x, np.ones((len(rows.y), 1), np.float32), axis=1)


def loss_of(rows: Rows, params: Vector) -> float:
    return float(np.mean((columns(rows, params) @ params - rows.y) ** 2) / 2)


def gradient_of(rows: Rows, params: Vector) -> Graded:
    x = columns(rows, params)
    residual = x @ params - rows.y
    gradient = (x.T @ residual / np.float32(len(rows.y))).astype(np.float32)
    return Graded(gradient, len(rows.y), loss_of(rows, params))


@dataclass(frozen=True)
class Descent:
    """Full-batch gradient descent with momentum; ``jitter`` moves the start by its seed."""

    learning_rate: float = 0.1
    momentum: float = 0.0
    steps: int = 1
    jitter: float = 0.0

    def fit(
        self,
        rows: Rows,
        params: Vector,
        state: Vector | None,
        seed: int,
        steering: Steering | None = None,
    ) -> Fitted:
        loss = loss_of(rows, params)
        velocity = np.zeros_like(params) if state is None else state
        noise = np.random.default_rng(seed).normal(size=params.shape).astype(np.float32)
        params = params + np.float32(self.jitter) * noise
        total = np.zeros_like(params)
        for _ in range(self.steps):
            own = gradient_of(rows, params).gradient
            total = total + own
            velocity = self.momentum * velocity + bent(own, params, steering)
            params = params - self.learning_rate * velocity
        slope = total / np.float32(self.steps)
        return Fitted(params, velocity, len(rows.y), loss, self.steps, slope)


def bent(gradient: Vector, params: Vector, steering: Steering | None) -> Vector:
    """The gradient of the steered objective."""
    if steering is None:
        return gradient
    if steering.slope is not None:
        gradient = gradient + steering.slope
    if steering.anchor is not None:
        gradient = gradient + np.float32(steering.pull) * (params - steering.anchor)
    return gradient


def party(
    name: str, rows: Rows, aggregator: Aggregator, descent: Descent, least_examples: int = 1
) -> Party:
    env = PartyEnv(
        task="test",
        roots=lambda task, round_number: seeded_root(1, name, task, round_number),
        aggregator=aggregator,
        examples=len(rows.y),
        fit=lambda params, state, seed: descent.fit(rows, params, state, seed),
        gradient=lambda params: gradient_of(rows, params),
        figures=lambda params: {"loss": loss_of(rows, params)},
        least_examples=least_examples,
        steered=lambda params, state, seed, how: descent.fit(rows, params, state, seed, how),
        personal=intercept(rows.x.shape[1]),
    )
    return Party(env, answer, PartyState)


def intercept(width: int) -> Personal:
    """An intercept of each party's own, 0 at first."""
    return Personal(np.arange(width + 1) == width, np.zeros(1, np.float32))


def parties_of(
    data: Mapping[str, Rows], aggregator: Aggregator, descent: Descent | None = None
) -> dict[PartyId, Party]:
    return {
        PartyId(name): party(name, rows, aggregator, descent or Descent())
        for name, rows in data.items()
    }


def random_data(seed: int, sizes: tuple[int, ...] = (5, 2, 9), width: int = 3) -> dict[str, Rows]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=width)
    data = {}
    for i, size in enumerate(sizes):
        x = rng.normal(size=(size, width))
        y = x @ truth + 0.1 * rng.normal(size=size)
        data[f"shop{i}"] = Rows(x.astype(np.float32), y.astype(np.float32))
    return data


def pooled(data: Mapping[str, Rows]) -> Rows:
    return Rows(
        np.concatenate([rows.x for rows in data.values()]),
        np.concatenate([rows.y for rows in data.values()]),
    )


def clock() -> float:
    return 0.0
