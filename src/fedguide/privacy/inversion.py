"""Tables that turn uniform bits into noise of a given law, exactly.

A table cuts the magnitudes of a law into blocks of a power of two. A draw takes a block by
inverting 127-bit thresholds (two 64-bit words are compared, never a float), a place in the block
evenly, and keeps it with probability w(k) / w(start of the block), else starts anew (von
Neumann's rejection; Devroye, "Non-Uniform Random Variate Generation", 1986, section VII.4). So
what is kept has the law itself, at any scale: not a rounding of it, not a sum that is near to it.
Up to ``NARROW`` units each block is one integer: table inversion and nothing else.

What remains: a threshold is cut to 2^-127, magnitudes that weigh less than 2^-140 of w(0) are left
out, the last compare has 2^-103. One draw is within ``DISTANCE`` = 2^-100 of its law in total
variation, n draws within n times that, and a δ grows by no more than (1 + e^ε) times as much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedguide.privacy.laws import EXACT, Answers, DiscreteGaussian, DiscreteLaplace, Law, Polya

DISTANCE = 2.0**-100
"""Total variation between one draw and its law, at most."""

NARROW = 128.0
"""Up to this scale every block of a Gaussian or Laplace table is one integer."""

GAUSSIAN, GEOMETRIC, POLYA = 0, 1, 2
"""Which ratio a sampler has to work out for a block of more than one integer."""

GUIDE_BITS = 12

_THRESHOLD = 1 << 127
_NEGLIGIBLE = Decimal(2) ** -140
_FINE = 32  # blocks are at most 1/32 of the scale, so that nearly every draw is kept
_ROUNDING = 2.0**-40  # more than a float of a few operations is off
_STIRLING = 2.0**-24  # more than the kernel's two terms of the series are off from 64 on


class Table(NamedTuple):
    """A law as a sampler needs it (a tuple, as compiled code takes it); m blocks.

    Attributes:
        high: the first 64 bits of each threshold, uint64 ``(m,)``.
        low: its other 63 bits, uint64 ``(m,)``.
        start: smallest magnitude of each block, int64 ``(m,)``.
        shift: a block has 2^shift magnitudes, uint8 ``(m,)``.
        surely: a place is kept when its draw is below, float64 ``(m,)``.
        guide: first block that a draw with these first bits can be in, int32 ``(2^12,)``.
        kind: ``GAUSSIAN``, ``GEOMETRIC`` or ``POLYA``, the ratio to work out.
        rate: 1/2σ² or 1/scale.
        shape: r of a Pólya law, else 0.
        signed: whether one bit more makes the sign.
        slack: how far a ratio in floating point may be off; nearer ones are worked out exactly.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    start: NDArray[np.int64]
    shift: NDArray[np.uint8]
    surely: NDArray[np.float64]
    guide: NDArray[np.int32]
    kind: int
    rate: float
    shape: float
    signed: bool
    slack: float


@lru_cache(maxsize=64)
def table_of(law: Law) -> Table:
    """The table of a law, made once for each."""
    match law:
        case DiscreteGaussian():
            blocks = _even_blocks(law.sigma)
            return _table(law, blocks, GAUSSIAN, 0.5 / law.sigma**2, signed=True)
        case DiscreteLaplace():
            return _table(law, _even_blocks(law.scale), GEOMETRIC, 1 / law.scale, signed=True)
        case Polya():
            blocks, shape = _widening_blocks(law.scale), 1 / law.divisor
            return _table(law, blocks, POLYA, 1 / law.scale, shape=shape)
        case Answers():
            return _table(law, ((k, 0) for k in range(law.categories)), GEOMETRIC, 0.0)


def largest(law: Law) -> int:
    """The largest magnitude a draw can have."""
    table = table_of(law)
    return int(table.start[-1]) + (1 << int(table.shift[-1])) - 1


def _even_blocks(scale: float) -> Iterator[tuple[int, int]]:
    """Start and shift: 0, which has no sign, on its own, then blocks of one width."""
    shift = 0 if scale <= NARROW else int(math.log2(scale / _FINE))
    yield 0, 0
    start = 1
    while True:
        yield start, shift
        start += 1 << shift


def _widening_blocks(scale: float) -> Iterator[tuple[int, int]]:
    """Start and shift: at most 1/32 of the start and of the scale, as the law is steep near 0.

    Beyond 8 scales, where one draw in 3000 falls, a quarter of the scale will do.
    """
    start = 0
    while True:
        widest = scale / 4 if start > 8 * scale else min(start, scale) / _FINE
        shift = int(math.log2(max(1.0, widest)))
        yield start, shift
        start += 1 << shift


def _table(
    law: Law,
    blocks: Iterator[tuple[int, int]],
    kind: int,
    rate: float,
    *,
    shape: float = 0.0,
    signed: bool = False,
) -> Table:
    starts, shifts, heights = [], [], []
    with localcontext(EXACT):
        for start, shift in blocks:
            weight = law.weight(start)
            if weight < _NEGLIGIBLE:
                break
            starts.append(start)
            shifts.append(shift)
            heights.append(weight * (1 << shift) * (2 if signed and start else 1))
        high, low = _thresholds(heights)
    firsts, widths = np.array(starts, np.int64), np.array(shifts, np.uint8)
    return Table(
        high=high,
        low=low,
        start=firsts,
        shift=widths,
        surely=_surely(firsts, widths, kind, rate, shape),
        guide=_guide(high),
        kind=kind,
        rate=rate,
        shape=shape,
        signed=signed,
        slack=_STIRLING if kind == POLYA else _ROUNDING,
    )


def _thresholds(heights: Sequence[Decimal]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The cumulative shares of 2^127, in two words; a draw is in the first block it is below."""
    sums = list(accumulate(heights))
    cut = [int(partial * _THRESHOLD / sums[-1]) for partial in sums]
    cut[-1] = _THRESHOLD  # every draw is below the last one
    high = np.array([t >> 63 for t in cut[:-1]] + [2**64 - 1], np.uint64)
    low = np.array([t & (2**63 - 1) for t in cut[:-1]] + [2**63], np.uint64)
    return high, low


def _guide(high: NDArray[np.uint64]) -> NDArray[np.int32]:
    first = np.arange(1 << GUIDE_BITS, dtype=np.uint64) << np.uint64(64 - GUIDE_BITS)
    return np.searchsorted(high, first, side="left").astype(np.int32)


def _surely(
    start: NDArray[np.int64], shift: NDArray[np.uint8], kind: int, rate: float, shape: float
) -> NDArray[np.float64]:
    """A lower bound on the ratio w(k) / w(start) within each block."""
    first = start.astype(np.float64)
    place = np.exp2(shift.astype(np.float64)) - 1
    exponent = place * rate
    if kind == GAUSSIAN:
        exponent *= 2 * first + place
    ratio = np.exp(-exponent)
    if kind == POLYA:
        # Gautschi, "Some Elementary Inequalities Relating to the Gamma and Incomplete Gamma
        # Function", 1959, equation 7: Γ(k+r)/Γ(k+1) is between (k+1)^(r-1) and k^(r-1).
        ratio *= (np.maximum(first, 1) / (first + place + 1)) ** (1 - shape)
    return ratio - _ROUNDING
