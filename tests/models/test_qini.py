"""The Qini curve: by hand, at its ends, for a score that says nothing, and its table."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.qini import qini_coefficients, qini_curve, treat_table

TREATED = np.array([True, False, True, False])


def test_by_hand():
    outcomes = np.array([1.0, 0, 0, 0])
    curve = qini_curve(np.array([4.0, 4, 1, 1]), TREATED, outcomes)
    # Best half: 1 treated with an outcome of 1, control 0: gain 1 of 2 treated; then all: 1 of 2.
    assert curve.share.tolist() == [0, 0.5, 1]
    assert curve.gain.tolist() == [0, 0.5, 0.5]
    # Over the line 0, 0.25, 0.5: a triangle of height 0.25 and base 1.
    assert curve.coefficient == pytest.approx(0.125)


def market(count=6000, seed=0):
    rng = np.random.default_rng(seed)
    persuadable = rng.random(count) < 0.3
    treated = rng.random(count) < 0.5
    rate = 0.1 + 0.3 * (persuadable & treated)
    return persuadable.astype(float), treated, (rng.random(count) < rate).astype(float)


def test_the_curve_ends_at_the_effect_of_treating_everybody():
    score, treated, outcomes = market()
    effect = outcomes[treated].mean() - outcomes[~treated].mean()
    for one in (score, -score, np.zeros(len(score))):
        assert qini_curve(one, treated, outcomes).gain[-1] == pytest.approx(effect)


def test_a_right_score_gains_a_wrong_one_loses_and_none_is_nothing():
    score, treated, outcomes = market()
    assert qini_curve(np.zeros(len(score)), treated, outcomes).coefficient == 0
    (good, bad), drawn = qini_coefficients(
        [score, -score], treated, outcomes, np.random.default_rng(1), 100
    )
    # The corner of the curve is at (0.3, 0.09): area over the line (0.09 - 0.3 · 0.09) / 2.
    assert good.value == pytest.approx(0.0315, abs=0.01)
    assert good.low > 0 > bad.high
    assert ((drawn[0] - drawn[1]) > 0).all()


def test_the_order_of_rows_says_nothing():
    score, treated, outcomes = market(400)
    turned = np.argsort(-outcomes, kind="stable")
    curve = qini_curve(score[turned], treated[turned], outcomes[turned])
    assert curve.coefficient == pytest.approx(qini_curve(score, treated, outcomes).coefficient)


def test_the_table_measures_the_groups():
    score, treated, outcomes = market()
    best, *_, worst = treat_table(score + 0.1, treated, outcomes, 3)
    assert best.uplift.low > 0.2
    assert worst.uplift.low < 0.01 < worst.uplift.high + 0.02
    assert best.predicted == pytest.approx(1.1)
    assert best.uplift.value == pytest.approx(best.with_it - best.without)
    assert best.treated + best.control + worst.treated + worst.control == 6000


def test_bad_input():
    outcomes = np.zeros(4)
    with pytest.raises(DataError, match="NaN"):
        qini_curve(np.full(4, np.nan), TREATED, outcomes)
    with pytest.raises(ConfigError, match="groups"):
        treat_table(np.arange(4.0), TREATED, outcomes, 9)
    with pytest.raises(DataError, match="fewer than 2"):
        treat_table(np.arange(4.0), TREATED, outcomes, 2)
    with pytest.raises(ConfigError, match="draws"):
        qini_coefficients([np.arange(4.0)], TREATED, outcomes, np.random.default_rng(0), 1)
