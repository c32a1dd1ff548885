"""A catalogue at four bits a coordinate: which items can score high at all, with a proof.

Every coordinate is kept as one of 16 levels (Max, "Quantizing for Minimum Distortion", 1960), and
one column more holds how far the rounded vector is from the true one. By Cauchy and Schwarz a dense
score is then at most its *ceiling*: rounded vector · query + distance x length of the query. A
ceiling is a sum of one number a column, out of 16, and that is what the fast scan of faiss adds up
in registers (André, Kermarrec and Le Scouarnec, "Cache Locality Is Not Enough: High-Performance
Nearest Neighbor Search with Product Quantization Fast Scan", 2015): a fifth of the time that a scan
of half floats takes. The scan rounds each number once more, to 8 bits; that is bounded too.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import Matrix

LOG = logging.getLogger("fedguide.guide")

SMALLEST = 1024
"""Catalogues up to this size are scored item by item in less time."""

_UPPER = (0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0691, 2.7326)
_GAUSSIAN = np.array([*(-level for level in reversed(_UPPER)), *_UPPER], np.float32)
"""The 16 levels of least distortion for a normal variable; Max, 1960, table I, N = 16."""

_TAIL = np.array([*(1 - 2.0 ** (-0.8 * level) for level in range(1, 16)), 1.0])
"""Quantiles of the distances that become levels: the few that are far from their code matter."""

_MORE = 1 + 1e-5
"""Makes a number that was computed in floating point an upper bound of the true one."""

_UNIT = float(np.finfo(np.float32).eps)
_ROWS_AT_ONCE = 8192
_WIDEST = 240
"""Coordinates; the 8-bit numbers of 257 columns are the most that a 16-bit sum can hold."""

_TRIED, _WEIGHTS_TRIED = 8, np.array([0.5, -0.25], np.float32)


@dataclass(frozen=True)
class Sketch:
    """Codes of n items in m columns: d coordinates, two a static column, the distance, a spare.

    Attributes:
        codes: faiss index of the codes, scanned by the sum of a number a column.
        levels: float32 ``(m, 16)``, ascending in each column.
        widths: float32 ``(m,)``, from the lowest level of each column to the highest.
        heights: float32 ``(m,)``, the largest magnitude of each column.
        off: float64 ``(2,)``, the most a static column is off by.
        size: d.
    """

    codes: Any
    levels: Matrix
    widths: Matrix
    heights: Matrix
    off: NDArray[np.float64]
    size: int


@dataclass(frozen=True)
class High:
    """The items with the highest ceilings; every other dense score is at most ``floor``."""

    items: NDArray[np.int64]
    floor: float


def sketch_of(vectors: Matrix, static: Matrix) -> Sketch | None:
    """The sketch of item vectors ``(n, d)`` and static columns ``(n, 2)``.

    ``None`` for a small catalogue or very wide vectors; and where the installed faiss adds
    otherwise than this file assumes, which is logged: answers stay exact, they take longer.
    """
    d = vectors.shape[1]
    if len(vectors) <= SMALLEST or d > _WIDEST:
        return None
    columns = d + 5
    levels = np.zeros((columns + columns % 2, 16), np.float32)
    codes = np.zeros((len(vectors), len(levels)), np.uint8)
    distances = _write_vectors(vectors, levels, codes)
    off = np.array([_write_static(static[:, c], c, d, levels, codes) for c in (0, 1)])
    levels[d + 4] = np.quantile(distances, _TAIL).astype(np.float32) * np.float32(_MORE)
    codes[:, d + 4] = np.searchsorted(levels[d + 4, :-1], distances)
    sketch = Sketch(
        codes=_packed(codes, levels),
        levels=levels,
        widths=levels[:, -1] - levels[:, 0],
        heights=np.abs(levels).max(axis=1),
        off=off,
        size=d,
    )
    if not _adds_as_assumed(sketch, vectors, codes):
        LOG.warning("this faiss adds codes in a way that is not known: every item is scored")
        return None
    return sketch


def highest(sketch: Sketch, query: Matrix, depth: int) -> High | None:
    """The ``depth`` items with the highest ceilings for a query ``(d + 2,)``; at most n.

    ``None`` when the scan cannot tell so many items apart, such as for a query of zeros.
    """
    row = _row(sketch, query)
    bound = _bound(sketch, row)
    if not bound:
        return None
    sums, found = sketch.codes.search(row[None], depth)
    if found[0, -1] < 0:
        return None  # items whose sum rounds to the least there can be are left out by faiss
    first, second = query[sketch.size :].tolist()
    static = abs(first) * float(sketch.off[0]) + abs(second) * float(sketch.off[1])
    return High(found[0], float(sums[0, -1]) + bound + _MORE * static)


def _row(sketch: Sketch, query: Matrix) -> Matrix:
    """A query by columns, shape ``(m,)``."""
    d, row = sketch.size, np.zeros(len(sketch.levels), np.float32)
    row[:d] = query[:d]
    row[d : d + 4] = query[d : d + 2].repeat(2)
    row[d + 4] = _MORE * math.sqrt(float(row[:d] @ row[:d]))
    return row


def _bound(sketch: Sketch, row: Matrix) -> float:
    """More than a sum of the scan can differ from the sum of levels x row; 0 for a zero row.

    Each product is rounded to a whole number of steps, so it is off by half a step. A step is
    1/255 of the widest column, or so large that the sum of all fits into 16 bits.
    """
    sizes = np.abs(row)
    widths = sizes * sketch.widths
    step = max(float(widths.max()) / 255, float(widths.sum()) / 65535)
    # Beside it, single precision: terms x unit roundoff x sum of magnitudes (Higham, section 3.1).
    magnitude = float(sizes @ sketch.heights)
    return (len(row) / 2 + 1) * step + (len(row) + 8) * _UNIT * magnitude


def _write_vectors(vectors: Matrix, levels: Matrix, codes: NDArray[np.uint8]) -> Matrix:
    """Levels and codes of the coordinates; gives the distance of each item from its code."""
    d = vectors.shape[1]
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = np.maximum(vectors.std(axis=0, dtype=np.float64).astype(np.float32), _UNIT)
    levels[:d] = mean[:, None] + spread[:, None] * _GAUSSIAN
    # The nearest level by a table of 256 steps: a level that is not quite the nearest costs little,
    # and the distance is measured from the level that was taken.
    steps = (np.arange(256, dtype=np.float32) - 127.5) / 32
    nearest = np.abs(steps[:, None] - _GAUSSIAN).argmin(axis=1).astype(np.uint8)
    distances = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rest = vectors[start : start + _ROWS_AT_ONCE] - mean
        step = rest * (32 / spread)
        step += 128
        code = nearest.take(np.clip(step, 0, 255, out=step).astype(np.uint8))
        rest -= spread * _GAUSSIAN.take(code)
        rows = slice(start, start + len(rest))
        codes[rows, :d] = code
        distances[rows] = np.sqrt(np.einsum("nd,nd->n", rest, rest))
    # What is subtracted and what is in the table are rounded one after the other.
    slack = 8 * _UNIT * float(np.abs(levels[:d]).max()) * math.sqrt(d)
    return distances * np.float32(_MORE) + np.float32(slack)


def _write_static(
    values: Matrix, which: int, d: int, levels: Matrix, codes: NDArray[np.uint8]
) -> float:
    """Levels and codes of a static column in two, 16 x 16 levels; gives the most it is off by.

    Sales have a long tail: 16 levels alone would be too far apart.
    """
    column, low = d + 2 * which, float(values.min())
    step = max((float(values.max()) - low) / 15, _UNIT)
    coarse = np.rint((values - low) / step).clip(0, 15)
    rest = values - (low + step * coarse)
    fine = np.floor((rest / step + 0.5) * 16).clip(0, 15)
    levels[column] = low + step * np.arange(16)
    levels[column + 1] = step / 16 * (np.arange(16) - 7.5)
    codes[:, column], codes[:, column + 1] = coarse, fine
    taken = (
        levels[column].astype(np.float64)[codes[:, column]]
        + levels[column + 1][codes[:, column + 1]]
    )
    return _MORE * float(np.abs(values - taken).max())


def _packed(codes: NDArray[np.uint8], levels: Matrix) -> Any:
    """A fast-scan index that holds these codes and levels."""
    import faiss

    columns = len(levels)
    plain = faiss.IndexPQ(columns, columns, 4, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(levels.ravel(), plain.pq.centroids)
    plain.is_trained = True
    plain.add_sa_codes(np.ascontiguousarray(codes[:, ::2] | codes[:, 1::2] << 4))
    fast_scan: Any = faiss.IndexPQFastScan  # its stub knows one of its constructors
    return fast_scan(plain)


def _adds_as_assumed(sketch: Sketch, vectors: Matrix, codes: NDArray[np.uint8]) -> bool:
    """Do some scans give the sums of levels that the bound is made for?"""
    for at in np.linspace(0, len(vectors) - 1, _TRIED).astype(int).tolist():
        row = _row(sketch, np.append(vectors[at], _WEIGHTS_TRIED))
        sums, found = sketch.codes.search(row[None], SMALLEST // 2)
        there = found[0] >= 0
        code = codes[found[0, there]].T.astype(np.int64)
        exact = row.astype(np.float64) @ np.take_along_axis(sketch.levels, code, axis=1)
        if np.abs(exact - sums[0, there]).max(initial=0.0) > _bound(sketch, row):
            return False
    return True
