"""Amounts of money as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.guide.amounts import LARGEST, amount_at
from fedguide.guide.segment import atoms_of

_DIGITS = "零一二三四五六七八九"
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("500", 500, 500),
        ("1,299.50", 1299.5, 1299.5),
        ("2k", 2000, 2000),
        ("1.5万", 15_000, 15_000),
        ("2千", 2000, 2000),
        ("五百", 500, 500),
        ("一百五", 150, 150),
        ("三千二", 3200, 3200),
        ("一百零五", 105, 105),
        ("二十五", 25, 25),
        ("十", 10, 10),
        ("两万", 20_000, 20_000),
        ("两三百", 200, 300),
        ("三五百", 300, 500),
        ("十七八", 17, 18),
        ("一百五六", 150, 160),
        ("几百", float("-inf"), 1000),
        ("百五", 150, 150),
        ("五六千", 5000, 6000),
        ("a hundred", 100, 100),
        ("two hundred and fifty", 250, 250),
        ("twelve thousand three hundred", 12_300, 12_300),
        ("forty five", 45, 45),
    ],
)
def test_an_amount_has_its_value_and_all_its_atoms(text: str, low: float, high: float) -> None:
    atoms = atoms_of(text)
    found = amount_at(atoms, 0)
    assert found is not None
    assert (found.low, found.high, found.atoms) == (low, high, len(atoms))


@pytest.mark.parametrize("text", ["帐篷", "tent", "-", "and fifty", "三四", "k", "a tent"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert amount_at(atoms_of(text), 0) is None


def test_an_amount_above_the_largest_is_no_price() -> None:
    assert amount_at([str(int(LARGEST))], 0) is not None
    assert amount_at([str(int(LARGEST) + 1)], 0) is None
    assert amount_at(["9" * 400], 0) is None


@given(st.integers(1, 999_999))
def test_figures_with_and_without_commas(value: int) -> None:
    for text in (str(value), f"{value:,}"):
        found = amount_at(atoms_of(text), 0)
        assert found is not None
        assert found.low == found.high == value


@given(st.integers(1, 9999))
def test_chinese_numerals_say_their_number(value: int) -> None:
    atoms = list(_in_chinese(value))
    found = amount_at(atoms, 0)
    assert found is not None
    assert (found.low, found.high, found.atoms) == (value, value, len(atoms))


@given(st.integers(1, 9999))
def test_english_words_say_their_number(value: int) -> None:
    atoms = _in_english(value).split()
    found = amount_at(atoms, 0)
    assert found is not None
    assert (found.low, found.high, found.atoms) == (value, value, len(atoms))


def _in_chinese(value: int) -> str:
    """1005 is 一千零五; 110 is 一百一十."""
    text, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // unit % 10
        if digit:
            text += ("零" if zero and text else "") + _DIGITS[digit] + name
            zero = False
        else:
            zero = True
    return text


def _in_english(value: int) -> str:
    """250 is two hundred and fifty."""
    words = []
    if value >= 1000:
        words.append(f"{_SMALL[value // 1000]} thousand")
        value %= 1000
    if value >= 100:
        words.append(f"{_SMALL[value // 100]} hundred")
        value %= 100
        if value:
            words.append("and")
    if value >= 20:
        words.append(_TENS[value // 10])
        value %= 10
    if value or not words:
        words.append(_SMALL[value])
    return " ".join(words)
