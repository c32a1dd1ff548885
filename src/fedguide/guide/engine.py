"""The guide of one shop: a release and the shop's histories in, answers with reasons out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.answers import (
    AGAIN,
    ASKABLE,
    BOTH,
    DISCOVER,
    MEANING,
    PERSONAL,
    POPULAR,
    SIMILAR,
    WORDS,
    Answer,
    Because,
    Pick,
)
from fedguide.guide.candidates import Best, Index, build_index
from fedguide.guide.histories import Histories, history_for
from fedguide.guide.moment import Moment, Prepared, moment_of, prepare
from fedguide.guide.reasons import reasons
from fedguide.guide.rules import Ruled, Rules, arranged, ruled
from fedguide.guide.search import Found, Lexicon, build_lexicon, search_items, similar_items
from fedguide.guide.segment import ROLES
from fedguide.guide.slates import best_again, best_discover, best_sellers
from fedguide.guide.vocabulary import Vocabulary, build_vocabulary
from fedguide.models.encoders import Matrix, query_vector
from fedguide.models.release import Release
from fedguide.values import KINDS

_REMEMBERED = 65_536
MOST_PICKS = 100
"""The largest ``k`` of one question."""


@dataclass(frozen=True)
class Guide:
    """One served shop, ready to answer; made by ``open_guide``.

    Attributes:
        shop: the shop's name.
        release: the model, its card and who signed them.
        histories: the shop's own shoppers; they never leave this process.
        today: gives the day of a question, in the unit of the histories' days.
        prepared: the release's model, ready for many moments.
        rows: row of each item id.
        index: for the discover slate.
        lexicon: for search.
        query_of: gives the vector of a searched text and remembers the latest ones.
        allows: may a shopper be profiled? Asked again at every question.
        words: gives the shop's vocabulary, which is made at the first wish.
        rules: the shop's own rules over an answer.
    """

    shop: str
    release: Release
    histories: Histories
    today: Callable[[], int]
    prepared: Prepared
    rows: Mapping[str, int]
    index: Index
    lexicon: Lexicon
    query_of: Callable[[str], Matrix]
    allows: Callable[[str], bool]
    words: Callable[[], Vocabulary]
    rules: Ruled


def everybody(_shopper: str) -> bool:
    """Allows every shopper."""
    return True


def open_guide(
    release: Release,
    histories: Histories,
    today: Callable[[], int],
    shop: str = "",
    *,
    allows: Callable[[str], bool] = everybody,
    rules: Rules | None = None,
) -> Guide:
    """Builds what answering needs; half a second for 100,000 items.

    Args:
        release: the loaded release.
        histories: the shop's own shoppers, by row of the release's catalogue.
        today: gives the day of a question.
        shop: the name it is served under; the model card's when left out.
        allows: may a shopper be profiled?
        rules: the shop's own rules over an answer.

    Raises:
        ConfigError: the release has no items, or a history names an item it does not have.
    """
    model = release.model
    count = len(model)
    if count == 0:
        raise ConfigError("a guide needs at least one item, the release has none")
    if len(histories.items) and not -1 <= histories.items.min() <= histories.items.max() < count:
        raise ConfigError(f"histories must name items in [0, {count}), or -1 for a search")
    lexicon = build_lexicon(model)
    rows = {item: row for row, item in enumerate(model.catalogue.ids)}
    return Guide(
        shop=shop or release.card.shop,
        release=release,
        histories=histories,
        today=today,
        prepared=prepare(model),
        rows=rows,
        index=build_index(model),
        lexicon=lexicon,
        query_of=lru_cache(_REMEMBERED)(partial(query_vector, model.network)),
        allows=allows,
        words=lru_cache(maxsize=1)(partial(build_vocabulary, model.catalogue, lexicon, ROLES)),
        rules=ruled(rules or Rules(), model.catalogue, rows),
    )


def addressed(guide: Guide, user: str) -> str:
    """Whom an answer speaks to: the shopper, or nobody where they may not be profiled.

    Everything that is made for a request asks this first, and the name only after it: so two
    shoppers whose personalisation is off get the same bytes.
    """
    return user if guide.allows(user) else ""


def recommend(guide: Guide, user: str, k: int = 10, slate: str = DISCOVER) -> Answer:
    """The k best items of a slate for a shopper, each with its reasons.

    A shopper without history gets the shop's best sellers, and the answer says so.

    Raises:
        ConfigError: ``k`` or ``slate`` is not allowed.
    """
    k = checked_k(k)
    if slate not in ASKABLE:
        raise ConfigError(f"slate must be one of {', '.join(ASKABLE)}, got {slate[:64]!r}")
    history = history_for(guide.histories, addressed(guide, user))
    if history is None:
        return best_for_nobody(guide, k, slate)
    moment = moment_of(guide.prepared, history, guide.today(), guide.query_of)
    return Answer(PERSONAL, slate, picks_at(guide, moment, slate, k))


def best_for_nobody(guide: Guide, k: int, slate: str) -> Answer:
    """The shop's best sellers, for a shopper of whom nothing is known."""
    model = guide.release.model
    best = best_sellers(model, len(model) if guide.rules else k)
    return Answer(POPULAR, slate, _ruled_picks(guide, best, slate, k, lambda _: ()))


def picks_at(guide: Guide, moment: Moment, slate: str, k: int) -> tuple[Pick, ...]:
    """The k best items of a slate, or of both, at a moment."""
    wanted = (AGAIN, DISCOVER) if slate == BOTH else (slate,)
    return tuple(pick for name in wanted for pick in _slate(guide, moment, name, k))


