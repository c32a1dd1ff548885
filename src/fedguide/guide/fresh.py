"""What shoppers did, and said about their data, since the store was read: counted at once.

It lies over the histories of the store. Only the process's own event loop changes it, between two
answers; what has to outlive the process is kept elsewhere and put in again when it starts.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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


@dataclass(slots=True)
class _Held:
    """Events of one shopper, nine bytes each: a busy server holds millions.

    ``queries`` has one for each event, or is empty as long as nothing was searched for.
    """

    rows: array[int] = field(default_factory=lambda: array("i"))
    kinds: bytearray = field(default_factory=bytearray)
    days: array[int] = field(default_factory=lambda: array("i"))
    queries: list[str | None] = field(default_factory=list)

    def append(self, event: Happened) -> None:
        """Puts an event behind the others; now and then the oldest go, many at once."""
        if event.query is not None and not self.queries:
            self.queries = [None] * len(self.rows)
        if self.queries or event.query is not None:
            self.queries.append(event.query)
        self.rows.append(event.row)
        self.kinds.append(event.kind)
        self.days.append(event.day)
        if len(self.rows) == MOST_EACH + MOST_EACH // 4:
            for part in (self.rows, self.kinds, self.days, self.queries):
                del part[:-MOST_EACH]

    def behind(self, past: History) -> History:
        """A history with the latest events behind it."""
        latest = slice(-MOST_EACH, None)
        queries = self.queries[latest] or [None] * min(len(self.rows), MOST_EACH)
        return _joined(
            past,
            np.array(self.rows[latest], np.int32),
            np.frombuffer(bytes(self.kinds[latest]), np.uint8),
            np.array(self.days[latest], np.int32),
            queries,
        )


class Fresh:
    """Events and wishes of shoppers over the histories of a store."""

    def __init__(self) -> None:
        self._added: dict[str, _Held] = {}
        self._ignored: dict[str, frozenset[int]] = {}

    def add(self, shopper: str, event: Happened) -> None:
        """Puts an event behind all that a shopper did."""
        self._added.setdefault(shopper, _Held()).append(event)

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
        if added is not None:
            past = added.behind(empty_history() if past is None else past)
        if ignored and past is not None:
            past = _without(past, ignored)
        return past if past is not None and len(past) else None


def extended(past: History, events: Sequence[Happened]) -> History:
    """A history with events behind it."""
    if not events:
        return past
    return _joined(
        past,
        np.array([event.row for event in events], np.int32),
        np.array([event.kind for event in events], np.uint8),
        np.array([event.day for event in events], np.int32),
        [event.query for event in events],
    )


def _joined(
    past: History,
    rows: NDArray[np.int32],
    kinds: NDArray[np.uint8],
    days: NDArray[np.int32],
    queries: Sequence[str | None],
) -> History:
    texts = (*(past.queries or (None,) * len(past)), *queries)
    return History(
        np.concatenate([past.items, rows]),
        np.concatenate([past.kinds, kinds]),
        np.concatenate([past.days, days]),
        texts if any(text is not None for text in texts) else (),
    )


def _without(past: History, rows: frozenset[int]) -> History:
    keep = np.flatnonzero(~np.isin(past.items, list(rows)))
    queries = tuple(past.queries[at] for at in keep.tolist()) if past.queries else ()
    return History(past.items[keep], past.kinds[keep], past.days[keep], queries)
