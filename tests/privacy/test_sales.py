"""Sales as they are released: bounded by shopper, noised on the grid, paid for with the rounds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.accounting import epsilon_of, noise_multiplier_for
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import Gaussian, Unnoised
from fedguide.privacy.sales import UNITS, released_sales, sales_event, summed_rows
from fedguide.seeds import seeded_root


def pairs(*bought):
    return np.array(bought, np.int64).reshape(-1, 2)


def test_rows_by_hand():
    """One shopper of four items gives each half a row, one of one item a whole one."""
    bought = pairs((0, 0), (0, 1), (0, 2), (0, 3), (7, 3))
    assert summed_rows(bought, 5).tolist() == [2048, 2048, 2048, 2048 + 4096, 0]
    assert released_sales(bought, 5, 0.0, seeded_root(0)).tolist() == [0.5, 0.5, 0.5, 1.5, 0]
    assert summed_rows(pairs(), 3).tolist() == [0, 0, 0]


@given(st.lists(st.integers(0, 400), unique=True, max_size=400), st.randoms())
def test_nobody_moves_the_sum_further_than_the_event_says(items, random):
    """In integers, whoever else is there."""
    others = [(s, random.randrange(401)) for s in range(5)]
    without = summed_rows(pairs(*others), 401)
    moved = summed_rows(pairs(*others, *((9, item) for item in items)), 401) - without
    assert sum(int(value) ** 2 for value in moved) <= UNITS**2
    assert np.flatnonzero(moved).tolist() == sorted(items)


def test_the_noise_is_what_is_charged():
    """100,000 coordinates of noise alone: its deviation within 5 standard errors, not 0.9 of it.

    The standard error of a standard deviation of n draws is σ/√(2n): 0.22 %; a false alarm beyond
    5 of them has probability 6e-7.
    """
    size, z = 100_000, 3.0
    found = released_sales(pairs(), size, z, seeded_root(5))
    # Half of the noise is cut off at 0: E max(X, 0)² = σ²/2.
    sigma = math.sqrt(2 * np.mean((found * (1 + z)) ** 2))
    # Var(max(X, 0)²) = σ⁴(3/2 - 1/4), so that of the mean of squares is 5/4 σ⁴/n.
    error = z * 0.5 * math.sqrt(5 / size)
    assert abs(sigma - z) < 5 * error < 0.1 * z
    event = sales_event("t", z)
    assert event.mechanism == Gaussian(z, float(UNITS))
    assert (event.sampling, event.placement, event.unit) == (1.0, "local", "shopper")


def test_the_same_root_gives_the_same_table_and_another_another():
    bought = pairs((0, 0), (1, 1))
    first, again, other = (released_sales(bought, 50, 1.0, seeded_root(n)) for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first >= 0).all()


def test_a_table_without_noise_says_so():
    assert sales_event("t", 0.0).mechanism == Unnoised()


@pytest.mark.parametrize("multiplier", [-1.0, 201.0, math.nan, math.inf])
def test_noise_out_of_range(multiplier):
    with pytest.raises(ConfigError, match="noise of sales"):
        sales_event("t", multiplier)


@pytest.mark.parametrize("sampling", [1.0, 0.1])
def test_rounds_and_table_together_cost_what_was_wanted(sampling):
    beside = noise_multiplier_for(2.0, 1e-6, 1)
    z = noise_multiplier_for(8.0, 1e-6, 20, sampling, beside)
    rounds = Event("t", Gaussian(z, 1.0), sampling, 20)
    paid = epsilon_of([rounds, sales_event("t", beside)], 1e-6, "outsider")
    assert 0.999 * 8 < paid <= 8
    assert z > noise_multiplier_for(8.0, 1e-6, 20, sampling)


def test_a_table_that_costs_everything_leaves_no_rounds():
    with pytest.raises(ConfigError, match="costs all"):
        noise_multiplier_for(1.0, 1e-6, 20, 1.0, noise_multiplier_for(1.0, 1e-6, 1))
