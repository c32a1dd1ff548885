"""Why an item was picked: what its score loses when part of the history is taken away.

Events are grouped by the item they name (or by the searched text), and a group's effect is the
score less the score without the whole group, so that what a reason says can be checked: remove
the named item from the history and the score falls by that much. Nothing is attributed by
gradients or attention; this is occlusion, exact for every encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.answers import Because
from fedguide.models.encoders import History, Matrix, encode, encode_without_groups
from fedguide.models.scorer import SPEAKS, ShopModel, sparse_components, total_weights
from fedguide.values import AD_CLICK, AD_VIEW, BUY, CART, KINDS, SEARCH, VIEW

MOST_REASONS = 3
_STRENGTH = (BUY, CART, AD_CLICK, SEARCH, VIEW, AD_VIEW)


@dataclass(frozen=True)
class Scoring:
    """What gives an item its score: a shop's model, a history, the day of asking, a slate."""

    model: ShopModel
    history: History
    today: int
    slate: str


@dataclass(frozen=True)
class Groups:
    """A history's events by what they name (h events, g groups).

    Attributes:
        of: int64 ``(h,)``, the group of each event.
        first: int64 ``(g,)``, one event of each group.
        times: int64 ``(g,)``, number of events.
        last_day: int32 ``(g,)``, day of the latest event.
        kind: int64 ``(g,)``, the strongest kind of its events.
    """

    of: NDArray[np.int64]
    first: NDArray[np.int64]
    times: NDArray[np.int64]
    last_day: NDArray[np.int32]
    kind: NDArray[np.int64]


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
    rank = np.argsort(_STRENGTH)
    strongest = np.full(len(first), len(KINDS), np.int64)
    np.minimum.at(strongest, of, rank[history.kinds])
    return Groups(of, first, times, last_day, np.asarray(_STRENGTH)[strongest])


def group_effects(scoring: Scoring, groups: Groups, items: NDArray[np.int64]) -> Matrix:
    """How much each group lifts each item's score, shape ``(q, g)``: with, less without."""
    model, history, today = scoring.model, scoring.history, scoring.today
    weights = total_weights(model, scoring.slate)
    dense = np.float32(model.slates[scoring.slate].network)
    vectors = model.item_vectors
    whole = encode(model.network, vectors, history, today)
    without = encode_without_groups(model.network, vectors, history, today, groups.of)
    effects: Matrix = dense * (vectors[items] @ (whole - without).T)
    named = history.items[groups.first]
    effects += weights["neighbours"] * _spoken(scoring, groups, items)
    own = items[:, None] == named[None, :]
    if own.any():
        effects += own * _own_terms(scoring, weights, items)[:, None]
    effects += weights["last_basket"] * _last_basket(history, groups, named, items)
    return effects


def reasons(scoring: Scoring, items: NDArray[np.int64]) -> list[tuple[Because, ...]]:
    """The strongest reasons for each item, strongest first; only what lifts its score."""
    groups = group_events(scoring.history)
    lifts = np.maximum(group_effects(scoring, groups, items), 0)
    top = np.argsort(-lifts, axis=1, kind="stable")[:, :MOST_REASONS]
    effects = np.take_along_axis(lifts, top, axis=1)
    parts = effects / np.maximum(lifts.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return [
        tuple(
            _because(scoring, groups, group, effect, share)
            for group, effect, share in zip(*row, strict=True)
            if effect > 0
        )
        for row in zip(top.tolist(), effects.tolist(), parts.tolist(), strict=True)
    ]


def _because(scoring: Scoring, groups: Groups, group: int, effect: float, share: float) -> Because:
    catalogue, history = scoring.model.catalogue, scoring.history
    event = int(groups.first[group])
    item = int(history.items[event])
    query = history.queries[event] if history.queries else None
    return Because(
        kind=KINDS[int(groups.kind[group])],
        item=catalogue.ids[item] if item >= 0 else "",
        title=catalogue.titles[item] if item >= 0 else "",
        query=query or "",
        effect=effect,
        share=share,
        times=int(groups.times[group]),
        last_day=int(groups.last_day[group]),
    )


def _spoken(scoring: Scoring, groups: Groups, items: NDArray[np.int64]) -> Matrix:
    """What each group's item says of each item in the neighbours component, ``(q, g)``."""
    model, history = scoring.model, scoring.history
    ages = np.maximum(scoring.today - history.days, 0).astype(np.float32)
    loudness = SPEAKS[history.kinds] * np.exp(ages / np.float32(-model.neighbour_days))
    loudness[history.items < 0] = 0
    loudest = np.zeros(len(groups.first), np.float32)
    np.maximum.at(loudest, groups.of, loudness)
    speakers = np.maximum(history.items[groups.first], 0)
    lists, said = model.neighbours[speakers], model.neighbour_weights[speakers]
    spoken = np.zeros((len(items), len(speakers)), np.float32)
    # One comparison an item: a (q, g, k) array would be made and thrown away.
    for row, item in enumerate(items.tolist()):
        group, place = np.nonzero(lists == item)
        spoken[row, group] = said[group, place]
    return spoken * loudest


def _own_terms(
    scoring: Scoring, weights: dict[str, np.float32], items: NDArray[np.int64]
) -> Matrix:
    """What an item's score owes to its own events in the counting components, ``(q,)``."""
    touched = sparse_components(scoring.model, scoring.history, scoring.today)
    at = np.minimum(np.searchsorted(touched.items, items), len(touched.items) - 1)
    there = touched.items[at] == items
    total = np.zeros(len(items), np.float32)
    for name in ("history", "returning", "interest"):
        total += weights[name] * np.where(there, touched.values[name][at], np.float32(0))
    return total


def _last_basket(
    history: History,
    groups: Groups,
    named: NDArray[np.int32],
    items: NDArray[np.int64],
) -> Matrix:
    """Change of each item's last-basket flag when a group is left out, shape ``(q, g)``."""
    change = np.zeros((len(items), len(named)), np.float32)
    bought = history.kinds == BUY
    if not bought.any():
        return change
    last = bought & (history.days == history.days[bought].max())
    flags = np.isin(items, history.items[last])
    change += (items[:, None] == named[None, :]) & flags[:, None]
    filled = np.unique(groups.of[last])
    if len(filled) == 1:
        # The last buying day goes with its only item; the one before takes its place.
        only = int(filled[0])
        rest = bought & (groups.of != only)
        before = np.zeros(len(items), np.bool_)
        if rest.any():
            rest &= history.days == history.days[rest].max()
            before = np.isin(items, history.items[rest])
        change[:, only] = flags.astype(np.float32) - before
    return change
