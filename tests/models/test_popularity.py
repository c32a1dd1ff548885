"""Sales and histories by hand; no sale of a case's own day or later is ever known to it."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.models.popularity import (
    by_history,
    by_popularity,
    known_sales,
    repeats,
    sales,
    times_bought,
)
from fedguide.values import VIEW

from .small import before, cases, diary

WHOLE = diary(
    [
        (0, 10, [0, 1]),
        (0, 30, [0, (2, VIEW)]),
        (0, 45, [0]),
        (1, 30, [1]),
        (1, 44, [3]),
        (2, 41, [2]),
        (2, 45, [2]),
    ]
)
TRAIN = before(WHOLE, 40)


def test_sales_count_baskets_with_a_purchase() -> None:
    assert_array_equal(sales(TRAIN, 4), [2, 2, 0, 0])
    assert_array_equal(sales(TRAIN, 4, days=20), [1, 1, 0, 0])  # days 11 to 30
    assert_array_equal(sales(TRAIN, 4, days=21), [2, 2, 0, 0])  # days 10 to 30
    assert_array_equal(sales(before(WHOLE, 0), 4, days=20), [0, 0, 0, 0])


def test_with_one_vote_a_shopper_counts_once_for_an_item_when_it_was_bought_first() -> None:
    assert_array_equal(sales(TRAIN, 4, one_vote=True), [1, 2, 0, 0])
    # Shopper 0 bought item 0 on day 10 already, shopper 1 item 1 on day 30.
    assert_array_equal(sales(TRAIN, 4, days=20, one_vote=True), [0, 1, 0, 0])
    known = known_sales(WHOLE, cases(WHOLE, [2]), 4, days=36, one_vote=True)
    assert_array_equal(known, [sales(WHOLE, 4, 36, one_vote=True)])  # no cut in time
    assert_array_equal(
        known_sales(TRAIN, cases(WHOLE, [2]), 4, days=40, one_vote=True)[0], [1, 2, 1, 1]
    )
    assert_array_equal(known_sales(TRAIN, cases(WHOLE, [2]), 4, days=40)[0], [2, 2, 1, 1])


def test_repeats_are_lines_bought_before() -> None:
    lines = [(0, 10, [0, 1]), (0, 30, [0, (1, VIEW)]), (1, 5, [0]), (1, 6, [0]), (1, 7, [0, 1])]
    assert_array_equal(
        repeats(diary(lines)),
        [False, False, True, False, False, True, True, False],
    )


def test_times_bought_is_what_the_shopper_bought_before() -> None:
    assert_array_equal(times_bought(cases(WHOLE, [2, 6]), 4), [[2, 1, 0, 0], [0, 0, 1, 0]])


def test_a_case_knows_the_sales_of_the_days_before_its_own() -> None:
    known = known_sales(TRAIN, cases(WHOLE, [2, 4]), 4, days=5)
    assert_array_equal(known[0], [0, 0, 1, 1])  # day 45: days 40 to 44, not day 45's own
    assert_array_equal(known[1], [0, 0, 1, 0])  # day 44: days 39 to 43


def test_without_a_cut_in_time_only_train_is_known() -> None:
    whole = before(WHOLE, 45)
    known = known_sales(TRAIN, cases(whole, [1]), 4, days=20)  # day 30 is train's last day
    assert_array_equal(known, [sales(TRAIN, 4, 20)])


def test_popularity_says_the_same_to_everybody() -> None:
    scores = by_popularity(sales(TRAIN, 4))(cases(WHOLE, [2, 4]))
    assert_array_equal(scores, [[2, 2, 0, 0]] * 2)


def test_history_goes_first_and_popularity_breaks_its_ties() -> None:
    popularity = np.array([1, 7, 7, 900], np.float32)
    scores = by_history(popularity)(cases(WHOLE, [2]))[0]
    assert scores[0] > scores[1] > scores[3] > scores[2]  # bought twice, once, never, never
    assert scores[0] - scores[1] < 1  # popularity counts, but less than one purchase
    assert_allclose(by_history(np.zeros(4, np.float32))(cases(WHOLE, [2]))[0], [2, 1, 0, 0])
