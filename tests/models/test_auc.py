"""The area under the curve: by hand, against pairs one by one, and its interval by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import DataError
from fedguide.models.auc import auc, auc_difference, log_loss

SCORED = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40).filter(
    lambda rows: len({one for one, _ in rows}) == 2
)


def test_by_hand_with_a_tie():
    labels, scores = np.array([1.0, 1, 0, 0]), np.array([3.0, 1, 1, 0])
    # Pairs: 3>1, 3>0, 1=1 (half), 1>0.
    assert auc(labels, scores).value == 3.5 / 4


@given(SCORED)
def test_it_is_the_share_of_pairs_in_order(rows):
    labels = np.array([float(one) for one, _ in rows])
    scores = np.array([float(score) for _, score in rows])
    gaps = np.subtract.outer(scores[labels == 1], scores[labels == 0])
    assert auc(labels, scores).value == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean())


@given(SCORED)
def test_turned_scores_turn_the_area_and_a_score_equals_itself(rows):
    labels = np.array([float(one) for one, _ in rows])
    scores = np.array([float(score) for _, score in rows])
    there, back = auc(labels, scores), auc(labels, -scores)
    assert there.value + back.value == pytest.approx(1)
    assert there.high - there.low == pytest.approx(back.high - back.low)
    same = auc_difference(labels, scores, 2 * scores + 1)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """1000 intervals at 95 %: the misses are binomial, and 20 … 90 fails once in a million."""
    rng = np.random.default_rng(0)
    truth = 0.7602499389  # Φ(1/√2) of two normals one deviation apart
    labels = np.repeat([0.0, 1.0], 60)
    found = [auc(labels, rng.normal(size=120) + labels) for _ in range(1000)]
    misses = sum(not one.low <= truth <= one.high for one in found)
    assert 20 <= misses <= 90


def test_a_paired_difference_is_narrower_than_two_areas():
    rng = np.random.default_rng(1)
    labels = (rng.random(500) < 0.3).astype(float)
    good = labels + rng.normal(size=500)
    worse = good + 0.3 * rng.normal(size=500)
    gap = auc_difference(labels, good, worse)
    one = auc(labels, good)
    assert gap.value == pytest.approx(one.value - auc(labels, worse).value)
    assert gap.high - gap.low < 0.7 * (one.high - one.low)


def test_log_loss_by_hand_and_at_the_ends():
    assert log_loss(np.array([1.0, 0]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))
    assert log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(1e-15))


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([1.0, 1], [0.0, 1], "both kinds"),
        ([1.0, 2], [0.0, 1], "0 or 1"),
        ([1.0, 0], [0.0, np.nan], "NaN"),
        ([1.0, 0], [0.0], "one length"),
        ([], [], "one length"),
    ],
)
def test_bad_input(labels, scores, said):
    with pytest.raises(DataError, match=said):
        auc(np.array(labels), np.array(scores))
