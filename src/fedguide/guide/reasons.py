"""Why an item was picked: what its score loses when part of the history is taken away.

Events are grouped by the item they name (or by the searched text), and a group's effect is the
score less the score without the whole group, so that what a reason says can be checked: remove
the named item from the history and the score falls by that much. Nothing is attributed by
gradients or attention; this is occlusion, exact for every encoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.answers import Because
from fedguide.guide.moment import Moment
from fedguide.models.encoders import Matrix
from fedguide.models.reading import scores_without_groups
from fedguide.values import BUY, KINDS

MOST_REASONS = 3

_DECIMALS = 6

_BUCKETS = 1 << 13

_TINY = np.finfo(np.float32).tiny


def reasons(moment: Moment, slate: str, items: NDArray[np.int64]) -> list[tuple[Because, ...]]:
    """The strongest reasons for each item, strongest first; only what lifts its score."""
    effects = group_effects(moment, slate, items)
    groups, grouping = moment.groups, moment.groups.grouping
    if not len(grouping):
        return [()] * len(items)
    lifts = np.maximum(effects, 0)
    top = np.argsort(lifts, axis=1)[:, : -MOST_REASONS - 1 : -1]
    strong = lifts[np.arange(len(items))[:, None], top]
    parts = strong / np.maximum(lifts.sum(axis=1, keepdims=True), _TINY)
    columns = (
        groups.strongest().take(top),
        groups.names.take(top),
        grouping.order.take(grouping.starts.take(top)),
        strong.astype(np.float64).round(_DECIMALS),
        parts.astype(np.float64).round(_DECIMALS),
        grouping.sizes.take(top),
        groups.last_days().take(top),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [_because(moment, row) for row in rows]


def _because(moment: Moment, row: tuple[list[Any], ...]) -> tuple[Because, ...]:
    """One item's reasons from the columns of ``reasons``; what lifts nothing is none."""
    ids, titles = moment.model.catalogue.ids, moment.model.catalogue.titles
    queries = moment.history.queries
    return tuple(
        [
            Because(KINDS[kind], ids[item], titles[item], "", effect, share, times, last_day)
            if item >= 0
            else Because(KINDS[kind], "", "", queries[event] or "", effect, share, times, last_day)
            for kind, item, event, effect, share, times, last_day in zip(*row, strict=True)
            if effect > 0
        ]
    )


def group_effects(moment: Moment, slate: str, items: NDArray[np.int64]) -> Matrix:
    """How much each group lifts each item's score, shape ``(q, g)``: with, less without."""
    model, groups, prepared = moment.model, moment.groups, moment.prepared
    vectors = model.item_vectors.take(items, axis=0)
    scores = scores_without_groups(moment.reading, vectors)
    effects: Matrix = np.float32(model.slates[slate].network) * (scores[-1] - scores[:-1]).T
    # Searches speak for no neighbours and count for nothing but the network.
    of_items = effects[:, groups.searches :]
    if not of_items.shape[1]:
        return effects
    of_items += prepared.weights[slate]["neighbours"] * _spoken(moment, items)
    column = np.searchsorted(moment.own.items, items)
    column.clip(max=len(moment.own.items) - 1, out=column)
    row = np.flatnonzero(moment.own.items.take(column) == items)
    if len(row):
        column = column[row]
        # All but the last basket, which can pass on to other items.
        of_items[row, column] += prepared.of_own[slate][:3] @ moment.own.table[:3, column]
        if moment.own.table[0, column].any():
            # Only what was bought can be, or become, part of the last basket.
            of_items += prepared.weights[slate]["last_basket"] * _last_basket(moment, items)
    return effects


def _spoken(moment: Moment, items: NDArray[np.int64]) -> Matrix:
    """What each own item says of each item in the neighbours component, ``(q, s)``."""
    spoke, targets = moment.voices, moment.voices.targets.ravel()
    said = np.zeros((len(items), len(moment.own.items)), np.float32)
    # A small table, by the last bits of an item, finds the few that may be wanted among s x k
    # targets and stays in the processor's first cache; each is then looked at.
    wanted = np.zeros(_BUCKETS, np.bool_)
    wanted[items & (_BUCKETS - 1)] = True
    heard = wanted.take(targets & (_BUCKETS - 1)).nonzero()[0]
    row, at = np.nonzero(items[:, None] == targets.take(heard))
    heard = heard[at]
    said[row, heard // spoke.targets.shape[1]] = spoke.said.ravel()[heard]
    return said


def _last_basket(moment: Moment, items: NDArray[np.int64]) -> Matrix:
    """Change of each item's last-basket flag when an own item is left out, ``(q, s)``."""
    own, history = moment.own, moment.history
    flagged = own.items[own.table[3] > 0]
    flags = _member(items, flagged)
    same = items[:, None] == own.items[None, :]
    change: Matrix = (flags[:, None] & same).astype(np.float32)
    if len(flagged) == 1:
        # The last buying day goes with its only item; the one before takes its place.
        rest = (history.kinds == BUY) & (history.items != flagged[0])
        last = history.days[rest].max(initial=np.iinfo(np.int32).min)
        before = _member(items, history.items[rest & (history.days == last)])
        change[:, own.items == flagged[0]] = (flags.astype(np.float32) - before)[:, None]
    return change


def _member(items: NDArray[np.int64], few: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which items are among a few; quicker than sorting both."""
    among: NDArray[np.bool_] = (items[:, None] == few[None, :]).any(axis=1)
    return among
