"""The k best items of a whole catalogue, exactly, without scoring every item by hand.

A discover score is dense + sparse: item vector · shopper vector and two static columns for every
item, plus a sparse part on the items the history leads to. faiss scans the dense part and gives
its D best; let ``floor`` be the worst of these. Then

- an item outside the D best that no sparse part touches scores at most ``floor``;
- a touched item outside scores at most ``floor`` + its sparse part, so it is scored exactly
  whenever that could bring it among the best.

The k best are therefore proven when the k-th exact score is at least ``floor`` (plus a bound
on the rounding of float32). When it is not — many items excluded, say — every item is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import Matrix
from fedguide.models.scorer import ShopModel

_SPARE = 96
"""More dense candidates than k: most shoppers' bought items fit in, and the scan costs the same."""


@dataclass(frozen=True)
class Index:
    """A catalogue ready to be searched (n items, d + 2 dense columns).

    Attributes:
        flat: faiss ``IndexFlatIP`` over ``dense``.
        dense: float32 ``(n, d + 2)``: item vector, log(1 + recent sales), log(1 + sales).
        reach: the largest norm of a row, for the rounding bound.
    """

    flat: Any
    dense: Matrix
    reach: float

    def __len__(self) -> int:
        """Number of items n."""
        return len(self.dense)


@dataclass(frozen=True)
class Best:
    """The k highest scores: ``items`` int64 and ``scores`` float64, best first.

    Equal scores are in the order of the catalogue. ``scanned`` says that every item was scored.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float64]
    scanned: bool


def build_index(model: ShopModel) -> Index:
    """The index of a shop's items; its memory is the dense matrix once."""
    import faiss

    columns = (model.item_vectors, np.log1p(model.recent_sales), np.log1p(model.popularity))
    dense = np.column_stack(columns).astype(np.float32)
    flat = faiss.IndexFlatIP(dense.shape[1])
    flat.add(dense)
    if len(dense):
        # faiss keeps its own copy; a view of it saves ours.
        dense = faiss.rev_swig_ptr(flat.get_xb(), dense.size).reshape(dense.shape)
        dense.flags.writeable = False
    reach = float(np.linalg.norm(dense, axis=1).max(initial=0.0))
    return Index(flat, dense, reach)


def best_items(
    index: Index,
    query: Matrix,
    touched: NDArray[np.int64],
    values: Matrix,
    excluded: NDArray[np.int64],
    k: int,
) -> Best:
    """The k best of dense · query + sparse, without the excluded items.

    Args:
        index: the catalogue.
        query: float32 ``(d + 2,)``.
        touched: int64 ``(t,)``, items with a sparse part, ascending, each once.
        values: float32 ``(t,)``, their sparse parts.
        excluded: int64 items never to be answered.
        k: how many, ≥ 1; fewer come back when fewer are left.
    """
    depth = k + _SPARE
    if depth >= len(index):
        return _scan(index, query, touched, values, excluded, k)
    found_scores, found = index.flat.search(query[None], depth)
    slack = _rounding(index, query, values)
    floor = float(found_scores[0, -1]) + slack

    def exact(items: NDArray[np.int64]) -> NDArray[np.float64]:
        return _dense(index, query, items) + _looked_up(touched, values, items)

    # dtype is int64 already; a copy keeps faiss's buffer from being held.
    items = found[0][~np.isin(found[0], excluded)]
    scores = exact(items)
    if len(items) >= k:
        bar = float(np.partition(scores, len(scores) - k)[len(scores) - k])
        rising = touched[values > bar - floor]
        more = rising[~np.isin(rising, np.concatenate([items, excluded]))]
        if len(more):
            items = np.concatenate([items, more])
            scores = np.concatenate([scores, exact(more)])
        best = _sorted(items, scores, k, scanned=False)
        if best.scores[-1] >= floor:
            return best
    return _scan(index, query, touched, values, excluded, k)


def _scan(
    index: Index,
    query: Matrix,
    touched: NDArray[np.int64],
    values: Matrix,
    excluded: NDArray[np.int64],
    k: int,
) -> Best:
    """The k best by scoring every item roughly and all that could matter exactly."""
    rough = index.dense @ query
    rough[touched] += values
    rough[excluded] = -np.inf
    allowed = len(index) - len(np.unique(excluded))
    k = min(k, allowed)
    if k <= 0:
        return Best(np.zeros(0, np.int64), np.zeros(0), scanned=True)
    bar = float(np.partition(rough, len(rough) - k)[len(rough) - k])
    items = np.flatnonzero(rough >= bar - 2 * _rounding(index, query, values))
    items = items[np.isfinite(rough[items])]
    scores = _dense(index, query, items) + _looked_up(touched, values, items)
    return _sorted(items, scores, k, scanned=True)


def score_items(
    index: Index,
    query: Matrix,
    touched: NDArray[np.int64],
    values: Matrix,
    items: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Scores of some items, in double precision, shape ``(q,)``."""
    return _dense(index, query, items) + _looked_up(touched, values, items)


def ranked(items: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> Best:
    """The k best of items whose scores are known."""
    return _sorted(items, scores, k, scanned=True)


def _dense(index: Index, query: Matrix, items: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = index.dense[items].astype(np.float64)
    scores: NDArray[np.float64] = rows @ query.astype(np.float64)
    return scores


def _looked_up(
    touched: NDArray[np.int64], values: Matrix, items: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The sparse part of each item, 0 where there is none."""
    if not len(touched):
        return np.zeros(len(items))
    at = np.minimum(np.searchsorted(touched, items), len(touched) - 1)
    return np.where(touched[at] == items, values[at], np.float32(0)).astype(np.float64)


def _sorted(
    items: NDArray[np.int64], scores: NDArray[np.float64], k: int, *, scanned: bool
) -> Best:
    order = np.lexsort((items, -scores))[:k]
    return Best(items[order], scores[order], scanned)


def _rounding(index: Index, query: Matrix, values: Matrix) -> float:
    """More than a float32 score can be off by: terms x unit roundoff x the sum of magnitudes.

    Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    """
    terms = index.dense.shape[1] + 2
    size = index.reach * float(np.linalg.norm(query)) + float(np.abs(values).max(initial=0.0))
    return terms * float(np.finfo(np.float32).eps) * size
