"""Hashed text features: what shops with different catalogues have in common.

Item numbers cannot be shared between shops, words can. A feature is hashed into a bucket, so no
vocabulary exists: none is negotiated and none leaks (Weinberger et al., "Feature Hashing for
Large Scale Multitask Learning", 2009). Items and search queries go through the same features.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.values import Catalogue

# Han, its extensions, kana: written without spaces, so characters stand in for words.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKENS = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")
_LINE_TOKENS = re.compile(f"{_TOKENS.pattern}|\n")
_ASCII_LINE_TOKENS = re.compile("[a-z0-9]+|\n")
_CJK_START = re.compile(f"[{_CJK}]")

NO_TEXT = "none:"
"""The feature of an item or query without a single word."""


@dataclass(frozen=True)
class TextSpec:
    """Which features a text has; two networks fit together only if their specs are equal.

    Attributes:
        buckets: number of hash buckets.
        width: most features one item may have; what comes after is dropped.
        version: of the rules in this file.

    Raises:
        ConfigError: a field is out of range.
    """

    buckets: int = 8192
    width: int = 64
    version: int = 1

    def __post_init__(self) -> None:
        """Checks the ranges once."""
        if not 2 <= self.buckets <= 1 << 24:
            raise ConfigError(f"buckets must be in [2, 2^24], got {self.buckets}")
        if not 8 <= self.width <= 1024:
            raise ConfigError(f"width must be in [8, 1024], got {self.width}")
        if self.version != 1:
            raise ConfigError(f"text features exist in version 1 only, got {self.version}")


def words(text: str) -> list[str]:
    """The words of a text in their order, lower-case, plural folded; a CJK run is one word."""
    return [_singular(token) for token in _TOKENS.findall(_normal(text))]


def words_of_all(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int32], NDArray[np.int32]]:
    """The words of many texts at once: a list of them, and for each place the word and the text.

    Both arrays have shape ``(places,)``, texts ascending; the list may hold a word twice. One pass
    over all of them takes a sixth of the time of ``words`` of each.
    """
    joined = "\n".join(texts)
    if joined.count("\n") != len(texts) - 1:
        joined = "\n".join(text.replace("\n", " ") for text in texts)
    numbers = defaultdict[str, int](itertools.count().__next__)
    numbers["\n"]  # is number 0
    normal = _normal(joined)
    # Without other scripts a smaller expression finds the same in half the time.
    tokens = (_ASCII_LINE_TOKENS if normal.isascii() else _LINE_TOKENS).findall(normal)
    places = np.array(list(map(numbers.__getitem__, tokens)), np.int32)
    text = np.cumsum(places == 0, dtype=np.int32)
    there = places > 0
    return [_singular(token) for token in list(numbers)[1:]], places[there] - 1, text[there]


def is_run(word: str) -> bool:
    """Is a word of ``words`` of a script written without spaces?"""
    return word[0] >= "\u3040" and not "\uac00" <= word[0] <= "\ud7ff"


def item_features(catalogue: Catalogue, spec: TextSpec) -> NDArray[np.int32]:
    """Buckets of each item's features, shape ``(n, w)`` with w ≤ ``spec.width``, padded with -1.

    A row holds each bucket once, and every row holds at least one.
    """
    known: dict[str, int] = {}
    rows = [
        _buckets(_item_names(*row), spec, known)
        for row in zip(
            catalogue.titles,
            catalogue.brands,
            catalogue.categories,
            catalogue.prices.tolist(),
            strict=True,
        )
    ]
    features = np.full((len(rows), max(map(len, rows), default=1)), -1, np.int32)
    for row, buckets in zip(features, rows, strict=True):
        row[: len(buckets)] = buckets
    return features


def query_features(text: str, spec: TextSpec) -> NDArray[np.int32]:
    """Buckets of a search query, shape ``(f,)`` with f ≥ 1, each once; any language, or none."""
    return np.array(_buckets(_text_names(text), spec, {}), np.int32)


def _item_names(title: str, brand: str, category: str, price: float) -> Iterator[str]:
    # Brand, category and price come first: a long title may fill the width.
    if brand:
        yield f"brand:{_normal(brand)}"
    levels = [level.strip() for level in _normal(category).split("/") if level.strip()]
    for depth in range(len(levels)):
        yield "category:" + "/".join(levels[: depth + 1])
    if math.isfinite(price) and price > 0:
        yield f"price:{round(2 * math.log2(price))}"
    yield from _text_names(title)
    for text in (brand, *levels):
        yield from (f"word:{word}" for word in words(text))


def _text_names(text: str) -> Iterator[str]:
    tokens = words(text)
    if not tokens:
        yield NO_TEXT
    for token in tokens:
        yield f"word:{token}"
    for token in tokens:
        if _CJK_START.match(token):
            for size in (1, 2, 3):
                for start in range(len(token) - size + 1):
                    yield f"word:{token[start : start + size]}"
    for left, right in pairwise(tokens):
        yield f"pair:{left} {right}"


def _buckets(names: Iterator[str], spec: TextSpec, known: dict[str, int]) -> list[int]:
    found: dict[int, None] = {}
    for name in names:
        bucket = known.get(name)
        if bucket is None:
            bucket = known[name] = zlib.crc32(name.encode("utf-8", "replace")) % spec.buckets
        found[bucket] = None
    return list(found)[: spec.width]


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _singular(word: str) -> str:
    # Crude on purpose: "boxes" and "glass" need not be right, "mugs" and "mug" must meet.
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word
