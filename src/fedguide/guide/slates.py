"""The two slates: buy again, and discover; and the best sellers for a shopper nobody has seen.

Counting what was bought before predicts a repurchase better than any network did, and the
network finds what was never bought: one list of both would be the worse for each.
"""

from __future__ import annotations

import numpy as np

from fedguide.guide.candidates import Best, Index, Question, best_items, rank_items, score_items
from fedguide.guide.reasons import Scoring
from fedguide.models.encoders import Matrix
from fedguide.models.scorer import (
    SLATES,
    STATIC,
    ShopModel,
    shopper_vector,
    sparse_scores,
    total_weights,
)
from fedguide.values import BUY


def static_columns(model: ShopModel) -> dict[str, tuple[float, float]]:
    """Each slate's weights of the index's two static columns: recent sales, all sales."""
    weights = {slate: total_weights(model, slate) for slate in SLATES}
    return {
        slate: (float(named[STATIC[0]]), float(named[STATIC[1]]))
        for slate, named in weights.items()
    }


def question_of(scoring: Scoring, columns: tuple[float, float]) -> Question:
    """A slate's score as a question to the index; what was bought before is excluded."""
    vector = shopper_vector(scoring.model, scoring.history, scoring.today, scoring.slate)
    touched, values = sparse_scores(scoring.model, scoring.history, scoring.today, scoring.slate)
    bought = np.unique(scoring.history.items[scoring.history.kinds == BUY]).astype(np.int64)
    return Question(_joined(vector, columns), touched, values, bought)


def best_discover(scoring: Scoring, index: Index, columns: tuple[float, float], k: int) -> Best:
    """The k best items the shopper never bought."""
    return best_items(index, question_of(scoring, columns), k)


def best_again(scoring: Scoring, index: Index, columns: tuple[float, float], k: int) -> Best:
    """The k best items among those the shopper bought before."""
    question = question_of(scoring, columns)
    bought = question.excluded
    return rank_items(bought, score_items(index, question, bought), k, scanned=True)


def best_sellers(model: ShopModel, k: int) -> Best:
    """The shop's best sellers: recent sales first, all sales to part equals."""
    recent, sales = model.recent_sales, model.popularity
    order = np.lexsort((np.arange(len(model)), -sales, -recent))[:k]
    return Best(order.astype(np.int64), np.log1p(recent[order]).astype(np.float64), scanned=True)


def _joined(vector: Matrix, columns: tuple[float, float]) -> Matrix:
    return np.concatenate([vector, np.asarray(columns, np.float32)])
