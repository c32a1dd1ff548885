"""The k best items of a whole catalogue, exactly, without scoring every item by hand.

A discover score is dense + sparse: item vector · shopper vector and two static columns for every
item, plus a sparse part on the items the history leads to. faiss scans the dense part, kept as half
floats, and gives its D best; let ``floor`` be the worst of these plus a bound on all rounding. Then

- an item outside the D best that no sparse part touches scores at most ``floor``;
- a touched item outside scores at most ``floor`` + its sparse part, so it is scored exactly
  whenever that could bring it among the best.

The k best are therefore proven when the k-th exact score is above ``floor``. When it is not,
because scores are too close or the sparse part pushes the best down, every item is scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.encoders import Matrix
from fedguide.models.scorer import ShopModel

_UNIT = float(np.finfo(np.float32).eps)
_HALF_UNIT = 2.0**-11
_SMALLEST_HALF = 2.0**-24
_LARGEST_HALF = 65504.0
_ROWS_AT_ONCE = 8192
"""Rows made into half floats together: no second copy of the catalogue is ever in memory."""

_SPARE = 22
"""More dense candidates than k, besides the excluded, to bring the floor well below the k-th."""


@dataclass(frozen=True)
class Index:
    """A catalogue ready to be searched (n items).

    Attributes:
        halves: faiss index of inner products over vectors and static columns as half floats.
        width: its columns, d + 2 filled up to a multiple of 16.
        vectors: float32 ``(n, d)``, the item vectors.
        static: float32 ``(n, 2)``: log(1 + recent sales), log(1 + sales).
        reach: the largest norm of a row of both, for the rounding bound.
    """

    halves: Any
    width: int
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
        touched: every item whose sparse part is not 0; items may repeat, and -1 stands for none.
        excluded: int64, items never to be answered, each once.
    """

    query: Matrix
    sparse: Matrix
    touched: NDArray[np.int32]
    excluded: NDArray[np.int64]


@dataclass(frozen=True)
class Best:
    """The k highest scores: ``items`` int64 and ``scores`` float64, best first.

    Equal scores are in the order of the catalogue. ``scanned`` says that every item was scored.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float64]
    scanned: bool


def build_index(model: ShopModel, threads: int = 1) -> Index:
    """The index of a shop's items, scanned by ``threads`` threads, each its own part.

    Raises:
        ConfigError: ``threads`` is below 1, or a vector is too large for half floats.
    """
    import faiss

    if threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    vectors = model.item_vectors
    static = np.stack([np.log1p(model.recent_sales), np.log1p(model.popularity)], axis=1)
    static = static.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1) ** 2 + np.linalg.norm(static, axis=1) ** 2
    # faiss reads sixteen half floats at a time where it can; columns of zeros change no product.
    width = vectors.shape[1] + 2 + -(vectors.shape[1] + 2) % 16
    bounds = np.linspace(0, len(vectors), min(threads, max(1, len(vectors))) + 1).astype(int)
    parts = [
        _halves(vectors[start:stop], static[start:stop], width)
        for start, stop in pairwise(bounds.tolist())
    ]
    halves: Any = parts[0]
    if len(parts) > 1:
        # (dimensions, one thread a part, numbers run on from part to part)
        sharded: Any = faiss.IndexShards  # its stub knows one of its constructors
        halves = sharded(width, True, True)
        for part in parts:
            halves.add_shard(part)
    reach = float(np.sqrt(lengths.max(initial=0.0)))
    return Index(halves, width, vectors, static, reach)


def _halves(vectors: Matrix, static: Matrix, width: int) -> Any:
    """A faiss index of some items; no second copy of them in single precision is made."""
    import faiss

    part = faiss.IndexScalarQuantizer(
        width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    codes = np.empty((len(vectors), part.code_size), np.uint8)
    d = vectors.shape[1]
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        dense = np.zeros((len(codes[some]), width), np.float32)
        dense[:, :d], dense[:, d : d + 2] = vectors[some], static[some]
        largest = float(np.abs(dense).max())
        if largest > _LARGEST_HALF:
            raise ConfigError(f"item vectors must lie within ±{_LARGEST_HALF:g}, got {largest:g}")
        codes[some] = part.sa_encode(dense)
    part.add_sa_codes(codes)
    return part


def best_items(index: Index, question: Question, k: int) -> Best:
    """The k best items that are not excluded; fewer when fewer are left."""
    depth = k + _SPARE + len(question.excluded)
    if depth >= len(index):
        return scan_items(index, question, k)
    query = np.zeros((1, index.width), np.float32)
    query[0, : len(question.query)] = question.query
    found_scores, found = index.halves.search(query, depth)
    floor = float(found_scores[0, -1]) + _rounding(index, question) + _halving(index, question)
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
    more = _rising(question, bar - floor)
    more = more[allowed[more]]
    if len(more):
        items = np.concatenate([items, more])
        scores = np.concatenate([scores, score_items(index, question, more)])
    return rank_items(items, scores, k, scanned=False)


def _rising(question: Question, least: float) -> NDArray[np.int64]:
    """The items whose sparse part is above ``least``, which is above 0; each once."""
    touched = question.touched
    high = touched[question.sparse.take(touched, mode="wrap") > least]
    return np.unique(high[high >= 0]).astype(np.int64)


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
    largest = float(np.abs(question.sparse).max(initial=0.0))
    slack = _rounding(index, question) + 2 * _UNIT * largest
    items = np.flatnonzero(rough >= bar - 2 * slack)
    return rank_items(items, score_items(index, question, items), k, scanned=True)


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


def _rounding(index: Index, question: Question) -> float:
    """More than a float32 dense score can be off by: terms x unit roundoff x sum of magnitudes.

    Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    """
    terms = len(question.query) + 2
    size = index.reach * float(np.linalg.norm(question.query))
    return float(terms * _UNIT * size)


def _halving(index: Index, question: Question) -> float:
    """More than a dense score can be off by because its row is kept as half floats.

    Each coordinate is off by at most 2^-11 of itself, or 2^-24 where it is tiny; by Cauchy and
    Schwarz the products together by that much of both norms.
    """
    size = float(np.linalg.norm(question.query))
    return size * (_HALF_UNIT * index.reach + _SMALLEST_HALF * math.sqrt(index.width))
