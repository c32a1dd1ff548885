"""Chips stack: each narrows what the others left, and its count is what it leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide.admission import all_of, parts_of
from fedguide.guide.ask import ask
from fedguide.guide.asked import Asked
from fedguide.guide.chips import MOST_CHIPS, with_chips
from fedguide.guide.grammar import understand
from fedguide.guide.wish import Wish
from tests.guide.other_shops import clothes, electronics, guide_over
from tests.guide.sample import a_guide

GADGETS, CLOTHES = guide_over(electronics()), guide_over(clothes())
WISHES = (
    (GADGETS, "silent things under 700"),
    (GADGETS, "Kestrel, not ivory"),
    (CLOTHES, "亚麻"),
    (CLOTHES, "不要米色，三百以内"),
)
CODES = (
    "feature:silent",
    "feature:bluetooth",
    "feature:ivory",
    "brand:kestrel",
    "brand:vantage point",
    "category:audio",
    "category:mirrorless camera",
    "price:-200",
    "price:100-600",
    "price:150-",
)
_SOME = st.lists(
    st.sampled_from([c for c in CODES if c != "category:mirrorless camera"]), max_size=4
)


def _ids(answer: Asked) -> set[str]:
    return {pick.item_id for pick in answer.picks} if answer.exact else set()


def _fits(codes: list[str] | tuple[str, ...], text: str = "") -> set[int]:
    vocabulary, prices = GADGETS.words(), GADGETS.release.model.catalogue.prices
    wish = understand(vocabulary, text) if text else Wish()
    parts = parts_of(vocabulary, with_chips(vocabulary, wish, codes), prices)
    return set(np.flatnonzero(all_of(parts, np.ones(len(prices), np.bool_))).tolist())


@given(_SOME, _SOME)
def test_chips_together_leave_what_each_alone_leaves(some: list[str], more: list[str]) -> None:
    assert _fits([*some, *more]) == _fits(some) & _fits(more)


@given(_SOME, st.integers(0, 3), st.sampled_from(["", "silent", "under 500", "not ivory"]))
def test_taking_a_chip_away_never_narrows(some: list[str], at: int, text: str) -> None:
    fewer = some[:at] + some[at + 1 :]
    assert _fits(fewer, text) >= _fits(some, text)


@pytest.mark.parametrize("case", range(len(WISHES)))
def test_a_chip_of_an_answer_leaves_as_many_items_as_it_says(case: int) -> None:
    guide, text = WISHES[case]
    first = ask(guide, text, k=100)
    # What all items have in common, such as the brand that was asked for, splits nothing.
    assert ("brand" in {chip.kind for chip in first.chips}) == ("Kestrel" not in text)
    for chip in first.chips:
        assert 0 < chip.count < first.total
        then = ask(guide, text, chips=[chip.code], k=100)
        assert (then.exact, then.total) == (True, chip.count)
        assert then.active == (chip.code,)
        if first.total <= 100:
            assert _ids(then) <= _ids(first)


def test_chips_of_a_chip_go_on_narrowing() -> None:
    codes: list[str] = []
    answer = ask(GADGETS, "bluetooth", k=100)
    for _ in range(3):
        chip = min(answer.chips, key=lambda one: (-one.count, one.code))
        codes.append(chip.code)
        narrower = ask(GADGETS, "bluetooth", chips=codes, k=100)
        assert narrower.total == chip.count < answer.total
        answer = narrower
    assert [one.chip for one in answer.understood if one.chip]


def test_price_chips_are_bands_that_cover_everything_once_or_at_a_bound() -> None:
    answer = ask(GADGETS, "silent", k=1)
    bands = [chip for chip in answer.chips if chip.kind == "price"]
    assert len(bands) == 3
    low, middle, high = (chip.label.split("-") for chip in bands)
    assert (low[0], high[1]) == ("", "")
    assert (low[1], middle[1]) == (middle[0], high[0])
    assert sum(chip.count for chip in bands) >= answer.total


def test_chips_are_in_the_language_of_the_answer_where_the_shop_has_it() -> None:
    mixed = a_guide()
    for lang, has_runs in (("zh", True), ("en", False)):
        features = [c for c in ask(mixed, "轻量", lang=lang).chips if c.kind == "feature"]
        assert features
        assert all((max(chip.label) >= "\u3400") == has_runs for chip in features)


def test_chips_alone_are_a_question() -> None:
    answer = ask(GADGETS, "", chips=["brand:kestrel"], k=5)
    assert answer.total == GADGETS.release.model.catalogue.brands.count("Kestrel")


def test_a_price_chip_narrows_the_bounds_of_the_wish_and_never_widens() -> None:
    words = GADGETS.words()
    wish = with_chips(words, Wish(at_least=100.0, at_most=200.0), ["price:-500", "price:150-"])
    assert (wish.at_least, wish.at_most) == (150.0, 200.0)
    assert math.isinf(with_chips(words, Wish(), ["price:150-"]).at_most)


@pytest.mark.parametrize(
    "code",
    ["", "brand", "brand:", "brand:acme", "feature:spoon", "colour:ivory", "price:", "price:-",
     "price:a-b", "price:１-２", "category:ivory", "brand:silent", "price:1-2-3", "x" * 5000],
)  # fmt: skip
def test_what_is_no_chip_of_the_shop_is_refused_with_its_name(code: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(GADGETS, "silent", chips=[code])
    assert len(str(raised.value)) < 300


def test_there_are_not_more_chips_than_a_question_may_have() -> None:
    with pytest.raises(ConfigError, match=f"at most {MOST_CHIPS} chips"):
        ask(GADGETS, "silent", chips=["price:1-"] * (MOST_CHIPS + 1))


@settings(max_examples=100)
@given(st.text(max_size=40), st.sampled_from(["", "price:", "brand:", "feature:", "category:"]))
def test_any_code_is_a_chip_or_a_clear_error(text: str, field: str) -> None:
    words = GADGETS.words()
    try:
        wish = with_chips(words, Wish(), [field + text])
    except ConfigError:
        return
    assert wish.wants or wish.has_price
