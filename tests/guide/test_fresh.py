"""Fresh events lie behind the store's, ignored items are out, and nothing else changes."""

from __future__ import annotations

import tracemalloc

import numpy as np

from fedguide.guide.fresh import MOST_EACH, Fresh, Happened, extended
from fedguide.models.encoders import History, empty_history
from fedguide.values import BUY, SEARCH, VIEW

PAST = History(
    np.array([4, -1, 6], np.int32),
    np.array([VIEW, SEARCH, BUY], np.uint8),
    np.array([1, 2, 2], np.int32),
    (None, "mug", None),
)


def same(one: History | None, two: History) -> bool:
    return (
        one is not None
        and all(
            np.array_equal(getattr(one, name), getattr(two, name))
            for name in ("items", "kinds", "days")
        )
        and one.queries == two.queries
    )


def test_nothing_fresh_is_the_store_s_history() -> None:
    assert Fresh().whole("a", PAST) is PAST
    assert Fresh().whole("a", None) is None
    assert extended(PAST, ()) is PAST


def test_events_come_behind_in_their_order_and_only_for_their_shopper() -> None:
    fresh = Fresh()
    fresh.add("a", Happened(9, BUY, 3))
    fresh.add("a", Happened(-1, SEARCH, 4, "tea"))
    wanted = History(
        np.array([4, -1, 6, 9, -1], np.int32),
        np.array([VIEW, SEARCH, BUY, BUY, SEARCH], np.uint8),
        np.array([1, 2, 2, 3, 4], np.int32),
        (None, "mug", None, None, "tea"),
    )
    assert same(fresh.whole("a", PAST), wanted)
    assert fresh.whole("b", PAST) is PAST
    new = fresh.whole("a", None)
    assert same(
        new, extended(empty_history(), (Happened(9, BUY, 3), Happened(-1, SEARCH, 4, "tea")))
    )
    fresh.forget("a")
    assert fresh.whole("a", PAST) is PAST


def test_ignored_items_are_out_whether_stored_or_fresh() -> None:
    fresh = Fresh()
    fresh.add("a", Happened(9, VIEW, 3))
    fresh.ignore("a", [4, 9])
    left = History(PAST.items[1:], PAST.kinds[1:], PAST.days[1:], ("mug", None))
    assert same(fresh.whole("a", PAST), left)
    fresh.ignore("a", [4, 6, 9, -1])
    assert fresh.whole("a", PAST) is None
    fresh.ignore("a", [])
    whole = fresh.whole("a", PAST)
    assert whole is not None
    assert whole.items.tolist() == [4, -1, 6, 9]


def test_what_is_held_of_one_shopper_is_bounded_and_the_oldest_goes() -> None:
    fresh = Fresh()
    for row in range(MOST_EACH + 3):
        fresh.add("a", Happened(row, VIEW, row))
    whole = fresh.whole("a", None)
    assert whole is not None
    assert whole.items.tolist() == list(range(3, MOST_EACH + 3))


def test_a_search_among_many_events_keeps_its_words() -> None:
    fresh, events = Fresh(), []
    for number in range(2 * MOST_EACH):
        searched = number in (MOST_EACH - 1, MOST_EACH + 7, 2 * MOST_EACH - 1)
        event = Happened(-1, SEARCH, number, f"tea {number}") if searched else None
        events.append(event or Happened(number, VIEW, number))
        fresh.add("a", events[-1])
        if number in (MOST_EACH - 2, MOST_EACH + 3, 2 * MOST_EACH - 1):
            assert same(fresh.whole("a", PAST), extended(PAST, events[-MOST_EACH:]))


def test_an_event_takes_a_few_bytes() -> None:
    fresh = Fresh()
    tracemalloc.start()
    for shopper in range(100):
        for number in range(400):
            fresh.add(f"s{shopper}", Happened(number + 1000, VIEW, number + 1000))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 100 * 400 * 16
