"""Clipping: one vector a shopper, cut to a length, put on the integer grid, and checked there.

The most one shopper can move a sum is what all noise is measured by, so it has to be exact. A
vector is shortened to the clipping norm, rounded to whole units of the grid without bias, and the
norm of the *integers* is computed without rounding error; what is too long is shortened and rounded
again (Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated
Learning with Secure Aggregation", 2021, section 4.1; they draw again instead). Integers are summed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fedguide.errors import ConfigError

Norm: TypeAlias = Literal["l1", "l2"]
"""The norm that is bounded: L1 for Laplace noise, L2 for Gaussian."""

MOST_UNITS = 1 << 24
"""Largest bound in units: every whole number up to it is a float32."""

MOST_VECTORS = 1 << 29
"""Most vectors in one sum: with them a float64 holds every sum exactly."""

_RING = 1 << 16  # uniform numbers at least: with few, many narrow vectors would round alike
_TRIES = 4  # of rounding to the nearer side; then towards zero, which never makes a vector longer


@dataclass(frozen=True)
class Bound:
    """The most one vector may measure on the grid.

    Attributes:
        norm: ``"l1"`` or ``"l2"``.
        units: the bound in whole units of the grid.
        size: coordinates of a vector.

    Raises:
        ConfigError: the norm is unknown or a number is out of its range.
    """

    norm: Norm
    units: int
    size: int

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.norm not in ("l1", "l2"):
            raise ConfigError(f"norm must be l1 or l2, got {self.norm!r}")
        if not 1 <= self.units <= MOST_UNITS:
            raise ConfigError(f"units must be in [1, {MOST_UNITS}], got {self.units}")
        if self.size < 1:
            raise ConfigError(f"size must be at least 1, got {self.size}")

    @property
    def target(self) -> float:
        """Units a vector of exactly the clipping norm is scaled to before it is rounded.

        A little less than the bound: rounding a coordinate adds up to 1/4 to the square of an L2
        norm on average, and moves an L1 norm by about half a unit for each root of the size.
        """
        if self.norm == "l2":
            room = math.sqrt(max(self.units**2 - self.size / 4, 0)) - 2
        else:
            room = self.units - 2 * math.sqrt(self.size)
        return max(room, self.units / 2)


@dataclass(frozen=True)
class ClippedSum:
    """What a cohort's clipped vectors add up to.

    Attributes:
        units: Σ of the integer vectors, int64 ``(a,)``; each of them is within the bound.
        count: how many vectors; stays where it is, or is released with noise of its own.
        within: how many of them were not longer than the clipping norm; likewise.
    """

    units: NDArray[np.int64]
    count: int
    within: int


def clipped_sum(
    vectors: Iterable[NDArray[np.float32]], clip: float, bound: Bound, seed: int
) -> ClippedSum:
    """Σ of the vectors, each clipped to ``clip`` and rounded to at most ``bound`` units.

    Args:
        vectors: some at a time, ``(k, a)`` with a at most ``bound.size``. One that is not finite
            counts as 0: an error would tell that somebody's was not.
        clip: the clipping norm; a vector of that length becomes one of ``bound.target`` units.
        bound: the most a vector may measure.
        seed: of the rounding, which need not be secret.

    Raises:
        ConfigError: ``clip`` is not finite and above 0, or vectors are longer than the bound says.
    """
    if not (math.isfinite(clip) and clip > 0):
        raise ConfigError(f"clip must be finite and above 0, got {clip}")
    rng = np.random.default_rng(seed)
    dither: NDArray[np.float32] | None = None
    total = np.zeros(0)
    count = within = 0
    for some in vectors:
        if dither is None:
            # One draw for all, as a ring of which each vector reads from another place on: for
            # every single coordinate of every vector the chance to go up is as it should be.
            ring = rng.random(max(some.shape[1], _RING), np.float32)
            dither = np.concatenate([ring, ring[: some.shape[1]]])
            total = np.zeros(some.shape[1])
        if some.shape[1] > bound.size:
            raise ConfigError(f"vectors have {some.shape[1]} coordinates, at most {bound.size}")
        starts = rng.integers(len(dither) - some.shape[1], size=len(some))
        within += _add_clipped(
            some, clip, bound.target, float(bound.units), bound.norm == "l2", dither, starts, total
        )
        count += len(some)
    return ClippedSum(total.astype(np.int64), count, within)


def integer_norm(vector: NDArray[np.integer[Any]], norm: Norm) -> float:
    """The norm of whole numbers, exact up to the last square root."""
    values = [abs(int(value)) for value in vector]
    return math.sqrt(sum(v * v for v in values)) if norm == "l2" else float(sum(values))


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _add_clipped(
    vectors: Any,
    clip: float,
    target: float,
    units: float,
    is_l2: bool,
    dither: Any,
    starts: Any,
    total: Any,
) -> int:
    """Adds each vector, clipped and rounded, to ``total``; how many were within ``clip``.

    All floats, because processors add those several at a time; those that hold whole numbers are
    exact: a coordinate is at most 2^24 in float32, a norm and a sum at most 2^53 in float64. A
    norm beyond 2^53 may be rounded, and is beyond ``units`` all the same.
    """
    width = vectors.shape[1]
    rounded = np.empty(width, np.float32)
    within = 0
    for row in range(vectors.shape[0]):
        vector = vectors[row]
        length = 0.0
        for j in range(width):
            value = np.float64(vector[j])
            length += value * value if is_l2 else abs(value)
        length = math.sqrt(length) if is_l2 else length
        if not length < np.inf:
            continue
        if length <= clip:
            within += 1
        scale = target / max(clip, length)
        shift = dither[starts[row] :]
        for attempt in range(_TRIES + 1):
            factor = np.float32(scale)
            norm = 0.0
            for j in range(width):
                whole = np.floor(vector[j] * factor + shift[j])
                if attempt == _TRIES:
                    whole = np.trunc(vector[j] * factor)
                rounded[j] = whole
                exact = np.float64(whole)
                norm += exact * exact if is_l2 else abs(exact)
            if norm <= (units * units if is_l2 else units):
                for j in range(width):
                    total[j] += rounded[j]
                break
            scale *= 0.999 * units / (math.sqrt(norm) if is_l2 else norm)
    return within
