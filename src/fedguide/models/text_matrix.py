"""A shop's text features as a sparse matrix that changes from round to round only in its factors.

Item vectors are this matrix times the table of the active buckets; the slopes of the table are its
transpose times the slopes by row, once for every shopper of a round, which is most of the time that
training under differential privacy takes. So the order of the transpose is worked out once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TextMatrix:
    """Which of the ``active`` buckets each row's features fall into (r rows, a buckets, p places).

    Attributes:
        active: ``(a,)``, ascending: numbers of the buckets.
        starts: ``(r + 1,)``: row i has the places ``starts[i]:starts[i + 1]``.
        columns: ``(p,)``, index into ``active``; each at most once in a row.
        bucket_starts: ``(a + 1,)``: bucket j has so many places of the two below.
        places: ``(p,)``, by bucket, then by row: which place.
        rows: ``(p,)``, its row.
    """

    active: Ints
    starts: Ints
    columns: Ints
    bucket_starts: Ints
    places: Ints
    rows: Ints

    def dropped(self, rng: np.random.Generator, share: float) -> Floats:
        """Factors ``(p,)``: 0 for a share of the places, the others raised."""
        kept = rng.random(len(self.columns)) >= share
        return kept.astype(np.float32) / np.float32(1 - share)

    def sparse(self, factors: Floats) -> Any:
        """The matrix ``(r, a)`` with these factors."""
        shape = (len(self.starts) - 1, len(self.active))
        return csr_matrix((factors, self.columns, self.starts), shape=shape)

    def add_transposed(self, factors: Floats, slopes: Floats, out: Floats) -> None:
        """Adds the transpose times slopes by row, ``(k, r, d)``, to ``out``, ``(k, a d)``."""
        by_bucket = factors[self.places]
        for one, into in zip(slopes, out, strict=True):
            _add_transposed(
                self.bucket_starts, self.rows, by_bucket, one, into.reshape(-1, one.shape[1])
            )

    def add_rows(self, factors: Floats, chosen: Ints, slopes: Floats, out: Floats) -> None:
        """Adds slopes ``(k, s, d)`` of the rows ``chosen``, ``(k, s)``, to ``out``, as above."""
        for rows, one, into in zip(chosen, slopes, out, strict=True):
            _add_rows(self.starts, self.columns, factors, rows, one, into.reshape(-1, one.shape[1]))


def text_matrix(active: Ints, rows: Ints, columns: Ints, count: int) -> TextMatrix:
    """The matrix of places: ``rows`` ascending, ``(p,)``, and their columns; ``count`` rows."""
    order = np.argsort(columns, kind="stable")
    return TextMatrix(
        active,
        np.searchsorted(rows, np.arange(count + 1)),
        columns,
        np.searchsorted(columns[order], np.arange(len(active) + 1)),
        order,
        rows[order],
    )


@njit(cache=True, nogil=True)
def _add_transposed(bucket_starts: Any, rows: Any, factors: Any, slopes: Any, out: Any) -> None:
    for bucket in range(len(out)):
        for at in range(bucket_starts[bucket], bucket_starts[bucket + 1]):
            factor, row = factors[at], rows[at]
            if factor != 0:
                for j in range(out.shape[1]):
                    out[bucket, j] += factor * slopes[row, j]


@njit(cache=True, nogil=True)
def _add_rows(starts: Any, columns: Any, factors: Any, chosen: Any, slopes: Any, out: Any) -> None:
    for nth in range(len(chosen)):
        for at in range(starts[chosen[nth]], starts[chosen[nth] + 1]):
            for j in range(out.shape[1]):
                out[columns[at], j] += factors[at] * slopes[nth, j]
