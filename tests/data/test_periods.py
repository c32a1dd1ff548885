"""Columns know nothing of later days; targets nothing of earlier ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.data.periods import reached, seen_by, shopper_columns
from fedguide.errors import ConfigError, NotFoundError
from fedguide.values import BUY, CART, SEARCH, VIEW
from tests.data.made import dataset

ROWS = [
    ("ann", "tea", 1, VIEW),
    ("ann", "tea", 1, BUY),
    ("ann", "tea", 40, BUY),
    ("ben", "cup", 45, VIEW),
    ("ben", "mug", 50, SEARCH),
    ("cat", "cup", 62, BUY),
]


def test_columns_by_hand():
    made = shopper_columns(dataset(ROWS), 60)
    assert made["visits"].tolist() == [2, 2, 0]
    assert made["buys"].tolist() == [2, 0, 0]
    assert made["visits_30d"].tolist() == [1, 2, 0]
    assert made["searches"].tolist() == [0, 1, 0]
    assert made["idle_days"].tolist()[:2] == [20, 10]
    assert made["known_days"].tolist()[:2] == [59, 15]
    assert np.isnan(made["idle_days"][2])
    assert np.isnan(made["days_since_buy"][1])


def test_who_was_seen_and_who_did_it():
    shop = dataset(ROWS)
    assert seen_by(shop, 60).tolist() == [True, True, False]
    assert reached(shop, "buy", 60, 5).tolist() == [0, 0, 1]
    assert reached(shop, "buy", 61, 1).tolist() == [0, 0, 1]
    assert reached(shop, "buy", 62, 5).tolist() == [0, 0, 0]
    assert reached(shop, "search", 45, 5).tolist() == [0, 1, 0]


def test_no_column_knows_what_came_later():
    """Every event after the day is moved to other items, kinds and shoppers: nothing changes."""
    shop = dataset(ROWS)
    later = shop.events.days > 40
    changed = replace(
        shop.events,
        users=np.where(later, 1, shop.events.users).astype(np.int32),
        kinds=np.where(later, CART, shop.events.kinds).astype(np.uint8),
        days=np.where(later, shop.events.days + 7, shop.events.days).astype(np.int32),
    )
    before, after = shopper_columns(shop, 40), shopper_columns(replace(shop, events=changed), 40)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)


def test_a_category_is_the_items_of_it_and_below():
    shop = dataset(ROWS)
    paths = {"cup": "home/cups", "tea": "food", "mug": "homeless"}
    shelves = tuple(paths[item] for item in shop.catalogue.ids)
    shop = replace(shop, catalogue=replace(shop.catalogue, categories=shelves))
    assert reached(shop, "buy", 0, 90, "home").tolist() == [0, 0, 1]
    assert reached(shop, "view", 0, 90, "home/cups").tolist() == [0, 1, 0]
    with pytest.raises(NotFoundError, match="hom"):
        reached(shop, "buy", 0, 90, "hom")


def test_bad_input():
    with pytest.raises(ConfigError, match="target"):
        reached(dataset(ROWS), "like", 60, 5)
    with pytest.raises(ConfigError, match="length"):
        reached(dataset(ROWS), "buy", 60, 0)
