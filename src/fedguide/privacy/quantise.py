"""Numbers in 8 or 4 bits, rounded at random so that no mean is moved.

Alistarh, Grubic, Li, Tomioka and Vojnovic, "QSGD: Communication-Efficient SGD via Gradient
Quantization and Encoding", 2017, section 3.1, with the largest magnitude of a block as its scale
(the paper's norm is for its variance bound; a maximum wastes no level), and k-level stochastic
rounding of Suresh, Yu, Kumar and McMahan, "Distributed Mean Estimation with Limited
Communication", 2017, section 3. A coordinate x of a block with scale s becomes a whole level l of
−L … L with E[l] s / L = x, and |l s / L − x| < s / L. The draws are for rounding only: they hide
nothing, and this is no privacy mechanism.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.values import Vector

WIDTHS = (4, 8)
"""Bits of a level that are offered."""

BLOCK = 512
"""Coordinates that share one scale: four bytes among them are 1.6 % of their levels in 4 bits."""


@dataclass(frozen=True)
class Levels:
    """A quantised vector.

    Attributes:
        bits: of a level.
        packed: levels + L, two to a byte with 4 bits (the first is the lower), shape ``(b,)``.
        scales: largest magnitude of each block, shape ``(⌈n / 512⌉,)``.
    """

    bits: int
    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]


def quantise(vector: Vector, bits: int, generator: np.random.Generator | None) -> Levels:
    """The vector in ``bits`` bits a coordinate; without a generator rounded to the nearest level.

    Rounding to the nearest is biased, with the smaller error: for who keeps the error and adds it
    to the next vector.

    Raises:
        ConfigError: ``bits`` is not one of ``WIDTHS``.
    """
    most = _most(bits)
    scales = (
        np.maximum.reduceat(np.abs(vector), np.arange(0, len(vector), BLOCK)).astype(np.float32)
        if len(vector)
        else np.zeros(0, np.float32)
    )
    steps = _steps(scales, len(vector), most)
    exact = np.divide(vector, steps, out=np.zeros(len(vector)), where=steps > 0)
    draws = 0.5 if generator is None else generator.random(len(vector))
    levels = np.clip(np.floor(exact + draws), -most, most).astype(np.int16) + most
    return Levels(bits, _pack(levels.astype(np.uint8), bits), scales)


def dequantise(levels: Levels, size: int) -> Vector:
    """The vector of shape ``(size,)`` that the levels stand for.

    Raises:
        ConfigError: ``bits`` is not one of ``WIDTHS``.
        WrongShapeError: there are not as many levels or scales as ``size`` needs.
    """
    most = _most(levels.bits)
    wanted = packed_bytes(size, levels.bits), -(-size // BLOCK)
    if (len(levels.packed), len(levels.scales)) != wanted:
        raise WrongShapeError(
            f"{size} numbers in {levels.bits} bits are {wanted[0]} bytes and {wanted[1]} scales, "
            f"got {len(levels.packed)} and {len(levels.scales)}"
        )
    whole = np.minimum(_unpack(levels.packed, size, levels.bits), 2 * most).astype(np.float64)
    return ((whole - most) * _steps(levels.scales, size, most)).astype(np.float32)


def packed_bytes(size: int, bits: int) -> int:
    """How many bytes the levels of ``size`` numbers take."""
    return -(-size * bits // 8)


def _most(bits: int) -> int:
    """L, the largest level."""
    if bits not in WIDTHS:
        raise ConfigError(f"bits must be one of {WIDTHS}, got {bits}")
    return int((1 << (bits - 1)) - 1)


def _steps(scales: NDArray[np.float32], size: int, most: int) -> NDArray[np.float64]:
    """What one level is worth at each coordinate, shape ``(size,)``."""
    return np.repeat(scales.astype(np.float64) / most, BLOCK)[:size]


def _pack(levels: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return levels
    even = np.append(levels, np.zeros(len(levels) % 2, np.uint8))
    packed: NDArray[np.uint8] = even[0::2] | (even[1::2] << np.uint8(4))
    return packed


def _unpack(packed: NDArray[np.uint8], size: int, bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return packed
    pair: NDArray[Any] = np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=1)
    return pair.ravel()[:size]
