"""Amounts of money as people write them: figures, Chinese numerals, English number words.

A wish is read as *atoms* (see ``atoms``): a Chinese character, a word, a figure or a sign each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

FIGURE = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
"""An amount in figures, with or without commas between thousands."""

CURRENCIES: Mapping[str, str] = {
    "¥": "CNY", "元": "CNY", "块": "CNY", "块钱": "CNY", "圆": "CNY", "人民币": "CNY",
    "大洋": "CNY", "软妹币": "CNY",
    "yuan": "CNY", "rmb": "CNY", "cny": "CNY",
    "$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "buck": "USD", "bucks": "USD",
    "美元": "USD", "美金": "USD", "刀": "USD",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP", "英镑": "GBP",
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "欧元": "EUR",
}  # fmt: skip
"""What a sign or word says of the currency, ISO 4217."""

_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")}
_DIGITS |= {"两": 2, "〇": 0}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_SCALES = {"k": 1000.0, "w": 10_000.0, "百": 100.0, "千": 1000.0, "万": 10_000.0}

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_SMALL.split())}
_WORDS |= {word: 10 * value for value, word in enumerate(_TENS.split(), 2)}
_LARGE = {"hundred": 100, "thousand": 1000, "grand": 1000}

LARGEST = 1e9
"""An amount above this is not a price."""


@dataclass(frozen=True)
class Amount:
    """An amount in the shop's money; ``low`` and ``high`` differ in "两三百" alone.

    Attributes:
        low: at least this; ``-inf`` in "几百".
        high: at most this.
        atoms: how many atoms it is made of.
    """

    low: float
    high: float
    atoms: int


def amount_at(atoms: Sequence[str], at: int) -> Amount | None:
    """The amount that starts at an atom; ``None`` where there is none."""
    found = _figure(atoms, at) or _chinese(atoms, at) or _english(atoms, at)
    return found if found and math.isfinite(found.high) and found.high <= LARGEST else None


def unit_of(value: float) -> float:
    """The last unit that was counted in: 100 of 300, 10 of 120, 1 of 25."""
    return next((unit for unit in (10_000, 1000, 100, 10) if value % unit == 0), 1)


def _figure(atoms: Sequence[str], at: int) -> Amount | None:
    """``500``, ``1,000``, ``99.9``, ``1k``, ``2千``."""
    text = re.fullmatch(rf"({FIGURE})([kw]?)", atoms[at])
    if not text or not atoms[at].isascii():
        return None
    value, used = float(text[1].replace(",", "")), 1
    scale = text[2] or (atoms[at + 1] if at + 1 < len(atoms) else "")
    if scale in _SCALES:
        value, used = value * _SCALES[scale], 1 if text[2] else 2
    return Amount(value, value, used)


def _chinese(atoms: Sequence[str], at: int) -> Amount | None:
    """``五百``, ``一百五`` (150), ``三百二十``, ``一千零五十``, and what ``_between`` reads."""
    if atoms[at] == "几" and at + 1 < len(atoms) and atoms[at + 1] in _UNITS:
        return Amount(-math.inf, 10 * _UNITS[atoms[at + 1]], 2)
    end = at
    while end < len(atoms) and (atoms[end] in _DIGITS or atoms[end] in _UNITS):
        end += 1
    said = atoms[at:end]
    value = _chinese_value(said)
    return _between(said) if value is None else Amount(value, value, len(said))


def _between(said: Sequence[str]) -> Amount | None:
    """``两三百``, ``三五百``, ``十七八``, ``一百五六``: from one digit to the one beside it."""
    if not any(part in _UNITS for part in said):
        return None
    for at, pair in enumerate(pairwise(said)):
        one, other = (_DIGITS.get(part, 0) for part in pair)
        if one > 0 and (other == one + 1 or (one, other) == (3, 5)):
            low = _chinese_value([*said[: at + 1], *said[at + 2 :]])
            high = _chinese_value([*said[:at], *said[at + 1 :]])
            if low is not None and high is not None:
                return Amount(low, high, len(said))
    return None


def _chinese_value(said: Sequence[str]) -> float | None:
    """The value of Chinese numerals; ``None`` where they are not one number."""
    if not said or (len(said) > 1 and not any(part in _UNITS for part in said)):
        return None
    if any(part in _DIGITS and other in _DIGITS and part != "零" for part, other in pairwise(said)):
        return None
    total = section = digit = last = 0
    for at, part in enumerate(said):
        if part in _DIGITS:
            digit = _DIGITS[part]
            if digit == 0:
                last = 0  # after 零 a digit stands for itself: 一百零五 is 105
        elif part == "万":
            total, section, digit, last = (total + section + digit) * 10_000, 0, 0, 10_000
        else:
            # 十 is 10 wherever it stands; 百 and 千 with nothing before are one (百元以内, 百五).
            section += (digit or (1 if part == "十" or at == 0 else 0)) * _UNITS[part]
            digit, last = 0, _UNITS[part]
    # 一百五 is 150 and 三千二 is 3200, but 二十五 is 25.
    return float(total + section + digit * (last // 10 if last >= 100 else 1))


def _english(atoms: Sequence[str], at: int) -> Amount | None:
    """``fifty``, ``two hundred``, ``a hundred``, ``two hundred and fifty``."""
    here, total, value, said = at, 0, 0, False
    while here < len(atoms):
        atom = atoms[here]
        if atom in _WORDS:
            value, said = value + _WORDS[atom], True
        elif atom in _LARGE:
            value = max(value, 1) * _LARGE[atom]
            if _LARGE[atom] >= 1000:
                total, value = total + value, 0
            said = True
        elif not (_joins(atoms, here, said) or (here == at and _is_a_large(atoms, here))):
            break
        here += 1
    amount = float(total + value)
    return Amount(amount, amount, here - at) if said else None


def _joins(atoms: Sequence[str], here: int, said: bool) -> bool:
    """Is this the "and" of "two hundred and fifty"?"""
    follows = here + 1 < len(atoms) and atoms[here + 1] in _WORDS
    return said and atoms[here] == "and" and atoms[here - 1] in _LARGE and follows


def _is_a_large(atoms: Sequence[str], here: int) -> bool:
    """Is this the "a" of "a hundred"?"""
    return atoms[here] == "a" and here + 1 < len(atoms) and atoms[here + 1] in _LARGE
