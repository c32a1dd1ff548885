"""The two slates: buy again, and discover; and the best sellers for a shopper nobody has seen.

Counting what was bought before predicts a repurchase better than any network did, and the
network finds what was never bought: one list of both would be the worse for each.
"""

from __future__ import annotations

import numpy as np

from fedguide.guide.candidates import Best, Index, Question, best_items, rank_items, score_items
from fedguide.guide.moment import Moment, slate_score
from fedguide.models.scorer import ShopModel


def question_of(moment: Moment, slate: str) -> Question:
    """A slate's score as a question to the index; what was bought before is excluded."""
    score = slate_score(moment, slate)
    query = np.concatenate([score.shopper, score.columns])
    return Question(query, score.sparse, moment.bought)


def best_discover(moment: Moment, index: Index, k: int) -> Best:
    """The k best items the shopper never bought."""
    return best_items(index, question_of(moment, "discover"), k)


def best_again(moment: Moment, index: Index, k: int) -> Best:
    """The k best items among those the shopper bought before."""
    bought = moment.bought
    scores = score_items(index, question_of(moment, "again"), bought)
    return rank_items(bought, scores, k, scanned=True)


def best_sellers(model: ShopModel, k: int) -> Best:
    """The shop's best sellers: recent sales first, all sales to part equals."""
    recent, sales = model.recent_sales, model.popularity
    order = np.lexsort((np.arange(len(model)), -sales, -recent))[:k]
    return Best(order.astype(np.int64), np.log1p(recent[order]).astype(np.float64), scanned=True)
