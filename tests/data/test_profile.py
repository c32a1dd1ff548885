"""Figures of a data set, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.data.profile import profile
from fedguide.errors import DataError
from fedguide.values import SEARCH, VIEW
from tests.data.made import dataset

ROWS = [
    ("ann", "tea", 0),
    ("ann", "cup", 0),
    ("ann", "tea", 2),
    ("bob", "tea", 5),
    ("bob", "pot", 5, VIEW),
    ("bob", "red", 9, SEARCH),
]


def test_every_figure_by_hand() -> None:
    data = dataset(ROWS)
    titles = ("茶杯 cup", "", "tea")
    prices = np.array([1, np.nan, 3], np.float32)
    made = profile(replace(data, catalogue=replace(data.catalogue, titles=titles, prices=prices)))
    assert (made.shoppers, made.items, made.items_bought, made.events) == (2, 3, 2, 6)
    assert made.kinds == {"view": 1, "buy": 4, "search": 1}
    assert (made.first_day, made.last_day) == ("1970-01-01", "1970-01-10")
    assert (made.baskets, made.baskets_a_shopper) == (4, 2.0)
    assert made.lines_a_basket == 1.0  # baskets with purchases hold 2, 1 and 1
    assert made.repurchased == 1 / 4  # ann's second tea among four lines
    assert made.titled == made.priced == 2 / 3
    assert made.languages == {"zh": 1 / 3, "en": 2 / 3, "both": 1 / 3}
    assert made.density == 3 / 6
    assert made.top_items == 3 / 4  # tea


def test_data_without_times_have_no_days() -> None:
    made = profile(dataset(ROWS, clocked=False))
    assert made.first_day == made.last_day == ""


def test_data_without_purchases_have_no_shares() -> None:
    made = profile(dataset([("ann", "tea", 1, VIEW)]))
    assert (made.repurchased, made.lines_a_basket, made.top_items) == (0, 0, 0)


def test_no_events_are_an_error() -> None:
    data = dataset(ROWS)
    empty = {name: getattr(data.events, name)[:0] for name in ("users", "items", "kinds")}
    with pytest.raises(DataError, match="no usable events"):
        profile(replace(data, events=replace(data.events, **empty)))
