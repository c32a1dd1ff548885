"""What an ad achieved, for the advertiser to know: noised numbers of shoppers, charged and floored.

Three numbers: shoppers who were shown it, who clicked it, who bought the item within a week of a
click. One shopper counts once in each, however often they looked, so nobody moves the three by more
than 3 in L1 (``counts``). Anonymous views are not counted: whose they are is not known, so
nothing could bound what one person does to their number.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.data.ad_log import AdLog

PURPOSE = "ads"
"""What a party's policy must allow."""

CELLS = ("shown", "clicked", "bought")
"""What is counted; one shopper is at most once in each."""


@dataclass(frozen=True)
class Reached:
    """Whom an ad reached; the shop's own ids, which stay there."""

    shown: frozenset[str] = field(repr=False)
    clicked: frozenset[str] = field(repr=False)
    bought: frozenset[str] = field(repr=False)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Exact numbers of shoppers in the order of ``CELLS``: not to leave as they are."""
        return np.array([len(self.shown), len(self.clicked), len(self.bought)], np.int64)


def reached_by(log: AdLog, item: int, served: tuple[Collection[str], Collection[str]]) -> Reached:
    """Whom an item's ads reached, by the shop's log and by the book of served ads.

    Args:
        log: views with what came of them.
        item: row of the catalogue that the log speaks of.
        served: known shoppers who were shown and who clicked, from the book.
    """
    mine = np.flatnonzero(log.items == item).tolist()
    shown = {log.shoppers[at] for at in mine} | set(served[0])
    clicked = {log.shoppers[at] for at in mine if log.clicked[at]} | set(served[1])
    bought = {log.shoppers[at] for at in mine if log.bought[at]}
    return Reached(frozenset(shown), frozenset(clicked), frozenset(bought))
