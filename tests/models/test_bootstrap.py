"""The bootstrap against the law it must follow, and pairs that cancel what they share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.models import bootstrap as bs


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_draws_have_the_standard_error_of_a_mean() -> None:
    values = rng(1).normal(size=(1, 400))
    drawn = bs.resampled_means(values, rng(), draws=20_000)[0]
    expected = values.std() / np.sqrt(400)
    # The variance of 20,000 near-normal draws has a relative error of √(2/20000) = 1 %, their
    # standard deviation of 0.5 %; 4.9 of these are a false alarm in a million.
    assert drawn.std() == pytest.approx(expected, rel=4.9 * 0.005)
    assert drawn.mean() == pytest.approx(values.mean(), abs=4.9 * expected / np.sqrt(20_000))
    assert 0.9 * drawn.std() != pytest.approx(expected, rel=4.9 * 0.005)  # a mutant fails


def test_an_interval_covers_what_it_should() -> None:
    hits = 0
    for seed in range(400):
        sample = rng(seed).normal(loc=0.3, size=100)
        found = bs.interval(sample, bs.resampled_means(sample[None], rng(seed + 1000), 400)[0])
        hits += found.low <= 0.3 <= found.high
    # Percentile intervals of 100 values cover about 94 %; four of five standard errors (1.2 %).
    assert 0.94 - 0.06 < hits / 400 < 0.94 + 0.06


def test_all_models_are_drawn_the_same_shoppers() -> None:
    values = rng(2).random((2, 50))
    shifted = np.stack([values[0], values[0] + 0.1])
    drawn = bs.resampled_means(shifted, rng())
    found = bs.difference(shifted[1], shifted[0], drawn[1], drawn[0])
    assert_allclose(
        [found.absolute.value, found.absolute.low, found.absolute.high], [0.1] * 3, atol=1e-12
    )


def test_blocks_give_as_many_draws_and_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rng(3).random((2, 30))
    monkeypatch.setattr(bs, "BLOCK", 100)
    drawn = bs.resampled_means(values, rng(), draws=2000)
    assert drawn.shape == (2, 2000)
    assert drawn[0].std() == pytest.approx(values[0].std() / np.sqrt(30), rel=0.1)


def test_a_relative_difference_by_hand() -> None:
    a, b = np.array([3.0, 3.0]), np.array([2.0, 2.0])
    drawn = bs.resampled_means(np.stack([a, b]), rng(), 10)
    found = bs.difference(a, b, drawn[0], drawn[1])
    assert found.relative == bs.Interval(0.5, 0.5, 0.5)
    assert found.absolute == bs.Interval(1.0, 1.0, 1.0)


def test_nothing_is_no_share_of_nothing() -> None:
    a, b = np.array([1.0, 1.0]), np.zeros(2)
    drawn = bs.resampled_means(np.stack([a, b]), rng(), 10)
    found = bs.difference(a, b, drawn[0], drawn[1])
    assert np.isnan(found.relative.value)
    assert found.absolute.value == 1


def test_seeds_are_averaged_per_shopper() -> None:
    assert_array_equal(bs.seeds_averaged(np.array([[0.0, 1.0], [1.0, 1.0]])), [0.5, 1.0])
    assert_array_equal(bs.seeds_averaged(np.array([0.0, 1.0])), [0.0, 1.0])


def test_nobody_has_no_interval() -> None:
    drawn = bs.resampled_means(np.zeros((2, 0)), rng(), 10)
    assert np.isnan(drawn).all()
    nobody = np.zeros(0)
    assert np.isnan(bs.interval(nobody, drawn[0]).value)
    found = bs.difference(nobody, nobody, drawn[0], drawn[1])
    assert np.isnan(found.relative.low)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="draws must be at least 2, got 1"):
        bs.resampled_means(np.zeros((1, 3)), rng(), draws=1)
    with pytest.raises(WrongShapeError, match="must match"):
        bs.difference(np.zeros(3), np.zeros(4), np.zeros(5), np.zeros(5))
    with pytest.raises(WrongShapeError, match="seeds"):
        bs.seeds_averaged(np.zeros((2, 2, 2)))
