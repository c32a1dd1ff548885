"""Cuts shops in time for an honest comparison: train, validation, test.

The primary cut is temporal: two calendar days, the same for every shop, so that no model learns
from a day after the one it is judged on. Data without times leave each shopper's last out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedguide.data.baskets import baskets, holds_purchase, take
from fedguide.data.contract import Dataset, bought, require_events
from fedguide.errors import ConfigError, DataError
from fedguide.values import Baskets, Cases, ShopData

Rows = NDArray[np.int64]


def split(
    shops: Sequence[Dataset], train: float = 0.7, validation: float = 0.1
) -> tuple[ShopData, ...]:
    """The temporal split where all shops know times, leave-last-out where none does.

    Raises:
        DataError: some shops know times and some do not, or what the splits raise.
    """
    clocked = {shop.clocked for shop in shops}
    if len(clocked) > 1:
        raise DataError(
            "some shops know times and some know only the order of events",
            hint="compare shops of one kind at a time",
        )
    return split_by_time(shops, train, validation) if True in clocked else leave_last_out(shops)


def cut_days(shops: Sequence[Dataset], train: float, validation: float) -> tuple[int, int]:
    """The first day of validation and the first day of test, the same for every shop.

    The rows of all shops together are sorted by day; a cut is the day of the row at the given
    fraction, so that a day is never cut in two.

    Raises:
        ConfigError: the fractions leave nothing to one of the three parts.
        DataError: the data cover too few days to be cut.
    """
    if not (train > 0 and validation > 0 and train + validation < 1):
        raise ConfigError(
            f"train and validation must be above 0 and sum to less than 1, "
            f"got {train} and {validation}",
            hint="0.7 and 0.1",
        )
    days = np.sort(np.concatenate([require_events(shop).events.days for shop in shops]))
    # 0.7 + 0.1 is a hair less than 0.8: without the small amount a whole row would be lost.
    rows = (int(part * len(days) + 1e-6) for part in (train, train + validation))
    first, second = (int(days[row]) for row in rows)
    if not days[0] < first < second:
        raise DataError(
            f"{len(np.unique(days))} days with events are too few for a cut in time",
            hint="import a longer period; a hundred days or more tell something",
        )
    return first, second


def split_by_time(
    shops: Sequence[Dataset], train: float = 0.7, validation: float = 0.1
) -> tuple[ShopData, ...]:
    """Global temporal split: next basket, the same two calendar days for every shop.

    A case is a shopper's first basket with a purchase in the slice, if the shopper has an earlier
    basket; its history is everything before it. Items never seen in train stay in the catalogue.

    Raises:
        ConfigError, DataError: see ``cut_days``; or a shop has nothing to train on.
    """
    first, second = cut_days(shops, train, validation)
    return tuple(cut_shop(shop, first, second) for shop in shops)


def leave_last_out(shops: Sequence[Dataset]) -> tuple[ShopData, ...]:
    """Each shopper's last purchase is the test case, the one before the validation case.

    Only for data without times, and for comparison with papers: where baskets have several lines
    it flatters, and a model sees other shoppers' later events.

    Raises:
        DataError: a shop has no events, no purchase, or nothing to train on.
    """
    return tuple(_leave_out(require_events(shop)) for shop in shops)


def cut_shop(shop: Dataset, first: int, second: int) -> ShopData:
    """One shop, cut at the first day of validation and the first day of test.

    Raises:
        DataError: it has nothing to train on, or no purchase.
    """
    _require_purchase(shop)
    whole = baskets(shop.events)
    before_first, before_second = whole.days < first, whole.days < second
    known = take(whole, np.flatnonzero(before_second))
    validation, _ = _first_in_slice(known, first)
    test, cold = _first_in_slice(whole, second)
    return _shop_data(shop, take(whole, np.flatnonzero(before_first)), validation, test, cold)


def _first_in_slice(known: Baskets, first_day: int) -> tuple[Cases, int]:
    """The first buying basket from ``first_day`` on of everybody with an earlier basket.

    Also counts the shoppers who have such a basket but nothing before it.
    """
    candidates = np.flatnonzero((known.days >= first_day) & holds_purchase(known))
    _, first = np.unique(known.shoppers[candidates], return_index=True)
    targets = candidates[first]
    starts = _first_baskets(known)[targets]
    warm = starts < targets
    return Cases(known, targets[warm], starts[warm]), int((~warm).sum())


def _leave_out(shop: Dataset) -> ShopData:
    _require_purchase(shop)
    whole = baskets(shop.events)
    starts = _first_baskets(whole)
    buying = holds_purchase(whole) & (starts < np.arange(len(whole)))
    test = _last_of_each(whole, buying)
    buying[test] = False
    validation = _last_of_each(whole, buying)
    # Train ends before a shopper's first left-out basket; a shopper with none is kept whole.
    ends = np.full(len(whole.shopper_ids), len(whole), np.int64)
    ends[whole.shoppers[test]] = test
    ends[whole.shoppers[validation]] = validation
    train = np.flatnonzero(np.arange(len(whole)) < ends[whole.shoppers])
    return _shop_data(
        shop,
        take(whole, train),
        Cases(whole, validation, starts[validation]),
        Cases(whole, test, starts[test]),
        cold=0,
    )


def _first_baskets(known: Baskets) -> Rows:
    """Of each basket the number of its shopper's first basket; shape ``(b,)``."""
    return np.searchsorted(known.shoppers, known.shoppers, side="left").astype(np.int64)


def _last_of_each(known: Baskets, mask: NDArray[np.bool_]) -> Rows:
    rows = np.flatnonzero(mask)[::-1]
    _, last = np.unique(known.shoppers[rows], return_index=True)
    return rows[last]


def _shop_data(
    shop: Dataset, train: Baskets, validation: Cases, test: Cases, cold: int
) -> ShopData:
    if len(train) == 0:
        raise DataError(
            f"{shop.name} has nothing before the first cut to train on",
            hint="leave the shop out, or import an earlier period of it",
        )
    return ShopData(shop.name, shop.catalogue, train, validation, test, cold)


def _require_purchase(shop: Dataset) -> None:
    if not bought(shop.events).any():
        raise DataError(
            f"{shop.name} has no purchase among its {len(shop.events)} events",
            hint="map the column that says what happened: --column kind=THEIR_COLUMN",
        )
