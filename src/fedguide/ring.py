"""The fixed-point grid: real vectors as integers mod 2^b, so that sums are exact.

Floating-point sums depend on their order and cannot be masked. On the grid a value ``x`` becomes
``round(x * 2^fraction_bits)`` mod 2^b; adding is exact in any order, and masks cancel
(Bonawitz et al., "Practical Secure Aggregation", 2017, section 4). Rounding is stochastic and
unbiased: up with the probability of the fraction that is left. The grid is public and the same
for all parties of a task; that their sum cannot wrap around is checked when it is made. With b
below 32 a vector travels in b bits a coordinate (``to_bits``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import (
    ConfigError,
    NotFiniteError,
    OversizedError,
    WrongShapeError,
)
from fedguide.values import Vector

RingVector = NDArray[np.uint32]
"""A vector on the grid, shape ``(p,)``: integers mod 2^b, the upper half negative."""

WORD_BITS = 32  # a coordinate's own word in memory, and the widest modulus
LEAST_MODULUS_BITS = 16
LARGEST = 2**31 - 1  # largest sum mod 2^32 that is not read back as a negative number
MAX_FRACTION_BITS = 30
_BLOCK = 1 << 15  # coordinates rounded or packed at once; a multiple of 8
_ROUNDING_BITS = 22  # the sum of 2^30 units and such a fraction is exact in float64
_PLANES = (16, 8, 4, 2, 1)  # widths, in bits, of the pieces a coordinate below 2^32 is cut into


@dataclass(frozen=True)
class Grid:
    """The public grid of one task.

    Attributes:
        fraction_bits: one unit is ``2^-fraction_bits``.
        max_abs: largest absolute value of one party's coordinate.
        parties: how many vectors may be added.
        noise_units: how far, in units, noise may move a whole sum.
        modulus_bits: b; coordinates are whole numbers mod 2^b.

    Raises:
        ConfigError: the sum could wrap around, or a number is out of its range.
    """

    fraction_bits: int
    max_abs: float
    parties: int
    noise_units: int = 0
    modulus_bits: int = WORD_BITS

    def __post_init__(self) -> None:
        """Checks that the largest possible sum fits."""
        check_modulus(self.modulus_bits)
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
        if largest > largest_total(self.modulus_bits):
            raise ConfigError(
                f"{self.parties} parties with values up to {self.max_abs:g} can add up to "
                f"{largest} units of 2^-{self.fraction_bits}, at most "
                f"{largest_total(self.modulus_bits)} fit",
                hint="fewer fraction_bits or a smaller clip bound",
            )

    @property
    def scale(self) -> float:
        """Units in 1.0, a power of two, so that scaling a float32 loses nothing."""
        return float(2**self.fraction_bits)


def largest_sum(fraction_bits: int, max_abs: float, parties: int) -> int:
    """Largest absolute sum in units: rounding moves a coordinate up to its next integer."""
    return parties * math.ceil(max_abs * (1 << fraction_bits))


def largest_total(modulus_bits: int) -> int:
    """Largest sum mod 2^b, in units, that is not read back as a negative number."""
    return (1 << (modulus_bits - 1)) - 1


def finest_grid(
    max_abs: float, parties: int, noise_units: int = 0, modulus_bits: int = WORD_BITS
) -> Grid:
    """The grid with the most fraction bits on which the sum cannot wrap around.

    Raises:
        ConfigError: not even whole numbers fit, or ``modulus_bits`` is out of range.
    """
    check_modulus(modulus_bits)
    for bits in range(MAX_FRACTION_BITS, 0, -1):
        if largest_sum(bits, max_abs, parties) + noise_units <= largest_total(modulus_bits):
            return Grid(bits, max_abs, parties, noise_units, modulus_bits)
    return Grid(0, max_abs, parties, noise_units, modulus_bits)


def check_modulus(modulus_bits: int) -> None:
    """Returns if coordinates may be taken mod 2^b.

    Raises:
        ConfigError: b is outside [16, 32].
    """
    if not LEAST_MODULUS_BITS <= modulus_bits <= WORD_BITS:
        raise ConfigError(
            f"modulus_bits must be in [{LEAST_MODULUS_BITS}, {WORD_BITS}], got {modulus_bits}"
        )


def to_ring(
    vector: Vector | NDArray[np.float64],
    grid: Grid,
    generator: np.random.Generator,
    factor: float = 1.0,
    out: RingVector | None = None,
) -> RingVector:
    """One party's vector times ``factor`` on the grid, rounded up or down without bias.

    A coordinate x becomes the whole number below x + u, with u a multiple of 2^-22 drawn uniformly
    from [0, 1): up with the probability of the fraction that is left, to within 2^-22; whole
    numbers stay. The result is written to ``out`` where there is one.

    Raises:
        NotFiniteError: a coordinate is NaN or infinite.
        OversizedError: a coordinate times ``factor`` is beyond ``max_abs``.
    """
    result = np.empty(len(vector), np.uint32) if out is None else out
    mask = np.uint32((1 << grid.modulus_bits) - 1)
    # Scaling by a power of two rounds nothing: both factors may be one.
    whole = factor * grid.scale
    scaled, fractions = np.empty(_BLOCK, np.float64), np.empty(_BLOCK, np.float64)
    # Block after block, so that what is in between never leaves a core's own cache.
    for start in range(0, len(vector), _BLOCK):
        part = vector[start : start + _BLOCK]
        x, u = scaled[: len(part)], fractions[: len(part)]
        _check_range(part, factor, grid)
        np.multiply(part, whole, out=x, dtype=np.float64)
        # Whole words of the generator, each for two coordinates: three times as fast.
        words = generator.integers(0, 1 << 64, -(-len(part) // 2), np.uint64)
        draws = words.astype("<u8", copy=False).view("<u4")[: len(part)]
        draws >>= np.uint32(WORD_BITS - _ROUNDING_BITS)
        np.multiply(draws, 2.0**-_ROUNDING_BITS, out=u)
        x += u
        np.floor(x, out=x)
        units = result[start : start + len(part)]
        np.copyto(units.view(np.int32), x, casting="unsafe")
        if grid.modulus_bits < WORD_BITS:
            units &= mask
    return result


def _check_range(part: Vector | NDArray[np.float64], factor: float, grid: Grid) -> None:
    """Returns if these coordinates times ``factor`` are allowed on the grid."""
    # Products are rounded, and in the order of what they are made of: the largest is enough.
    longest = max(float(part.max(initial=0.0)), -float(part.min(initial=0.0)))
    largest = longest * abs(factor)
    if not math.isfinite(largest):
        raise NotFiniteError("a vector for the grid holds NaN or an infinity")
    if largest > grid.max_abs:
        raise OversizedError(f"a coordinate of {largest:g} is beyond max_abs {grid.max_abs:g}")


def reduced(vector: RingVector, modulus_bits: int) -> RingVector:
    """Every coordinate mod 2^b."""
    if modulus_bits == WORD_BITS:
        return vector
    return vector & np.uint32((1 << modulus_bits) - 1)


def add(left: RingVector, right: RingVector) -> RingVector:
    """The sum mod 2^32; the same in any order.

    Raises:
        WrongShapeError: the two have different shapes.
    """
    if left.shape != right.shape:
        raise WrongShapeError(f"cannot add shapes {left.shape} and {right.shape}")
    return left + right


def total(vectors: Iterable[RingVector], size: int, modulus_bits: int = WORD_BITS) -> RingVector:
    """The sum mod 2^b of vectors of shape ``(size,)``; zero when there is none.

    Raises:
        WrongShapeError: a vector has another shape.
    """
    result = np.zeros(size, np.uint32)
    for vector in vectors:
        if vector.shape != result.shape:
            raise WrongShapeError(f"cannot add shape {vector.shape} to shape {result.shape}")
        result += vector
    return reduced(result, modulus_bits)


def from_ring(vector: RingVector, grid: Grid) -> NDArray[np.float64]:
    """The real values of a vector or sum on the grid, exact: multiples of one unit."""
    spare = WORD_BITS - grid.modulus_bits
    # Shifting the sign up into the word's own and back down copies it into the spare bits.
    signed = (vector << np.uint32(spare)).view(np.int32) >> np.int32(spare)
    return signed.astype(np.float64) / grid.scale


def bits_bytes(size: int, modulus_bits: int) -> int:
    """How many bytes ``to_bits`` makes of ``size`` coordinates."""
    return sum(-(-size * width // 8) for width, _ in _planes(modulus_bits))


def to_bits(vector: RingVector, modulus_bits: int) -> NDArray[np.uint8]:
    """A vector mod 2^b in b bits a coordinate, shape ``(bits_bytes(p, b),)``.

    Each coordinate is cut into pieces of 16, 8, 4, 2 and 1 bits, as many as b has; all pieces of
    one width stand together, so that packing is a few passes over whole arrays. With b = 32 it is
    a view.
    """
    if modulus_bits == WORD_BITS:
        return np.ascontiguousarray(vector, "<u4").view(np.uint8)
    size = len(vector)
    data = np.empty(bits_bytes(size, modulus_bits), np.uint8)
    for start in range(0, size, _BLOCK):
        part, plane_at = vector[start : start + _BLOCK], 0
        for width, shift in _planes(modulus_bits):
            at = plane_at + start * width // 8
            piece = _to_plane(part, width, shift)
            data[at : at + len(piece)] = piece
            plane_at += -(-size * width // 8)
    return data


def from_bits(data: NDArray[np.uint8], size: int, modulus_bits: int) -> RingVector:
    """The vector of shape ``(size,)`` that ``to_bits`` made ``data`` of; with b = 32 a view.

    Raises:
        WrongShapeError: ``data`` is not ``bits_bytes(size, b)`` long.
    """
    if data.shape != (bits_bytes(size, modulus_bits),):
        raise WrongShapeError(
            f"{size} coordinates of {modulus_bits} bits have shape "
            f"({bits_bytes(size, modulus_bits)},), got {data.shape}"
        )
    if modulus_bits == WORD_BITS:
        return data.view("<u4").astype(np.uint32, copy=False)
    vector = np.empty(size, np.uint32)
    for start in range(0, size, _BLOCK):
        part, plane_at = vector[start : start + _BLOCK], 0
        part.fill(0)
        for width, shift in _planes(modulus_bits):
            at = plane_at + start * width // 8
            _from_plane(data[at : at + -(-len(part) * width // 8)], part, width, shift)
            plane_at += -(-size * width // 8)
    return vector


def _planes(modulus_bits: int) -> list[tuple[int, int]]:
    """The widths that make up b bits, each with the bit its piece begins at."""
    if modulus_bits == WORD_BITS:
        return [(WORD_BITS, 0)]
    planes, shift = [], 0
    for width in _PLANES:
        if modulus_bits & width:
            planes.append((width, shift))
            shift += width
    return planes


def _to_plane(vector: RingVector, width: int, shift: int) -> NDArray[np.uint8]:
    """One piece of every coordinate, as many to a byte as go in; the first is the lowest."""
    if width >= 8:
        return (vector >> np.uint32(shift)).astype(f"<u{width // 8}").view(np.uint8)
    pieces = ((vector >> np.uint32(shift)) & np.uint32((1 << width) - 1)).astype(np.uint8)
    each = 8 // width
    pieces = np.append(pieces, np.zeros(-len(pieces) % each, np.uint8))
    plane = pieces[0::each].copy()
    for place in range(1, each):
        plane |= pieces[place::each] << np.uint8(place * width)
    return plane


def _from_plane(plane: NDArray[np.uint8], vector: RingVector, width: int, shift: int) -> None:
    """Puts one piece back into every coordinate."""
    if width >= 8:
        vector |= plane.view(f"<u{width // 8}").astype(np.uint32) << np.uint32(shift)
        return
    each, mask = 8 // width, np.uint8((1 << width) - 1)
    pieces = np.empty(len(plane) * each, np.uint8)
    for place in range(each):
        pieces[place::each] = (plane >> np.uint8(place * width)) & mask
    vector |= pieces[: len(vector)].astype(np.uint32) << np.uint32(shift)
