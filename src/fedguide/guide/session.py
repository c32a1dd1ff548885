"""Intent from three sides: what a shopper did before, in this visit, and says now.

A visit's events and a wish are put behind the shopper's own events, as of today; the model weighs
them as it weighs any event (a purchase more than a view), so the reasons stay exact: a searched
text or an item of the visit is taken away like any other. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.guide.answers import DISCOVER
from fedguide.guide.candidates import score_items
from fedguide.guide.engine import Guide, addressed, item_row, moment_at
from fedguide.guide.fresh import Happened, extended
from fedguide.guide.histories import history_for
from fedguide.guide.moment import Moment
from fedguide.guide.search import checked_query
from fedguide.guide.slates import question_of
from fedguide.models.encoders import History, Matrix, empty_history
from fedguide.values import KINDS, SEARCH

LONGEST_SESSION = 200
"""Events of one visit; the encoder reads no more."""


@dataclass(frozen=True)
class Event:
    """One event of this visit: a kind of ``KINDS``, and an item's id or a searched text."""

    kind: str
    item: str = ""
    query: str = ""


def moment_with(
    guide: Guide,
    shopper: str | None,
    session: Sequence[Event] = (),
    query: str = "",
    slate: str = DISCOVER,
) -> Moment | None:
    """The moment of a shopper, a visit and a wish together; ``None`` where there is nothing.

    ``slate`` is the one that is to be scored at it.

    Raises:
        ConfigError: an event is of no known kind, or has not one of item and query.
        NotFoundError: no such item.
    """
    history = history_for(guide.histories, addressed(guide, shopper or ""))
    past = empty_history() if history is None else history
    events = list(session)
    if query:
        events.append(Event("search", query=query))
    whole = _appended(guide, past, events)
    if not len(whole):
        return None
    return moment_at(guide, whole, guide.today(), slate)


def scores_of(
    guide: Guide, moment: Moment, slate: str, rows: NDArray[np.int64], *, rough: bool = False
) -> NDArray[np.float64]:
    """The slate's score of some items at a moment; ``rough`` computes in single precision."""
    question, index = question_of(moment, slate), guide.sides[slate].index
    if not rough:
        return score_items(index, question, rows)
    width = index.vectors.shape[1]
    scores: Matrix = index.vectors @ question.query[:width] + question.sparse
    scores += index.static @ question.query[width:]
    return scores[rows].astype(np.float64)


def _appended(guide: Guide, past: History, events: Sequence[Event]) -> History:
    if len(events) > LONGEST_SESSION:
        raise ConfigError(f"a session has at most {LONGEST_SESSION} events, got {len(events)}")
    today, happened = guide.today(), []
    for event in events:
        row, kind = _checked(guide, event)
        happened.append(Happened(row, kind, today, event.query.strip() or None))
    return extended(past, happened)


def _checked(guide: Guide, event: Event) -> tuple[int, int]:
    """Row and kind of an event."""
    if event.kind not in KINDS:
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {event.kind[:32]!r}")
    kind = KINDS.index(event.kind)
    if kind == SEARCH:
        if event.item:
            raise ConfigError("a search names a query, not an item")
        checked_query(event.query)
        return -1, kind
    if event.query:
        raise ConfigError(f"a {event.kind} names an item, not a query")
    return item_row(guide, event.item), kind
