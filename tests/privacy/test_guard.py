import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.accounting import epsilon_of
from fedguide.privacy.correlated import (
    Participation,
    independent,
    next_noise,
    sensitivity,
    start,
    toeplitz,
)
from fedguide.privacy.guard import (
    Adaptive,
    Guard,
    central_noise,
    correlated_noise,
    party_noise,
)
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    Unnoised,
)
from fedguide.ring import LARGEST
from fedguide.seeds import seeded_root

GUARD = Guard("gaussian", 2.0, clip=1.0, size=20_000, cohort=1000, parties=4)


def drawn(guard, party="a", number=0):
    root = seeded_root(1, party, number)
    return central_noise(guard, root, number), party_noise(guard, root, number)


def test_who_adds_the_noise():
    central, party = drawn(GUARD)
    assert party is None
    assert central.shape == (GUARD.size,)
    for placement in ("distributed", "local"):
        central, party = drawn(replace(GUARD, placement=placement))
        assert central is None
        assert party.shape == (GUARD.size,)


# The standard deviation of n draws of a law with kurtosis k is off by sigma·sqrt((k - 1)/4n): for
# n = 20,000 by 0.5 % for a Gaussian (k = 3) and 0.79 % for a Laplace (k = 6). Five of these are
# passed with probability 6e-7 < 1e-6, and a mutant with 0.9 of the noise is off by 20 (Gaussian)
# or 12 (Laplace) of them. Shares are checked by the sum that the parties make.
@pytest.mark.parametrize(
    ("change", "deviation", "kurtosis"),
    [
        ({}, 1.0, 3),
        ({"placement": "local"}, 2.0, 3),
        ({"placement": "distributed"}, 1.0, 3),
        ({"placement": "distributed", "absent": 1}, math.sqrt(4 / 3), 3),
        ({"noise": "laplace"}, math.sqrt(2), 6),
        ({"noise": "laplace", "placement": "distributed"}, math.sqrt(2), 6),
    ],
)
def test_the_noise_in_a_sum_is_as_large_as_it_says(change, deviation, kurtosis):
    guard = replace(GUARD, **change)
    if guard.placement == "central":
        total = drawn(guard)[0]
    else:
        total = sum(drawn(guard, name)[1] for name in "abcd")
    wanted = guard.scale * deviation
    tolerance = 5 * math.sqrt((kurtosis - 1) / (4 * guard.size))
    assert abs(total.std() / wanted - 1) < tolerance
    assert abs(0.9 * total.std() / wanted - 1) > tolerance


def test_noise_is_the_rounds_and_the_actors_own_and_comes_again():
    first, again = drawn(GUARD)[0], drawn(GUARD)[0]
    np.testing.assert_array_equal(first, again)
    other_round = central_noise(GUARD, seeded_root(1, "a", 0), 1)
    assert np.abs(np.corrcoef(first, other_round)[0, 1]) < 5 / math.sqrt(GUARD.size)


def test_what_is_charged():
    units = float(GUARD.units)
    assert GUARD.mechanism == Gaussian(2.0, units)
    assert replace(GUARD, noise="laplace").mechanism == Laplace(2 * units, units)
    shared = replace(GUARD, placement="distributed", absent=1)
    assert shared.mechanism == GaussianShares(
        2 * shared.units / math.sqrt(3), float(shared.units), 3, GUARD.size
    )
    assert isinstance(replace(shared, noise="laplace").mechanism, LaplaceShares)
    unnoised = replace(GUARD, noise="none", multiplier=0.0)
    assert unnoised.mechanism == Unnoised()
    assert drawn(unnoised) == (None, None)
    assert epsilon_of([unnoised.event("t")], 1e-6, "outsider") == math.inf


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_missing_shares_are_paid_for_beforehand(absent):
    # PRIVACY.md: z = 2 once at 1e-6 costs what the shares of parties - absent cost.
    wanted = epsilon_of([GUARD.event("t")], 1e-6, "insider")
    shared = replace(GUARD, placement="distributed", absent=absent)
    assert epsilon_of([shared.event("t")], 1e-6, "insider") == pytest.approx(wanted, rel=1e-3)


@given(
    st.integers(1, 200_000),
    st.floats(0.3, 200),
    st.integers(1, 50),
    st.sampled_from(["gaussian", "laplace"]),
    st.sampled_from(["central", "distributed", "local"]),
)
def test_a_sum_of_everybody_at_the_bound_fits_on_the_grid(cohort, z, parties, noise, placement):
    guard = Guard(noise, z, 1.0, 10, cohort, parties, placement)
    tails = 16 * (3 if noise == "laplace" else 1)
    draws = math.sqrt(parties) if placement == "local" else 1
    assert cohort * guard.units + tails * guard.scale * draws <= LARGEST


