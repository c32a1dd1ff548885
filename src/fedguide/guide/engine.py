"""The guide of one shop: a release and the shop's histories in, answers with reasons out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from fedguide.guide.candidates import Best, best_items, score_items
from fedguide.guide.histories import Histories, history_for
from fedguide.guide.moment import Moment, moment_of
from fedguide.guide.newcomers import (
    NEW,
    NEW_SHARE,
    added_to,
    closest_new,
    places_for_new,
    same_items,
    with_added,
)
from fedguide.guide.reasons import reasons
from fedguide.guide.rules import Ruled, Rules, arranged, joined, ruled
from fedguide.guide.search import Found, Lexicon, build_lexicon, search_items, similar_items
from fedguide.guide.segment import ROLES
from fedguide.guide.slates import (
    Side,
    best_again,
    best_discover,
    best_sellers,
    question_of,
    sides_of,
)
from fedguide.guide.vocabulary import Vocabulary, build_vocabulary
from fedguide.models.encoders import History
from fedguide.models.release import Release
from fedguide.values import KINDS, Catalogue

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
        sides: what each slate is answered by.
        rows: row of each item id.
        lexicon: for search.
        allows: may a shopper be profiled? Asked again at every question.
        words: gives the shop's vocabulary, which is made at the first wish.
        rules: the shop's own rules over an answer.
        asked: the same rules as the shop put them.
        first_new: rows from here on came after the release; the number of items where none did.
        new_share: the part of a discover slate that is kept for these.
    """

    shop: str
    release: Release
    histories: Histories
    today: Callable[[], int]
    sides: Mapping[str, Side]
    rows: Mapping[str, int]
    lexicon: Lexicon
    allows: Callable[[str], bool]
    words: Callable[[], Vocabulary]
    rules: Ruled
    asked: Rules
    first_new: int
    new_share: float

    @property
    def main(self) -> Side:
        """The release's first network, for everything that is no slate."""
        aside = self.release.model.aside
        return self.sides[AGAIN if aside is not None and aside.slate == DISCOVER else DISCOVER]


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
    first_new: int | None = None,
    new_share: float = NEW_SHARE,
) -> Guide:
    """Builds what answering needs; half a second for 100,000 items.

    Args:
        release: the loaded release.
        histories: the shop's own shoppers, by row of the release's catalogue.
        today: gives the day of a question.
        shop: the name it is served under; the model card's when left out.
        allows: may a shopper be profiled?
        rules: the shop's own rules over an answer.
        first_new: items of the release itself, where others were put behind them.
        new_share: the part of a discover slate that is kept for these, in [0, 1].

    Raises:
        ConfigError: the release has no items, ``new_share`` is out of range, or a history
            names an item it does not have.
    """
    model = release.model
    count = len(model)
    if not 0 <= new_share <= 1:
        raise ConfigError(f"the share of new items must be in [0, 1], got {new_share}")
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
        sides=sides_of(model),
        rows=rows,
        lexicon=lexicon,
        allows=allows,
        words=lru_cache(maxsize=1)(partial(build_vocabulary, model.catalogue, lexicon, ROLES)),
        rules=ruled(rules or Rules(), model.catalogue, rows),
        asked=rules or Rules(),
        first_new=count if first_new is None else first_new,
        new_share=new_share,
    )


