"""What every importer gives and everything else in this room reads: events and items.

Columns are numpy arrays of one length; texts stand once in a table and are referred to by number,
so that a million events are a few dozen megabytes and no loop over rows is ever needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError
from fedguide.values import BUY, KINDS, SEARCH, Catalogue

ABSENT = -1
"""Stands for "no such thing" in every column of references."""


@dataclass(frozen=True)
class Events:
    """What shoppers did; row ``i`` of every array of shape ``(e,)`` is event ``i``.

    Attributes:
        users: int32, index into ``user_ids``.
        items: int32, row of the data set's catalogue; -1 for a search.
        kinds: uint8, index into ``KINDS``.
        times: int64, unix seconds; the position of the event where the source has no times.
        days: int32, days since 1970-01-01 on the shop's own calendar; else the position.
        queries: int32, index into ``query_texts``; -1 where not a search.
        quantities: float32, NaN where absent.
        prices: float32, price of one piece, NaN where absent.
        baskets: int32, index into ``basket_ids`` (an invoice, a session); -1 where absent.
        user_ids: the source's own names of its shoppers, sorted, each once.
        groups: of each shopper: an attribute to cut by (the country), ``""`` where unknown.
        query_texts: the searched texts, sorted, each once.
        basket_ids: names of invoices or sessions, sorted, each once.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    times: NDArray[np.int64]
    days: NDArray[np.int32]
    queries: NDArray[np.int32]
    quantities: NDArray[np.float32]
    prices: NDArray[np.float32]
    baskets: NDArray[np.int32]
    user_ids: tuple[str, ...]
    groups: tuple[str, ...]
    query_texts: tuple[str, ...] = ()
    basket_ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of events e."""
        return len(self.users)


COLUMNS = ("users", "items", "kinds", "times", "days", "queries", "quantities", "prices", "baskets")
"""The arrays of ``Events`` with one entry an event."""


@dataclass(frozen=True)
class Dataset:
    """One source of events with its items: a whole import, or one shop of it.

    Attributes:
        name: names the data set, or the shop.
        events: its events; ``events.items`` are rows of ``catalogue``.
        catalogue: its items, sorted by id.
        clocked: are ``times`` unix seconds? ``False`` where only the order is known.
        withheld: columns of the source that were never read (personal data, or by wish).
        dropped: rows the importer left out, by reason.
        synthetic: ``True`` for the synthetic market; shown wherever its numbers are shown.
    """

    name: str
    events: Events
    catalogue: Catalogue
    clocked: bool = True
    withheld: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    synthetic: bool = False


def require_events(dataset: Dataset) -> Dataset:
    """The data set itself, once its columns are known to fit together.

    Raises:
        DataError: it has no events, or a reference points outside its table.
    """
    events, rows = dataset.events, len(dataset.events)
    if rows == 0:
        raise DataError(
            f"{dataset.name} has no usable events",
            hint="fedguide data check FILE shows why rows were left out",
        )
    for name in COLUMNS:
        if getattr(events, name).shape != (rows,):
            shape = getattr(events, name).shape
            raise DataError(f"{dataset.name}: column {name} must have shape ({rows},), got {shape}")
    limits = {
        "users": (0, len(events.user_ids)),
        "items": (ABSENT, len(dataset.catalogue)),
        "kinds": (0, len(KINDS)),
        "queries": (ABSENT, len(events.query_texts)),
        "baskets": (ABSENT, len(events.basket_ids)),
    }
    for name, (low, high) in limits.items():
        column = getattr(events, name)
        if int(column.min()) < low or int(column.max()) >= high:
            raise DataError(
                f"{dataset.name}: column {name} must lie in [{low}, {high}), "
                f"got {int(column.min())} to {int(column.max())}"
            )
    search = events.kinds == SEARCH
    if bool(
        ((events.items == ABSENT) != search).any() or ((events.queries == ABSENT) == search).any()
    ):
        raise DataError(f"{dataset.name}: a search has a query and no item, all else the reverse")
    return dataset


def bought(events: Events) -> NDArray[np.bool_]:
    """Which events are purchases; shape ``(e,)``."""
    return np.equal(events.kinds, BUY)


def restrict(dataset: Dataset, rows: NDArray[np.int64], name: str, prefix: str = "") -> Dataset:
    """The data set of some events, with tables and catalogue cut down to what they use.

    Args:
        dataset: where the events come from.
        rows: int64 ``(r,)``, events to keep.
        name: name of the new data set.
        prefix: put before every item id, so that two shops never share an id.
    """
    events = dataset.events
    users, user_ids = _compact(events.users[rows], events.user_ids)
    _, groups = _compact(events.users[rows], events.groups)
    queries, query_texts = _compact(events.queries[rows], events.query_texts)
    baskets, basket_ids = _compact(events.baskets[rows], events.basket_ids)
    used, items = _renumber(events.items[rows])
    kept = replace(
        events,
        users=users,
        items=items,
        kinds=events.kinds[rows],
        times=events.times[rows],
        days=events.days[rows],
        queries=queries,
        quantities=events.quantities[rows],
        prices=events.prices[rows],
        baskets=baskets,
        user_ids=user_ids,
        groups=groups,
        query_texts=query_texts,
        basket_ids=basket_ids,
    )
    catalogue = take_items(dataset.catalogue, used, prefix)
    return replace(dataset, name=name, events=kept, catalogue=catalogue, dropped={})


def take_items(catalogue: Catalogue, rows: NDArray[np.int64], prefix: str = "") -> Catalogue:
    """Some rows of a catalogue, in the order of ``rows``, with ``prefix`` before their ids."""
    picked = rows.tolist()
    return Catalogue(
        ids=tuple(prefix + catalogue.ids[row] for row in picked),
        titles=tuple(catalogue.titles[row] for row in picked),
        brands=tuple(catalogue.brands[row] for row in picked),
        categories=tuple(catalogue.categories[row] for row in picked),
        prices=catalogue.prices[rows],
    )


def _renumber(column: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The references in use, sorted, and the column in new numbers; -1 stays -1."""
    used, codes = np.unique(column, return_inverse=True)
    absent = int(bool(used.size) and used[0] == ABSENT)
    return used[absent:].astype(np.int64), (codes - absent).astype(np.int32)


def _compact(
    column: NDArray[np.int32], table: Sequence[str]
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    used, codes = _renumber(column)
    return codes, tuple(table[row] for row in used.tolist())
