"""One shopper at one moment: what ranking and reasons both need of a history, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import History, Matrix, Reading, encode_read, read
from fedguide.models.scorer import (
    Own,
    ShopModel,
    Voices,
    own_components,
    run_starts,
    scattered,
    total_weights,
    voices,
)
from fedguide.values import AD_CLICK, AD_VIEW, BUY, CART, SEARCH, VIEW

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
        voices: what each own item says of its neighbours.
        bought: int64, the items the shopper bought, ascending.
    """

    model: ShopModel
    history: History
    reading: Reading
    groups: Groups
    own: Own
    shopper: Matrix
    voices: Voices
    bought: NDArray[np.int64]


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
    """

    shopper: Matrix
    columns: Matrix
    sparse: Matrix
    touched: NDArray[np.int32]


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
        voices=voices(model, own),
        bought=own.items[own.values["history"] > 0],
    )


def slate_score(moment: Moment, slate: str) -> SlateScore:
    """The parts of a slate's score; the same sum as ``scorer.slate_scores``."""
    model, own, spoke = moment.model, moment.own, moment.voices
    weights = total_weights(model, slate)
    sparse = scattered(spoke.targets, weights["neighbours"] * spoke.said, len(model))
    total = np.zeros(len(own.items), np.float32)
    for name, values in own.values.items():
        total += weights[name] * values
    sparse[own.items] += total
    return SlateScore(
        np.float32(model.slates[slate].network) * moment.shopper,
        np.array([weights["recent"], weights["popularity"]], np.float32),
        sparse,
        np.concatenate([spoke.targets.ravel(), own.items.astype(np.int32)]),
    )


def group_events(history: History) -> Groups:
    """Groups the events by item, and searches by their text."""
    named, count = _named(history), len(history)
    if not count:
        nothing = np.zeros(0, np.int64)
        return Groups(nothing, nothing, nothing, nothing.astype(np.int32), nothing, 0)
    order = np.argsort(named, kind="stable")
    ordered = named[order]
    starts = run_starts(ordered)
    times = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=times[:-1])
    times[-1] = count - starts[-1]
    of = np.empty(count, np.int64)
    of[order] = np.repeat(np.arange(len(starts)), times)
    return Groups(
        of,
        first=order[starts],
        times=times,
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
