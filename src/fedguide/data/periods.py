"""What a shop knew of its shoppers on one day, and what they did in the days after it.

Columns are made of events up to and with a day, the target of events after it, so that no column
can know the future; a test moves every later event and finds the columns unmoved.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Dataset
from fedguide.errors import ConfigError, NotFoundError
from fedguide.values import BUY, CART, KINDS, SEARCH, VIEW

Floats = NDArray[np.float64]

RECENT_DAYS = (30, 90)
"""Lengths of the recent past that are counted on their own."""


def shopper_columns(dataset: Dataset, day: int) -> dict[str, Floats]:
    """Columns of shape ``(m,)`` in the order of ``events.user_ids``; NaN where nothing is known.

    Args:
        dataset: of one shop.
        day: last day that is known, in the unit of ``events.days``.
    """
    events, people = dataset.events, len(dataset.events.user_ids)
    known = events.days <= day
    users, days, kinds = (
        events.users[known],
        events.days[known].astype(np.int64),
        events.kinds[known],
    )
    amounts = np.nan_to_num(events.prices[known].astype(np.float64)) * np.nan_to_num(
        events.quantities[known].astype(np.float64), nan=1.0
    )
    bought = kinds == BUY

    def count(which: NDArray[np.bool_]) -> Floats:
        return np.bincount(users[which], minlength=people).astype(np.float64)

    visits = np.unique(np.stack([users.astype(np.int64), days]), axis=1)
    spend = np.bincount(users[bought], amounts[bought], people)
    buys = count(bought)
    columns = {
        "visits": np.bincount(visits[0], minlength=people).astype(np.float64),
        "buys": buys,
        "views": count(kinds == VIEW),
        "carts": count(kinds == CART),
        "searches": count(kinds == SEARCH),
        "log_spend": np.log1p(spend),
        "mean_spend": np.divide(spend, buys, out=np.full(people, np.nan), where=buys > 0),
        "idle_days": day - _last(users, days, people),
        "days_since_buy": day - _last(users[bought], days[bought], people),
        "known_days": day - _first(users, days, people),
    }
    for length in RECENT_DAYS:
        lately = days > day - length
        recent = visits[:, visits[1] > day - length]
        columns[f"visits_{length}d"] = np.bincount(recent[0], minlength=people).astype(np.float64)
        columns[f"buys_{length}d"] = count(bought & lately)
    return columns


def seen_by(dataset: Dataset, day: int) -> NDArray[np.bool_]:
    """Which shoppers have an event up to and with a day, shape ``(m,)``."""
    events = dataset.events
    found = np.bincount(events.users[events.days <= day], minlength=len(events.user_ids))
    seen: NDArray[np.bool_] = found > 0
    return seen


def reached(dataset: Dataset, target: str, day: int, length: int, category: str = "") -> Floats:
    """Who did it in the ``length`` days after ``day``: 1 or 0 for each shopper, shape ``(m,)``.

    Args:
        dataset: of one shop.
        target: a kind of event: buy, cart, view, search, ad_view, ad_click.
        day: last day before.
        length: days after it.
        category: only items of this category or below it; empty for any.

    Raises:
        ConfigError: the target or the length is none.
        NotFoundError: no item is of that category.
    """
    if target not in KINDS:
        raise ConfigError(f"target must be one of {', '.join(KINDS)}, got {target!r}")
    if length < 1:
        raise ConfigError(f"length must be at least 1 day, got {length}")
    events = dataset.events
    which = (events.days > day) & (events.days <= day + length)
    which &= events.kinds == KINDS.index(target)
    if category:
        paths = np.array(
            [f"{path}/".startswith(f"{category}/") for path in dataset.catalogue.categories]
        )
        if not paths.any():
            raise NotFoundError(f"no item of {dataset.name} is of category {category!r}")
        which &= (events.items >= 0) & paths[events.items]
    done = np.bincount(events.users[which], minlength=len(events.user_ids)) > 0
    return done.astype(np.float64)


def _last(users: NDArray[np.int32], days: NDArray[np.int64], people: int) -> Floats:
    """The last day of each, NaN for none."""
    last = np.full(people, -np.inf)
    np.maximum.at(last, users, days.astype(np.float64))
    return np.where(np.isfinite(last), last, np.nan)


def _first(users: NDArray[np.int32], days: NDArray[np.int64], people: int) -> Floats:
    """The first day of each, NaN for none."""
    first = np.full(people, np.inf)
    np.minimum.at(first, users, days.astype(np.float64))
    return np.where(np.isfinite(first), first, np.nan)
