"""Keyword search in Chinese and English: exact words first, then what is close in meaning.

A query goes through the same text tower as the items, so a word that only another shop's titles
hold still finds what lies near it here. Words that stand in an item's own text lift it above
everything that is merely near: each word counts by how rare it is in this shop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.encoders import Matrix, query_vector
from fedguide.models.scorer import ShopModel, run_starts
from fedguide.models.text import is_run, words, words_of_all

LONGEST_QUERY = 200
"""Characters; a longer query is refused."""

_TEXTS_AT_ONCE = 8192
"""Texts taken apart together; their words are strings in memory only for so long."""


@dataclass(frozen=True)
class Lexicon:
    """Which items hold which term, and the length of each item vector (n items, t terms).

    Attributes:
        numbers: the number of each term.
        starts: int64 ``(t + 1,)``; term ``i`` is held by ``items[starts[i]:starts[i + 1]]``.
        items: int32, rows of the catalogue, ascending within a term.
        lengths: float32 ``(n,)``, norms of the item vectors, 1 for a zero vector.
    """

    numbers: Mapping[str, int]
    starts: NDArray[np.int64]
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
    numbers: dict[str, int] = {}
    catalogue, count = model.catalogue, len(model)
    columns = (catalogue.titles, catalogue.brands, catalogue.categories)
    # One number for each (term, item) sorts them by term, then item, and drops what stands twice.
    pairs = np.concatenate([_pairs(column, count, numbers) for column in columns])
    pairs.sort()
    pairs = pairs[run_starts(pairs)]
    starts = np.searchsorted(pairs, np.arange(len(numbers) + 1, dtype=np.int64) * count)
    lengths = np.linalg.norm(model.item_vectors, axis=1)
    return Lexicon(
        numbers,
        starts.astype(np.int64),
        (pairs % count).astype(np.int32),
        np.where(lengths > 0, lengths, 1).astype(np.float32),
    )


def _pairs(column: Sequence[str], count: int, numbers: dict[str, int]) -> NDArray[np.int64]:
    """Term number x ``count`` + row, for each term of each row; new terms get a number.

    Brands and categories repeat: each distinct text is taken apart once.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(column))}
    of = np.fromiter((places[text] for text in column), np.int64, len(column))
    rows, holders = np.argsort(of, kind="stable"), np.bincount(of, minlength=len(places))
    texts, pairs = list(places), [np.zeros(0, np.int64)]
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        words, which, owner = words_of_all(texts[start : start + _TEXTS_AT_ONCE])
        held = [[numbers.setdefault(term, len(numbers)) for term in _terms(w)] for w in words]
        widths = np.array([len(some) for some in held], np.int64)
        flat = np.fromiter((number for some in held for number in some), np.int64)
        owner = np.repeat(owner + np.int64(start), widths[which])
        term = np.repeat(flat[spans(widths, which)], holders[owner])
        pairs.append(term * count + rows[spans(holders, owner)])
    return np.concatenate(pairs)


def spans(sizes: NDArray[np.int64], which: NDArray[np.integer]) -> NDArray[np.int64]:
    """Runs of numbers lie end to end, of these sizes; the numbers of the chosen runs in turn.

    ``sizes`` has shape ``(r,)``, ``which`` names runs in [0, r), each as often as it likes.
    """
    starts, chosen = np.cumsum(sizes) - sizes, sizes[which]
    within = np.arange(int(chosen.sum())) - np.repeat(np.cumsum(chosen) - chosen, chosen)
    numbers: NDArray[np.int64] = np.repeat(starts[which], chosen) + within
    return numbers


def terms(text: str) -> set[str]:
    """The searchable terms of a text: words; of a Chinese run its characters and pairs of them."""
    return set[str]().union(*map(_terms, words(text)))


def _terms(word: str) -> set[str]:
    if is_run(word):
        return {*word, *(word[at : at + 2] for at in range(len(word) - 1))}
    return {word}


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
        exact[holders(lexicon, term)] += np.float32(rarity[term] / whole)
    # A word that stands there outranks every closeness, which lies in [-1, 1].
    score = meaning + exact + 2 * (exact > 0)
    k = min(k, count)
    top = np.argpartition(-score, k - 1)[:k] if 0 < k < count else np.arange(count)
    order = top[np.lexsort((top, -score[top]))]
    matched: list[list[str]] = [[] for _ in order]
    for term in asked:
        for place in _among(order, holders(lexicon, term)).tolist():
            matched[place].append(term)
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


def holders(lexicon: Lexicon, term: str) -> NDArray[np.int32]:
    """Rows of the items that hold a term, ascending."""
    number = lexicon.numbers.get(term)
    if number is None:
        return lexicon.items[:0]
    return lexicon.items[lexicon.starts[number] : lexicon.starts[number + 1]]


def _among(rows: NDArray[np.int64], holders: NDArray[np.int32]) -> NDArray[np.int64]:
    """The places of those rows that are among some holders, which ascend."""
    if not len(holders):
        return np.zeros(0, np.int64)
    nearest = np.searchsorted(holders, rows).clip(max=len(holders) - 1)
    return np.flatnonzero(holders[nearest] == rows)


def _rarity(lexicon: Lexicon, term: str, count: int) -> float:
    """Inverse document frequency; Spärck Jones, "A Statistical Interpretation of…", 1972."""
    return math.log(1 + count / (1 + len(holders(lexicon, term))))
