"""What shoppers did, and said about their data, since the store was read: counted at once.

It lies over the histories of the store. Only the process's own event loop changes it, between two
answers; what has to outlive the process is kept elsewhere and put in again when it starts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from fedguide.models.encoders import History, empty_history

MOST_EACH = 512
"""Events that are held of one shopper; older ones are in the store or count for nothing."""


@dataclass(frozen=True)
class Happened:
    """One event: a row of the catalogue (-1 for a search), its kind, day and searched text."""

    row: int
    kind: int
    day: int
    query: str | None = None


class Fresh:
    """Events and wishes of shoppers over the histories of a store."""

    def __init__(self) -> None:
        self._added: dict[str, deque[Happened]] = {}
        self._ignored: dict[str, frozenset[int]] = {}

    def add(self, shopper: str, event: Happened) -> None:
        """Puts an event behind all that a shopper did."""
        self._added.setdefault(shopper, deque(maxlen=MOST_EACH)).append(event)

    def ignore(self, shopper: str, rows: Collection[int]) -> None:
        """Leaves all events with these items out of a shopper's history; replaces earlier rows."""
        self._ignored[shopper] = frozenset(rows)

    def forget(self, shopper: str) -> None:
        """Drops everything of a shopper."""
        self._added.pop(shopper, None)
        self._ignored.pop(shopper, None)

    def whole(self, shopper: str, past: History | None) -> History | None:
        """A shopper's history with what is fresh; ``None`` where nothing is left of it."""
        added, ignored = self._added.get(shopper), self._ignored.get(shopper)
        if added:
            past = extended(empty_history() if past is None else past, tuple(added))
        if ignored and past is not None:
            past = _without(past, ignored)
        return past if past is not None and len(past) else None


def extended(past: History, events: Sequence[Happened]) -> History:
    """A history with events behind it."""
    if not events:
        return past
    queries = (*(past.queries or (None,) * len(past)), *(event.query for event in events))
    return History(
        np.concatenate([past.items, np.array([event.row for event in events], np.int32)]),
        np.concatenate([past.kinds, np.array([event.kind for event in events], np.uint8)]),
        np.concatenate([past.days, np.array([event.day for event in events], np.int32)]),
        queries if any(query is not None for query in queries) else (),
    )


def _without(past: History, rows: frozenset[int]) -> History:
    keep = np.flatnonzero(~np.isin(past.items, list(rows)))
    queries = tuple(past.queries[at] for at in keep.tolist()) if past.queries else ()
    return History(past.items[keep], past.kinds[keep], past.days[keep], queries)