def test_the_adaptive_bit_is_paid_for_within_the_same_bound():
    # Section 3.1: sigma_b = n / 20 on a bit of ±1/2 is what the sum's noise is on ±bit_units.
    guard = replace(GUARD, adaptive=Adaptive())
    assert guard.scale / (2 * guard.bit_units) == pytest.approx(1000 / 20, rel=1e-2)
    assert guard.bound.units**2 + guard.bit_units**2 <= guard.units**2
    assert guard.mechanism == GUARD.mechanism


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"noise": "cauchy"}, "noise"),
        ({"placement": "nowhere"}, "placement"),
        ({"unit": "row"}, "unit"),
        ({"multiplier": 0.0}, "multiplier"),
        ({"multiplier": math.inf}, "multiplier"),
        ({"noise": "none"}, "multiplier must be 0"),
        ({"clip": 0.0}, "clip"),
        ({"size": 0}, "size"),
        ({"cohort": 0}, "cohort"),
        ({"parties": 0}, "parties"),
        ({"absent": 1}, "noise is central"),
        ({"absent": 4, "placement": "distributed"}, "absent"),
        ({"sampling": 0.0}, "sampling"),
        ({"noise": "laplace", "adaptive": Adaptive()}, "Gaussian"),
        ({"cohort": 4, "adaptive": Adaptive()}, "too small"),
        ({"cohort": 1 << 31}, "grid"),
    ],
)
def test_guards_out_of_range(change, text):
    with pytest.raises(ConfigError, match=text):
        replace(GUARD, **change)


@pytest.mark.parametrize("change", [{"quantile": 1.0}, {"step": 0.0}, {"noise": math.nan}])
def test_adaptive_out_of_range(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        Adaptive(**change)


STRATEGY = toeplitz(6)
TIED = replace(GUARD, size=50, cycle=2, strategy=STRATEGY)


def roots(number):
    return seeded_root(7, number)


def test_correlated_noise_is_that_of_its_strategy_and_comes_again():
    noise, again = correlated_noise(TIED, roots), correlated_noise(TIED, roots)
    state, wanted = start(), []
    for number in range(6):
        state, one = next_noise(STRATEGY, TIED.correlated, state, 50, roots(number))
        wanted.append(one)
    np.testing.assert_array_equal([noise(n) for n in range(6)], wanted)
    # Begun in the middle, as after a crash, and asked for a round that was before.
    for number in (4, 5, 2):
        np.testing.assert_array_equal(again(number), wanted[number])


def test_correlated_rounds_are_one_charge():
    # A shopper is in 3 of 6 rounds, 2 apart: the strategy's sensitivity is for that.
    event = TIED.event("t")
    assert isinstance(event.mechanism, CorrelatedGaussian)
    assert event.mechanism.steps == 6
    assert event.mechanism.strategy_sensitivity == pytest.approx(
        sensitivity(STRATEGY, Participation(2, 3)), rel=1e-3
    )
    assert (TIED.charges(6), GUARD.charges(6)) == (1, 6)
    once = epsilon_of([GUARD.event("t")], 1e-6, "insider")
    assert epsilon_of([event], 1e-6, "insider") == pytest.approx(once, rel=1e-3)


def test_a_cycle_alone_costs_as_often_as_a_shopper_is_in():
    """Fresh noise, every third of six rounds: two Gaussians, whatever the matrix is called."""
    cycle = replace(GUARD, cycle=3, strategy=independent(6))
    # The one mechanism's multiplier is z; a round's noise is z · sqrt(2), and two rounds are z.
    assert cycle.scale / cycle.units == pytest.approx(2.0 * math.sqrt(2), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"noise": "laplace"}, "correlated noise is Gaussian"),
        ({"placement": "local"}, "correlated noise is Gaussian"),
        ({"sampling": 0.5}, "correlated noise is Gaussian"),
        ({"strategy": None}, "cycle of 2"),
        ({"cycle": 0}, "cycle"),
    ],
)
def test_correlated_guards_out_of_range(change, text):
    with pytest.raises(ConfigError, match=text):
        replace(TIED, **change)


def test_correlated_noise_is_not_asked_for_round_by_round():
    with pytest.raises(ConfigError, match="round by round"):
        central_noise(TIED, seeded_root(0), 0)
    with pytest.raises(ConfigError, match="its own noise"):
        correlated_noise(GUARD, roots)
