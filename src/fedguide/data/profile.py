"""A data set in figures: how many of what, since when, and how much of it comes back."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.data.baskets import baskets
from fedguide.data.contract import Dataset, require_events
from fedguide.values import BUY, KINDS, Baskets

Lines = NDArray[np.int64]


@dataclass(frozen=True)
class Profile:
    """Figures of one data set.

    Attributes:
        name: of the data set.
        synthetic: was it made up?
        shoppers: with at least one event.
        items: in the catalogue.
        items_bought: of these, bought at least once.
        events: all of them.
        kinds: events by kind.
        first_day: ISO date of the first event, ``""`` where only the order is known.
        last_day: of the last.
        baskets: shopper days with any event.
        baskets_a_shopper: median.
        lines_a_basket: median number of different bought items in a basket that has any.
        repurchased: share of bought lines whose item the shopper had bought on an earlier day.
        titled: share of items with a title.
        priced: share of items with a price.
        languages: share of titles with Chinese characters, with Latin letters, with both.
        density: share of all pairs (shopper, item) that were bought.
        top_items: share of purchases that the most bought tenth of the items takes.
        withheld: columns that were not read.
        dropped: rows left out by reason.
    """

    name: str
    synthetic: bool
    shoppers: int
    items: int
    items_bought: int
    events: int
    kinds: Mapping[str, int]
    first_day: str
    last_day: str
    baskets: int
    baskets_a_shopper: float
    lines_a_basket: float
    repurchased: float
    titled: float
    priced: float
    languages: Mapping[str, float]
    density: float
    top_items: float
    withheld: tuple[str, ...]
    dropped: Mapping[str, int]


def profile(dataset: Dataset) -> Profile:
    """The figures of a data set.

    Raises:
        DataError: it has no events.
    """
    events, items = require_events(dataset).events, dataset.catalogue
    made = baskets(events)
    lines = _bought_lines(made)
    pairs, sales = _pairs(made, lines, len(items))
    return Profile(
        name=dataset.name,
        synthetic=dataset.synthetic,
        shoppers=len(events.user_ids),
        items=len(items),
        items_bought=int((sales > 0).sum()),
        events=len(events),
        kinds={
            k: int(n)
            for k, n in zip(KINDS, np.bincount(events.kinds, minlength=len(KINDS)), strict=True)
            if n
        },
        first_day=_date(int(events.days.min())) if dataset.clocked else "",
        last_day=_date(int(events.days.max())) if dataset.clocked else "",
        baskets=len(made),
        baskets_a_shopper=float(np.median(np.bincount(made.shoppers))),
        lines_a_basket=_median_lines(made, lines),
        repurchased=1 - pairs / len(lines) if len(lines) else 0.0,
        titled=_share([bool(title) for title in items.titles]),
        priced=_share(np.isfinite(items.prices).tolist()),
        languages=_languages(items.titles),
        density=pairs / (len(events.user_ids) * max(len(items), 1)),
        top_items=_top_share(sales),
        withheld=dataset.withheld,
        dropped=dict(dataset.dropped),
    )


def _bought_lines(made: Baskets) -> Lines:
    """Numbers of the lines that are purchases."""
    return np.flatnonzero(made.kinds == BUY)


def _pairs(made: Baskets, lines: Lines, items: int) -> tuple[int, Lines]:
    """Number of different (shopper, item) bought, and lines bought of each item ``(n,)``."""
    owners = np.repeat(made.shoppers, np.diff(made.offsets))[lines].astype(np.int64)
    bought = made.items[lines]
    return len(np.unique(owners * max(items, 1) + bought)), np.bincount(bought, minlength=items)


def _median_lines(made: Baskets, lines: Lines) -> float:
    """Median number of bought lines of baskets that have any."""
    places = np.repeat(np.arange(len(made)), np.diff(made.offsets))[lines]
    counts = np.bincount(places)
    return float(np.median(counts[counts > 0])) if len(lines) else 0.0


def _top_share(sales: Lines) -> float:
    if not sales.sum():
        return 0.0
    top = np.sort(sales)[::-1][: max(1, len(sales) // 10)]
    return float(top.sum() / sales.sum())


def _languages(titles: tuple[str, ...]) -> dict[str, float]:
    chinese = [any("\u4e00" <= c <= "\u9fff" for c in title) for title in titles]
    latin = [any(c.isascii() and c.isalpha() for c in title) for title in titles]
    both = [a and b for a, b in zip(chinese, latin, strict=True)]
    return {"zh": _share(chinese), "en": _share(latin), "both": _share(both)}


def _share(flags: list[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _date(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()
