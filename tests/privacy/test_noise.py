"""Mechanisms carried out: the formula of each, by hand and by its law."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.laws import DiscreteGaussian, DiscreteLaplace
from fedguide.privacy.mechanisms import Gaussian, GaussianShares, Laplace, LaplaceShares
from fedguide.privacy.noise import (
    add_noise,
    gaussian_mechanism,
    in_units,
    laplace_mechanism,
    noise,
    noise_units,
)
from fedguide.privacy.samplers import discrete_gaussian, discrete_laplace
from fedguide.ring import Grid
from fedguide.seeds import seeded_root
from tests.privacy.chi_square import FALSE_ALARM, p_value

ROOT = seeded_root(21)
N = 100_000


def test_the_laplace_formula_by_hand():
    """g̃ = g + Lap(Δf/ε): Δf = 2 units and ε = 1/2 make scale 4, whatever g is.

    For P(k) ∝ e^(-|k|/4): E|k| = 1/sinh(1/4) = 3.95865 and P(0) = tanh(1/8) = 0.124353. The sd
    of |k| is below 4.1; 4.9 sd are a false alarm of 1e-6.
    """
    g = np.arange(N) - 7
    added = laplace_mechanism(g, 2, 0.5, ROOT, "hand") - g
    assert np.array_equal(added, discrete_laplace(4.0, N, ROOT, "hand"))
    assert abs(np.abs(added).mean() - 3.95865) < 4.9 * 4.1 / math.sqrt(N)
    assert abs((added == 0).mean() - 0.124353) < 4.9 * math.sqrt(0.124 * 0.876 / N)


def test_the_laplace_formula_bounds_the_odds_by_e_to_epsilon():
    """Of 0 and of 3 units (Δf = 3, ε = 1) any outcome is at most e times likelier.

    Σ max(0, p(k) - e·p'(k)) is 0 for this law; with 200,000 draws of each the counts of one
    outcome differ from e times by noise only: |c - e·c'| < 6 sd, sd² = c + e²c'.
    """
    zero = laplace_mechanism(np.zeros(2 * N, np.int64), 3, 1.0, ROOT, "odds", 0)
    three = laplace_mechanism(np.full(2 * N, 3), 3, 1.0, ROOT, "odds", 1)
    for k in range(-12, 16):
        here, there = int((zero == k).sum()), int((three == k).sum())
        for c, d in ((here, there), (there, here)):
            assert c - math.e * d < 6 * math.sqrt(c + math.e**2 * d + 1)


def test_the_gaussian_formula_by_hand():
    """z = 1.5 on Δf = 40 units is σ = 60."""
    g = np.arange(N) * 1000
    added = gaussian_mechanism(g, 40, 1.5, ROOT, "hand") - g
    assert np.array_equal(added, discrete_gaussian(60.0, N, ROOT, "hand"))
    assert p_value(added, DiscreteGaussian(60.0)) > FALSE_ALARM


def test_shares_of_laplace_add_up_to_laplace():
    """Five Pólya shares of divisor 5 are the whole law; five of divisor 6 are not (χ², 1e-6)."""
    shares = [noise(LaplaceShares(20.0, 20.0, 5, 5), N, ROOT, "party", i) for i in range(5)]
    assert p_value(sum(shares), DiscreteLaplace(20.0)) > FALSE_ALARM
    fewer = [noise(LaplaceShares(20.0, 20.0, 6, 5), N, ROOT, "party", i) for i in range(5)]
    assert p_value(sum(fewer), DiscreteLaplace(20.0)) < FALSE_ALARM
    assert p_value(0.9 * sum(shares), DiscreteLaplace(20.0)) < FALSE_ALARM


def test_shares_of_gaussian_add_up_to_gaussian():
    """Four shares of σ = 15 make σ = 30 to a divergence of 10·e^-2220; three of them do not."""
    spec = GaussianShares(15.0, 30.0, 4, 1)
    shares = [noise(spec, N, ROOT, "party", i) for i in range(4)]
    assert p_value(sum(shares), DiscreteGaussian(30.0)) > FALSE_ALARM
    assert p_value(sum(shares[:3]), DiscreteGaussian(30.0)) < FALSE_ALARM


def test_the_two_halves_of_a_polya_share_are_independent():
    """Were they one draw the share would be 0; a share of divisor 1 is Laplace by itself."""
    share = noise(LaplaceShares(100.0, 1.0, 1, 1), N, ROOT, "halves")
    assert p_value(share, DiscreteLaplace(100.0)) > FALSE_ALARM


@given(st.lists(st.integers(-(2**31), 2**31), max_size=9), st.floats(0.5, 1e6))
def test_adding_noise_is_exact_and_repeats(values, scale):
    vector = np.array(values, np.int64)
    noised = add_noise(vector, Laplace(scale, 1.0), ROOT, "add", 3)
    assert noised.dtype == np.int64
    assert np.array_equal(noised, add_noise(vector, Laplace(scale, 1.0), ROOT, "add", 3))
    only = noise(Laplace(scale, 1.0), len(values), ROOT, "add", 3)
    assert np.array_equal(noised - vector, only)


def test_specs_in_real_values_become_units_of_the_grid():
    grid = Grid(fraction_bits=10, max_abs=1.0, parties=2)
    assert in_units(Laplace(0.5, 0.25), grid) == Laplace(512.0, 256.0, 256)
    assert in_units(Gaussian(2.0, 0.25), grid) == Gaussian(2.0, 256.0)


@pytest.mark.parametrize(
    "mechanism",
    [Laplace(50.0, 1.0), Gaussian(1.0, 50.0), GaussianShares(50.0, 1.0, 2, 1)],
)
def test_noise_never_goes_beyond_what_is_said(mechanism):
    """The bound is where the table ends: some 14σ, or 97 scales."""
    most = noise_units(mechanism)
    assert 13 * 50 < most < 100 * 50
    assert np.abs(noise(mechanism, N, ROOT, "most")).max() <= most
    assert noise_units(mechanism, parties=3) == 3 * most
    with pytest.raises(ConfigError, match="parties must be at least 1"):
        noise_units(mechanism, parties=0)


@pytest.mark.parametrize(
    "values",
    [np.zeros(3), np.zeros(3, np.int32), np.zeros((3, 1), np.int64), np.zeros(3, np.uint32)],
)
def test_only_integer_vectors_get_noise(values):
    with pytest.raises(ConfigError, match=r"int64 vectors of shape \(p,\)"):
        add_noise(values, Gaussian(1.0, 1.0), ROOT, "t")


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(ConfigError, match="epsilon must be above 0"):
        laplace_mechanism(np.zeros(1, np.int64), 1, epsilon, ROOT, "t")
