"""The second-price auction: by hand, and what no bidder could wish otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide.auction import Bid, second_price

BIDS = st.lists(st.tuples(st.integers(1, 500), st.floats(0.001, 1)), min_size=1, max_size=8).map(
    lambda rows: [Bid(f"ad{n}", bid, ctr) for n, (bid, ctr) in enumerate(rows)]
)


def test_by_hand():
    bids = [Bid("a", 100, 0.1), Bid("b", 300, 0.05), Bid("c", 40, 0.2)]
    # Worth 10, 15, 8. b pays 10 / 0.05 = 200, a pays 8 / 0.1 = 80; c is alone: the reserve.
    won = second_price(bids, 3, 20)
    assert [(one.bid.ad, one.price_fen) for one in won] == [("b", 200), ("a", 80), ("c", 20)]
    assert [one.slot for one in won] == [1, 2, 3]
    # With two slots the loser still sets the price of the second.
    assert [one.price_fen for one in second_price(bids, 2, 20)] == [200, 80]


@given(BIDS, st.integers(1, 4), st.integers(1, 60))
def test_nobody_pays_more_than_the_bid_or_less_than_the_reserve(bids, slots, reserve):
    won = second_price(bids, slots, reserve)
    assert len(won) == min(slots, sum(bid.bid_fen >= reserve for bid in bids))
    for one in won:
        assert reserve <= one.price_fen <= one.bid.bid_fen
    worth = [one.bid.worth for one in won]
    assert worth == sorted(worth, reverse=True)


@given(BIDS, st.integers(1, 4))
def test_the_price_is_the_least_that_keeps_the_slot(bids, slots):
    for one in second_price(bids, slots):
        others = [bid for bid in bids if bid.ad != one.bid.ad]
        if one.price_fen > 1:
            less = Bid(one.bid.ad, one.price_fen - 1, one.bid.ctr)
            after = {w.bid.ad: w.slot for w in second_price([*others, less], len(bids))}
            assert after[one.bid.ad] >= one.slot
            below = [bid for bid in others if bid.worth > less.worth]
            assert len(below) >= one.slot


@given(BIDS, st.integers(1, 300))
def test_a_higher_bid_never_loses_a_slot(bids, more):
    raised = [Bid(bids[0].ad, bids[0].bid_fen + more, bids[0].ctr), *bids[1:]]
    before, after = (
        next(w.slot for w in second_price(each, len(bids)) if w.bid.ad == "ad0")
        for each in (bids, raised)
    )
    assert after <= before


@given(st.permutations(range(5)))
def test_the_order_of_bids_does_not_matter(order):
    bids = [
        Bid("a", 10, 0.5),
        Bid("b", 10, 0.5),
        Bid("c", 5, 1.0),
        Bid("d", 9, 0.5),
        Bid("e", 1, 1),
    ]
    assert second_price([bids[at] for at in order], 3) == second_price(bids, 3)


def test_bad_input():
    with pytest.raises(ConfigError, match="bid"):
        Bid("a", 0, 0.5)
    for ctr in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="probability"):
            Bid("a", 1, ctr)
    with pytest.raises(ConfigError, match="slots"):
        second_price([], 0)
