"""What a party's model gives to federated learning: a local fit and a gradient.

Both ends are numpy; whatever trains inside (JAX, torch, plain numpy) is not seen here. These
are protocols, so that a model's own dataclasses fit without importing this room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fedguide.ring import RingVector
from fedguide.seeds import Root
from fedguide.values import Vector


class Fitted(Protocol):
    """What one local fit gives."""

    @property
    def params(self) -> Vector:
        """The trained parameters, shape ``(p,)``."""
        ...

    @property
    def optimizer_state(self) -> Vector:
        """The optimiser's moments after the fit, shape ``(s,)``, for the next fit to go on from."""
        ...

    @property
    def examples(self) -> int:
        """How many examples the fit was made on: n_k."""
        ...

    @property
    def loss(self) -> float:
        """Mean loss over these examples while fitting."""
        ...


class Graded(Protocol):
    """What one gradient over all of a party's examples gives."""

    @property
    def gradient(self) -> Vector:
        """g_k, the gradient of the mean loss F_k, shape ``(p,)``."""
        ...

    @property
    def examples(self) -> int:
        """How many examples the gradient is the mean over: n_k."""
        ...

    @property
    def loss(self) -> float:
        """F_k at the parameters that came in."""
        ...


class Traced(Fitted, Protocol):
    """What one local fit gives that watched its own path."""

    @property
    def steps(self) -> int:
        """How many optimiser steps it took: τ_k."""
        ...

    @property
    def slope(self) -> Vector:
        """Mean over its steps of the gradients of F_k alone, shape ``(p,)``."""
        ...


@dataclass(frozen=True)
class Steering:
    """What bends a local fit: its objective is F_k(θ) + slope · θ + pull/2 ‖θ − anchor‖².

    ``slope`` and ``anchor`` have shape ``(p,)``; ``None`` is 0. ``most_steps`` ends the fit early.
    """

    slope: Vector | None = None
    pull: float = 0.0
    anchor: Vector | None = None
    most_steps: int | None = None


Steered: TypeAlias = Callable[[Vector, Vector | None, int, Steering], Traced]
"""``steered(params, optimizer_state, seed, steering)``; the optimiser gets the bent gradient."""

Fit: TypeAlias = Callable[[Vector, Vector | None, int], Fitted]
"""``fit(params, optimizer_state, seed)``; ``None`` starts the optimiser afresh."""

Gradient: TypeAlias = Callable[[Vector], Graded]
"""``gradient(params)``, deterministic."""

Figures: TypeAlias = Callable[[Vector], Mapping[str, float]]
"""``figures(params)``: named means over a party's examples, of the model that came in."""

Guarded: TypeAlias = Callable[[Vector, int, Root], RingVector]
"""``guarded(params, round, root)``: what a guard lets out of local training, on the grid, ``(t,)``.

The sum of the shoppers' clipped vectors, downhill, with the party's own noise where it adds any.
The root is the party's own of the round, and secret: who of its shoppers is in the round, and the
noise, are derived from it, so that a round that is asked for again gives the same vector again.
"""
