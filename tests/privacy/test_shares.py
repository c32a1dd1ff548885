"""Noise in shares: how it is split, and what drop-outs leave of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.dropouts import check_present, judge_present
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import Gaussian, GaussianShares, Laplace, LaplaceShares
from fedguide.privacy.shares import (
    Split,
    excess_divergence,
    gaussian_shares,
    laplace_shares,
    pure_epsilon,
    with_present,
)

SPLIT = Split(parties=10, dropouts=3, withheld=2)


def test_shares_by_hand():
    """Of 10 parties 3 may drop out and 2 leave their share out: 5 shares have to be enough."""
    assert SPLIT.counted == 5
    gaussian = gaussian_shares(Gaussian(2.0, 50.0), SPLIT, dimension=7)
    assert gaussian == GaussianShares(100 / math.sqrt(5), 50.0, 5, 7)
    assert gaussian.noise_multiplier == pytest.approx(2.0)
    assert laplace_shares(Laplace(30.0, 10.0), SPLIT) == LaplaceShares(30.0, 10.0, 5, 5)


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.data())
def test_whoever_is_missing_within_the_split_the_noise_is_enough(parties, drop, withheld, data):
    if drop + withheld >= parties:
        with pytest.raises(ConfigError, match="nobody is left"):
            Split(parties, drop, withheld)
        return
    split = Split(parties, drop, withheld)
    planned = gaussian_shares(Gaussian(3.0, 100.0), split, 1)
    present = data.draw(st.integers(parties - drop, parties))
    assert with_present(planned, split, present).noise_multiplier >= 3.0 * (1 - 1e-12)


@pytest.mark.parametrize(("drop", "withheld"), [(-1, 0), (0, -1)])
def test_a_split_below_nought_is_refused(drop, withheld):
    with pytest.raises(ConfigError, match="at least 0"):
        Split(3, drop, withheld)


def test_what_is_present_must_be_possible():
    planned = laplace_shares(Laplace(30.0, 10.0), SPLIT)
    assert with_present(planned, SPLIT, 10).counted == 8
    for present in (11, -1):
        with pytest.raises(ConfigError, match=r"present must be in \[0, 10\]"):
            with_present(planned, SPLIT, present)
    with pytest.raises(RefusedError, match="no noise"):
        with_present(planned, SPLIT, 2)


@pytest.mark.parametrize("counted", [1, 2, 3, 20])
@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0])
def test_the_divergence_of_shares_bounds_what_it_really_is(counted, sigma):
    """The sum's exact law by convolution against the discrete Gaussian of the same variance.

    Compared where both are above 1e-12 of their largest, so that rounding plays no part.
    """
    x = np.arange(-40, 41)
    one = np.exp(-(x**2) / (2 * sigma**2))
    one /= one.sum()
    whole = one
    for _ in range(counted - 1):
        whole = np.convolve(whole, one)
    k = np.arange(len(whole)) - len(whole) // 2
    normal = np.exp(-(k**2) / (2 * counted * sigma**2))
    normal /= normal.sum()
    seen = normal > 1e-12 * normal.max()
    real = np.abs(np.log(whole[seen] / normal[seen])).max()
    assert real <= excess_divergence(GaussianShares(sigma, 1.0, counted, 1)) + 1e-9
    if counted > 1 and sigma < 1:
        assert real > 1e-6  # so that the bound has something to bound


def test_the_divergence_of_many_shares_by_hand():
    """σ = 1, 3 shares, 2 coordinates: 20·(e^-π² + e^(-4π²/3)) = 20·(5.172e-5 + 1.927e-6)."""
    found = excess_divergence(GaussianShares(1.0, 1.0, 3, 2))
    assert found == pytest.approx(20 * (5.1723e-5 + 1.9262e-6), rel=1e-3)
    one = excess_divergence(GaussianShares(1.0, 1.0, 1, 2))
    assert one == 0.0


def test_the_rest_of_a_long_sum_is_bounded_from_above():
    spec = GaussianShares(0.8, 1.0, 1000, 1)
    exact = 10 * sum(math.exp(-2 * (math.pi * 0.8) ** 2 * k / (k + 1)) for k in range(1, 1000))
    assert exact <= excess_divergence(spec) < 1.3 * exact


@pytest.mark.parametrize("scale", [2.0, 20.0, 200.0])
@pytest.mark.parametrize(("counted", "divisor"), [(9, 10), (5, 10), (3, 10), (1, 10)])
def test_what_too_few_laplace_shares_leave_is_the_steepest_step_of_their_law(
    scale, counted, divisor
):
    """The law of the sum by convolution of scipy's negative binomials: ε of one unit moved is
    the largest |ln P(x)/P(x+1)|, and of several units moved never more than that many times."""
    r = counted / divisor
    k = np.arange(int(60 * scale))
    p = stats.nbinom.pmf(k, r, -math.expm1(-1 / scale))
    size = 2 * len(k)
    both = np.fft.irfft(np.abs(np.fft.rfft(p, size)) ** 2, size)[: int(8 * scale)]
    steps = np.log(both[:-1] / both[1:])
    found = pure_epsilon(LaplaceShares(scale, 1.0, divisor, counted))
    assert found == pytest.approx(steps[0], rel=1e-6)
    assert found >= steps.max() * (1 - 1e-9)
    assert found > 1 / scale
    five = pure_epsilon(LaplaceShares(scale, 5.0, divisor, counted))
    assert five == pytest.approx(5 * found)


@pytest.mark.parametrize("counted", [10, 11, 30])
def test_enough_laplace_shares_leave_all(counted):
    assert pure_epsilon(LaplaceShares(40.0, 20.0, 10, counted)) == 0.5


def planned(mechanism):
    return Event("t", mechanism, rounds=20, placement="distributed")


@pytest.mark.parametrize(
    "mechanism",
    [
        gaussian_shares(Gaussian(2.0, 500.0), SPLIT, 1000),
        laplace_shares(Laplace(1000.0, 100.0), SPLIT),
    ],
)
def test_too_many_dropouts_are_priced_and_refused(mechanism):
    event = planned(mechanism)
    for present in (7, 10):
        judged = judge_present(event, SPLIT, present, 1e-6)
        assert judged.enough
        assert judged.epsilon <= judged.charged
        assert check_present(event, SPLIT, present, 1e-6) == judged.event
    judged = judge_present(event, SPLIT, 6, 1e-6)
    assert judged.event.mechanism.counted == 4
    assert not judged.enough
    assert judged.epsilon > 1.05 * judged.charged
    with pytest.raises(RefusedError, match=r"6 of 10 parties are present and 3 may be missing: ε"):
        check_present(event, SPLIT, 6, 1e-6)


def test_the_price_of_one_gaussian_dropout_by_hand():
    """4 shares for 5: z falls by √(4/5), from 2 to 1.788854."""
    event = planned(gaussian_shares(Gaussian(2.0, 500.0), SPLIT, 1000))
    left = judge_present(event, SPLIT, 6, 1e-6).event.mechanism
    assert left.noise_multiplier == pytest.approx(1.788854)


def test_only_shares_drop_out():
    with pytest.raises(ConfigError, match="only noise shares drop out, got Gaussian"):
        judge_present(Event("t", Gaussian(1.0, 1.0)), SPLIT, 9, 1e-6)
