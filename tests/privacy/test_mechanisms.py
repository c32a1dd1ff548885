"""Specs of mechanisms: their derived figures, and what they refuse."""

import math

import pytest

from fedguide.errors import ConfigError
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    RandomisedResponse,
)


def test_derived_figures_by_hand():
    assert Laplace(scale=4.0, sensitivity_l1=2.0).epsilon == 0.5
    assert Gaussian(noise_multiplier=3.0, sensitivity_l2=0.5).sigma == 1.5
    # 16 shares of σ = 2 make σ = 8; over a sensitivity of 4 that is 2.
    assert GaussianShares(2.0, 4.0, counted=16, dimension=5).noise_multiplier == 2.0
    assert CorrelatedGaussian(2.0, 3.0, strategy_sensitivity=1.5, steps=8).sigma == 9.0
    # ε = ln 3 with 2 answers: truth 3/4; with 4 answers 3/(3 + 3) = 1/2.
    assert RandomisedResponse(2, math.log(3)).truth_probability == pytest.approx(0.75)
    assert RandomisedResponse(4, math.log(3)).truth_probability == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: Laplace(x, 1.0),
        lambda x: Laplace(1.0, x),
        lambda x: Gaussian(x, 1.0),
        lambda x: Gaussian(1.0, x),
        lambda x: GaussianShares(x, 1.0, 1, 1),
        lambda x: GaussianShares(1.0, x, 1, 1),
        lambda x: LaplaceShares(x, 1.0, 1, 1),
        lambda x: LaplaceShares(1.0, x, 1, 1),
        lambda x: CorrelatedGaussian(x, 1.0, 1.0, 1),
        lambda x: CorrelatedGaussian(1.0, x, 1.0, 1),
        lambda x: CorrelatedGaussian(1.0, 1.0, x, 1),
        lambda x: RandomisedResponse(2, x),
    ],
)
def test_a_figure_must_be_finite_and_above_0(make, bad):
    with pytest.raises(ConfigError, match=f"got {bad}"):
        make(bad)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianShares(1.0, 1.0, 0, 1),
        lambda: GaussianShares(1.0, 1.0, 1, 0),
        lambda: LaplaceShares(1.0, 1.0, 0, 1),
        lambda: LaplaceShares(1.0, 1.0, 1, 0),
        lambda: CorrelatedGaussian(1.0, 1.0, 1.0, 0),
    ],
)
def test_a_count_must_be_at_least_1(make):
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        make()


def test_a_share_below_half_a_unit_is_refused():
    with pytest.raises(ConfigError, match=r"at least 0.5 units, got 0.4"):
        GaussianShares(0.4, 1.0, 1, 1)


def test_units_below_nought_are_refused():
    with pytest.raises(ConfigError, match="units must be at least 0, got -1"):
        Laplace(1.0, 1.0, -1)


def test_randomised_response_needs_two_answers():
    with pytest.raises(ConfigError, match="at least 2, got 1"):
        RandomisedResponse(1, 1.0)
