"""Who was shown which ad, and what came of it: from a shop's own events, or made up.

A click belongs to the ad views of the same shopper and item on the same day, a purchase to a click
of at most ``BOUGHT_WITHIN`` days before. The made-up log follows a stated law, so that a test can
ask how much of it a model finds; it is marked synthetic wherever its figures are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Dataset
from fedguide.errors import DataError
from fedguide.values import AD_CLICK, AD_VIEW, BUY

BOUGHT_WITHIN = 7
"""Days from a click to a purchase that is put down to it."""

SLOTS = 3
"""Slots of the made-up log; in a shop's own events the slot is not known and is 1."""


@dataclass(frozen=True)
class AdLog:
    """Views of ads, oldest first (v views).

    Attributes:
        shoppers: id of who saw it.
        items: int64 ``(v,)``, row of the shop's catalogue.
        slots: int64 ``(v,)``, from 1.
        days: int64 ``(v,)``.
        clicked: bool ``(v,)``.
        bought: bool ``(v,)``: clicked, and bought within ``BOUGHT_WITHIN`` days.
        synthetic: is it made up?
    """

    shoppers: tuple[str, ...] = field(repr=False)
    items: NDArray[np.int64] = field(repr=False)
    slots: NDArray[np.int64] = field(repr=False)
    days: NDArray[np.int64] = field(repr=False)
    clicked: NDArray[np.bool_] = field(repr=False)
    bought: NDArray[np.bool_] = field(repr=False)
    synthetic: bool = False

    def __len__(self) -> int:
        """Number of views v."""
        return len(self.shoppers)


def ad_log(dataset: Dataset) -> AdLog:
    """The views of ads in a shop's own events.

    Raises:
        DataError: there are none.
    """
    events = dataset.events
    views = np.flatnonzero(events.kinds == AD_VIEW)
    if not len(views):
        raise DataError(
            f"{dataset.name} has no ad views: no click can be learnt",
            hint="events of kind ad_view and ad_click: fedguide data check FILE",
        )
    views = views[np.argsort(events.times[views], kind="stable")]
    clicks = _days_of(dataset, AD_CLICK)
    buys = _days_of(dataset, BUY)
    clicked, bought = np.zeros(len(views), np.bool_), np.zeros(len(views), np.bool_)
    for at, row in enumerate(views.tolist()):
        who, day = (int(events.users[row]), int(events.items[row])), int(events.days[row])
        clicked[at] = day in clicks.get(who, ())
        later = buys.get(who, ()) if clicked[at] else ()
        bought[at] = any(day <= other <= day + BOUGHT_WITHIN for other in later)
    return AdLog(
        tuple(events.user_ids[user] for user in events.users[views].tolist()),
        events.items[views].astype(np.int64),
        np.ones(len(views), np.int64),
        events.days[views].astype(np.int64),
        clicked,
        bought,
    )


def synthetic_ad_log(dataset: Dataset, views: int, seed: int) -> tuple[AdLog, NDArray[np.float64]]:
    """A made-up log over a shop's own shoppers and items, and the true probability of each click.

    The log odds are -2.4, + 1.4 if the shopper dealt with the item's category before, - 0.5 for
    each slot further down, + a draw of its own for each item (σ 0.7). One click in five ends in
    a purchase.

    Raises:
        DataError: the data set has fewer than two days.
    """
    events = dataset.events
    first, last = int(events.days.min()), int(events.days.max())
    if last <= first:
        raise DataError(f"{dataset.name} has one day only: nothing came before an ad")
    rng = np.random.default_rng(np.random.SeedSequence([seed, views]))
    users = rng.integers(len(events.user_ids), size=views)
    items = rng.integers(len(dataset.catalogue), size=views)
    slots = rng.integers(1, SLOTS + 1, size=views)
    days = np.sort(rng.integers(first + 1, last + 1, size=views))
    shelves = np.unique(np.array(dataset.catalogue.categories), return_inverse=True)[1]
    since = _first_days(dataset, shelves)
    known = since[users, shelves[items]] < days
    charm = 0.7 * rng.normal(size=len(dataset.catalogue))
    odds = -2.4 + 1.4 * known - 0.5 * (slots - 1) + charm[items]
    truth = 1 / (1 + np.exp(-odds))
    clicked = rng.random(views) < truth
    log = AdLog(
        tuple(events.user_ids[user] for user in users.tolist()),
        items.astype(np.int64),
        slots.astype(np.int64),
        days.astype(np.int64),
        clicked,
        clicked & (rng.random(views) < 0.2),
        synthetic=True,
    )
    return log, truth


def _days_of(dataset: Dataset, kind: int) -> dict[tuple[int, int], set[int]]:
    """(user, item) to the days of events of a kind."""
    events = dataset.events
    found: dict[tuple[int, int], set[int]] = {}
    for row in np.flatnonzero(events.kinds == kind).tolist():
        place = (int(events.users[row]), int(events.items[row]))
        found.setdefault(place, set()).add(int(events.days[row]))
    return found


def _first_days(dataset: Dataset, shelves: NDArray[np.intp]) -> NDArray[np.float64]:
    """The first day of each shopper with each category, ∞ for never, ``(m, categories)``."""
    events = dataset.events
    first = np.full((len(events.user_ids), int(shelves.max()) + 1), np.inf)
    known = events.items >= 0
    place = (events.users[known], shelves[events.items[known]])
    np.minimum.at(first, place, events.days[known].astype(np.float64))
    return first
