"""The k best items of a whole catalogue, exactly, without scoring every item by hand.

A discover score is dense + sparse: item vector · shopper vector and two static columns for every
item, plus a sparse part on the items the history leads to. The sketch gives the D items whose dense
score can be highest, and ``floor``, which no other dense score exceeds. Then

- an item outside the D that no sparse part touches scores at most ``floor``;
- a touched item outside scores at most ``floor`` + its sparse part, so it is scored exactly
  whenever that could bring it among the best.

The k best are therefore proven when the k-th best score is above ``floor``. When it is not,
because scores are too close or the sparse part pushes the best down, the sketch is asked for more,
and at last every item is scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.sketch import Sketch, highest, sketch_of
from fedguide.models.encoders import Matrix
from fedguide.models.scorer import ShopModel

_UNIT = float(np.finfo(np.float32).eps)

_SPARE, _A_PICK = 352, 16
"""How many candidates the sketch is asked for: some, and some more for each of the k."""

_DEEPER = 8
"""How many times as many when these do not prove the k best."""


@dataclass(frozen=True)
class Index:
    """A catalogue ready to be searched (n items).

    Attributes:
        sketch: the catalogue at four bits a coordinate; ``None`` when every item is scored.
        vectors: float32 ``(n, d)``, the item vectors.
        static: float32 ``(n, 2)``: log(1 + recent sales), log(1 + sales).
        reach: the largest norm of a row of both, for the rounding bound.
    """

    sketch: Sketch | None
    vectors: Matrix
    static: Matrix
    reach: float

    def __len__(self) -> int:
        """Number of items n."""
        return len(self.vectors)


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


def build_index(model: ShopModel, *, searched: bool = True) -> Index:
    """The index of a shop's items; without a sketch where the k best are never searched for."""
    vectors = model.item_vectors
    columns = (np.log1p(model.recent_sales), np.log1p(model.popularity))
    static = np.stack(columns, axis=1).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1) ** 2 + np.linalg.norm(static, axis=1) ** 2
    reach = float(np.sqrt(lengths.max(initial=0.0)))
    sketch = sketch_of(vectors, static) if searched else None
    return Index(sketch, vectors, static, reach)


def best_items(index: Index, question: Question, k: int) -> Best:
    """The k best items that are not excluded; fewer when fewer are left."""
    depth = _SPARE + _A_PICK * k + len(question.excluded)
    for wanted in (depth, _DEEPER * depth):
        if index.sketch is None or wanted >= len(index):
            break
        best = _proven(index, index.sketch, question, k, wanted)
        if best is not None:
            return best
    return scan_items(index, question, k)


def _proven(index: Index, sketch: Sketch, question: Question, k: int, depth: int) -> Best | None:
    """The k best, if the ``depth`` highest ceilings prove them."""
    high = highest(sketch, question.query, depth)
    if high is None:
        return None
    allowed = np.ones(len(index), np.bool_)
    allowed[question.excluded] = False
    items = high.items[allowed[high.items]]
    if len(items) < k:
        return None
    rough, slack = _rough(index, question, items)
    # No less than k items score above the bar.
    bar = float(np.partition(rough, len(rough) - k)[len(rough) - k]) - slack
    if bar <= high.floor:
        return None
    allowed[items] = False
    # One pass over n numbers takes less than to look at the s x k that were added up to them.
    rising = (question.sparse > bar - high.floor).nonzero()[0]
    close = np.concatenate([items[rough >= bar - slack], rising[allowed[rising]]])
    return rank_items(close, score_items(index, question, close), k, scanned=False)


def scan_items(index: Index, question: Question, k: int) -> Best:
    """The k best by scoring every item roughly, and all that could matter exactly."""
    width = index.vectors.shape[1]
    rough = index.vectors @ question.query[:width]
    rough += index.static @ question.query[width:]
    rough += question.sparse
    rough[question.excluded] = -np.inf
    k = min(k, len(index) - len(question.excluded))
    if k <= 0:
        return Best(np.zeros(0, np.int64), np.zeros(0), scanned=True)
    bar = float(np.partition(rough, len(rough) - k)[len(rough) - k])
    slack = _rounding(index, question, question.sparse)
    items = np.flatnonzero(rough >= bar - 2 * slack)
    return rank_items(items, score_items(index, question, items), k, scanned=True)


def _rough(index: Index, question: Question, items: NDArray[np.int64]) -> tuple[Matrix, float]:
    """Scores of some items in single precision, ``(q,)``, and more than they can be off by."""
    width = index.vectors.shape[1]
    sparse = question.sparse.take(items)
    rough: Matrix = index.vectors.take(items, axis=0) @ question.query[:width]
    rough += index.static.take(items, axis=0) @ question.query[width:]
    rough += sparse
    return rough, _rounding(index, question, sparse)


def score_items(index: Index, question: Question, items: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores of some items in double precision, shape ``(q,)``."""
    width, query = index.vectors.shape[1], question.query.astype(np.float64)
    scores: NDArray[np.float64] = index.vectors[items].astype(np.float64) @ query[:width]
    scores += index.static[items].astype(np.float64) @ query[width:]
    scores += question.sparse[items]
    return scores


def rank_items(
    items: NDArray[np.int64], scores: NDArray[np.float64], k: int, *, scanned: bool
) -> Best:
    """The k best of items whose scores are known."""
    order = np.lexsort((items, -scores))[:k]
    return Best(items[order], scores[order], scanned)


def _rounding(index: Index, question: Question, sparse: Matrix) -> float:
    """More than a float32 score can be off by: terms x unit roundoff x sum of magnitudes.

    Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    """
    terms = len(question.query) + 4
    size = index.reach * math.sqrt(float(question.query @ question.query))
    return terms * _UNIT * size + 2 * _UNIT * float(np.abs(sparse).max(initial=0.0))
