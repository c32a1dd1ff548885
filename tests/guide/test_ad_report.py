"""What an ad achieved: shoppers, each once in each number."""

from __future__ import annotations

import numpy as np

from fedguide.data.ad_log import AdLog
from fedguide.guide.ad_report import CELLS, reached_by

ITEMS = np.array([1, 1, 1, 2, 1])
CLICKED = np.array([True, False, False, True, True])
LOG = AdLog(
    ("ann", "ann", "ben", "cat", "ann"),
    ITEMS,
    ITEMS,
    ITEMS,
    CLICKED,
    np.array([True] + 4 * [False]),
)


def test_shoppers_count_once_and_the_book_is_counted_too():
    made = reached_by(LOG, 1, ({"ben", "dan"}, {"dan"}))
    assert made.shown == {"ann", "ben", "dan"}
    assert made.clicked == {"ann", "dan"}
    assert made.bought == {"ann"}
    assert made.counts.tolist() == [3, 2, 1]
    assert "ann" not in repr(made)


def test_one_shopper_moves_the_numbers_by_one_each_at_most():
    """The sensitivity that is charged: everything ann ever did is taken out."""
    rest = np.flatnonzero(np.array(LOG.shoppers) != "ann")
    without = AdLog(
        tuple(LOG.shoppers[at] for at in rest),
        *(column[rest] for column in (LOG.items, LOG.slots, LOG.days, LOG.clicked, LOG.bought)),
    )
    served = ({"ann", "dan"}, {"ann"})
    both = reached_by(LOG, 1, served).counts - reached_by(without, 1, ({"dan"}, set())).counts
    assert np.abs(both).max() <= 1
    assert np.abs(both).sum() <= len(CELLS)
