"""A wish in Chinese or English answered: what was understood, items that fulfil it, and why.

A constraint that was understood is never dropped. Where nothing fulfils them all, the answer says
so, says which to relax, and shows the nearest items as what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.guide import phrasing
from fedguide.guide.admission import (
    Mask,
    Part,
    Relaxation,
    all_of,
    mask_of,
    nearest,
    parts_of,
    relaxations,
    without,
)
from fedguide.guide.answers import DISCOVER, MEANING, PERSONAL, POPULAR, WORDS, Because, Pick
from fedguide.guide.asked import NEAREST, SORTED, Asked, Relax
from fedguide.guide.chips import chips_for, with_chips
from fedguide.guide.engine import Guide, checked_k, pick_of
from fedguide.guide.function_words import CHEAP, DEAR
from fedguide.guide.function_words import POPULAR as BY_SALES
from fedguide.guide.grammar import understand
from fedguide.guide.moment import Moment
from fedguide.guide.reasons import reasons
from fedguide.guide.rules import arranged
from fedguide.guide.search import checked_query
from fedguide.guide.session import Event, moment_with, scores_of
from fedguide.guide.vocabulary import Vocabulary
from fedguide.guide.wish import Wish
from fedguide.models.text import is_run

LANGUAGES = ("zh", "en")
"""Languages an answer can be in."""

_READ_FOR_CHIPS = 200
_EXACT = 512
"""Items whose scores are computed in double precision; the best of more are found in single."""


@dataclass(frozen=True)
class _Order:
    """Some rows best first, with their scores and where the order comes from."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    source: str


def ask(
    guide: Guide,
    text: str,
    *,
    shopper: str | None = None,
    session: Sequence[Event] = (),
    chips: Sequence[str] = (),
    lang: str | None = None,
    k: int = 10,
) -> Asked:
    """Answers a wish.

    Args:
        guide: the shop's guide.
        text: the wish; empty where chips alone are set.
        shopper: who asks, if that is known; ignored where they may not be profiled.
        session: what they did in this visit.
        chips: codes of the chips that are set.
        lang: ``zh`` or ``en``; found from the text when left out.
        k: how many items at most.

    Raises:
        ConfigError: the text is too long, or empty without chips; an argument is not allowed.
        NotFoundError: the session names an item that is not there.
    """
    if text.strip() or not chips:
        text = checked_query(text)
    lang, k = checked_lang(text, lang), checked_k(k)
    vocabulary, catalogue = guide.words(), guide.release.model.catalogue
    wish = with_chips(vocabulary, understand(vocabulary, text), chips)
    parts = parts_of(vocabulary, wish, catalogue.prices)
    stock = np.ones(len(catalogue), np.bool_)
    stock[list(guide.rules.gone)] = False
    admitted = all_of(parts, stock)
    total = int(admitted.sum())
    moment = moment_with(guide, shopper, session, wish.content)
    if total:
        order = _ordered(guide, wish, moment, np.flatnonzero(admitted))
    else:
        order = _nearest(guide, wish, parts, stock, k)
    shown = phrasing.understood(wish, lang, chips)
    relax = tuple(_relax(wish, one, lang) for one in relaxations(parts, stock))
    picks = _picks(guide, vocabulary, wish, moment, order, k, lang, whose=bool(shopper or session))
    return Asked(
        text=text,
        lang=lang,
        said=phrasing.sentence(shown, wish.unknown, lang, total=total, relax=relax),
        understood=shown,
        unknown=wish.unknown,
        notes=phrasing.notes(wish, lang, guide.release.card.currency),
        exact=total > 0,
        total=total,
        source=order.source,
        picks=picks,
        chips=chips_for(
            vocabulary, catalogue, admitted, order.rows[:_READ_FOR_CHIPS].tolist(), lang
        ),
        active=tuple(chips),
        relax=relax,
    )


def checked_lang(text: str, lang: str | None) -> str:
    """The language of an answer: the one asked for, else the text's.

    Raises:
        ConfigError: it is neither ``zh`` nor ``en``.
    """
    if lang is None:
        return "zh" if any(map(is_run, text)) else "en"
    if lang not in LANGUAGES:
        raise ConfigError(f"lang must be zh or en, got {lang[:16]!r}")
    return lang


