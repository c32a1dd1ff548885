"""The cohort: nothing of a shopper who is not in it, and everything of the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.data.cohort import cohort
from fedguide.data.contract import require_events
from fedguide.data.split import split
from fedguide.errors import DataError
from fedguide.values import BUY, SEARCH, VIEW
from tests.data.made import dataset, spelled

ROWS = [
    ("ann", "tea", 3),
    ("ann", "only-anns-cup", 3, VIEW),
    ("ann", "only ann's wish", 4, SEARCH),
    ("bob", "tea", 3),
    ("bob", "red cup", 5, SEARCH),
    ("eve", "pot", 9),
]


def test_somebody_who_said_no_leaves_no_trace() -> None:
    data = dataset(ROWS, ann="FR")
    kept = cohort(data, lambda shopper: shopper != "ann")
    require_events(kept)
    assert kept.events.user_ids == ("bob", "eve")
    assert kept.events.query_texts == ("red cup",)
    assert spelled(kept) == [row for row in spelled(data) if row[0] != "ann"]
    # The shop's goods are the shop's: the catalogue says nothing about who bought.
    assert kept.catalogue == data.catalogue


def test_if_everybody_agrees_nothing_changes() -> None:
    data = dataset(ROWS)
    assert cohort(data, lambda _: True) is data


def test_nobody_left_is_an_error() -> None:
    with pytest.raises(DataError, match="none of its 3 shoppers"):
        cohort(dataset(ROWS), lambda _: False)


EVENT = st.tuples(
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(["x", "y", "z"]),
    st.integers(0, 9),
    st.sampled_from([BUY, VIEW, SEARCH]),
)


@given(st.lists(EVENT, min_size=1, max_size=20), st.sets(st.sampled_from("abcd")))
def test_exactly_the_allowed_rows_stay(rows: list[tuple], said_no: set[str]) -> None:
    data = dataset(rows)
    expected = [row for row in spelled(data) if row[0] not in said_no]
    if not expected:
        with pytest.raises(DataError):
            cohort(data, lambda shopper: shopper not in said_no)
        return
    kept = cohort(data, lambda shopper: shopper not in said_no)
    assert spelled(kept) == expected


def test_training_and_questions_know_only_the_cohort() -> None:
    rows = [(f"s{n}", f"i{(n + d) % 7}", 10 * d + n % 5) for n in range(12) for d in range(12)]
    kept = cohort(dataset(rows), lambda shopper: shopper != "s3")
    (shop,) = split([kept])
    for baskets in (shop.train, shop.validation.baskets, shop.test.baskets):
        assert "s3" not in baskets.shopper_ids
        assert np.unique(baskets.shoppers).max() < 11
