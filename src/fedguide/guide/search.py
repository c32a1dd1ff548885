"""Keyword search in Chinese and English: exact words first, then what is close in meaning.

A query goes through the same text tower as the items, so a word that only another shop's titles
hold still finds what lies near it here. Words that stand in an item's own text lift it above
everything that is merely near: each word counts by how rare it is in this shop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.encoders import Matrix, query_vector
from fedguide.models.scorer import ShopModel
from fedguide.models.text import words
from fedguide.values import Catalogue

LONGEST_QUERY = 200
"""Characters; a longer query is refused."""


@dataclass(frozen=True)
class Lexicon:
    """Which items hold which term, and the length of each item vector (n items).

    Attributes:
        places: for each term, the slice of ``items`` that holds it.
        items: int32, rows of the catalogue, term after term.
        lengths: float32 ``(n,)``, norms of the item vectors, 1 for a zero vector.
    """

    places: Mapping[str, tuple[int, int]]
    items: NDArray[np.int32]
    lengths: Matrix


@dataclass(frozen=True)
class Found:
    """What a search found, best first.

    Attributes:
        items: int64 ``(k,)``.
        scores: float64 ``(k,)``: closeness in meaning, in [-1, 1]; with words of the query in
            the item, 2 more and the part of the query they are, in (0, 1].
        matched: for each item, the words of the query it holds.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float64]
    matched: tuple[tuple[str, ...], ...]


def build_lexicon(model: ShopModel) -> Lexicon:
    """The lexicon of a shop's items."""
    holders: dict[str, list[int]] = {}
    for row, text in enumerate(_texts(model.catalogue)):
        for term in terms(text):
            holders.setdefault(term, []).append(row)
    places, start = {}, 0
    for term, rows in holders.items():
        places[term] = (start, start + len(rows))
        start += len(rows)
    items = np.fromiter((row for rows in holders.values() for row in rows), np.int32, start)
    lengths = np.linalg.norm(model.item_vectors, axis=1)
    return Lexicon(places, items, np.where(lengths > 0, lengths, 1).astype(np.float32))


def terms(text: str) -> set[str]:
    """The searchable terms of a text: words; of a Chinese run its characters and pairs of them."""
    found: set[str] = set()
    for word in words(text):
        if _is_run(word):
            found.update(word)
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found.add(word)
    return found


def checked_query(query: str) -> str:
    """The query without outer spaces.

    Raises:
        ConfigError: it is empty, or longer than ``LONGEST_QUERY``.
    """
    query = query.strip()
    if not query:
        raise ConfigError("a search needs at least one word, got none", hint="?q=mug")
    if len(query) > LONGEST_QUERY:
        raise ConfigError(f"a search has at most {LONGEST_QUERY} characters, got {len(query)}")
    return query


def search_items(model: ShopModel, lexicon: Lexicon, query: str, k: int) -> Found:
    """The k items that fit a query best; any language gives a finite answer.

    Raises:
        ConfigError: the query is empty or too long.
    """
    query = checked_query(query)
    count = len(lexicon.lengths)
    vector = query_vector(model.network, query)
    size = float(np.linalg.norm(vector))
    meaning = (model.item_vectors @ vector) / lexicon.lengths / np.float32(size if size else 1)
    asked = sorted(terms(query))
    rarity = {term: _rarity(lexicon, term, count) for term in asked}
    whole = sum(rarity.values())
    exact = np.zeros(count, np.float32)
    for term in asked:
        if term in lexicon.places:
            exact[_holders(lexicon, term)] += np.float32(rarity[term] / whole)
    # A word that stands there outranks every closeness, which lies in [-1, 1].
    score = meaning + exact + 2 * (exact > 0)
    k = min(k, count)
    top = np.argpartition(-score, k - 1)[:k] if 0 < k < count else np.arange(count)
    order = top[np.lexsort((top, -score[top]))]
    held = {term: set(_holders(lexicon, term).tolist()) for term in asked if term in lexicon.places}
    matched = ([term for term in asked if row in held.get(term, ())] for row in order.tolist())
    return Found(
        order.astype(np.int64),
        score[order].astype(np.float64),
        tuple(map(_longest, matched)),
    )


def similar_items(model: ShopModel, lexicon: Lexicon, item: int, k: int) -> Found:
    """The k other items with the closest vectors (cosine)."""
    vectors, lengths = model.item_vectors, lexicon.lengths
    score = (vectors @ vectors[item]) / lengths / lengths[item]
    score[item] = -np.inf
    k = min(k, len(score) - 1)
    if k <= 0:
        return Found(np.zeros(0, np.int64), np.zeros(0), ())
    top = np.argpartition(-score, k - 1)[:k]
    order = top[np.lexsort((top, -score[top]))]
    return Found(order.astype(np.int64), score[order].astype(np.float64), ((),) * k)


def _longest(matched: list[str]) -> tuple[str, ...]:
    """The terms that are not part of a longer one."""
    return tuple(
        term for term in matched if not any(term != other and term in other for other in matched)
    )


def _texts(catalogue: Catalogue) -> list[str]:
    columns = zip(catalogue.titles, catalogue.brands, catalogue.categories, strict=True)
    return [f"{title} {brand} {category}" for title, brand, category in columns]


def _is_run(word: str) -> bool:
    """Is a word of a script written without spaces (see ``models.text``)?"""
    return word[0] >= "\u3040" and not "\uac00" <= word[0] <= "\ud7ff"


def _holders(lexicon: Lexicon, term: str) -> NDArray[np.int32]:
    start, stop = lexicon.places[term]
    return lexicon.items[start:stop]


def _rarity(lexicon: Lexicon, term: str, count: int) -> float:
    """Inverse document frequency; Spärck Jones, "A Statistical Interpretation of…", 1972."""
    start, stop = lexicon.places.get(term, (0, 0))
    return math.log(1 + count / (1 + stop - start))
