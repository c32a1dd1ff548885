"""Events that a shop's server received, as a data set that a store can take in.

They were checked when they were taken, one by one; here their columns are numbered, and a search
that holds personal data (a telephone number, an address) is left out, as at every other import.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedguide.data.contract import ABSENT, Dataset, Events
from fedguide.data.personal import PATTERNS
from fedguide.values import KINDS, Catalogue

DAY_S = 86_400


@dataclass(frozen=True)
class ReceivedRow:
    """One event; ``item`` or ``query`` is empty, ``price`` is NaN where it is not known."""

    id: str
    user: str
    kind: str
    item: str
    query: str
    time_s: int
    price: float


def without_personal(rows: Sequence[ReceivedRow]) -> list[ReceivedRow]:
    """The rows whose searched text holds nothing that looks like personal data."""
    pattern = re.compile("|".join(PATTERNS.values()))
    return [row for row in rows if not (row.query and pattern.search(row.query))]


def received_dataset(name: str, rows: Sequence[ReceivedRow]) -> Dataset:
    """The rows as events in their own order; an item has an id and no more, a day is one of UTC."""
    users, user_ids = _numbered([row.user for row in rows])
    items, item_ids = _numbered([row.item for row in rows])
    queries, query_texts = _numbered([row.query for row in rows])
    times = np.array([row.time_s for row in rows], np.int64)
    events = Events(
        users=users,
        items=items,
        kinds=np.array([KINDS.index(row.kind) for row in rows], np.uint8),
        times=times,
        days=(times // DAY_S).astype(np.int32),
        queries=queries,
        quantities=np.full(len(rows), np.nan, np.float32),
        prices=np.array([row.price for row in rows], np.float32),
        baskets=np.full(len(rows), ABSENT, np.int32),
        user_ids=user_ids,
        groups=("",) * len(user_ids),
        query_texts=query_texts,
    )
    return Dataset(name=name, events=events, catalogue=bare_items(item_ids))


def bare_items(ids: tuple[str, ...]) -> Catalogue:
    """Items of which only the ids are known."""
    nothing = ("",) * len(ids)
    return Catalogue(ids, nothing, nothing, nothing, np.full(len(ids), np.nan, np.float32))


def _numbered(
    column: Sequence[str],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], tuple[str, ...]]:
    """The place of each text among the distinct ones, sorted; an empty one is absent."""
    names = tuple(sorted({text for text in column if text}))
    places = {text: place for place, text in enumerate(names)}
    return np.array([places.get(text, ABSENT) for text in column], np.int32), names
