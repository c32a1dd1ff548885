"""One shopper at one moment: what ranking and reasons both need of a history, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import History, Matrix
from fedguide.models.fading import Fading, fading_of, look_up
from fedguide.models.reading import Grouping, Reading, encode_read, read
from fedguide.models.scorer import (
    OF_OWN,
    Own,
    ShopModel,
    Voices,
    own_of,
    run_starts,
    scattered,
    total_weights,
    voices,
)
from fedguide.values import AD_CLICK, AD_VIEW, BUY, CART, SEARCH, VIEW

_STRENGTH = np.array([BUY, CART, AD_CLICK, SEARCH, VIEW, AD_VIEW])
_RANK = np.argsort(_STRENGTH)


@dataclass(frozen=True)
class Prepared:
    """A shop's model with what is the same at every moment.

    Attributes:
        model: the shop's model.
        fading: how much an event counts.
        weights: ``total_weights`` of each slate that the model scores.
        of_own: float32 ``(4,)`` of each of them, the weights of ``OF_OWN`` among them.
    """

    model: ShopModel
    fading: Fading
    weights: Mapping[str, Mapping[str, np.float32]]
    of_own: Mapping[str, Matrix]


@dataclass(frozen=True)
class Groups:
    """A history's events by what they name (h events, g groups): searched texts, then items.

    Attributes:
        grouping: which event is in which group.
        names: int32 ``(g,)``, the item of each group, ascending; below 0 for a search.
        searches: how many of the groups are searches.
        kinds: uint8 ``(h,)``, of each event in the order of the grouping.
        days: int32 ``(h,)``, of each event in the order of the grouping.
    """

    grouping: Grouping
    names: NDArray[np.int32]
    searches: int
    kinds: NDArray[np.uint8]
    days: NDArray[np.int32]

    def last_days(self) -> NDArray[np.int32]:
        """Day of the latest event of each group, ``(g,)``."""
        return np.maximum.reduceat(self.days, self.grouping.starts)

    def strongest(self) -> NDArray[np.int64]:
        """The strongest kind of each group's events, ``(g,)``."""
        ranks = np.minimum.reduceat(_RANK.take(self.kinds), self.grouping.starts)
        return _STRENGTH.take(ranks)


@dataclass(frozen=True)
class Moment:
    """A history seen by a shop's model on one day (g groups, s of them items).

    Attributes:
        prepared: the shop's model.
        history: the shopper's events.
        reading: the events as the encoder reads them.
        groups: the events by what they name.
        own: components of the items the history names; ``own.items`` are the item groups.
        shopper: the shopper's vector, ``(d,)``.
        voices: what each own item says of its neighbours.
        bought: int64, the items the shopper bought, ascending.
    """

    prepared: Prepared
    history: History
    reading: Reading
    groups: Groups
    own: Own
    shopper: Matrix
    voices: Voices
    bought: NDArray[np.int64]

    @property
    def model(self) -> ShopModel:
        """The shop's model."""
        return self.prepared.model


@dataclass(frozen=True)
class SlateScore:
    """How a slate scores every item at a moment: dense + sparse.

    An item's score is its vector · ``shopper`` + static columns · ``columns`` + ``sparse``.

    Attributes:
        shopper: ``(d,)``.
        columns: ``(2,)``.
        sparse: ``(n,)``.
    """

    shopper: Matrix
    columns: Matrix
    sparse: Matrix


def prepare(model: ShopModel) -> Prepared:
    """A model of one network (``scorer.served_by``) made ready for many moments."""
    weights = {slate: total_weights(model, slate) for slate in model.slates}
    of_own = {slate: np.array([total[name] for name in OF_OWN]) for slate, total in weights.items()}
    return Prepared(model, fading_of(model), weights, of_own)


def moment_of(
    prepared: Prepared,
    history: History,
    today: int,
    query_of: Callable[[str], Matrix] | None = None,
) -> Moment:
    """Everything about a history, for all slates of a model.

    ``query_of`` is as in ``reading.read``.
    """
    model = prepared.model
    groups = group_events(history)
    starts, searches = groups.grouping.starts, groups.searches
    counts = look_up(prepared.fading, groups.kinds, np.maximum(today - groups.days, 0))
    # Searches come first in the order; what follows are the items' events, item after item.
    first = int(starts[searches]) if searches < len(starts) else len(history)
    own = own_of(
        groups.names[searches:],
        starts[searches:] - first,
        groups.kinds[first:],
        groups.days[first:],
        counts[first:],
    )
    reading = read(
        model.network,
        model.item_vectors,
        history,
        today,
        groups.grouping,
        query_of,
        counts[:, -1],
    )
    return Moment(
        prepared=prepared,
        history=history,
        reading=reading,
        groups=groups,
        own=own,
        shopper=encode_read(reading),
        voices=voices(model, own),
        bought=own.items[own.table[0] > 0],
    )


def slate_score(moment: Moment, slate: str) -> SlateScore:
    """The parts of a slate's score; the same sum as ``scorer.slate_scores``."""
    model, own, spoke = moment.model, moment.own, moment.voices
    weights = moment.prepared.weights[slate]
    sparse = scattered(spoke.targets, weights["neighbours"] * spoke.said, len(model))
    sparse[own.items] += moment.prepared.of_own[slate] @ own.table
    return SlateScore(
        np.float32(model.slates[slate].network) * moment.shopper,
        np.array([weights["recent"], weights["popularity"]], np.float32),
        sparse,
    )


def group_events(history: History) -> Groups:
    """Groups the events by item, and searches by their text."""
    named = _named(history)
    order = np.argsort(named, kind="stable")
    ordered = named.take(order)
    starts = run_starts(ordered)
    names = ordered.take(starts)
    return Groups(
        Grouping(order, starts),
        names=names,
        searches=int(np.searchsorted(names, 0)),
        kinds=history.kinds.take(order),
        days=history.days.take(order),
    )


def _named(history: History) -> NDArray[np.int32]:
    """What each event names, ``(h,)``: an item, or below -1 a text."""
    if not history.queries:
        return history.items
    named, texts = history.items.copy(), dict[str, int]()
    for at in np.flatnonzero(named < 0).tolist():
        query = history.queries[at]
        if query is not None:
            named[at] = -2 - texts.setdefault(query, len(texts))
    return named
