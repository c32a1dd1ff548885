"""Cuts in time: what is train, what is judged, and that the future stays unknown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.split import cut_days, leave_last_out, split, split_by_time
from fedguide.errors import ConfigError, DataError
from fedguide.values import VIEW, Cases, ShopData
from tests.data.made import dataset, differences

# Ten rows on days 0..9: train is days 0..6, validation day 7, test days 8 and 9.
ROWS = [
    ("ann", "tea", 0),
    ("ann", "cup", 1),
    ("bob", "tea", 2),
    ("cat", "tea", 3),
    ("cat", "pot", 4),
    ("dan", "tea", 5),
    ("dan", "tea", 6),
    ("ann", "pot", 7),
    ("ann", "new", 8),
    ("eve", "tea", 9),
]


def judged(cases: Cases) -> list[tuple[str, int, list[int]]]:
    """Each case in words: shopper, day of the target, days of the history."""
    known = cases.baskets
    return [
        (
            known.shopper_ids[known.shoppers[target]],
            int(known.days[target]),
            known.days[start:target].tolist(),
        )
        for start, target in zip(cases.starts, cases.targets, strict=True)
    ]


def test_the_cut_is_where_the_fractions_of_all_rows_lie() -> None:
    assert cut_days([dataset(ROWS)], 0.7, 0.1) == (7, 8)
    early = dataset([("zoe", "tea", day) for day in (0, 0, 0, 0, 1, 1, 1, 1, 2, 2)])
    # 20 rows of both shops, sorted by day: number 14 lies on day 4, number 16 on day 6.
    assert cut_days([dataset(ROWS), early], 0.7, 0.1) == (4, 6)


def test_train_validation_and_test_by_hand() -> None:
    (shop,) = split_by_time([dataset(ROWS)])
    assert shop.train.days.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert judged(shop.validation) == [("ann", 7, [0, 1])]
    assert judged(shop.test) == [("ann", 8, [0, 1, 7])]
    assert shop.cold == 1  # eve buys for the first time
    # An item never sold in train stays in the ranking.
    assert shop.catalogue.ids == ("cup", "new", "pot", "tea")


def test_the_case_is_the_first_buying_basket_in_the_slice() -> None:
    rows = [*ROWS[:-2], ("ann", "pot", 8, VIEW), ("ann", "new", 9)]
    (shop,) = split_by_time([dataset(rows)])
    assert judged(shop.test) == [("ann", 9, [0, 1, 7, 8])]


def test_validation_cannot_see_the_test_slice() -> None:
    (shop,) = split_by_time([dataset(ROWS)])
    assert shop.validation.baskets.days.max() == 7


EVENT = st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(0, 40))


@settings(max_examples=50)
@given(st.lists(EVENT, min_size=30, max_size=60, unique=True))
def test_history_lies_before_the_target_and_train_before_the_cut(rows: list[tuple]) -> None:
    data = dataset(rows)
    try:
        first, second = cut_days([data], 0.7, 0.1)
        (shop,) = split_by_time([data])
    except DataError:
        return
    assert shop.train.days.max() < first
    for cases, low in ((shop.validation, first), (shop.test, second)):
        known = cases.baskets
        for start, target in zip(cases.starts, cases.targets, strict=True):
            assert start < target
            assert known.days[target] >= low
            assert (known.days[start:target] < known.days[target]).all()
            assert set(known.shoppers[start : target + 1]) == {known.shoppers[target]}
            assert start == 0 or known.shoppers[start - 1] != known.shoppers[target]
            earlier = known.days[start:target]
            assert (earlier < known.days[target]).all()
    buyers = {row[0] for row in rows if row[2] >= second}
    assert len(shop.test) + shop.cold == len(buyers)


def test_what_comes_after_the_cut_changes_nothing_before_it() -> None:
    """Future blindness: other items and shoppers after the cut leave train as it was."""
    (shop,) = split_by_time([dataset(ROWS)])
    other = [*ROWS[:8], ("ann", "tea", 8), ("bob", "new", 9)]
    (changed,) = split_by_time([dataset(other)])
    for name in ("days", "items", "offsets", "kinds"):
        assert getattr(shop.train, name).tolist() == getattr(changed.train, name).tolist()


def test_leave_last_out_by_hand() -> None:
    rows = [("ann", i, k) for k, i in enumerate(["tea", "cup", "pot", "mug"])]
    rows += [("bob", "tea", 0), ("bob", "cup", 1), ("cat", "tea", 0)]
    (shop,) = leave_last_out([dataset(rows, clocked=False)])
    assert judged(shop.test) == [("ann", 3, [0, 1, 2]), ("bob", 1, [0])]
    assert judged(shop.validation) == [("ann", 2, [0, 1])]
    owners = [shop.train.shopper_ids[s] for s in shop.train.shoppers]
    assert list(zip(owners, shop.train.days.tolist(), strict=True)) == [
        ("ann", 0),
        ("ann", 1),
        ("bob", 0),
        ("cat", 0),
    ]


def test_split_goes_by_what_is_known() -> None:
    timed, ordered = dataset(ROWS), dataset(ROWS, clocked=False)
    assert same(split([timed])[0], split_by_time([timed])[0])
    assert same(split([ordered])[0], leave_last_out([ordered])[0])
    with pytest.raises(DataError, match="only the order"):
        split([timed, ordered])


def same(left: ShopData, right: ShopData) -> bool:
    return not any(
        differences(a, b)
        for a, b in (
            (left.train, right.train),
            (left.test.baskets, right.test.baskets),
            (left.validation.baskets, right.validation.baskets),
        )
    )


@pytest.mark.parametrize(("train", "validation"), [(0, 0.1), (0.7, 0), (0.9, 0.1), (0.7, -0.1)])
def test_fractions_must_leave_something_to_all_parts(train: float, validation: float) -> None:
    with pytest.raises(ConfigError, match="sum to less than 1"):
        split_by_time([dataset(ROWS)], train, validation)


def test_a_shop_with_one_shopper_works() -> None:
    (shop,) = split_by_time([dataset([("ann", "tea", day) for day in range(10)])])
    assert (len(shop.test), len(shop.validation), shop.cold) == (1, 1, 0)


def test_an_item_without_title_works() -> None:
    data = dataset(ROWS)
    bare = replace(data.catalogue, titles=("",) * len(data.catalogue))
    (shop,) = split_by_time([replace(data, catalogue=bare)])
    assert set(shop.catalogue.titles) == {""}


def test_a_shop_that_opened_after_the_cut_is_an_error_that_says_what_to_do() -> None:
    late = dataset([("zoe", "tea", 9)], name="late")
    with pytest.raises(DataError, match="late has nothing before the first cut") as caught:
        split_by_time([dataset(ROWS), late])
    assert "leave the shop out" in caught.value.hint


@pytest.mark.parametrize("days", [[0], [0, 1], [0] * 99 + [1]])
def test_too_few_days_are_an_error(days: list[int]) -> None:
    with pytest.raises(DataError, match="too few"):
        split_by_time([dataset([("ann", f"i{k}", day) for k, day in enumerate(days)])])


def test_a_shop_without_purchases_is_an_error() -> None:
    rows = [("ann", "tea", day, VIEW) for day in range(10)]
    for function in (split_by_time, leave_last_out):
        with pytest.raises(DataError, match="no purchase"):
            function([dataset(rows)])


def test_every_case_of_a_shop_has_its_own_shopper() -> None:
    (shop,) = split_by_time([dataset(ROWS)])
    shoppers = shop.test.baskets.shoppers[shop.test.targets]
    assert len(np.unique(shoppers)) == len(shop.test)
