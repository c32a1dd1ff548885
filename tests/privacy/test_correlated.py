"""Correlated noise: its strategies, its sensitivity, its privacy argument, its error."""

import builtins
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError, ProtocolError
from fedguide.privacy.accounting import epsilon_of, noise_multiplier_for
from fedguide.privacy.correlated import (
    COEFFICIENT_BITS,
    FINE_BITS,
    ONCE,
    Correlated,
    Participation,
    Strategy,
    banded,
    calibrated,
    fine_sigma,
    independent,
    next_noise,
    prefix_error,
    replay,
    sensitivity,
    start,
    toeplitz,
)
from fedguide.privacy.events import Event
from fedguide.privacy.laws import DiscreteGaussian
from fedguide.privacy.samplers import discrete_gaussian
from fedguide.seeds import seeded_root
from tests.privacy.chi_square import FALSE_ALARM, p_value

ONE = 1 << COEFFICIENT_BITS


def root_of(t):
    return seeded_root(41, t)


def matrix(strategy):
    """C in full."""
    n, c = strategy.rounds, strategy.values
    return sum(np.diag(np.full(n - k, c[k]), -k) for k in range(len(c)))


def test_the_toeplitz_strategy_by_hand_and_by_jax_privacy():
    """binom(2k, k)/4^k: 1, 1/2, 3/8, 5/16, …"""
    from jax_privacy.matrix_factorization import toeplitz as library

    assert toeplitz(4).coefficients == (ONE, ONE // 2, ONE * 3 // 8, ONE * 5 // 16)
    theirs = np.asarray(library.optimal_max_error_strategy_coefs(200))
    assert np.abs(toeplitz(200).values - theirs).max() < 2e-6


def test_the_banded_strategy_is_that_of_jax_privacy_scaled_to_begin_with_one():
    from jax_privacy.matrix_factorization import toeplitz as library

    strategy = banded(32, 4)
    theirs = np.asarray(library.optimize_banded_toeplitz(32, 4))
    assert len(strategy.coefficients) == 4
    assert np.abs(strategy.values - theirs / theirs[0]).max() < 1e-3
    error = math.sqrt(float(library.per_query_error(strategy_coef=theirs, n=32).mean()))
    ours = sensitivity(strategy, ONCE) * math.sqrt((prefix_error(strategy) ** 2).mean())
    assert ours == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("separation", [1, 2, 3, 5])
@pytest.mark.parametrize("times", [1, 2, 9])
@pytest.mark.parametrize("coefficients", [(8, 8, 8), (8, 4, 3, 2, 2, 1), (8,)])
def test_sensitivity_is_the_worst_over_all_ways_to_take_part(coefficients, times, separation):
    """Every set of rounds that the participation allows, tried out; and jax-privacy's formula."""
    from jax_privacy.matrix_factorization import toeplitz as library

    strategy = Strategy(8, tuple(c * ONE // 8 for c in coefficients))
    c, worst = matrix(strategy), 0.0
    for rounds in itertools.chain.from_iterable(
        itertools.combinations(range(8), k) for k in range(1, times + 1)
    ):
        if all(b - a >= separation for a, b in itertools.pairwise(rounds)):
            worst = max(worst, np.linalg.norm(c[:, list(rounds)].sum(axis=1)))
    found = sensitivity(strategy, Participation(separation, times))
    assert found == pytest.approx(worst)
    theirs = library.minsep_sensitivity_squared(
        strategy.values, min_sep=separation, max_participations=times, n=8
    )
    assert found == pytest.approx(math.sqrt(float(theirs)), rel=1e-5)


def test_prefix_error_is_that_of_the_inverse():
    strategy = Strategy(6, (ONE, ONE // 2, ONE // 4))
    sums = np.tri(6) @ np.linalg.inv(matrix(strategy))
    assert prefix_error(strategy) == pytest.approx(np.linalg.norm(sums, axis=1))


def drawn(strategy, spec, dimension, rounds):
    """The noise of so many rounds, shape ``(rounds, dimension)``."""
    state, noises = start(), []
    for t in range(rounds):
        state, noise = next_noise(strategy, spec, state, dimension, root_of(t))
        noises.append(noise)
    return np.array(noises)


def fine(strategy, spec, dimension):
    """z of each round, in fine units."""
    sigma = fine_sigma(spec)
    draws = [
        discrete_gaussian(sigma, dimension, root_of(t), "correlated", t)
        for t in range(strategy.rounds)
    ]
    return np.array(draws).astype(np.int64)


@pytest.mark.parametrize("strategy", [toeplitz(12), independent(12), Strategy(12, (ONE, ONE // 2))])
def test_noise_is_the_inverse_strategy_of_independent_draws(strategy):
    """In reals y = C⁻¹z; rounding moves it by half a unit of each grid at most, carried on by C⁻¹
    (Σ|C⁻¹| <= 2 here): within 1/2 + 2·2^-11 units."""
    spec = calibrated(strategy, ONCE, 1.0, 500.0, 40)
    exact = np.linalg.inv(matrix(strategy)) @ fine(strategy, spec, 40) / (1 << FINE_BITS)
    found = drawn(strategy, spec, 40, 12)
    assert found.dtype == np.int64
    assert np.abs(found - exact).max() <= 0.5 + 2.0**-10
    assert np.abs(found).max() > spec.sigma


def test_each_round_is_one_draw_at_least_and_the_first_is_discrete_gaussian():
    """χ² of the first round against N(0, σ²) of the grid with a false alarm of 1e-6."""
    strategy = toeplitz(3)
    spec = calibrated(strategy, ONCE, 2.0, 1000.0, 50_000)
    first = drawn(strategy, spec, 50_000, 1)[0]
    assert p_value(first, DiscreteGaussian(spec.sigma)) > FALSE_ALARM
    assert p_value(np.rint(0.9 * first), DiscreteGaussian(spec.sigma)) < FALSE_ALARM


@given(st.lists(st.integers(-5000, 5000), min_size=12, max_size=12), st.randoms())
@settings(max_examples=25)
def test_a_shopper_moves_the_draws_by_no_more_than_the_sensitivity(outputs, random):
    """The privacy argument itself. For fixed outputs o (fine) two inputs x and x + Δ need draws z
    and z': they differ by CΔ and by less than one in each coordinate."""
    strategy = toeplitz(12)
    moved = [random.randint(-3000, 3000) if random.random() < 0.5 else 0 for _ in range(12)]
    y = np.array(outputs, np.int64)
    shifted = y - np.array(moved, np.int64)
    difference = draws_behind(strategy, y) - draws_behind(strategy, shifted)
    exact = matrix(strategy) @ np.array(moved, np.float64)
    assert np.abs(difference - exact).max() < 1


def draws_behind(strategy, y):
    """z for given y, one coordinate: z_t = y_t + R(Σ c_k y_{t-k}) in whole numbers."""
    z = []
    for t in range(len(y)):
        before = sum(
            c * int(y[t - k]) for k, c in enumerate(strategy.coefficients[: t + 1]) if k > 0
        )
        z.append(int(y[t]) + ((before + ONE // 2) >> COEFFICIENT_BITS))
    return np.array(z)


def test_the_draws_behind_the_noise_are_those_of_the_roots():
    """So the bijection that the argument needs is the one that the code has."""
    strategy = toeplitz(10)
    spec = calibrated(strategy, ONCE, 1.0, 300.0, 1)
    state = replay(strategy, spec, 1, root_of, 9)  # it looks back 9 rounds: all of them
    y = np.array([part[0] for part in reversed(state.history)])
    assert np.array_equal(draws_behind(strategy, y), fine(strategy, spec, 1)[:9, 0])


def test_calibration_charges_the_rounding():
    """n = 4 rounds, 2500 coordinates: √10000 = 100 fine units = 0.09765625 units, on Δ = 10."""
    strategy = independent(4)
    spec = calibrated(strategy, Participation(1, 4), 3.0, 10.0, 2500)
    assert spec.strategy_sensitivity == pytest.approx(2.0 + 0.009765625)
    assert spec.sigma == pytest.approx(3.0 * (20 + 0.09765625))
    assert spec.steps == 4


def test_all_rounds_together_cost_what_one_gaussian_costs():
    z = noise_multiplier_for(8.0, 1e-6, rounds=1)
    spec = calibrated(toeplitz(64), ONCE, z, 1000.0, 10)
    cost = epsilon_of([Event("guide", spec)], 1e-6, "insider")
    assert 7.999 < cost <= 8.0


@pytest.mark.parametrize(("rounds", "gain"), [(64, 2.55), (1024, 7.27)])
def test_prefix_sums_err_less_than_with_independent_noise_of_the_same_epsilon(rounds, gain):
    """Root mean square over all rounds, one participation: 2.6 and 7.3 times less (design)."""
    errors = [
        sensitivity(s, ONCE) * math.sqrt((prefix_error(s) ** 2).mean())
        for s in (independent(rounds), toeplitz(rounds))
    ]
    assert errors[0] / errors[1] > gain


def test_the_noise_that_is_drawn_errs_as_little_as_is_claimed():
    """64 rounds, 2000 coordinates: the root mean square error of the sums, drawn, within 5 % of
    the formula (sums of one round have 2000 values of sd known to 1.6 %, averaged over 64)."""
    strategy = toeplitz(64)
    spec = calibrated(strategy, ONCE, 1.0, 1000.0, 2000)
    sums = np.cumsum(drawn(strategy, spec, 2000, 64), axis=0)
    plain = math.sqrt(32.5) * 1000.0  # √mean(t) · σ of independent noise
    found = math.sqrt((sums.astype(float) ** 2).mean())
    claimed = spec.sigma * math.sqrt((prefix_error(strategy) ** 2).mean())
    assert found == pytest.approx(claimed, rel=0.05)
    assert plain / found > 2.4


def test_with_every_shopper_in_every_round_nothing_is_gained():
    everywhere = Participation(1, 64)
    errors = [
        sensitivity(s, everywhere) * math.sqrt((prefix_error(s) ** 2).mean())
        for s in (independent(64), toeplitz(64))
    ]
    assert errors[1] > errors[0]


def test_the_same_roots_give_the_same_noise_after_a_crash():
    strategy = Strategy(9, (ONE, ONE // 2, ONE // 3))
    spec = calibrated(strategy, ONCE, 1.0, 100.0, 7)
    whole = drawn(strategy, spec, 7, 9)
    state = replay(strategy, spec, 7, root_of, 5)
    assert state.round == 5
    assert len(state.history) == 2
    for t in range(5, 9):
        state, noise = next_noise(strategy, spec, state, 7, root_of(t))
        assert np.array_equal(noise, whole[t])
    with pytest.raises(ProtocolError, match="all 9 rounds"):
        next_noise(strategy, spec, state, 7, root_of(9))


def test_the_state_shows_nothing():
    assert repr(Correlated(1, (np.arange(3),))) == "Correlated(round=1)"


def test_what_does_not_fit_together_is_refused():
    spec = calibrated(toeplitz(4), ONCE, 1.0, 100.0, 3)
    with pytest.raises(ProtocolError, match="noise for 4 rounds, strategy for 5"):
        next_noise(toeplitz(5), spec, start(), 3, root_of(0))
    state, _ = next_noise(toeplitz(4), spec, start(), 3, root_of(0))
    with pytest.raises(ProtocolError, match="other dimensions than 4"):
        next_noise(toeplitz(4), spec, state, 4, root_of(1))
    with pytest.raises(ConfigError, match="fits into 63 bits"):
        calibrated(toeplitz(4), ONCE, 1.0, 2.0**30, 3)


@pytest.mark.parametrize(
    ("coefficients", "match"),
    [
        ((), "1 to 3 coefficients, got 0"),
        ((ONE,) * 4, "got 4"),
        ((ONE - 1,), "begin with"),
        ((ONE, -1), "below 0"),
        ((ONE, ONE // 2, ONE), "never rise"),
    ],
)
def test_a_strategy_of_another_shape_is_refused(coefficients, match):
    with pytest.raises(ConfigError, match=match):
        Strategy(3, coefficients)


def test_figures_out_of_range_are_refused():
    for separation, times in ((0, 1), (1, 0)):
        with pytest.raises(ConfigError, match="at least 1"):
            Participation(separation, times)
    with pytest.raises(ConfigError, match="rounds must be at least 1"):
        toeplitz(0)
    for bands in (0, 5):
        with pytest.raises(ConfigError, match=r"bands must be in \[1, 4\]"):
            banded(4, bands)


def test_without_jax_privacy_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_jax(name, *rest):
        if name.startswith("jax_privacy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_jax)
    with pytest.raises(ConfigError, match="jax-privacy, which is not installed"):
        banded(8, 2)
