"""Ads beside the guide's answers: eligible, capped, paced, ranked by bid times click, and labelled.

An ad shows an item of the shop at the catalogue's price. It takes part where its item fits the
search (if there is one), its budget of the day can pay another click, the shopper was not shown it
too often today, and its pace lets it into this auction. Of the shopper only the probability of a
click depends on who they are; for whoever is not to be profiled it does not, and nothing is
remembered of them either.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from fedguide.errors import ConfigError, DataError, NotFoundError
from fedguide.guide import engine
from fedguide.guide.ad_book import AdBook
from fedguide.guide.ad_model import AdModel
from fedguide.guide.answers import WORDS
from fedguide.guide.auction import Bid, Won, second_price
from fedguide.guide.engine import Guide
from fedguide.guide.histories import history_for
from fedguide.guide.pacing import Pace, adjusted, planned_evenly

AD = "ad"
"""Source of every sponsored item."""

MOST_SLOTS = 10

COLUMNS = ("ad_id", "item_id", "bid", "budget")
"""A file of ads needs these; ``advertiser`` and ``cap`` may stand in it."""


@dataclass(frozen=True)
class Ad:
    """What an advertiser ordered.

    Attributes:
        ad_id: its name.
        item_id: of the shop's catalogue.
        bid_fen: most for a click.
        budget_fen: most for a day.
        cap: most views of one shopper a day.
        advertiser: who pays.

    Raises:
        ConfigError: a figure is out of its range.
    """

    ad_id: str
    item_id: str
    bid_fen: int
    budget_fen: int
    cap: int = 3
    advertiser: str = ""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not self.ad_id or not self.item_id:
            raise ConfigError("an ad needs an ad_id and an item_id")
        if not 1 <= self.bid_fen <= self.budget_fen:
            raise ConfigError(
                f"ad {self.ad_id}: bid must be in [1, {self.budget_fen}] fen, the budget of a day; "
                f"got {self.bid_fen}"
            )
        if self.cap < 1:
            raise ConfigError(f"ad {self.ad_id}: cap must be at least 1, got {self.cap}")


@dataclass(frozen=True)
class Moment:
    """When an auction is: the day (since 1970-01-01) and the second of it."""

    day: int
    second: float


@dataclass(frozen=True)
class AdDesk:
    """Everything a shop serves ads with.

    Attributes:
        ads: the orders, by name.
        model: of clicks.
        book: what was shown and clicked.
        now: tells the moment.
        chance: draws from [0, 1) whether an ad takes part; not secret.
        name: makes the name of a placement, which nobody can guess.
        reserve_fen: least price of a click.
        paced: are budgets spread over the day?
    """

    ads: tuple[Ad, ...]
    model: AdModel
    book: AdBook = field(repr=False)
    now: Callable[[], Moment]
    chance: Callable[[], float]
    name: Callable[[], str]
    reserve_fen: int = 1
    paced: bool = True


class Sponsored(msgspec.Struct, frozen=True):
    """A sponsored item: always labelled, at the catalogue's price.

    Attributes:
        placement: names this view; a click is reported by it.
        ad: the order.
        advertiser: who pays.
        item_id, title, brand, category, price: as in the catalogue.
        slot: from 1.
        click_probability: calibrated.
        bid_fen: what was offered for a click; ``price_fen`` is what a click costs the advertiser.
        source: ``ad``.
        sponsored: always true.
    """

    placement: str
    ad: str
    advertiser: str
    item_id: str
    title: str
    brand: str
    category: str
    price: float | None
    slot: int
    click_probability: float
    bid_fen: int
    price_fen: int
    source: str = AD
    sponsored: bool = True


def rank_ads(
    guide: Guide, desk: AdDesk, shopper: str = "", query: str = "", slots: int = 3
) -> tuple[Sponsored, ...]:
    """The ads for a view, best first; they are noted in the book as shown.

    Args:
        guide: of the shop.
        desk: of the shop.
        shopper: who looks; empty, unknown or not to be profiled is nobody.
        query: what was searched; empty for none.
        slots: how many at most.

    Raises:
        ConfigError: ``slots`` is not in [1, MOST_SLOTS], or the query is too long.
    """
    if not 1 <= slots <= MOST_SLOTS:
        raise ConfigError(f"slots must be in [1, {MOST_SLOTS}], got {slots}")
    moment = desk.now()
    history = history_for(guide.histories, engine.addressed(guide, shopper)) if shopper else None
    known = shopper if history is not None else ""
    running = _running(guide, desk, known, query, moment)
    if not running:
        return ()
    rows = np.array([guide.rows[ad.item_id] for ad in running], np.int64)
    clicks = desk.model.probabilities(guide.release.model.catalogue, rows, history)
    # A curve may say 0 in double precision; an auction needs a probability above it.
    bids = [
        Bid(ad.ad_id, ad.bid_fen, max(float(click), 1e-9))
        for ad, click in zip(running, clicks, strict=True)
    ]
    won = second_price(bids, slots, desk.reserve_fen)
    return tuple(_placed(guide, desk, one, known, moment) for one in won)


def click(desk: AdDesk, placement: str) -> bool:
    """Notes a click, which costs the advertiser once; ``False`` where it was noted before.

    Raises:
        NotFoundError: no such placement.
    """
    return desk.book.click(placement)


def read_ads(path: Path) -> tuple[Ad, ...]:
    """The orders in a CSV file; bids and budgets are in yuan (or the shop's currency).

    Raises:
        NotFoundError: there is no such file.
        DataError: a column or a figure is wrong, or a name stands twice.
        ConfigError: an order is out of range.
    """
    if not path.is_file():
        raise NotFoundError(f"no file {path}", hint=f"ls {path.parent}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise DataError(
            f"{path.name} has no rows or no columns {', '.join(missing)}",
            hint=f"a head of {','.join(COLUMNS)}",
        )
    ads = tuple(_ad(path, number, row) for number, row in enumerate(rows, start=2))
    if len({ad.ad_id for ad in ads}) < len(ads):
        raise DataError(f"{path.name}: an ad_id stands twice")
    return ads


def _ad(path: Path, line: int, row: dict[str, str]) -> Ad:
    try:
        bid, budget = (round(float(row[name]) * 100) for name in ("bid", "budget"))
        cap = int(row.get("cap") or 3)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{path.name}, line {line}: bid, budget or cap is no number") from None
    return Ad(row["ad_id"], row["item_id"], bid, budget, cap, row.get("advertiser") or "")


def _running(guide: Guide, desk: AdDesk, shopper: str, query: str, moment: Moment) -> Sequence[Ad]:
    """The ads that take part in this auction."""
    fits = _fitting(guide, query)
    spent = desk.book.spent_fen(moment.day)
    shown = desk.book.shown(shopper, moment.day)
    paces = desk.book.paces(moment.day)
    return [
        ad
        for ad in desk.ads
        if ad.item_id in guide.rows
        and (fits is None or ad.item_id in fits)
        and spent.get(ad.ad_id, 0) + ad.bid_fen <= ad.budget_fen
        and shown.get(ad.ad_id, 0) < ad.cap
        and _let_in(desk, ad, spent.get(ad.ad_id, 0), paces.get(ad.ad_id), moment)
    ]


def _fitting(guide: Guide, query: str) -> set[str] | None:
    """Items that have words of the search; ``None`` where nothing is searched."""
    if not query:
        return None
    found = engine.search(guide, query, engine.MOST_PICKS)
    return {pick.item_id for pick in found.picks if pick.source == WORDS}


def _let_in(desk: AdDesk, ad: Ad, spent_fen: int, pace: Pace | None, moment: Moment) -> bool:
    """Does the ad's pace let it in? Its pace is looked after at the same time."""
    if not desk.paced:
        return True
    before = pace or Pace(1.0, moment.second)
    planned = planned_evenly(ad.budget_fen, moment.second)
    # Two processes' clocks may differ by a little: never back.
    after = adjusted(before, max(moment.second, before.at_s), spent_fen, planned)
    if after != pace:
        desk.book.set_pace(ad.ad_id, moment.day, after)
    return desk.chance() < after.rate


def _placed(guide: Guide, desk: AdDesk, won: Won, shopper: str, moment: Moment) -> Sponsored:
    """Notes the view and gives what is shown."""
    ad = next(ad for ad in desk.ads if ad.ad_id == won.bid.ad)
    catalogue, row = guide.release.model.catalogue, guide.rows[ad.item_id]
    place = desk.name()
    desk.book.note(place, ad.ad_id, shopper, moment.day, won.slot, won.price_fen)
    price = float(catalogue.prices[row])
    return Sponsored(
        place,
        ad.ad_id,
        ad.advertiser,
        ad.item_id,
        catalogue.titles[row],
        catalogue.brands[row],
        catalogue.categories[row],
        round(price, 2) if math.isfinite(price) else None,
        won.slot,
        round(won.bid.ctr, 6),
        ad.bid_fen,
        won.price_fen,
    )
