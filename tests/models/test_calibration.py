"""Calibration: known curves found again, order kept, the error by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, DataError
from fedguide.models.auc import auc
from fedguide.models.calibration import (
    calibration_error,
    fit_isotonic,
    fit_platt,
    reliability,
)
from fedguide.models.logistic import sigmoid


def drawn(count=4000, seed=0):
    """Scores whose true probability is another than they say."""
    rng = np.random.default_rng(seed)
    scores = 3 * rng.normal(size=count)
    return (rng.random(count) < sigmoid(0.5 * scores - 1)).astype(float), scores


def test_platt_finds_the_curve_and_mends_what_scores_say():
    labels, scores = drawn()
    curve = fit_platt(labels, scores)
    assert curve.curve.weights[0] == pytest.approx(0.5, abs=0.06)
    assert curve.curve.intercept == pytest.approx(-1, abs=0.15)
    other, asked = drawn(seed=1)
    assert calibration_error(other, sigmoid(asked)) > 0.1
    assert calibration_error(other, curve(asked)) < 0.03
    assert auc(other, curve(asked)).value == auc(other, asked).value


def test_platt_never_turns_scores_around():
    labels, scores = drawn()
    flat = fit_platt(labels, -scores)(np.array([-9.0, 0, 9]))
    assert np.allclose(flat, labels.mean(), atol=1e-3)


def test_isotonic_by_hand_and_on_new_people():
    labels = np.array([0.0, 1, 0, 1, 1])
    found = fit_isotonic(labels, np.arange(5.0))
    assert found(np.arange(-1, 6.0)).tolist() == [0, 0, 0.5, 0.5, 1, 1, 1]
    other, asked = drawn(seed=1)
    assert calibration_error(other, fit_isotonic(*drawn())(asked)) < 0.04


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=60))
def test_isotonic_never_falls_and_keeps_the_mean(rows):
    labels = np.array([float(one) for one, _ in rows])
    scores = np.array([float(score) for _, score in rows])
    fitted = fit_isotonic(labels, scores)(scores)
    assert fitted.mean() == pytest.approx(labels.mean())
    assert (np.diff(fitted[np.argsort(scores, kind="stable")]) >= -1e-12).all()


def test_reliability_and_its_error_by_hand():
    probabilities = np.array([0.1, 0.1, 0.9, 0.9])
    labels = np.array([0.0, 1, 1, 1])
    low, high = reliability(labels, probabilities, 2)
    assert (low.count, low.predicted, low.observed.value) == pytest.approx((2, 0.1, 0.5))
    assert (high.count, high.predicted, high.observed.value) == pytest.approx((2, 0.9, 1.0))
    assert calibration_error(labels, probabilities, 2) == pytest.approx((0.4 + 0.1) / 2)


def test_equal_probabilities_are_one_bin():
    (row,) = reliability(np.array([0.0, 1, 1]), np.full(3, 0.5))
    assert row.count == 3


def test_bad_input():
    labels, scores = np.array([1.0, 1]), np.array([0.2, 0.4])
    with pytest.raises(DataError, match="both kinds"):
        fit_platt(labels, scores)
    with pytest.raises(ConfigError, match="bins"):
        reliability(labels, scores, 0)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        reliability(labels, scores + 1)