def with_new_items(guide: Guide, kept: Catalogue) -> Guide:
    """The guide that also knows those of a shop's items that came after its release.

    The same guide where it knows them all. Histories are shared; rows that are there stay.
    """
    model = guide.release.model
    added = added_to(model, guide.first_new, guide.rows, kept)
    longer = with_added(model, guide.first_new, added)
    if same_items(longer.catalogue, model.catalogue):
        return guide
    return open_guide(
        replace(guide.release, model=longer),
        guide.histories,
        guide.today,
        guide.shop,
        allows=guide.allows,
        rules=guide.asked,
        first_new=guide.first_new,
        new_share=guide.new_share,
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
    moment = moment_at(guide, history, guide.today(), slate)
    return Answer(PERSONAL, slate, picks_at(guide, moment, slate, k))


def moment_at(guide: Guide, history: History, today: int, slate: str) -> Moment:
    """A history as the network of a slate sees it; for both slates, as that of the first."""
    side = _side(guide, slate)
    return moment_of(side.prepared, history, today, side.query_of)


def best_for_nobody(guide: Guide, k: int, slate: str) -> Answer:
    """The shop's best sellers, for a shopper of whom nothing is known."""
    model = guide.release.model
    best = best_sellers(model, len(model) if guide.rules or _any_new(guide) else k)
    new = _none()
    if _any_new(guide):
        old = best.items < guide.first_new
        depth = len(model) if guide.rules else k
        best = Best(best.items[old][:depth], best.scores[old][:depth], best.scanned)
        if slate != AGAIN:
            # Nothing says which of them would suit: those that came last.
            rows = np.arange(len(model) - 1, guide.first_new - 1, -1)
            new = rows[: places_for_new(guide.new_share, k)]
    return Answer(
        POPULAR,
        slate,
        _ruled_picks(guide, best, slate, k, lambda _: (), new, np.zeros(len(new))),
    )


def picks_at(guide: Guide, moment: Moment, slate: str, k: int) -> tuple[Pick, ...]:
    """The k best items of a slate, or of both, at a moment (``moment_at`` of the same slate)."""
    if slate != BOTH:
        return _slate(guide, moment, slate, k)
    other = moment
    if guide.sides[DISCOVER] is not guide.sides[AGAIN]:
        other = moment_at(guide, moment.history, moment.reading.today, DISCOVER)
    return (*_slate(guide, moment, AGAIN, k), *_slate(guide, other, DISCOVER, k))


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


def _side(guide: Guide, slate: str) -> Side:
    """What a slate is answered by; of both the first."""
    return guide.sides[AGAIN if slate == BOTH else slate]


def _slate(guide: Guide, moment: Moment, slate: str, k: int) -> tuple[Pick, ...]:
    # A rule can reach for any item, so all of them are candidates where there are rules.
    depth = len(guide.release.model) if guide.rules else k
    new, scores = _none(), np.zeros(0)
    index = guide.sides[slate].index
    if slate == AGAIN:
        best = best_again(moment, index, depth)
    elif _any_new(guide):
        best, new, scores = _best_beside_new(guide, moment, depth, k)
    else:
        best = best_discover(moment, index, depth)
    if not len(best.items) and not len(new):
        return ()
    return _ruled_picks(
        guide, best, slate, k, lambda items: reasons(moment, slate, items), new, scores
    )


def _any_new(guide: Guide) -> bool:
    return guide.first_new < len(guide.release.model)


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


def _best_beside_new(
    guide: Guide, moment: Moment, depth: int, k: int
) -> tuple[Best, NDArray[np.int64], NDArray[np.float64]]:
    """The best of the release's items; the new ones that get a place, and their scores."""
    question, index = question_of(moment, DISCOVER), guide.sides[DISCOVER].index
    later = np.arange(guide.first_new, len(guide.release.model))
    unwanted = np.union1d(question.excluded, later)
    best = best_items(index, replace(question, excluded=unwanted), depth)
    places = places_for_new(guide.new_share, k)
    new = closest_new(index.vectors, guide.first_new, moment.shopper, moment.bought, places)
    return best, new, score_items(index, question, new)


def _ruled_picks(
    guide: Guide,
    best: Best,
    slate: str,
    k: int,
    because: Callable[[NDArray[np.int64]], Sequence[tuple[Because, ...]]],
    new: NDArray[np.int64],
    new_scores: NDArray[np.float64],
) -> tuple[Pick, ...]:
    """Picks with their reasons, after the shop's rules where it has some.

    New items take the places of the last; with rules they stand behind what these arranged.
    """
    if not guide.rules:
        if len(new):
            room = k - len(new)
            beside = np.concatenate([best.items[:room], new])
            values = np.concatenate([best.scores[:room], new_scores])
            # Stable: best sellers with equal scores are in an order of their own.
            order = np.argsort(-values, kind="stable")
            best = Best(beside[order], values[order], best.scanned)
        return _picks(guide, best, slate, because(best.items))
    rows, scores = best.items.tolist(), best.scores.tolist()
    vectors = _side(guide, slate).index.vectors
    chosen, sources = arranged(guide.rules, vectors, rows, scores, k - len(new))
    chosen = joined(guide.rules, chosen.tolist(), new.tolist(), k)
    score = dict(zip([*rows, *new.tolist()], [*scores, *new_scores.tolist()], strict=True))
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
    """Picks with their reasons; one that nothing in the history lifts is there by its sales.

    What came after the release says so, whatever lifts it.
    """
    rows = zip(best.items.tolist(), best.scores.tolist(), strict=True)
    return tuple(
        [
            pick_of(
                guide,
                row,
                score,
                rank,
                NEW
                if row >= guide.first_new and slate != AGAIN
                else PERSONAL
                if because and because[rank - 1]
                else POPULAR,
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
