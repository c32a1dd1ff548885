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
    SLATES,
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
        weights: ``total_weights`` of each slate.
    """

    model: ShopModel
    fading: Fading
    weights: Mapping[str, Mapping[str, np.float32]]


@dataclass(frozen=True)
class Groups:
    """A history's events by what they name (h events, g groups): searched texts, then items.

    Attributes:
        grouping: which event is in which group.
        last_day: int32 ``(g,)``, day of the latest event.
        kind: int64 ``(g,)``, the strongest kind of its events.
        searches: how many of the groups are searches; they come first, items after them ascending.
    """

    grouping: Grouping
    last_day: NDArray[np.int32]
    kind: NDArray[np.int64]
    searches: int


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
        touched: every item whose ``sparse`` is not 0, and perhaps others; items may repeat, and
            -1 stands for none.
        raised: ``sparse`` of each of these; of -1, anything.
    """

    shopper: Matrix
    columns: Matrix
    sparse: Matrix
    touched: NDArray[np.int32]
    raised: Matrix


def prepare(model: ShopModel) -> Prepared:
    """A model made ready for many moments."""
    weights = {slate: total_weights(model, slate) for slate in SLATES}
    return Prepared(model, fading_of(model), weights)


def moment_of(
    prepared: Prepared,
    history: History,
    today: int,
    query_of: Callable[[str], Matrix] | None = None,
) -> Moment:
    """Everything about a history, for all slates; ``query_of`` as in ``reading.read``."""
    model = prepared.model
    groups = group_events(history)
    grouping = groups.grouping
    counts = look_up(prepared.fading, history.kinds, np.maximum(today - history.days, 0))
    # Searches come first in the order; what follows are the items' events, item after item.
    first = int(grouping.starts[groups.searches]) if groups.searches < len(grouping) else None
    named = grouping.order[first:] if first is not None else grouping.order[:0]
    own = own_of(
        history.items[named],
        history.kinds[named],
        history.days[named],
        grouping.starts[groups.searches :] - (first or 0),
        counts.take(named, axis=0),
    )
    reading = read(model.network, model.item_vectors, history, today, query_of, counts[:, -1])
    return Moment(
        prepared=prepared,
        history=history,
        reading=reading,
        groups=groups,
        own=own,
        shopper=encode_read(reading),
        voices=voices(model, own),
        bought=own.items[own.values["history"] > 0],
    )


def slate_score(moment: Moment, slate: str) -> SlateScore:
    """The parts of a slate's score; the same sum as ``scorer.slate_scores``."""
    model, own, spoke = moment.model, moment.own, moment.voices
    weights = moment.prepared.weights[slate]
    sparse = scattered(spoke.targets, weights["neighbours"] * spoke.said, len(model))
    for name, values in own.values.items():
        if weights[name]:
            sparse[own.items] += weights[name] * values
    touched = np.concatenate([spoke.targets.ravel(), own.items.astype(np.int32)])
    return SlateScore(
        np.float32(model.slates[slate].network) * moment.shopper,
        np.array([weights["recent"], weights["popularity"]], np.float32),
        sparse,
        touched,
        sparse.take(touched, mode="wrap"),  # now, while the array is still in the cache
    )


def group_events(history: History) -> Groups:
    """Groups the events by item, and searches by their text."""
    named = _named(history)
    order = np.argsort(named, kind="stable")
    ordered = named[order]
    starts = run_starts(ordered)
    grouping = Grouping(order, starts)
    if not len(starts):
        return Groups(grouping, np.zeros(0, np.int32), np.zeros(0, np.int64), 0)
    return Groups(
        grouping,
        last_day=np.maximum.reduceat(history.days[order], starts),
        kind=_STRENGTH[np.minimum.reduceat(_RANK[history.kinds[order]], starts)],
        searches=int(np.count_nonzero(ordered[starts] < 0)),
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
