"""The fixed-point grid: real vectors as integers mod 2^32, so that sums are exact.

Floating-point sums depend on their order and cannot be masked. On the grid a value ``x`` becomes
``round(x * 2^fraction_bits)`` mod 2^32; adding is exact in any order, and masks cancel
(Bonawitz et al., "Practical Secure Aggregation", 2017, section 4). Rounding is stochastic and
unbiased: up with the probability of the fraction that is left. The grid is public and the same
for all parties of a task; that their sum cannot wrap around is checked when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, NotFiniteError, OversizedError, WrongShapeError
from fedguide.values import Vector

RingVector = NDArray[np.uint32]
"""A vector on the grid, shape ``(p,)``: integers mod 2^32, the upper half negative."""

LARGEST = 2**31 - 1  # largest sum that is not read back as a negative number
MAX_FRACTION_BITS = 30


@dataclass(frozen=True)
class Grid:
    """The public grid of one task.

    Attributes:
        fraction_bits: one unit is ``2^-fraction_bits``.
        max_abs: largest absolute value of one party's coordinate.
        parties: how many vectors may be added.
        noise_units: how far, in units, noise may move a whole sum.

    Raises:
        ConfigError: the sum could wrap around, or a number is out of its range.
    """

    fraction_bits: int
    max_abs: float
    parties: int
    noise_units: int = 0

    def __post_init__(self) -> None:
        """Checks that the largest possible sum fits."""
        if not 0 <= self.fraction_bits <= MAX_FRACTION_BITS:
            raise ConfigError(
                f"fraction_bits must be in [0, {MAX_FRACTION_BITS}], got {self.fraction_bits}"
            )
        if not (math.isfinite(self.max_abs) and self.max_abs > 0):
            raise ConfigError(f"max_abs must be finite and above 0, got {self.max_abs}")
        if self.parties < 1 or self.noise_units < 0:
            raise ConfigError(
                f"parties must be at least 1 and noise_units at least 0, got {self.parties} "
                f"and {self.noise_units}"
            )
        largest = largest_sum(self.fraction_bits, self.max_abs, self.parties) + self.noise_units
        if largest > LARGEST:
            raise ConfigError(
                f"{self.parties} parties with values up to {self.max_abs:g} can add up to "
                f"{largest} units of 2^-{self.fraction_bits}, at most {LARGEST} fit",
                hint="fewer fraction_bits or a smaller clip bound",
            )

    @property
    def scale(self) -> float:
        """Units in 1.0, a power of two, so that scaling a float32 loses nothing."""
        return float(2**self.fraction_bits)


def largest_sum(fraction_bits: int, max_abs: float, parties: int) -> int:
    """Largest absolute sum in units: rounding moves a coordinate up to its next integer."""
    return parties * math.ceil(max_abs * (1 << fraction_bits))


def finest_grid(max_abs: float, parties: int, noise_units: int = 0) -> Grid:
    """The grid with the most fraction bits on which the sum cannot wrap around.

    Raises:
        ConfigError: not even whole numbers fit.
    """
    for bits in range(MAX_FRACTION_BITS, 0, -1):
        if largest_sum(bits, max_abs, parties) + noise_units <= LARGEST:
            return Grid(bits, max_abs, parties, noise_units)
    return Grid(0, max_abs, parties, noise_units)


def to_ring(vector: Vector, grid: Grid, generator: np.random.Generator) -> RingVector:
    """One party's vector on the grid, each coordinate rounded up or down without bias.

    Raises:
        NotFiniteError: a coordinate is NaN or infinite.
        OversizedError: a coordinate is beyond ``max_abs``.
    """
    scaled = vector.astype(np.float64)
    largest = float(np.abs(scaled).max(initial=0.0))
    if not math.isfinite(largest):
        raise NotFiniteError("a vector for the grid holds NaN or an infinity")
    if largest > grid.max_abs:
        raise OversizedError(f"a coordinate of {largest:g} is beyond max_abs {grid.max_abs:g}")
    scaled *= grid.scale
    low = np.floor(scaled)
    scaled -= low
    low += generator.random(scaled.shape) < scaled
    return low.astype(np.int64).astype(np.uint32)


def add(left: RingVector, right: RingVector) -> RingVector:
    """The sum mod 2^32; the same in any order.

    Raises:
        WrongShapeError: the two have different shapes.
    """
    if left.shape != right.shape:
        raise WrongShapeError(f"cannot add shapes {left.shape} and {right.shape}")
    return left + right


def total(vectors: Iterable[RingVector], size: int) -> RingVector:
    """The sum mod 2^32 of vectors of shape ``(size,)``; zero when there is none.

    Raises:
        WrongShapeError: a vector has another shape.
    """
    result = np.zeros(size, np.uint32)
    for vector in vectors:
        if vector.shape != result.shape:
            raise WrongShapeError(f"cannot add shape {vector.shape} to shape {result.shape}")
        result += vector
    return result


def from_ring(vector: RingVector, grid: Grid) -> NDArray[np.float64]:
    """The real values of a vector or sum on the grid, exact: multiples of one unit."""
    return vector.view(np.int32).astype(np.float64) / grid.scale
