"""Products brought to keys that two shops can compare: trade numbers (GTIN) and titles.

Rules, part of a contract because both shops must follow the same ones:

- **title**: Unicode NFKC, lower case; punctuation, spaces and control characters become one space
  each run, none at the ends; NFKC once more. Letters, digits and signs such as ``+`` stay, so that
  "1.5 L" and "15 L" are two products. Words are neither sorted nor translated.
- **gtin**: NFKC, spaces and hyphens go; 12, 13 or 14 digits with the right check digit (GS1
  General Specifications, section 7.9), filled up to 14 with zeros. Numbers for use inside one
  company (prefixes 02, 04, 20 to 29) are none: two shops give them to different things. Eight
  digits are none either: a tenth of any shop's own eight-digit numbers passes the check.

What has no key never matches. Two items of one shop with one key: only the first can match.

A pair is compared by GTIN where both have one and by title where one of them has none; where both
have one and they differ, equal titles do not make them one product. So an item has a key for each
way to be compared, in three columns, of which asker and asked fill different ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from fedguide.errors import ConfigError, WrongShapeError

MatchBy: TypeAlias = Literal["either", "gtin", "title"]
"""``either``: by GTIN where both have one, else by title."""

COLUMNS = 3
"""Keys of an item: its number, its title towards items without a number, and towards any item."""


def title_key(title: str) -> str:
    """A title in its one form; empty where nothing but punctuation is in it."""
    text = unicodedata.normalize("NFKC", title).lower()
    kept = "".join(" " if unicodedata.category(c)[0] in "PZC" else c for c in text)
    return unicodedata.normalize("NFKC", " ".join(kept.split()))


def gtin_key(number: str) -> str:
    """A trade number as 14 digits; empty where the text is no such number."""
    text = unicodedata.normalize("NFKC", number).replace("-", "")
    digits = "".join(text.split())
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 14):
        return ""
    full = digits.zfill(14)
    weighted = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(full))
    inside = full[1:3] in ("02", "04") or full[1] == "2"
    return "" if weighted % 10 or not full.strip("0") or inside else full


def asked_keys(titles: Sequence[str], gtins: Sequence[str], by: MatchBy) -> tuple[str, ...]:
    """The asker's keys, ``COLUMNS`` x n in columns; empty where an item is not asked for.

    Args:
        titles: one an item, in any form.
        gtins: one an item, in any form; what is no trade number counts as none.
        by: how products are compared.

    Raises:
        ConfigError: ``by`` is unknown.
        WrongShapeError: the two are not of one length.
    """
    names, numbers = _forms(titles, gtins, by)
    with_number = ["u" + name if name and number else "" for name, number in _both(names, numbers)]
    without = ["t" + name if name and not number else "" for name, number in _both(names, numbers)]
    return (*_marked(numbers), *with_number, *without)


def answered_keys(titles: Sequence[str], gtins: Sequence[str], by: MatchBy) -> tuple[str, ...]:
    """The asked shop's keys in the same columns; arguments and errors as ``asked_keys``."""
    names, numbers = _forms(titles, gtins, by)
    without = ["u" + name if name and not number else "" for name, number in _both(names, numbers)]
    every = ["t" + name if name else "" for name in names]
    return (*_marked(numbers), *without, *every)


def _forms(titles: Sequence[str], gtins: Sequence[str], by: MatchBy) -> tuple[list[str], list[str]]:
    """Titles and numbers in their one form, empty where they are not compared."""
    if by not in get_args(MatchBy):
        raise ConfigError(f"by must be one of {', '.join(get_args(MatchBy))}, got {by!r}")
    if len(titles) != len(gtins):
        raise WrongShapeError(f"{len(titles)} titles do not fit {len(gtins)} trade numbers")
    names = ["" if by == "gtin" else title_key(title) for title in titles]
    numbers = ["" if by == "title" else gtin_key(gtin) for gtin in gtins]
    return names, numbers


def _both(names: list[str], numbers: list[str]) -> zip[tuple[str, str]]:
    return zip(names, numbers, strict=True)


def _marked(numbers: list[str]) -> list[str]:
    return ["g" + number if number else "" for number in numbers]
