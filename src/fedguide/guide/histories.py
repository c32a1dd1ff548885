"""Every shopper's events in memory, in a few flat arrays: a lookup costs two slices.

They come from the shop's own store and never leave the process; a million events are 13 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError
from fedguide.guide.fresh import Fresh, Happened
from fedguide.models.encoders import History
from fedguide.values import Baskets


@dataclass(frozen=True)
class Histories:
    """All shoppers' events, shopper by shopper, oldest first (e events, s shoppers).

    Attributes:
        rows: place of each shopper id in ``offsets``.
        offsets: int64 ``(s + 1,)``; shopper ``r`` has events ``offsets[r]:offsets[r + 1]``.
        items: int32 ``(e,)``, row of the served catalogue; -1 for a search.
        kinds: uint8 ``(e,)``.
        days: int32 ``(e,)``.
        queries: int32 ``(e,)``, index into ``query_texts``; -1 where not a search.
        query_texts: the searched texts.
        fresh: what happened since these arrays were made.
    """

    rows: Mapping[str, int]
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    days: NDArray[np.int32]
    queries: NDArray[np.int32]
    query_texts: tuple[str, ...]
    fresh: Fresh = field(default_factory=Fresh, repr=False)

    def __len__(self) -> int:
        """Number of shoppers."""
        return len(self.rows)

    @property
    def last_day(self) -> int:
        """The latest day of any event; 0 when there is none."""
        return int(self.days.max()) if len(self.days) else 0


def histories_from(baskets: Baskets) -> Histories:
    """Everything in ``baskets``, whose item numbers are rows of the served catalogue.

    Raises:
        DataError: the baskets are not sorted by shopper, then day.
    """
    shoppers, days = baskets.shoppers.astype(np.int64), baskets.days
    back = np.diff(shoppers) < 0
    same = np.diff(shoppers) == 0
    if bool((back | (same & (np.diff(days) < 0))).any()):
        raise DataError("baskets must be sorted by shopper, then day")
    lines = np.diff(baskets.offsets)
    ends = np.searchsorted(shoppers, np.arange(len(baskets.shopper_ids) + 1))
    return Histories(
        rows={name: row for row, name in enumerate(baskets.shopper_ids)},
        offsets=baskets.offsets[ends].astype(np.int64),
        items=baskets.items,
        kinds=baskets.kinds,
        days=np.repeat(days, lines).astype(np.int32),
        queries=baskets.queries,
        query_texts=baskets.query_texts,
    )


def history_for(histories: Histories, shopper: str) -> History | None:
    """One shopper's events; ``None`` for a shopper without any."""
    return histories.fresh.whole(shopper, _stored(histories, shopper))


def holds(histories: Histories, shopper: str, event: Happened) -> bool:
    """Is an event of this item (or searched text), kind and day in the shopper's stored events?"""
    past = _stored(histories, shopper)
    if past is None:
        return False
    same = (past.days == event.day) & (past.kinds == event.kind) & (past.items == event.row)
    if event.query is None:
        # An item that the release does not know is in no history.
        return event.row >= 0 and bool(same.any())
    return any(past.queries[at] == event.query for at in np.flatnonzero(same).tolist())


def _stored(histories: Histories, shopper: str) -> History | None:
    row = histories.rows.get(shopper)
    if row is None:
        return None
    events = slice(int(histories.offsets[row]), int(histories.offsets[row + 1]))
    if events.start == events.stop:
        return None
    return History(
        histories.items[events],
        histories.kinds[events],
        histories.days[events],
        _texts(histories.query_texts, histories.queries[events]),
    )


def _texts(texts: tuple[str, ...], queries: NDArray[np.int32]) -> tuple[str | None, ...]:
    """The searched text of each event; an empty tuple when nothing was searched."""
    searches = np.flatnonzero(queries >= 0).tolist()
    if not searches:
        return ()
    found: list[str | None] = [None] * len(queries)
    for at in searches:
        found[at] = texts[queries[at]]
    return tuple(found)


def busiest(histories: Histories, count: int) -> tuple[tuple[str, int], ...]:
    """A few shoppers with many events, spread over the range: ids and numbers of events.

    Taken at even steps of the order from most to fewest events among shoppers with at least
    five, so that a demonstration shows long and short histories.
    """
    sizes = np.diff(histories.offsets)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= min(5, int(sizes.max(initial=0)))]
    steps = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    names = list(histories.rows)
    return tuple((names[row], int(sizes[row])) for row in order[steps].tolist())
