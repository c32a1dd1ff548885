"""Two items side by side: where they differ, and which of them suits the shopper more, and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.guide.answers import DISCOVER, PERSONAL, POPULAR, Because, Pick
from fedguide.guide.engine import Guide, item_row, pick_of
from fedguide.guide.phrasing import figure, pick
from fedguide.guide.reasons import reasons
from fedguide.guide.session import Event, moment_with, scores_of
from fedguide.guide.vocabulary import text_of, title_words
from fedguide.models.text import is_run


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One field in which two items differ: what the first and what the second has."""

    field: str
    first: str
    second: str


class Compared(msgspec.Struct, frozen=True):
    """Two items side by side.

    Attributes:
        first: the first item; its ``score`` and ``because`` are the shopper's.
        second: the second item.
        differences: fields that differ; ``words`` are the words only one title has.
        alike: closeness in meaning (cosine of the item vectors), in [-1, 1].
        suits: id of the item that suits more; empty when neither does.
        source: ``personal`` when the shopper's events decide, ``popular`` when sales do.
        said: that in a sentence.
    """

    first: Pick
    second: Pick
    differences: tuple[Difference, ...]
    alike: float
    suits: str
    source: str
    said: str


def compare(
    guide: Guide,
    first: str,
    second: str,
    *,
    shopper: str | None = None,
    session: Sequence[Event] = (),
    lang: str = "en",
) -> Compared:
    """Compares two items for a shopper and a visit.

    Raises:
        ConfigError: both are the same item.
        NotFoundError: no such item.
    """
    if first == second:
        raise ConfigError("two different items are compared, got one twice")
    rows = np.array([item_row(guide, item) for item in (first, second)], np.int64)
    moment = moment_with(guide, shopper, session)
    because: Sequence[tuple[Because, ...]] = ((), ())
    if moment is None:
        scores = np.log1p(guide.release.model.recent_sales[rows]).astype(np.float64)
        source = POPULAR
    else:
        scores = scores_of(guide, moment, DISCOVER, rows)
        because, source = reasons(moment, DISCOVER, rows), PERSONAL
    one, two = (
        pick_of(guide, int(row), float(score), rank, source, because=why)
        for rank, (row, score, why) in enumerate(zip(rows, scores, because, strict=True), 1)
    )
    suits = "" if one.score == two.score else (one if one.score > two.score else two).item_id
    better = {one.item_id: one, two.item_id: two}.get(suits)
    return Compared(
        one,
        two,
        _differences(guide, one, two),
        _alike(guide, rows),
        suits,
        source,
        _said(better, source, lang),
    )


def _differences(guide: Guide, one: Pick, two: Pick) -> tuple[Difference, ...]:
    fields = [("brand", one.brand, two.brand), ("category", one.category, two.category)]
    fields.append(("price", _price(one), _price(two)))
    found = [Difference(*field) for field in fields if field[1] != field[2]]
    vocabulary = guide.words()
    words = [title_words(vocabulary, item.title) for item in (one, two)]
    only = [
        ", ".join(text_of(key) for key in some if key not in set(others))
        for some, others in (words, words[::-1])
    ]
    if any(only):
        found.append(Difference("words", *only))
    return tuple(found)


def _alike(guide: Guide, rows: NDArray[np.int64]) -> float:
    vectors, lengths = guide.release.model.item_vectors, guide.lexicon.lengths
    close = float(vectors[rows[0]] @ vectors[rows[1]])
    return close / float(lengths[rows[0]]) / float(lengths[rows[1]])


def _said(better: Pick | None, source: str, lang: str) -> str:
    if better is None:
        return pick(lang, "两件同样合适。", "Both suit equally.")
    name = _short(better, lang)
    if source == POPULAR:
        return pick(lang, f"“{name}”近期卖得更多。", f'"{name}" sold more lately.')
    if not better.because:
        return pick(lang, f"“{name}”得分更高。", f'"{name}" scores higher.')
    top = better.because[0]
    reason = top.query or top.title or top.item
    return pick(
        lang,
        f"“{name}”更适合您，主要因为“{reason}”。",
        f'"{name}" suits you more, mostly because of "{reason}".',
    )


def _short(item: Pick, lang: str) -> str:
    """The title in one language, where it is in two."""
    chunks = item.title.split()
    same = [c for c in chunks if any(map(is_run, c)) == (lang == "zh")]
    return " ".join(same or chunks) or item.item_id


def _price(item: Pick) -> str:
    return "" if item.price is None else figure(item.price)
