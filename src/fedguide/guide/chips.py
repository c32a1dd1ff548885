"""Refinement chips: constraints that split what was found, each with the count it would leave.

They stack and nothing is stored: a chip's code is sent with the next question. A code is
``field:words`` or ``price:low-high`` with either bound left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.guide.admission import Mask, rows_of
from fedguide.guide.amounts import FIGURE
from fedguide.guide.asked import Chip
from fedguide.guide.segment import ROLES, Term
from fedguide.guide.vocabulary import (
    BRAND,
    CATEGORY,
    FEATURE,
    Key,
    Vocabulary,
    key_of,
    text_of,
    title_words,
)
from fedguide.guide.wish import PRICE, Wanted, Wish
from fedguide.models.text import is_run
from fedguide.values import Catalogue

MOST_CHIPS, LONGEST_CODE = 16, 200
"""Chips of one question, and characters of one."""

_SHOWN = {CATEGORY: 3, BRAND: 4, FEATURE: 6}
_READ_TITLES, _COUNTED = 200, 32
_BAND = re.compile(rf"({FIGURE})?-({FIGURE})?")


def with_chips(vocabulary: Vocabulary, wish: Wish, codes: Sequence[str]) -> Wish:
    """The wish and its chips together.

    Raises:
        ConfigError: there are too many chips, or one is not of this shop.
    """
    if len(codes) > MOST_CHIPS:
        raise ConfigError(f"at most {MOST_CHIPS} chips can be set at once, got {len(codes)}")
    for code in codes:
        field, _, rest = code[:LONGEST_CODE].partition(":")
        if field == PRICE:
            low, high = _band(code, rest)
            wish = replace(wish, at_least=max(wish.at_least, low), at_most=min(wish.at_most, high))
        else:
            wish = replace(wish, wants=(*wish.wants, Wanted((_term(vocabulary, code),))))
    return wish


def chips_for(
    vocabulary: Vocabulary,
    catalogue: Catalogue,
    admitted: Mask,
    ranked: Sequence[int],
    lang: str,
) -> tuple[Chip, ...]:
    """Chips for what was found: ``admitted`` items, the best of them first in ``ranked``."""
    total = int(admitted.sum())
    if total < 2:
        return ()
    chips = [*_price_chips(catalogue.prices, admitted)]
    held: dict[str, list[tuple[Key, int]]] = {CATEGORY: [], BRAND: [], FEATURE: []}
    for field, key in vocabulary.members:
        held[field].append((key, int(admitted[vocabulary.members[field, key]].sum())))
    words = _title_words(vocabulary, (catalogue.titles[row] for row in ranked[:_READ_TITLES]))
    for key in words:
        held[FEATURE].append((key, int(admitted[vocabulary.held(key)].sum())))
    for field, some in held.items():
        splitting = [(key, count) for key, count in some if 0 < count < total]
        spoken = [one for one in splitting if any(map(is_run, one[0])) == (lang == "zh")]
        # The most even split says most: count times the rest is highest in the middle.
        ordered = sorted(spoken or splitting, key=lambda one: (-one[1] * (total - one[1]), one[0]))
        chips += [
            Chip(f"{field}:{text_of(key)}", field, text_of(key), count)
            for key, count in ordered[: _SHOWN[field]]
        ]
    return tuple(chips)


def _title_words(vocabulary: Vocabulary, titles: Iterable[str]) -> list[Key]:
    """The words of titles, most frequent first, that are no brand, category or function word."""
    times: Counter[Key] = Counter()
    for title in titles:
        times.update(k for k in title_words(vocabulary, title) if _is_shown(k))
    return [key for key, _ in times.most_common(_COUNTED)]


def _is_shown(key: Key) -> bool:
    """Is it worth a chip? A single Latin word is, when it is no number and not the grammar's."""
    word = key[0]
    alone = len(key) == 1 and not is_run(word)
    return not alone or (len(word) > 2 and word.isalpha() and key not in ROLES)


def _price_chips(prices: NDArray[np.float32], admitted: Mask) -> list[Chip]:
    """Three bands of about as many items each, with round bounds."""
    known = np.sort(prices[admitted & np.isfinite(prices)])
    if len(known) < 6 or known[0] == known[-1]:
        return []
    cuts = sorted({_round(float(known[len(known) * part // 3])) for part in (1, 2)})
    bounds = [-math.inf, *(cut for cut in cuts if known[0] < cut < known[-1]), math.inf]
    chips = []
    for low, high in pairwise(bounds):
        count = int(((known >= np.float32(low)) & (known <= np.float32(high))).sum())
        if 0 < count < int(admitted.sum()):
            band = f"{_figure(low)}-{_figure(high)}"
            chips.append(Chip(f"{PRICE}:{band}", PRICE, band, count))
    return chips


def _round(value: float) -> float:
    """To two figures."""
    return float(f"{value:.1e}") if value > 0 else 0.0


def _figure(value: float) -> str:
    return f"{value:.10g}" if math.isfinite(value) else ""


def _band(code: str, text: str) -> tuple[float, float]:
    found = _BAND.fullmatch(text)
    if not found or not (found[1] or found[2]) or not text.isascii():
        raise ConfigError(
            f"a price chip is price:LOW-HIGH, got {code[:64]!r}", hint="price:100-200"
        )
    low, high = (float(part.replace(",", "")) if part else None for part in found.groups())
    return -math.inf if low is None else low, math.inf if high is None else high


def _term(vocabulary: Vocabulary, code: str) -> Term:
    field, _, text = code[:LONGEST_CODE].partition(":")
    key = key_of(text)
    if field not in _SHOWN or not key or not len(rows_of(vocabulary, field, key)):
        raise ConfigError(
            f"{code[:64]!r} is no chip of this shop", hint="send back codes as they were received"
        )
    if field != FEATURE and (field, key) not in vocabulary.members:
        raise ConfigError(f"{text[:64]!r} is no {field} of this shop")
    return Term(field, (key,), text)
