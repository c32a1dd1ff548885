"""A few coordinates instead of all: the largest, or ones that everybody drew alike.

Which coordinates are a party's largest follows from its data, so parties choose different ones:
sums under masks, which need the same coordinates of everybody, take a common random choice
instead. What is left out is not lost where the party keeps it and adds it to its next vector:
Karimireddy, Rebjock, Stich and Jaggi, "Error Feedback Fixes SignSGD and other Gradient Compression
Schemes", 2019, algorithm 1 (EF-SGD) with the top-k compressor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import MalformedError
from fedguide.seeds import Root, stream
from fedguide.values import Vector

_ESCAPE = 255


def largest(vector: Vector, count: int) -> NDArray[np.int64]:
    """Where the ``count`` coordinates of largest magnitude are, ascending."""
    if count >= len(vector):
        return np.arange(len(vector))
    return np.sort(np.argpartition(np.abs(vector), len(vector) - count)[len(vector) - count :])


def common(size: int, count: int, public: Root, *labels: str | int) -> NDArray[np.int64]:
    """``count`` of ``size`` coordinates, ascending: the same for all who hold ``public``."""
    draws = stream(public, "common coordinates", *labels)
    return np.sort(draws.choice(size, count, replace=False))


def to_gaps(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Ascending places as the gaps between them, mostly one byte each.

    A byte of 255 says that the gap is 255 longer and goes on.
    """
    gaps = np.diff(places, prepend=-1) - 1
    long = gaps // _ESCAPE
    written = np.full(int(long.sum()) + len(gaps), _ESCAPE, np.uint8)
    written[np.cumsum(long + 1) - 1] = gaps % _ESCAPE
    return written


def from_gaps(gaps: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """The places that these gaps stand for.

    Raises:
        MalformedError: they end in the middle of a gap, or lead beyond ``size``.
    """
    ends = gaps < _ESCAPE
    if len(gaps) and not ends[-1]:
        raise MalformedError("gaps end in the middle of one")
    places = np.cumsum(gaps, dtype=np.int64)[ends] + np.arange(int(ends.sum()))
    if len(places) and places[-1] >= size:
        raise MalformedError(f"gaps lead to {places[-1]}, beyond the {size} coordinates")
    return places
