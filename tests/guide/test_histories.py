"""Shoppers' events in flat arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedguide.errors import DataError
from fedguide.guide.histories import busiest, histories_from, history_for
from fedguide.values import BUY, SEARCH, VIEW, Baskets

BASKETS = Baskets(
    shoppers=np.array([0, 0, 2], np.int32),
    days=np.array([10, 12, 11], np.int32),
    offsets=np.array([0, 2, 3, 5], np.int64),
    items=np.array([4, 7, 4, -1, 1], np.int32),
    kinds=np.array([VIEW, BUY, BUY, SEARCH, VIEW], np.uint8),
    queries=np.array([-1, -1, -1, 0, -1], np.int32),
    shopper_ids=("ann", "bob", "eve"),
    query_texts=("mug",),
)


def test_a_shopper_s_events_oldest_first() -> None:
    histories = histories_from(BASKETS)
    ann = history_for(histories, "ann")
    assert ann is not None
    assert ann.items.tolist() == [4, 7, 4]
    assert ann.kinds.tolist() == [VIEW, BUY, BUY]
    assert ann.days.tolist() == [10, 10, 12]
    assert ann.queries == ()
    eve = history_for(histories, "eve")
    assert eve is not None
    assert eve.queries == ("mug", None)
    assert eve.days.tolist() == [11, 11]
    assert histories.last_day == 12
    assert len(histories) == 3


@pytest.mark.parametrize("shopper", ["bob", "zoe", ""])
def test_a_shopper_without_events_has_no_history(shopper: str) -> None:
    assert history_for(histories_from(BASKETS), shopper) is None


@pytest.mark.parametrize(
    "change",
    [
        {"shoppers": np.array([2, 0, 0], np.int32)},
        {"days": np.array([12, 10, 11], np.int32)},
    ],
)
def test_unsorted_baskets_are_refused(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="sorted"):
        histories_from(dataclasses.replace(BASKETS, **change))


def test_an_empty_shop() -> None:
    empty = Baskets(
        *(np.zeros(0, np.int32),) * 2,
        offsets=np.zeros(1, np.int64),
        items=np.zeros(0, np.int32),
        kinds=np.zeros(0, np.uint8),
        queries=np.zeros(0, np.int32),
        shopper_ids=(),
    )
    histories = histories_from(empty)
    assert len(histories) == 0
    assert histories.last_day == 0
    assert history_for(histories, "ann") is None
    assert busiest(histories, 3) == ()


def test_the_busiest_are_spread() -> None:
    assert busiest(histories_from(BASKETS), 1) == (("ann", 3),)
