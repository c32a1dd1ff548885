"""Additive shares modulo 2^60 of fixed-point numbers, and their rounding without a word.

Two sides hold x as u + v modulo 2^60. Sums and products with public whole numbers are done by each
side alone. Dropping low bits as well: Mohassel and Zhang, "SecureML: A System for Scalable
Privacy-Preserving Machine Learning", 2017, section 4.1: the result is off by at most one unit,
except with probability |x| / 2^60, when it is wholly wrong. Whoever opens the result has to
look whether it is within its bounds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.digits import signed

SHARE_BITS = 60

Shares: TypeAlias = NDArray[np.int64]
"""One side's shares, within [-2^59, 2^59)."""

Side: TypeAlias = Literal[0, 1]


def reduced(values: NDArray[np.int64]) -> Shares:
    """Values modulo 2^60; sums and products may have wrapped around 2^64 before."""
    return signed(values, SHARE_BITS)


def rounded(shares: Shares, bits: int, side: Side) -> Shares:
    """This side's shares of ``x / 2^bits``."""
    if bits == 0:
        return shares
    if side == 0:
        return reduced(shares >> bits)
    return reduced(-(-shares >> bits))


def chance_of_failure(largest: float, roundings: float) -> float:
    """Chance that one of that many roundings of values up to ``largest`` goes wrong, at most."""
    return min(1.0, largest * roundings * 2.0**-SHARE_BITS)
