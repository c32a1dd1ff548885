"""Draws of noise on the integer grid, exact and reproducible from a root.

The law is stated in ``laws``, the method and its statistical distance (2^-100 a draw) in
``inversion``; the bits are an AES-CTR keystream. One root, law and labels give the same noise
again, in any process and on any machine, and a longer draw begins with the shorter one; any other
root, law, scale or label gives independent noise. So every release has labels of its own.

Out of scope, and said in ``docs/threat.md``: how long a draw takes depends on what is drawn, and
could be told by who shares the processor.
"""

from __future__ import annotations

from types import ModuleType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.privacy.bits import Bits, Words
from fedguide.privacy.inversion import Table, largest, table_of
from fedguide.privacy.laws import (
    EXACT,
    DiscreteGaussian,
    DiscreteLaplace,
    Law,
    weight_ratio,
)
from fedguide.seeds import Label, Root

Noise: TypeAlias = NDArray[np.int32] | NDArray[np.int64]
"""Integers in units of the grid, shape ``(n,)``; int32 where every value of the law fits."""


def discrete_gaussian(sigma: float, size: int, root: Root, *labels: Label) -> Noise:
    """``size`` independent draws of ``DiscreteGaussian(sigma)``.

    Raises:
        ConfigError: a figure is out of its range, no label, or numba is not installed.
    """
    return draw(DiscreteGaussian(sigma), size, root, *labels)


def discrete_laplace(scale: float, size: int, root: Root, *labels: Label) -> Noise:
    """``size`` independent draws of ``DiscreteLaplace(scale)``.

    Raises:
        ConfigError: a figure is out of its range, no label, or numba is not installed.
    """
    return draw(DiscreteLaplace(scale), size, root, *labels)


def draw(law: Law, size: int, root: Root, *labels: Label) -> Noise:
    """``size`` independent draws of any law.

    Raises:
        ConfigError: ``size`` is below 0, no label, or numba is not installed.
    """
    if size < 0:
        raise ConfigError(f"size must be at least 0, got {size}")
    if not labels:
        raise ConfigError("noise needs at least one label, got none")
    # The law is a label too: one stream read by two laws would give related noise.
    return fill_from(Bits(root, repr(law), *labels), law, table_of(law), size)


def fill_from(bits: Bits, law: Law, table: Table, size: int) -> Noise:
    """``size`` draws of ``law`` by its ``table`` from the stream ``bits``.

    Raises:
        ConfigError: numba is not installed.
    """
    kernels = _kernels()
    fits = largest(law) < 1 << 31
    out: Noise = np.empty(size, np.int32) if fits else np.empty(size, np.int64)
    words, used, done = bits.chunk(), 0, 0
    while True:
        done, used, why = kernels.fill(table, out, done, words, used)
        if why == kernels.FILLED:
            return out
        if why == kernels.UNSURE:
            value = _settled(law, table, words[used : used + kernels.WORDS_A_DRAW])
            used += kernels.WORDS_A_DRAW
            if value is not None:
                out[done] = value
                done += 1
        else:
            words, used = np.concatenate([words[used:], bits.chunk()]), 0


def _settled(law: Law, table: Table, words: Words) -> int | None:
    """One draw whose last compare is too close for a float, made exactly; none if not kept."""
    block, sign, placed, compared = (int(word) for word in words)
    low = np.uint64(sign >> 1)
    high = np.uint64(block)
    below = (high < table.high) | ((high == table.high) & (low < table.low))
    i = int(np.argmax(below))
    shift, start = int(table.shift[i]), int(table.start[i])
    place = placed & ((1 << shift) - 1)
    uniform = (compared << (64 - shift)) | (placed >> shift)
    # uniform / 2^(128 - shift) < ratio, in exact integers on the left
    if uniform >= EXACT.multiply(weight_ratio(law, start, place), 1 << (128 - shift)):
        return None
    return -(start + place) if table.signed and sign & 1 else start + place


def _kernels() -> ModuleType:
    """The compiled loops, imported when noise is drawn and not before: numba takes a second."""
    try:
        from fedguide.privacy import kernels
    except ImportError:
        raise ConfigError(
            "exact noise is drawn with the package numba, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from None
    return kernels
