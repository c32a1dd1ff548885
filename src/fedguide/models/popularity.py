"""What sells, and what this shopper bought before: the scorers every model has to beat.

Sales are counted in baskets, or with ``one_vote`` in shoppers: what somebody bought before speaks
for that shopper's own taste and is no second vote for what everybody sees. Without it, one
shopper in twenty who buys an item again and again puts it on almost everybody's slate
(``benchmarks/robust.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.models.evaluate import Scorer, bought
from fedguide.values import BUY, Baskets, Cases

RECENT_DAYS = 20
"""Days of sales that count as recent; the development data sell seasonal goods."""


Sales = NDArray[np.float32]


def sales(train: Baskets, items: int, days: int | None = None, *, one_vote: bool = False) -> Sales:
    """In how many baskets each item was bought, shape ``(items,)``.

    With ``days``, only in baskets of the last ``days`` days of ``train``: the shop's clock stops
    at the cut, so that nothing of the slice to be predicted can enter. With ``one_vote``, a
    shopper counts once for an item, when it was bought first.
    """
    line_days = np.repeat(train.days, np.diff(train.offsets))
    keep = counted(train, one_vote=one_vote)
    if days is not None and len(train):
        keep &= line_days > train.days.max() - days
    return np.bincount(train.items[keep], minlength=items).astype(np.float32)


def counted(known: Baskets, *, one_vote: bool) -> NDArray[np.bool_]:
    """The purchases that count as sales, shape ``(lines,)``: all, or each shopper's first."""
    bought_lines: NDArray[np.bool_] = known.kinds == BUY
    return bought_lines & ~repeats(known) if one_vote else bought_lines


def repeats(known: Baskets) -> NDArray[np.bool_]:
    """Lines buying what the shopper had bought in an earlier basket, shape ``(lines,)``."""
    shopper = np.repeat(known.shoppers, np.diff(known.offsets))
    lines = np.flatnonzero(known.kinds == BUY)
    # Lines are sorted by day within a shopper and a basket holds a pair once: all but the
    # first line of a (shopper, item) are repeats.
    order = lines[np.lexsort((lines, known.items[lines], shopper[lines]))]
    found = np.zeros(len(known.items), np.bool_)
    found[order[1:]] = (shopper[order[1:]] == shopper[order[:-1]]) & (
        known.items[order[1:]] == known.items[order[:-1]]
    )
    return found


def times_bought(cases: Cases, items: int) -> Sales:
    """In how many earlier baskets the shopper bought each item, shape ``(c, items)``."""
    owner, item, _ = bought(cases.baskets, cases.starts, cases.targets)
    flat = np.bincount(owner * items + item, minlength=len(cases) * items)
    return flat.reshape(len(cases), items).astype(np.float32)


def by_popularity(popularity: NDArray[np.float32]) -> Scorer:
    """Everybody gets what sells best; ``popularity`` has shape ``(n,)``."""

    def scorer(cases: Cases) -> NDArray[np.float32]:
        return np.broadcast_to(popularity, (len(cases), len(popularity)))

    return scorer


def by_history(popularity: NDArray[np.float32]) -> Scorer:
    """First what was bought most often, equal counts (and the rest) by ``popularity``."""
    levels, level = np.unique(popularity, return_inverse=True)  # equal popularity stays a tie
    tie_break = (level / max(len(levels), 1)).astype(np.float32)  # below 1: one purchase more wins

    def scorer(cases: Cases) -> NDArray[np.float32]:
        return times_bought(cases, len(popularity)) + tie_break

    return scorer


def known_sales(
    train: Baskets,
    cases: Cases,
    items: int,
    days: int = RECENT_DAYS,
    *,
    one_vote: bool = False,
) -> Sales:
    """Sales of the ``days`` days before each case's own day, shape ``(c, items)``.

    A shop counts its sales every day, so a case may know all days before its own: its history
    does too. Where the cut is not one in time (leave-last-out: some of ``train`` is as late as
    the cases), other shoppers' later baskets could enter this way, and the count of ``train``
    is taken as it is.
    """
    baskets = cases.baskets
    today = baskets.days[cases.targets]
    if not len(cases) or not len(train) or train.days.max() >= today.min():
        return np.broadcast_to(sales(train, items, days, one_vote=one_vote), (len(cases), items))
    line_days = np.repeat(baskets.days, np.diff(baskets.offsets))
    bought_lines = counted(baskets, one_vote=one_vote)
    moments, moment = np.unique(today, return_inverse=True)
    counts = np.zeros((len(moments), items), np.float32)
    for row, day in enumerate(moments.tolist()):
        known = bought_lines & (line_days < day) & (line_days >= day - days)
        counts[row] = np.bincount(baskets.items[known], minlength=items)
    return counts[moment]
