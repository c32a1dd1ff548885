"""Sales and histories by hand; no sale of a case's own day or later is ever known to it."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.models.popularity import (
    by_history,
    by_popularity,
    known_sales,
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
