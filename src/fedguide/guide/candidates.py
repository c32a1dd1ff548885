"""The k best items of a whole catalogue, exactly, without scoring every item by hand.

A discover score is dense + sparse: item vector · shopper vector and two static columns for every
item, plus a sparse part on the items the history leads to. faiss scans the dense part and gives
its D best; let ``floor`` be the worst of these. Then

- an item outside the D best that no sparse part touches scores at most ``floor``;
- a touched item outside scores at most ``floor`` + its sparse part, so it is scored exactly
  whenever that could bring it among the best.

The k best are therefore proven when the k-th exact score is above ``floor`` (with a bound on the
rounding of float32 added). When it is not, many items being excluded, say, every item is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import Matrix
from fedguide.models.scorer import ShopModel

_UNIT = float(np.finfo(np.float32).eps)
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
class Question:
    """What is asked of an index; an item's score is dense · query + its sparse part.

    Attributes:
        query: float32 ``(d + 2,)``.
        sparse: float32 ``(n,)``, 0 for most items.
        excluded: int64, items never to be answered, each once.
    """

    query: Matrix
    sparse: Matrix
    excluded: NDArray[np.int64]


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


def best_items(index: Index, question: Question, k: int) -> Best:
    """The k best items that are not excluded; fewer when fewer are left."""
    depth = k + _SPARE
    if depth >= len(index):
        return scan_items(index, question, k)
    found_scores, found = index.flat.search(question.query[None], depth)
    floor = float(found_scores[0, -1]) + _rounding(index, question)
    allowed = np.ones(len(index), np.bool_)
    allowed[question.excluded] = False
    items = found[0][allowed[found[0]]]
    if len(items) < k:
        return scan_items(index, question, k)
    scores = score_items(index, question, items)
    bar = float(np.partition(scores, len(scores) - k)[len(scores) - k])
    if bar <= floor:
        return scan_items(index, question, k)
    # What stands above the bar now or could rise above it; each item once.
    allowed[items] = False
    rising = np.flatnonzero(question.sparse > bar - floor)
    more = rising[allowed[rising]]
    items = np.concatenate([items, more])
    scores = np.concatenate([scores, score_items(index, question, more)])
    return rank_items(items, scores, k, scanned=False)


def scan_items(index: Index, question: Question, k: int) -> Best:
    """The k best by scoring every item roughly, and all that could matter exactly."""
    rough = index.dense @ question.query
    rough += question.sparse
    rough[question.excluded] = -np.inf
    k = min(k, len(index) - len(question.excluded))
    if k <= 0:
        return Best(np.zeros(0, np.int64), np.zeros(0), scanned=True)
    bar = float(np.partition(rough, len(rough) - k)[len(rough) - k])
    largest = float(np.abs(question.sparse).max(initial=0.0))
    slack = _rounding(index, question) + 2 * _UNIT * largest
    items = np.flatnonzero(rough >= bar - 2 * slack)
    return rank_items(items, score_items(index, question, items), k, scanned=True)


def score_items(index: Index, question: Question, items: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores of some items in double precision, shape ``(q,)``."""
    rows = index.dense[items].astype(np.float64)
    scores: NDArray[np.float64] = rows @ question.query.astype(np.float64)
    scores += question.sparse[items]
    return scores


def rank_items(
    items: NDArray[np.int64], scores: NDArray[np.float64], k: int, *, scanned: bool
) -> Best:
    """The k best of items whose scores are known."""
    order = np.lexsort((items, -scores))[:k]
    return Best(items[order], scores[order], scanned)


def _rounding(index: Index, question: Question) -> float:
    """More than a float32 dense score can be off by: terms x unit roundoff x sum of magnitudes.

    Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    """
    terms = index.dense.shape[1] + 2
    size = index.reach * float(np.linalg.norm(question.query))
    return float(terms * _UNIT * size)
