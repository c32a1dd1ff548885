"""Events to baskets: one shopper on one day, with the order of lines forgotten."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Events
from fedguide.values import BUY, Baskets


def baskets(events: Events) -> Baskets:
    """Merges everything one shopper did on one day into one basket.

    Invoices of one day are one basket, a pair (item, kind) and a query stand once in it, and its
    lines are sorted: the order in which a source lists them tells what was bought together with
    what, and must not reach a model. Data without times have one event a basket, its position
    being the day.
    """
    order = np.lexsort((events.queries, events.kinds, events.items, events.days, events.users))
    keys = [column[order] for column in _keys(events)]
    first = _starts(keys)
    users, days, items, kinds, queries = (column[first] for column in keys)
    opens = np.flatnonzero(_starts([users, days]))
    return Baskets(
        shoppers=users[opens],
        days=days[opens],
        offsets=np.append(opens, len(users)).astype(np.int64),
        items=items,
        kinds=kinds.astype(np.uint8),
        queries=queries,
        shopper_ids=events.user_ids,
        query_texts=events.query_texts,
    )


def take(all_baskets: Baskets, rows: NDArray[np.int64]) -> Baskets:
    """Some whole baskets, in the order of ``rows``; the tables of names stay as they are."""
    lengths = np.diff(all_baskets.offsets)[rows]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    # Line numbers of the kept baskets: each basket's first line, then one up a line.
    lines = np.arange(offsets[-1]) + np.repeat(all_baskets.offsets[rows] - offsets[:-1], lengths)
    return Baskets(
        shoppers=all_baskets.shoppers[rows],
        days=all_baskets.days[rows],
        offsets=offsets,
        items=all_baskets.items[lines],
        kinds=all_baskets.kinds[lines],
        queries=all_baskets.queries[lines],
        shopper_ids=all_baskets.shopper_ids,
        query_texts=all_baskets.query_texts,
    )


def holds_purchase(all_baskets: Baskets) -> NDArray[np.bool_]:
    """Which baskets hold at least one bought item; shape ``(b,)``."""
    counts = np.concatenate(([0], np.cumsum(all_baskets.kinds == BUY)))
    return counts[all_baskets.offsets[1:]] > counts[all_baskets.offsets[:-1]]


def _keys(events: Events) -> tuple[NDArray[np.int32], ...]:
    kinds = events.kinds.astype(np.int32)
    return events.users, events.days, events.items, kinds, events.queries


def _starts(columns: list[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Where at least one of the sorted columns differs from the row above; shape ``(rows,)``."""
    starts = np.zeros(len(columns[0]), np.bool_)
    starts[:1] = True
    for column in columns:
        starts[1:] |= column[1:] != column[:-1]
    return starts