def _ordered(guide: Guide, wish: Wish, moment: Moment | None, rows: NDArray[np.int64]) -> _Order:
    """The admitted items in the order that was asked for, else in the guide's own."""
    model = guide.release.model
    if wish.sort in (CHEAP, DEAR):
        sign = 1 if wish.sort == CHEAP else -1
        # What has no price is neither cheap nor dear: it comes last.
        keys = np.nan_to_num(sign * model.catalogue.prices[rows].astype(np.float64), nan=np.inf)
        order = np.lexsort((rows, keys))
        return _Order(rows[order], -np.nan_to_num(keys[order], posinf=0.0), SORTED)
    if wish.sort == BY_SALES or moment is None:
        sales = np.log1p(model.recent_sales[rows]).astype(np.float64)
        order = np.lexsort((rows, -model.popularity[rows], -sales))
        return _Order(rows[order], sales[order], POPULAR)
    if wish.content and not wish.wants:
        scores = _closeness(guide, wish.content)[rows].astype(np.float64)
        source = MEANING
    else:
        scores = _scores(guide, moment, rows)
        source = WORDS if wish.wants else PERSONAL
    order = np.lexsort((rows, -scores))
    return _Order(rows[order], scores[order], source)


def _scores(guide: Guide, moment: Moment, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores at a moment; of very many items only the best are computed exactly."""
    if len(rows) <= _EXACT:
        return scores_of(guide, moment, DISCOVER, rows)
    rough = scores_of(guide, moment, DISCOVER, rows, rough=True)
    best = np.argpartition(-rough, _EXACT)[:_EXACT]
    exact = scores_of(guide, moment, DISCOVER, rows[best])
    # Whatever was not among the best stays behind all that was.
    scores: NDArray[np.float64] = np.minimum(rough, exact.min())
    scores[best] = exact
    return scores


def _closeness(guide: Guide, text: str) -> NDArray[np.float32]:
    """Cosine of every item with a text, by the text tower."""
    vector = guide.main.query_of(text)
    size = float(np.linalg.norm(vector)) or 1.0
    close: NDArray[np.float32] = guide.release.model.item_vectors @ vector
    return close / guide.lexicon.lengths / np.float32(size)


def _nearest(guide: Guide, wish: Wish, parts: Sequence[Part], stock: Mask, k: int) -> _Order:
    """What comes nearest where nothing fits; a score is the part of the wish fulfilled."""
    rows = nearest(wish, parts, guide.release.model.catalogue.prices)
    fulfilled = np.sum([part.mask for part in parts], axis=0)[rows]
    few = (fulfilled > 0) & stock[rows]
    return _Order(rows[few][:k], fulfilled[few][:k].astype(np.float64) / len(parts), NEAREST)


def _picks(
    guide: Guide,
    vocabulary: Vocabulary,
    wish: Wish,
    moment: Moment | None,
    order: _Order,
    k: int,
    lang: str,
    *,
    whose: bool,
) -> tuple[Pick, ...]:
    rows, sources = order.rows[:k], dict[int, str]()
    if guide.rules and order.source != NEAREST:
        rows, sources = arranged(
            guide.rules,
            guide.main.index.vectors,
            order.rows.tolist(),
            order.scores.tolist(),
            k,
            ordered=order.source == SORTED,
        )
    because: Sequence[tuple[Because, ...]] = [()] * len(rows)
    # A reason is a part of the score; where something else decides the order there is none.
    if moment is not None and len(rows) and order.source in (WORDS, PERSONAL):
        because = reasons(moment, DISCOVER, rows)
    count = len(guide.release.model)
    held = [
        (phrasing.label_of(wanted, lang), mask_of(vocabulary, wanted, count))
        for wanted in wish.wants
    ]
    scores = dict(zip(order.rows.tolist(), order.scores.tolist(), strict=True))
    made = []
    for rank, (row, why) in enumerate(zip(rows.tolist(), because, strict=True), 1):
        matched = tuple(label for label, mask in held if mask[row])
        source = sources.get(row, order.source)
        if source == PERSONAL and not (whose and why):
            source = POPULAR
        made.append(pick_of(guide, row, scores[row], rank, source, "", why, matched))
    return tuple(made)


def _relax(wish: Wish, relaxation: Relaxation, lang: str) -> Relax:
    """A relaxation in words: the constraints of the wish that are not in what is left."""
    left = {one.label for one in phrasing.understood(without(wish, relaxation.parts), lang)}
    labels = [one.label for one in phrasing.understood(wish, lang) if one.label not in left]
    return Relax(tuple(labels), relaxation.count)