def search(guide: Guide, query: str, k: int = 20) -> Answer:
    """The k items that fit a query best.

    Raises:
        ConfigError: the query is empty or too long, or ``k`` is not allowed.
    """
    found = search_items(guide.release.model, guide.lexicon, query, checked_k(k))
    source = WORDS if any(found.matched) else MEANING
    picks = _found_picks(guide, found)
    return Answer(source, "", picks)


def similar(guide: Guide, item_id: str, k: int = 10) -> Answer:
    """The k items closest to an item.

    Raises:
        NotFoundError: no such item.
        ConfigError: ``k`` is not allowed.
    """
    row = item_row(guide, item_id)
    found = similar_items(guide.release.model, guide.lexicon, row, checked_k(k))
    return Answer(SIMILAR, "", _found_picks(guide, found, SIMILAR))


def item(guide: Guide, item_id: str) -> Pick:
    """One item of the catalogue; as a pick of nothing, its score and rank are 0.

    Raises:
        NotFoundError: no such item.
    """
    return pick_of(guide, item_row(guide, item_id), score=0.0, rank=0)


def item_row(guide: Guide, item_id: str) -> int:
    """The row of an item.

    Raises:
        NotFoundError: no such item.
    """
    row = guide.rows.get(item_id)
    if row is None:
        raise NotFoundError(f"item {item_id[:64]!r} is not in shop {guide.shop!r}")
    return row


def checked_k(k: int) -> int:
    """``k`` itself.

    Raises:
        ConfigError: it is not in [1, ``MOST_PICKS``].
    """
    if not 1 <= k <= MOST_PICKS:
        raise ConfigError(f"k must be in [1, {MOST_PICKS}], got {k}")
    return k


def _slate(guide: Guide, moment: Moment, slate: str, k: int) -> tuple[Pick, ...]:
    # A rule can reach for any item, so all of them are candidates where there are rules.
    depth = len(guide.release.model) if guide.rules else k
    best = (best_again if slate == AGAIN else best_discover)(moment, guide.index, depth)
    if not len(best.items):
        return ()
    return _ruled_picks(guide, best, slate, k, lambda items: reasons(moment, slate, items))


def _ruled_picks(
    guide: Guide,
    best: Best,
    slate: str,
    k: int,
    because: Callable[[NDArray[np.int64]], Sequence[tuple[Because, ...]]],
) -> tuple[Pick, ...]:
    """Picks with their reasons, after the shop's rules where it has some."""
    if not guide.rules:
        return _picks(guide, best, slate, because(best.items))
    rows, scores = best.items.tolist(), best.scores.tolist()
    chosen, sources = arranged(guide.rules, guide.index.vectors, rows, scores, k)
    score = dict(zip(rows, scores, strict=True))
    kept = np.array([score[row] for row in chosen.tolist()])
    picks = _picks(guide, Best(chosen, kept, best.scanned), slate, because(chosen))
    return tuple(
        msgspec.structs.replace(pick, source=sources[row]) if row in sources else pick
        for row, pick in zip(chosen.tolist(), picks, strict=True)
    )


def _picks(
    guide: Guide,
    best: Best,
    slate: str,
    because: Sequence[tuple[Because, ...]],
) -> tuple[Pick, ...]:
    """Picks with their reasons; one that nothing in the history lifts is there by its sales."""
    rows = zip(best.items.tolist(), best.scores.tolist(), strict=True)
    return tuple(
        [
            pick_of(
                guide,
                row,
                score,
                rank,
                PERSONAL if because and because[rank - 1] else POPULAR,
                slate,
                because[rank - 1] if because else (),
            )
            for rank, (row, score) in enumerate(rows, 1)
        ]
    )


def _found_picks(guide: Guide, found: Found, source: str = "") -> tuple[Pick, ...]:
    rows = zip(found.items.tolist(), found.scores.tolist(), found.matched, strict=True)
    return tuple(
        pick_of(
            guide,
            row,
            score,
            rank,
            source or (WORDS if matched else MEANING),
            matched=matched,
        )
        for rank, (row, score, matched) in enumerate(rows, 1)
    )


def pick_of(
    guide: Guide,
    row: int,
    score: float,
    rank: int,
    source: str = "",
    slate: str = "",
    because: tuple[Because, ...] = (),
    matched: tuple[str, ...] = (),
) -> Pick:
    """A row of the catalogue as a pick."""
    catalogue = guide.release.model.catalogue
    price = float(catalogue.prices[row])
    return Pick(
        catalogue.ids[row],
        catalogue.titles[row],
        catalogue.brands[row],
        catalogue.categories[row],
        round(price, 2) if math.isfinite(price) else None,
        score,
        rank,
        source,
        slate,
        because,
        matched,
    )


def latest_events(guide: Guide, user: str, count: int) -> list[tuple[str, str, str, str, int]]:
    """A shopper's latest events, newest first: (kind, item id, title, query, day)."""
    history = history_for(guide.histories, addressed(guide, user))
    if history is None:
        return []
    catalogue, latest = guide.release.model.catalogue, []
    for at in range(len(history) - 1, max(-1, len(history) - 1 - count), -1):
        row = int(history.items[at])
        query = history.queries[at] if history.queries else None
        named = (
            (catalogue.ids[row], catalogue.titles[row], "") if row >= 0 else ("", "", query or "")
        )
        latest.append((KINDS[int(history.kinds[at])], *named, int(history.days[at])))
    return latest
