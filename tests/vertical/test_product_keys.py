"""Keys of products: what counts as one product, and what never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.vertical.product_keys import COLUMNS, answered_keys, asked_keys, gtin_key, title_key

TEA = "4006381333931"  # a published example of a GTIN-13 with its check digit
TEA_14 = "04006381333931"


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("  White  METAL, Lantern! ", "white metal lantern"),
        ("ＷＨＩＴＥ　ｍｅｔａｌ-lantern", "white metal lantern"),
        ("登山包（大号）", "登山包 大号"),
        ("Water 1.5 L", "water 1 5 l"),
        ("Water 15 L", "water 15 l"),
        ("C+ vitamin", "c+ vitamin"),
        ("…—!", ""),
        ("", ""),
    ],
)
def test_a_title_has_one_form(title: str, key: str) -> None:
    assert title_key(title) == key


@given(st.text(max_size=30))
def test_a_form_is_its_own_form(title: str) -> None:
    key = title_key(title)
    assert title_key(key) == key


@pytest.mark.parametrize(
    ("number", "key"),
    [
        (TEA, TEA_14),
        ("４００６381-333931 ", TEA_14),
        (TEA_14, TEA_14),
        ("036000291452", "00036000291452"),  # a GTIN-12 published with UPC-A
        ("4006381333932", ""),  # a wrong check digit
        ("2000000000008", ""),  # a company's own number, its check digit right
        ("96385074", ""),  # a GTIN-8, left out by rule
        ("000000000000", ""),
        ("shop1-21730", ""),
        ("", ""),
    ],
)
def test_a_trade_number(number: str, key: str) -> None:
    assert gtin_key(number) == key


def common(asked: tuple[str, ...], answered: tuple[str, ...]) -> set[tuple[int, int]]:
    """Columns where the single item of either side meets."""
    return {(i, j) for i, a in enumerate(asked) for j, b in enumerate(answered) if a and a == b}


@pytest.mark.parametrize(
    ("mine", "theirs", "meets"),
    [
        (("Tea", TEA), ("Green tea", TEA), {(0, 0)}),  # by number, whatever the title
        (("Tea", TEA), ("tea", ""), {(1, 1)}),
        (("Tea", ""), ("tea", TEA), {(2, 2)}),
        (("Tea", ""), ("tea", ""), {(2, 2)}),
        (("Tea", TEA), ("Tea", "036000291452"), set()),  # two numbers: two products
        (("", ""), ("", ""), set()),
    ],
)
def test_by_number_where_both_have_one_else_by_title(
    mine: tuple[str, str], theirs: tuple[str, str], meets: set[tuple[int, int]]
) -> None:
    asked = asked_keys([mine[0]], [mine[1]], "either")
    answered = answered_keys([theirs[0]], [theirs[1]], "either")
    assert len(asked) == len(answered) == COLUMNS
    assert common(asked, answered) == meets


def test_one_way_only() -> None:
    asked = asked_keys(["Tea"], [TEA], "title")
    assert common(asked, answered_keys(["tea"], ["036000291452"], "title")) == {(2, 2)}
    asked = asked_keys(["Tea"], [""], "gtin")
    assert common(asked, answered_keys(["tea"], [""], "gtin")) == set()


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="by must be one of either, gtin, title, got 'name'"):
        asked_keys(["a"], [""], "name")  # type: ignore[arg-type]
    with pytest.raises(WrongShapeError, match="2 titles do not fit 1"):
        answered_keys(["a", "b"], [""], "either")
