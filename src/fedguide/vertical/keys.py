"""Key columns, brought to one form before they are compared.

Two tables name the same customer in different ways: full-width digits, spaces, a country code or
none. The rules are part of a contract, because both sides must follow the same ones:

- every kind: Unicode NFKC (full-width forms become plain), then spaces at both ends go;
- ``phone``: all but digits and a leading ``+`` goes; ``00`` in front becomes ``+``; a number
  without ``+`` loses its trunk ``0`` and gets the contract's country code;
- ``email``: everything in lower case; nothing else, because only a mail host knows more;
- ``id``: every space goes, letters in lower case;
- ``email`` and ``id``: NFKC once more at the end, so that a form is its own form.

What is empty afterwards names nobody and never matches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

from fedguide.errors import ConfigError, DataError

KeyKind: TypeAlias = Literal["phone", "email", "id"]
"""What a key column holds."""


def normalised(
    values: Iterable[object], kind: KeyKind, country_code: str = "86"
) -> tuple[str, ...]:
    """The keys in their one form; a missing value becomes the empty key.

    Args:
        values: one a row; ``None`` and NaN are missing; a whole number is its digits.
        kind: which rules.
        country_code: digits put before a phone number that has none.

    Raises:
        ConfigError: ``kind`` is unknown or the country code is not digits.
    """
    if kind not in get_args(KeyKind):
        raise ConfigError(f"key kind must be one of {', '.join(get_args(KeyKind))}, got {kind!r}")
    if not country_code.isascii() or not country_code.isdigit():
        raise ConfigError(f"country_code must be digits, got {country_code!r}")
    rule = {"phone": lambda text: _phone(text, country_code), "email": _email, "id": _id}[kind]
    return tuple(rule(_plain(value)) for value in values)


def refuse_duplicates(keys: Iterable[str], whose: str) -> None:
    """Checks that no key stands twice, as training needs.

    Raises:
        DataError: some do; the rows are named, counted from 1, never the keys.
    """
    first: dict[str, int] = {}
    twice = []
    for row, key in enumerate(keys, start=1):
        if key and first.setdefault(key, row) != row:
            twice.append(row)
    if twice:
        shown = ", ".join(map(str, twice[:5])) + (", …" if len(twice) > 5 else "")
        raise DataError(
            f"{whose}: {len(twice)} rows repeat the key of an earlier row: rows {shown}",
            hint="keep one row a customer",
        )


def _plain(value: object) -> str:
    """The text of a cell in NFKC; empty for what is missing."""
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column with gaps turns whole numbers into floats
    return unicodedata.normalize("NFKC", str(value)).strip()


def _phone(text: str, country_code: str) -> str:
    """A phone number as ``+`` and digits."""
    digits = "".join(re.findall(r"[0-9]", text))
    if text.startswith("+"):
        return f"+{digits}" if digits else ""
    if digits.startswith("00"):
        return f"+{digits[2:]}" if digits[2:] else ""
    local = digits.removeprefix("0")
    return f"+{country_code}{local}" if local else ""


def _email(text: str) -> str:
    return _composed(text.lower())


def _id(text: str) -> str:
    return _composed("".join(text.split()).lower())


def _composed(text: str) -> str:
    """NFKC once more: lower case, or a space taken out before a mark, can leave letters to join."""
    return unicodedata.normalize("NFKC", text)
