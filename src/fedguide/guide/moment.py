"""One shopper at one moment: what ranking and reasons both need of a history, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import History, Matrix, Reading, encode_read, read
from fedguide.models.scorer import Own, ShopModel, own_components, spoken, total_weights
from fedguide.values import AD_CLICK, AD_VIEW, BUY, CART, KINDS, SEARCH, VIEW

_STRENGTH = np.array([BUY, CART, AD_CLICK, SEARCH, VIEW, AD_VIEW])
_RANK = np.argsort(_STRENGTH)


@dataclass(frozen=True)
class Groups:
    """A history's events by what they name (h events, g groups): searched texts, then items.

    Attributes:
        of: int64 ``(h,)``, the group of each event.
        first: int64 ``(g,)``, one event of each group.
        times: int64 ``(g,)``, number of events.
        last_day: int32 ``(g,)``, day of the latest event.
        kind: int64 ``(g,)``, the strongest kind of its events.
        searches: how many of the groups are searches; they come first, items after them ascending.
    """

    of: NDArray[np.int64]
    first: NDArray[np.int64]
    times: NDArray[np.int64]
    last_day: NDArray[np.int32]
    kind: NDArray[np.int64]
    searches: int


@dataclass(frozen=True)
class Moment:
    """A history seen by a shop's model on one day (g groups, s of them items).

    Attributes:
        model: the shop's model.
        history: the shopper's events.
        reading: the events as the encoder reads them.
        groups: the events by what they name.
        own: components of the items the history names; ``own.items`` are the item groups.
        shopper: the shopper's vector, ``(d,)``.
        said: the neighbours component of every item, ``(n,)``.
        bought: int64, the items the shopper bought, ascending.
    """

    model: ShopModel
    history: History
    reading: Reading
    groups: Groups
    own: Own
    shopper: Matrix
    said: Matrix
    bought: NDArray[np.int64]


@dataclass(frozen=True)
class SlateScore:
    """How a slate scores every item at a moment: dense + sparse.

    An item's score is its vector · ``shopper`` + static columns · ``columns`` + ``sparse``.
    """

    shopper: Matrix
    columns: Matrix
    sparse: Matrix


def moment_of(
    model: ShopModel,
    history: History,
    today: int,
    query_of: Callable[[str], Matrix] | None = None,
) -> Moment:
    """Everything about a history, for all slates; ``query_of`` as in ``encoders.read``."""
    own = own_components(model, history, today)
    reading = read(model.network, model.item_vectors, history, today, query_of)
    return Moment(
        model=model,
        history=history,
        reading=reading,
        groups=group_events(history),
        own=own,
        shopper=encode_read(reading),
        said=spoken(model, own),
        bought=own.items[own.values["history"] > 0],
    )


def slate_score(moment: Moment, slate: str) -> SlateScore:
    """The parts of a slate's score; the same sum as ``scorer.slate_scores``."""
    model, own = moment.model, moment.own
    weights = total_weights(model, slate)
    sparse = weights["neighbours"] * moment.said
    for name, values in own.values.items():
        sparse[own.items] += weights[name] * values
    return SlateScore(
        np.float32(model.slates[slate].network) * moment.shopper,
        np.array([weights["recent"], weights["popularity"]], np.float32),
        sparse,
    )


def group_events(history: History) -> Groups:
    """Groups the events by item, and searches by their text."""
    named = history.items.astype(np.int64)
    texts: dict[str, int] = {}
    for at, query in enumerate(history.queries):
        if query is not None:
            named[at] = -2 - texts.setdefault(query, len(texts))
    _, first, of, times = np.unique(
        named, return_index=True, return_inverse=True, return_counts=True
    )
    last_day = np.full(len(first), np.iinfo(np.int32).min, np.int32)
    np.maximum.at(last_day, of, history.days)
    strongest = np.full(len(first), len(KINDS), np.int64)
    np.minimum.at(strongest, of, _RANK[history.kinds])
    searches = int((history.items[first] < 0).sum())
    return Groups(of, first, times, last_day, _STRENGTH[strongest], searches)
