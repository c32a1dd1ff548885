"""Effects of a trial: known ones are found, the X-learner helps a small arm, and nulls are null."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.errors import DataError
from fedguide.models.uplift import logistic_learner, ridge_learner, t_learner, x_learner


def trial(count=4000, share=0.5, seed=0):
    """Outcomes whose effect is 1 + 2·x0 exactly, with noise; x1 moves everybody alike."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 2))
    treated = rng.random(count) < share
    effect = 1 + 2 * rows[:, 0]
    outcomes = rows[:, 1] + treated * effect + rng.normal(size=count)
    return rows, treated, outcomes, effect


@pytest.mark.parametrize("make", [t_learner, x_learner])
def test_a_linear_effect_is_found(make):
    rows, treated, outcomes, effect = trial()
    found = make(rows, treated, outcomes, ridge_learner(0.0))(rows)
    assert np.sqrt(((found - effect) ** 2).mean()) < 0.15


@pytest.mark.parametrize("make", [t_learner, x_learner])
def test_swapped_arms_turn_the_sign(make):
    rows, treated, outcomes, _ = trial(500)
    there = make(rows, treated, outcomes, ridge_learner())(rows)
    back = make(rows, ~treated, outcomes, ridge_learner())(rows)
    assert np.allclose(there, -back)


def test_a_strong_outcome_model_is_not_mistaken_for_an_effect():
    rows, treated, outcomes, effect = trial(20_000)
    found = x_learner(rows, treated, outcomes - treated * effect, ridge_learner())(rows)
    assert np.abs(found).mean() < 0.1


def test_yes_no_outcomes_stay_within_one():
    rows, treated, outcomes, _ = trial()
    bought = (outcomes > 0.5).astype(float)
    found = t_learner(rows, treated, bought, logistic_learner())(rows)
    assert np.abs(found).max() <= 1
    assert np.corrcoef(found, rows[:, 0])[0, 1] > 0.8


def test_bad_input():
    rows, treated, outcomes, _ = trial(50)
    with pytest.raises(DataError, match="empty"):
        t_learner(rows, np.ones(50, bool), outcomes, ridge_learner())
    with pytest.raises(DataError, match="arms"):
        x_learner(rows, treated.astype(float), outcomes, ridge_learner())
    with pytest.raises(DataError, match="finite"):
        t_learner(rows, treated, outcomes * np.nan, ridge_learner())
