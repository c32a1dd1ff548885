"""Recommending and ranking for a visit of which nothing is stored: the request says it all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedguide.errors import ConfigError
from fedguide.guide.answers import ASKABLE, DISCOVER, PERSONAL, POPULAR, Answer, Because
from fedguide.guide.engine import (
    Guide,
    best_for_nobody,
    checked_k,
    item_row,
    pick_of,
    picks_at,
)
from fedguide.guide.reasons import reasons
from fedguide.guide.session import Event, moment_with, scores_of

MOST_RANKED = 200
"""Items that one request may have ranked."""

RANKED = "ranked"
"""Source of an answer whose items the request named."""


def recommend_visit(
    guide: Guide,
    session: Sequence[Event],
    *,
    shopper: str | None = None,
    k: int = 10,
    slate: str = DISCOVER,
) -> Answer:
    """The best items of a slate for what was done in a visit, on top of the shopper's own history.

    Without any event the shop's best sellers, and the answer says so.

    Raises:
        ConfigError: an event, ``k`` or ``slate`` is not allowed.
        NotFoundError: the session names an item that is not there.
    """
    k = checked_k(k)
    if slate not in ASKABLE:
        raise ConfigError(f"slate must be one of {', '.join(ASKABLE)}, got {slate[:64]!r}")
    moment = moment_with(guide, shopper, session, slate=slate)
    if moment is None:
        return best_for_nobody(guide, k, slate)
    return Answer(PERSONAL, slate, picks_at(guide, moment, slate, k))


def rank(
    guide: Guide,
    items: Sequence[str],
    *,
    shopper: str | None = None,
    session: Sequence[Event] = (),
    query: str = "",
) -> Answer:
    """The named items in the order they suit the shopper, the visit and the words of a search.

    Raises:
        ConfigError: no item, too many, or one of them twice.
        NotFoundError: no such item.
    """
    if not 1 <= len(items) <= MOST_RANKED:
        raise ConfigError(f"rank takes 1 to {MOST_RANKED} items, got {len(items)}")
    if len(set(items)) != len(items):
        raise ConfigError("rank takes each item once")
    # Sorted, so that the last digit of a score does not depend on the order of the question.
    rows = np.sort(np.array([item_row(guide, item) for item in items], np.int64))
    moment = moment_with(guide, shopper, session, query)
    because: Sequence[tuple[Because, ...]] = [()] * len(rows)
    if moment is None:
        scores = np.log1p(guide.release.model.recent_sales[rows]).astype(np.float64)
    else:
        scores = scores_of(guide, moment, DISCOVER, rows)
        because = reasons(moment, DISCOVER, rows)
    order = np.lexsort((rows, -scores)).tolist()
    picks = [
        pick_of(
            guide,
            int(rows[at]),
            float(scores[at]),
            place,
            PERSONAL if because[at] else POPULAR,
            because=because[at],
        )
        for place, at in enumerate(order, 1)
    ]
    return Answer(RANKED, "", tuple(picks))
