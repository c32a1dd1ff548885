"""Which items fulfil a wish, and the least to give up where none does."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.guide.admission import (
    Part,
    all_of,
    mask_of,
    nearest,
    parts_of,
    relaxations,
    rows_of,
    without,
)
from fedguide.guide.grammar import understand
from fedguide.guide.vocabulary import BRAND, CATEGORY, FEATURE
from fedguide.guide.wish import PRICE, REFUSE, WANT, Wish
from tests.guide.other_shops import electronics, guide_over, holding

GADGETS = electronics()
WORDS = guide_over(GADGETS).words()
COUNT = len(GADGETS.ids)
EVERY = np.ones(COUNT, np.bool_)

_MASKS = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4)


def _admitted(text: str) -> np.ndarray:
    return all_of(parts_of(WORDS, understand(WORDS, text), GADGETS.prices), EVERY)


def test_the_items_of_a_wish_are_those_that_are_all_it_says() -> None:
    wanted = holding(GADGETS, "Silent", "Soundbar") & ~holding(GADGETS, "Ivory")
    wanted &= GADGETS.prices <= 200
    assert wanted.any()
    assert np.array_equal(_admitted("silent soundbar under 200, not ivory"), wanted)


def test_a_brand_is_its_items_and_a_feature_all_that_hold_the_word() -> None:
    brands = np.array(GADGETS.brands)
    kestrels = rows_of(WORDS, BRAND, ("kestrel",))
    assert np.array_equal(kestrels, np.flatnonzero(brands == "Kestrel"))
    held = rows_of(WORDS, FEATURE, ("compact",))
    assert np.array_equal(held, np.flatnonzero(holding(GADGETS, "Compact")))
    assert not len(rows_of(WORDS, CATEGORY, ("spoon",)))


def test_an_item_without_a_price_fulfils_no_bound() -> None:
    prices = np.array([np.nan, 19.9, 20.0], np.float32)
    (part,) = parts_of(WORDS, Wish(at_most=19.9), prices)
    # 19.9 is not a single-precision number; the bound is rounded as the price is.
    assert part.mask.tolist() == [False, True, False]
    (part,) = parts_of(WORDS, Wish(at_least=0.0), prices)
    assert part.mask.tolist() == [False, True, True]


@given(_MASKS)
def test_relaxations_are_the_smallest_sets_that_leave_something(masks: list[list[bool]]) -> None:
    parts = [Part(WANT, at, np.array(mask)) for at, mask in enumerate(masks)]
    among = np.ones(6, np.bool_)
    found = relaxations(parts, among)

    def left(given_up: tuple[int, ...]) -> int:
        rest = [part for at, part in enumerate(parts) if at not in given_up]
        return int(np.all([part.mask for part in rest], axis=0).sum()) if rest else 6

    if left(()):
        assert found == ()
        return
    size = next(n for n in range(1, 5) if any(map(left, combinations(range(len(parts)), n))))
    expected = {c: left(c) for c in combinations(range(len(parts)), size) if left(c)}
    if size > 3:
        assert found == ()
    else:
        assert {tuple(p.place for p in one.parts): one.count for one in found} == expected
        assert [one.count for one in found] == sorted(expected.values(), reverse=True)


def test_nothing_is_relaxed_among_items_that_are_gone() -> None:
    part = Part(WANT, 0, np.array([True, False]))
    assert relaxations([part], np.array([False, True]))[0].count == 1
    assert relaxations([part], np.array([False, False])) == ()


def test_the_nearest_fulfil_most_and_are_least_off_in_price() -> None:
    wish = Wish(at_most=100.0)
    prices = np.array([300.0, 150.0, 120.0, np.nan], np.float32)
    want = Part(WANT, 0, np.array([True, True, False, True]))
    price = Part(PRICE, 0, np.zeros(4, np.bool_))
    assert nearest(wish, [want, price], prices).tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("kind", "kept"),
    [(WANT, (0, 1, True)), (REFUSE, (1, 0, True)), (PRICE, (1, 1, False))],
)
def test_without_a_part_the_rest_of_the_wish_stays(kind: str, kept: tuple[int, int, bool]) -> None:
    wish = understand(WORDS, "soundbar, not ivory, around 200")
    less = without(wish, [Part(kind, 0, EVERY)])
    assert (len(less.wants), len(less.refusals), less.has_price) == kept
    assert math.isfinite(less.about) == less.has_price


def test_one_of_several_words_is_enough() -> None:
    (wanted,) = understand(WORDS, "ivory or crimson").wants
    either = holding(GADGETS, "Ivory") | holding(GADGETS, "Crimson")
    assert np.array_equal(mask_of(WORDS, wanted, COUNT), either)
