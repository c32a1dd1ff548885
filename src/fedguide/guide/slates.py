"""The two slates: buy again, and discover; and the best sellers for a shopper nobody has seen.

Counting what was bought before predicts a repurchase better than any network did, and the
network finds what was never bought: one list of both would be the worse for each. A release can
have a network of its own for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from fedguide.guide.answers import DISCOVER
from fedguide.guide.candidates import (
    Best,
    Index,
    Question,
    best_items,
    build_index,
    rank_items,
    score_items,
)
from fedguide.guide.moment import Moment, Prepared, prepare, slate_score
from fedguide.models.encoders import Matrix, query_vector
from fedguide.models.scorer import SLATES, ShopModel, served_by

_REMEMBERED = 65_536


@dataclass(frozen=True)
class Side:
    """One network of a shop, ready to answer.

    Attributes:
        prepared: the model of this network, ready for many moments.
        index: its items.
        query_of: gives the vector of a searched text and remembers the latest ones.
    """

    prepared: Prepared
    index: Index
    query_of: Callable[[str], Matrix]


def sides_of(model: ShopModel) -> Mapping[str, Side]:
    """What each slate is answered by; one and the same where the model has one network."""
    if model.aside is None:
        return dict.fromkeys(SLATES, _side_of(model))
    return {slate: _side_of(served_by(model, slate)) for slate in SLATES}


def _side_of(model: ShopModel) -> Side:
    return Side(
        prepare(model),
        build_index(model, searched=DISCOVER in model.slates),
        lru_cache(_REMEMBERED)(partial(query_vector, model.network)),
    )


def question_of(moment: Moment, slate: str) -> Question:
    """A slate's score as a question to the index; what was bought before is excluded."""
    score = slate_score(moment, slate)
    query = np.concatenate([score.shopper, score.columns])
    return Question(query, score.sparse, moment.bought)


def best_discover(moment: Moment, index: Index, k: int) -> Best:
    """The k best items the shopper never bought."""
    return best_items(index, question_of(moment, DISCOVER), k)


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
