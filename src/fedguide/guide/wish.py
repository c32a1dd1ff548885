"""What a wish asks for, as constraints that can be shown, counted, taken away and put back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedguide.guide.segment import Term
from fedguide.guide.vocabulary import Key, text_of

WANT, REFUSE, PRICE, SORT = "want", "refuse", "price", "sort"
"""Kinds of constraint."""


@dataclass(frozen=True)
class Wanted:
    """An item must be one of these (a want), or must be none of them (a refusal)."""

    terms: tuple[Term, ...]

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every word of the catalogue that counts."""
        return tuple(dict.fromkeys(key for term in self.terms for key in term.keys))

    @property
    def label(self) -> str:
        """For people: the words of the catalogue."""
        return " / ".join(dict.fromkeys(text_of(key) for key in self.keys))


@dataclass(frozen=True)
class Wish:
    """What the grammar understood of a text.

    Attributes:
        wants: an item fulfils each of them.
        refusals: an item fulfils none of them.
        at_least: lower bound of the price, ``-inf`` where there is none.
        at_most: upper bound of the price, ``inf`` where there is none.
        about: the amount that the bounds lie around; NaN where none was named.
        sort: one of ``SORTS``; empty for the guide's own order.
        unknown: what was said and nobody knows, as it was said.
        currency: the currency that was named, ISO 4217; empty where none was.
        content: everything said of the item, known or not, for the text tower.
    """

    wants: tuple[Wanted, ...] = ()
    refusals: tuple[Wanted, ...] = ()
    at_least: float = -math.inf
    at_most: float = math.inf
    about: float = math.nan
    sort: str = ""
    unknown: tuple[str, ...] = ()
    currency: str = ""
    content: str = ""

    @property
    def has_price(self) -> bool:
        """Is the price bounded?"""
        return math.isfinite(self.at_least) or math.isfinite(self.at_most)
