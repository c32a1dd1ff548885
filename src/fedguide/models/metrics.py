"""How good a ranking is: NDCG@10, Recall@20, HR@10 and MRR over the full ranking.

Every item of the shop is ranked; nothing is sampled (Krichene and Rendle, "On Sampled Metrics
for Item Recommendation", 2020, show why). Ties count half: an item's rank is 1 + the number of
items that score higher + half the number of *other* items that score the same, so that a model
that says nothing (all scores equal) is ranked in the middle, not on top. A half rank enters as
it is: it is inside @k if rank <= k, and it is discounted by 1 / log2(1 + rank). A group of tied
targets may so count k + 1 of them inside @k; NDCG and recall are capped at 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError, WrongShapeError

METRICS = ("ndcg10", "recall20", "hr10", "mrr")
"""Names of the metrics, in the order in which tables show them."""


FEW = 8
"""Up to so many targets are compared with every item; for more, sorting the items is cheaper."""


@dataclass(frozen=True)
class Targets:
    """The right answers of q questions: question ``i`` wants ``items[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: int64 ``(q + 1,)``; every question wants at least one item.
        items: int64 ``(targets,)``, each at most once per question.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of questions q."""
        return len(self.offsets) - 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """The question of each target, shape ``(targets,)``."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True)
class Metrics:
    """One value per question; every field has shape ``(q,)`` and lies in [0, 1]."""

    ndcg10: NDArray[np.float64]
    recall20: NDArray[np.float64]
    hr10: NDArray[np.float64]
    mrr: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of questions q."""
        return len(self.ndcg10)


def ranks(scores: NDArray[np.float32], targets: Targets) -> NDArray[np.float64]:
    """The rank of every target among all items, ties half, shape ``(targets,)``; 1 is best.

    ``scores`` has shape ``(q, n)``; an item that is not to be ranked scores ``-inf``.

    Raises:
        WrongShapeError: scores and targets do not have the same number of questions.
        DataError: a score is NaN.
    """
    if scores.ndim != 2 or len(scores) != len(targets):
        raise WrongShapeError(f"scores must have shape ({len(targets)}, n), got {scores.shape}")
    if np.isnan(scores).any():
        raise DataError("scores must be numbers, got NaN")
    result = np.empty(len(targets.items))
    for row, line in enumerate(scores):
        mine = slice(int(targets.offsets[row]), int(targets.offsets[row + 1]))
        wanted = line[targets.items[mine]]
        if len(wanted) <= FEW:
            higher = (line > wanted[:, None]).sum(axis=1)
            same = (line == wanted[:, None]).sum(axis=1)
        else:
            ordered = np.sort(line)
            after = np.searchsorted(ordered, wanted, side="right")
            higher, same = len(line) - after, after - np.searchsorted(ordered, wanted, side="left")
        result[mine] = 1 + higher + 0.5 * (same - 1)
    return result


def measure(scores: NDArray[np.float32], targets: Targets) -> Metrics:
    """All metrics of every question; ``scores`` as in ``ranks``.

    NDCG@10 is Järvelin and Kekäläinen's with binary gains, against the best order of the
    targets. Recall@20 divides by the number of targets, at most 20. MRR is 1 / the best
    target's rank.

    Raises:
        WrongShapeError, DataError: as ``ranks``; a question without a target.
    """
    if (np.diff(targets.offsets) < 1).any():
        raise DataError("every question needs at least one target")
    return from_ranks(ranks(scores, targets), targets)


def from_ranks(rank: NDArray[np.float64], targets: Targets) -> Metrics:
    """All metrics from the targets' ranks, shape ``(targets,)``."""
    if not len(targets):
        empty = np.zeros(0)
        return Metrics(empty, empty, empty, empty)
    starts = targets.offsets[:-1]
    count = np.diff(targets.offsets)
    gains = np.where(rank <= 10, 1 / np.log2(1 + rank), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))
    best = np.minimum.reduceat(rank, starts)
    return Metrics(
        ndcg10=np.minimum(np.add.reduceat(gains, starts) / ideal[np.minimum(count, 10) - 1], 1),
        recall20=np.minimum(
            np.add.reduceat(rank <= 20, starts, dtype=np.float64) / np.minimum(count, 20), 1
        ),
        hr10=(best <= 10).astype(np.float64),
        mrr=1 / best,
    )


def exposure_at(
    scores: NDArray[np.float32], items: NDArray[np.integer], k: int
) -> NDArray[np.float64]:
    """ER@k of some items: to what share of shoppers each is shown among the best k.

    Zhang et al., "PipAttack", WSDM 2022, section 5.1. ``scores`` has shape ``(q, n)``; an item
    at ``-inf`` is not ranked for that shopper, who does not count for it. Ties count half, as
    in ``ranks``. The result has one value an item, NaN for one that is ranked for nobody.
    """
    shown, asked = np.zeros(len(items)), np.zeros(len(items))
    for line in scores:
        wanted = line[items]
        there = np.isfinite(wanted)
        higher = (line > wanted[:, None]).sum(axis=1)
        same = (line == wanted[:, None]).sum(axis=1)
        shown += there & (1 + higher + 0.5 * (same - 1) <= k)
        asked += there
    with np.errstate(invalid="ignore"):
        rates: NDArray[np.float64] = shown / asked
    return rates


def ndcg_at(scores: NDArray[np.float32], targets: Targets, k: int) -> NDArray[np.float64]:
    """NDCG@k of every question, shape ``(q,)``, without sorting what is far below rank k.

    Exactly ``measure``'s value (with its k): among the best 2k + 1 of a row, a group of ties that
    goes on below them has a middle rank beyond k, wherever it begins.

    Raises:
        WrongShapeError: scores and targets do not have the same number of questions.
    """
    if scores.ndim != 2 or len(scores) != len(targets):
        raise WrongShapeError(f"scores must have shape ({len(targets)}, n), got {scores.shape}")
    n = scores.shape[1]
    block = min(2 * k + 1, n)
    top = np.partition(scores, n - block, axis=1)[:, n - block :]
    rows = targets.rows
    wanted = scores[rows, targets.items]
    near = np.flatnonzero(wanted >= top.min(axis=1)[rows])
    mine, rivals = wanted[near, None], top[rows[near]]
    rank = 1 + (rivals > mine).sum(axis=1) + 0.5 * ((rivals == mine).sum(axis=1) - 1)
    gains = np.zeros(len(rows))
    gains[near] = np.where(rank <= k, 1 / np.log2(1 + rank), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    best = ideal[np.minimum(np.diff(targets.offsets), k) - 1]
    value: NDArray[np.float64] = np.minimum(np.bincount(rows, gains, len(targets)) / best, 1)
    return value
