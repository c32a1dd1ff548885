"""Baskets: one shopper, one day, no order of lines."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.baskets import baskets, holds_purchase, take
from fedguide.data.contract import COLUMNS
from fedguide.values import BUY, SEARCH, VIEW
from tests.data.made import dataset, differences

ROWS = [
    ("ann", "tea", 9),
    ("ann", "cup", 3),
    ("ann", "tea", 3),
    ("ann", "tea", 3),  # twice on one day: once in the basket
    ("ann", "tea", 3, VIEW),
    ("ann", "mug", 3, SEARCH),
    ("bob", "tea", 3),
]


def test_a_basket_is_one_shopper_on_one_day() -> None:
    made = baskets(dataset(ROWS).events)
    assert made.shoppers.tolist() == [0, 0, 1]
    assert made.days.tolist() == [3, 9, 3]
    assert made.offsets.tolist() == [0, 4, 5, 6]
    # cup is item 0, tea item 1; a search has no item and comes first
    assert made.items.tolist() == [-1, 0, 1, 1, 1, 1]
    assert made.kinds.tolist() == [SEARCH, BUY, VIEW, BUY, BUY, BUY]
    assert made.queries.tolist() == [0, -1, -1, -1, -1, -1]
    assert made.query_texts == ("mug",)
    assert made.shopper_ids == ("ann", "bob")


def test_take_keeps_whole_baskets_in_the_order_asked_for() -> None:
    made = baskets(dataset(ROWS).events)
    some = take(made, np.array([2, 0]))
    assert some.shoppers.tolist() == [1, 0]
    assert some.offsets.tolist() == [0, 1, 5]
    assert some.items.tolist() == [1, -1, 0, 1, 1]
    assert len(take(made, np.zeros(0, np.int64))) == 0


def test_only_baskets_with_a_purchase_hold_one() -> None:
    rows = [("ann", "tea", 1, VIEW), ("ann", "tea", 2), ("ann", "mug", 3, SEARCH)]
    assert holds_purchase(baskets(dataset(rows).events)).tolist() == [False, True, False]


EVENT = st.tuples(
    st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 3), st.sampled_from([VIEW, BUY])
)


@settings(max_examples=50)
@given(st.lists(EVENT, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[tuple], random) -> None:
    events = dataset(rows).events
    order = list(range(len(events)))
    random.shuffle(order)
    shuffled = replace(events, **{name: getattr(events, name)[order] for name in COLUMNS})
    assert differences(baskets(events), baskets(shuffled)) == []


@settings(max_examples=50)
@given(st.lists(EVENT, min_size=1, max_size=30))
def test_baskets_hold_exactly_the_different_events(rows: list[tuple]) -> None:
    made = baskets(dataset(rows).events)
    names = sorted({row[1] for row in rows})
    owners = np.repeat(np.arange(len(made)), np.diff(made.offsets))
    lines = [
        (made.shopper_ids[made.shoppers[b]], names[item], int(made.days[b]), int(kind))
        for b, item, kind in zip(owners, made.items, made.kinds, strict=True)
    ]
    assert sorted(lines) == sorted(set(rows))
    keys = list(zip(made.shoppers.tolist(), made.days.tolist(), strict=True))
    assert keys == sorted(set(keys))
