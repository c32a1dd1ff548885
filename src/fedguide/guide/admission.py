"""Which items a wish admits, and which of its constraints to relax when it admits none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.vocabulary import BRAND, CATEGORY, Key, Vocabulary
from fedguide.guide.wish import PRICE, REFUSE, WANT, Wanted, Wish

Mask = NDArray[np.bool_]

_MOST_TOGETHER = 3
"""Constraints that are relaxed together at most."""


@dataclass(frozen=True)
class Part:
    """One constraint of a wish.

    Attributes:
        kind: ``want``, ``refuse`` or ``price``.
        place: which of the wants or refusals; 0 for the price.
        mask: the items that fulfil it, ``(n,)``.
    """

    kind: str
    place: int
    mask: Mask


@dataclass(frozen=True)
class Relaxation:
    """Constraints to give up so that something fits, and how many items then do."""

    parts: tuple[Part, ...]
    count: int


def rows_of(vocabulary: Vocabulary, field: str, key: Key) -> NDArray[np.int32]:
    """Rows of the items that are what a word says.

    A brand or a level of a category is its members: "green tea" is no candle that smells of it.
    """
    members = vocabulary.members.get((field, key)) if field in (BRAND, CATEGORY) else None
    return vocabulary.held(key) if members is None else members


def mask_of(vocabulary: Vocabulary, wanted: Wanted, count: int) -> Mask:
    """The items that are one of what is wanted, ``(n,)``."""
    mask = np.zeros(count, np.bool_)
    for term in wanted.terms:
        for key in term.keys:
            mask[rows_of(vocabulary, term.field, key)] = True
    return mask


def parts_of(vocabulary: Vocabulary, wish: Wish, prices: NDArray[np.float32]) -> tuple[Part, ...]:
    """Every constraint of a wish with the items that fulfil it.

    An item without a price fulfils no bound of it.
    """
    count = len(prices)
    parts = [
        Part(WANT, at, mask_of(vocabulary, wanted, count)) for at, wanted in enumerate(wish.wants)
    ]
    parts += [
        Part(REFUSE, at, ~mask_of(vocabulary, wanted, count))
        for at, wanted in enumerate(wish.refusals)
    ]
    if wish.has_price:
        # Prices are kept in single precision: 19.9 must be within "up to 19.9".
        low, high = np.float32(wish.at_least), np.float32(wish.at_most)
        with np.errstate(invalid="ignore"):
            parts.append(Part(PRICE, 0, (prices >= low) & (prices <= high)))
    return tuple(parts)


def all_of(parts: Sequence[Part], among: Mask) -> Mask:
    """The items of some that fulfil every one of some constraints, ``(n,)``."""
    mask = among.copy()
    for part in parts:
        mask &= part.mask
    return mask


def relaxations(parts: Sequence[Part], among: Mask) -> tuple[Relaxation, ...]:
    """The smallest sets of constraints without which some item fits, most items first.

    Nothing to relax where all can be fulfilled together.
    """
    if all_of(parts, among).any():
        return ()
    for size in range(1, min(_MOST_TOGETHER, len(parts)) + 1):
        found = []
        for given_up in combinations(range(len(parts)), size):
            rest = [part for at, part in enumerate(parts) if at not in given_up]
            left = int(all_of(rest, among).sum())
            if left:
                found.append(Relaxation(tuple(parts[at] for at in given_up), left))
        if found:
            return tuple(sorted(found, key=lambda one: -one.count))
    return ()


def nearest(wish: Wish, parts: Sequence[Part], prices: NDArray[np.float32]) -> NDArray[np.int64]:
    """All items, those that fulfil most constraints first; equals by how far the price is off."""
    fulfilled = np.sum([part.mask for part in parts], axis=0) if parts else np.zeros(len(prices))
    over = np.nan_to_num(prices / max(wish.at_most, 1e-9), nan=math.inf)
    under = np.nan_to_num(max(wish.at_least, 1e-9) / np.maximum(prices, 1e-9), nan=math.inf)
    off = np.maximum(np.maximum(over, under), 1.0) if wish.has_price else np.ones(len(prices))
    return np.lexsort((np.arange(len(prices)), off, -fulfilled))


def without(wish: Wish, parts: Sequence[Part]) -> Wish:
    """The wish less some of its constraints."""
    gone = {(part.kind, part.place) for part in parts}
    price = (PRICE, 0) in gone
    return replace(
        wish,
        wants=tuple(w for at, w in enumerate(wish.wants) if (WANT, at) not in gone),
        refusals=tuple(w for at, w in enumerate(wish.refusals) if (REFUSE, at) not in gone),
        at_least=-math.inf if price else wish.at_least,
        at_most=math.inf if price else wish.at_most,
        about=math.nan if price else wish.about,
    )
