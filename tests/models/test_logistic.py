"""Linear models: equal to closed forms and to their own first-order conditions."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.logistic import fit_logistic, fit_ridge, sigmoid


def rows_of(count=200, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3)) * [1.0, 50.0, 0.01] + [0.0, 7.0, -2.0], rng


def test_ridge_without_a_penalty_is_least_squares():
    rows, rng = rows_of()
    targets = rows @ [1.0, -0.1, 30.0] + 4 + rng.normal(size=200)
    found = fit_ridge(rows, targets, 0.0)
    exact = np.linalg.lstsq(np.column_stack([rows, np.ones(200)]), targets, rcond=None)[0]
    assert np.allclose([*found.weights, found.intercept], exact, rtol=1e-6)


def test_logistic_at_its_optimum_has_no_slope():
    rows, rng = rows_of()
    labels = (rng.random(200) < sigmoid(rows @ [1.0, 0.02, 0.0])).astype(float)
    found = fit_logistic(rows, labels, 0.0)
    residual = labels - sigmoid(found(rows))
    assert np.allclose(residual @ (rows - rows.mean(0)) / rows.std(0), 0, atol=1e-5)
    assert residual.sum() == pytest.approx(0, abs=1e-6)


def test_one_yes_no_column_gives_the_log_odds_ratio():
    rows = np.repeat([[0.0], [1.0]], [40, 60], axis=0)
    labels = np.concatenate([np.repeat([1.0, 0], [10, 30]), np.repeat([1.0, 0], [45, 15])])
    found = fit_logistic(rows, labels, 0.0)
    assert found.intercept == pytest.approx(np.log(1 / 3), abs=1e-5)
    assert found.weights[0] == pytest.approx(np.log(9), abs=1e-5)


def test_what_separates_stays_finite_and_constants_do_not_matter():
    rows = np.column_stack([np.arange(20.0), np.ones(20)])
    found = fit_logistic(rows, (rows[:, 0] > 9.5).astype(float), 1.0)
    assert np.isfinite(found.weights).all()
    assert found.weights[1] == 0
    assert (np.diff(found(rows)) > 0).all()


@pytest.mark.parametrize("fit", [fit_ridge, fit_logistic])
def test_bad_input(fit):
    rows, targets = np.ones((3, 1)), np.array([0.0, 1, 1])
    with pytest.raises(ConfigError, match="l2"):
        fit(rows, targets, -1.0)
    with pytest.raises(DataError, match="do not fit"):
        fit(rows, targets[:2])
    with pytest.raises(DataError, match="finite"):
        fit(rows * np.nan, targets)


def test_logistic_needs_shares_of_both_kinds():
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        fit_logistic(np.ones((2, 1)), np.array([0.0, 2]))
    with pytest.raises(DataError, match="the same"):
        fit_logistic(np.ones((2, 1)), np.ones(2))
