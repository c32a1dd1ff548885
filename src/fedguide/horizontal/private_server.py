"""The coordinator's step under a guard: an optimiser on noised means, and the clipping norm's.

All of it is post-processing of what was released with noise, so it costs nothing and may keep
what it likes from round to round.
"""

from __future__ import annotations

import numpy as np

from fedguide.errors import ConfigError
from fedguide.horizontal.server import ServerOptimizer
from fedguide.privacy.guard import Guard
from fedguide.values import Vector


def adapting(inner: ServerOptimizer, guard: Guard) -> ServerOptimizer:
    """The optimiser for parameters whose last one is the logarithm of the clipping norm.

    Andrew, Thakkar, McMahan and Ramaswamy, "Differentially Private Learning with Adaptive
    Clipping", 2021, equation 1: C ← C · exp(−η_C (b̄ − γ)), where b̄ is the noised share of vectors
    not longer than C. The model's own step sees the other coordinates.

    Raises:
        ConfigError: the guard's clipping is not adaptive.
    """
    plan = guard.adaptive
    if plan is None:
        raise ConfigError("the guard's clipping norm is fixed")
    # The last coordinate of the mean is bit_units · (2 b̄ − 1), divided as all are.
    bits = guard.bound.target / (2 * guard.bit_units)

    def init(params: Vector) -> Vector:
        return inner.init(params[:-1])

    def update(delta: Vector, memory: Vector, params: Vector) -> tuple[Vector, Vector]:
        model, memory = inner.update(delta[:-1], memory, params[:-1])
        share = float(delta[-1]) * bits + 0.5
        log_clip = float(params[-1]) - plan.step * (share - plan.quantile)
        return np.append(model, np.float32(log_clip)), memory

    return ServerOptimizer(init, update)
