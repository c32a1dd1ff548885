"""Tables: thresholds, blocks and bounds against the exact weights of the law."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from fedguide.privacy.inversion import DISTANCE, NARROW, largest, table_of
from fedguide.privacy.kernels import ratio
from fedguide.privacy.laws import (
    EXACT,
    Answers,
    DiscreteGaussian,
    DiscreteLaplace,
    Polya,
    weight_ratio,
)

WIDE = [
    DiscreteGaussian(4096.0),
    DiscreteGaussian(1e6),
    DiscreteGaussian(2.0**30),
    DiscreteLaplace(130.0),
    DiscreteLaplace(1e6),
    Polya(1e6, 10),
    Polya(2.0**30, 1000),
]
LAWS = [
    DiscreteGaussian(0.25),
    DiscreteGaussian(2.0),
    DiscreteGaussian(100.0),
    DiscreteLaplace(0.25),
    DiscreteLaplace(2.0),
    Polya(2.0, 3),
    *WIDE,
    Answers(5, 1.0),
]


def thresholds(table):
    high, low = (part.tolist() for part in (table.high, table.low))
    return [(h << 63) + b for h, b in zip(high, low, strict=True)]


@pytest.mark.parametrize("law", LAWS)
def test_blocks_follow_each_other_without_a_gap(law):
    table = table_of(law)
    assert table.start[0] == 0
    assert np.array_equal(table.start[1:], table.start[:-1] + (1 << table.shift[:-1].astype(int)))


@pytest.mark.parametrize("law", LAWS)
def test_thresholds_are_the_shares_of_the_blocks_to_2_to_minus_126(law):
    """A block's share is its width times the weight of its start, twice that with two signs."""
    table = table_of(law)
    with localcontext(EXACT):
        shares = [
            law.weight(start) * (1 << shift) * (2 if table.signed and start else 1)
            for start, shift in zip(table.start.tolist(), table.shift.tolist(), strict=True)
        ]
        total, cumulated = sum(shares), Decimal(0)
        for share, threshold in zip(shares[:-1], thresholds(table)[:-1], strict=True):
            cumulated += share
            assert abs(cumulated / total - Decimal(threshold) / 2**127) < Decimal(2) ** -126
    assert len(shares) * 2.0**-126 < DISTANCE / 8


@pytest.mark.parametrize("law", LAWS)
def test_every_draw_is_below_the_last_threshold(law):
    """A draw is two words of 64 and 63 bits: at most (2^64 - 1, 2^63 - 1)."""
    table = table_of(law)
    assert (int(table.high[-1]), int(table.low[-1])) == (2**64 - 1, 2**63)
    assert sorted(thresholds(table)) == thresholds(table)


@pytest.mark.parametrize("law", LAWS[:-1])
def test_what_a_table_leaves_out_weighs_next_to_nothing(law):
    """Beyond the last block weights fall at least by e^(-1/scale) a step, so the rest is at most
    (first weight left out) · (scale + 1): below 2^-140 · 2^31, against w(0) = 1."""
    with localcontext(EXACT):
        assert law.weight(largest(law) + 1) < Decimal(2) ** -140


@pytest.mark.parametrize("law", LAWS)
def test_the_guide_never_starts_too_late(law):
    table = table_of(law)
    for cell in (0, 1, 1000, 2047, 2048, 4094, 4095):
        lowest = cell << (127 - 12)
        assert table.guide[cell] <= next(
            i for i, threshold in enumerate(thresholds(table)) if lowest < threshold
        )


@pytest.mark.parametrize("law", LAWS)
def test_what_is_surely_kept_is_below_the_smallest_ratio_of_its_block(law):
    table = table_of(law)
    chosen = range(0, len(table.start), max(1, len(table.start) // 50))
    for i in chosen:
        start, width = int(table.start[i]), 1 << int(table.shift[i])
        assert table.surely[i] < weight_ratio(law, start, width - 1)


def test_wide_are_the_laws_with_blocks_of_several_integers():
    assert [law for law in LAWS if table_of(law).shift.any()] == WIDE


@pytest.mark.parametrize("law", WIDE)
def test_the_ratio_in_floating_point_is_within_its_slack(law):
    table = table_of(law)
    generator = np.random.default_rng(1)
    wide = np.flatnonzero(table.shift)
    for i in generator.choice(wide, 200):
        start, place = int(table.start[i]), int(generator.integers(1 << int(table.shift[i])))
        error = abs(Decimal(ratio(table, start, place)) - weight_ratio(law, start, place))
        assert error < Decimal(table.slack) / 4


@pytest.mark.parametrize("make", [DiscreteGaussian, DiscreteLaplace])
def test_up_to_narrow_every_block_is_one_integer_and_beyond_nearly_all_is_kept(make):
    assert not table_of(make(NARROW)).shift.any()
    table = table_of(make(NARROW + 1))
    assert table.shift[1:].min() >= 1
    assert table.surely[table.start < 3 * NARROW].min() > 0.9


def test_wide_tables_stay_small():
    assert max(len(table_of(law).start) for law in LAWS) < 13_000
