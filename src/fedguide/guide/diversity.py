"""Maximal marginal relevance: an answer that does not say the same thing ten times.

Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", 1998, equation 1. Relevance is the score, scaled to [0, 1] over the
candidates; similarity is the cosine of item vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedguide.models.encoders import Matrix


def varied(
    vectors: Matrix, rows: Sequence[int], scores: Sequence[float], relevance: float, k: int
) -> list[int]:
    """Places of k candidates in the order they are chosen; ``relevance`` is the paper's lambda.

    Args:
        vectors: float32 ``(n, d)``, the item vectors.
        rows: the candidates' rows.
        scores: their scores.
        relevance: 1 chooses by score alone, towards 0 by novelty.
        k: how many.
    """
    if not rows:
        return []
    some = vectors[np.asarray(rows)].astype(np.float64)
    some /= np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-12)
    worth = np.asarray(scores, np.float64)
    spread = worth.max() - worth.min()
    worth = (worth - worth.min()) / spread if spread > 0 else np.ones(len(rows))
    closest = np.full(len(rows), -np.inf)
    free = np.ones(len(rows), np.bool_)
    chosen: list[int] = []
    for _ in range(min(k, len(rows))):
        # Before anything is chosen there is nothing to be like.
        likeness = np.zeros(len(rows)) if not chosen else closest
        gain = np.where(free, relevance * worth - (1 - relevance) * likeness, -np.inf)
        best = int(gain.argmax())
        chosen.append(best)
        free[best] = False
        closest = np.maximum(closest, some @ some[best])
    return chosen
