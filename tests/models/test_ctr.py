"""Hashed logistic regression: known odds are found, and what never helps weighs nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.auc import auc
from fedguide.models.ctr import CtrPlan, fit_ctr, hashed
from fedguide.models.logistic import sigmoid


def views(count=3000, seed=0):
    """Clicks by two of four words; ``noise`` words are of one view each."""
    rng = np.random.default_rng(seed)
    has = rng.random((count, 4)) < 0.5
    clicks = (rng.random(count) < sigmoid(-2 + has @ [2.0, -1.0, 0, 0])).astype(float)
    names = ("red", "old", "cheap", "new")
    words = [[n for n, there in zip(names, row, strict=True) if there] for row in has.tolist()]
    return [hashed([*w, f"noise {seed} {at}"], 16) for at, w in enumerate(words)], clicks, has


def test_words_that_matter_are_found_and_noise_is_dropped():
    examples, clicks, _ = views()
    made = fit_ctr(examples, clicks)
    weight = {name: float(made.weights[hashed([name], 16)][0]) for name in ("red", "old", "cheap")}
    # The penalties pull towards 0; the order and the sign are the truth's.
    assert 1.2 < weight["red"] < 2.2
    assert -1.2 < weight["old"] < -0.5
    assert abs(weight["cheap"]) < 0.3
    # In one pass a word of one view has one gradient, which is below the threshold of 1: but for
    # the few that share a bucket it weighs exactly nothing.
    once = fit_ctr(examples, clicks, CtrPlan(passes=1))
    noise = np.array([once.weights[hashed([f"noise 0 {at}"], 16)][0] for at in range(3000)])
    assert (noise == 0).mean() > 0.97


def test_new_views_are_ranked_nearly_as_well_as_can_be():
    made = fit_ctr(views()[0], views()[1])
    examples, clicks, has = views(seed=1)
    best = auc(clicks, has @ np.array([2.0, -1.0, 0, 0]))
    assert auc(clicks, made(examples)).value > best.value - 0.02
    assert sigmoid(made(examples)).mean() == pytest.approx(clicks.mean(), abs=0.03)


def test_features_are_a_set_and_hashing_is_for_ever():
    assert hashed(["b", "a", "a"], 16).tolist() == hashed(["a", "b"], 16).tolist()
    assert hashed(["a"], 16).tolist() == [0xBE43]  # CRC-32 of "a" is E8B7BE43
    assert (hashed([str(n) for n in range(500)], 4) < 16).all()


def test_bad_input():
    one = hashed(["a"], 16)
    with pytest.raises(DataError, match="both kinds"):
        fit_ctr([one, one], np.ones(2))
    with pytest.raises(DataError, match="as many"):
        fit_ctr([one], np.array([0.0, 1]))
    with pytest.raises(ConfigError, match="bits"):
        CtrPlan(bits=40)
    with pytest.raises(ConfigError, match="passes"):
        CtrPlan(passes=0)
    with pytest.raises(ConfigError, match="alpha"):
        CtrPlan(alpha=0.0)
