import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.clip import MOST_UNITS, Bound, clipped_sum, integer_norm

L2 = Bound("l2", 1000, 4)


def rows(*vectors):
    return [np.array(vectors, np.float32)]


def test_a_vector_worked_out_by_hand():
    # Length 5 clipped to 2: (3, 4)·2/5 = (1.2, 1.6); a vector of length 2 takes target units, so
    # the coordinates are 0.6 and 0.8 of it, up to one unit of rounding.
    found = clipped_sum(rows([3, 4, 0, 0]), 2.0, L2, seed=1)
    assert np.abs(found.units - np.array([0.6, 0.8, 0, 0]) * L2.target).max() <= 1
    assert (found.count, found.within) == (1, 0)


def test_a_short_vector_keeps_its_length():
    found = clipped_sum(rows([0.6, 0.8, 0, 0]), 2.0, L2, seed=1)
    assert np.abs(found.units - np.array([0.3, 0.4, 0, 0]) * L2.target).max() <= 1
    assert found.within == 1


def test_l1_by_hand():
    # |3| + |-4| + |1| = 8 clipped to 4: halves, so (1.5, -2, .5, 0) / 4 of the target.
    bound = Bound("l1", 10_000, 4)
    found = clipped_sum(rows([3, -4, 1, 0]), 4.0, bound, seed=1)
    wanted = np.array([1.5, -2, 0.5, 0]) / 4 * bound.target
    assert np.abs(found.units - wanted).max() <= 1


@given(
    st.tuples(st.integers(1, 12), st.integers(0, 1000), st.floats(-4, 6)),
    st.sampled_from(["l1", "l2"]),
    st.integers(1, 300),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**31 - 1),
)
def test_no_vector_is_ever_longer_than_the_bound(drawn, norm, units, clip, seed):
    size, number, magnitude = drawn
    values = np.random.default_rng(number).normal(size=size) * 10**magnitude
    bound = Bound(norm, units, size)
    found = clipped_sum(rows(values), clip, bound, seed)
    assert integer_norm(found.units, norm) <= units


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("units", [2, 40, MOST_UNITS])
def test_neither_is_a_wide_one_on_any_grid(norm, units):
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(3, 50_000)).astype(np.float32)
    for one in wide:
        found = clipped_sum([one[None]], 1.0, Bound(norm, units, 50_000), seed=5)
        assert integer_norm(found.units, norm) <= units


def test_rounding_is_without_bias():
    # The mean of n = 20,000 roundings of 0.3 units has a standard deviation of sqrt(.21/n) =
    # 0.00324; 5 of them are passed with probability 6e-7 < 1e-6 (two-sided normal tail).
    bound = Bound("l2", 1000, 2)
    value = 0.3 / bound.target
    found = clipped_sum([np.full((20_000, 2), value, np.float32)], 1.0, bound, seed=3)
    assert np.abs(found.units / 20_000 - 0.3).max() < 5 * 0.00324
    biased = np.abs(found.units / 20_000 - 0.9 * 0.3).max()
    assert biased > 5 * 0.00324  # a rounding that loses a tenth would be seen


def test_sums_are_those_of_each():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(7, 4)).astype(np.float32)
    together = clipped_sum([vectors[:3], vectors[3:]], 1.0, L2, seed=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = (vectors / np.maximum(lengths, 1)).sum(axis=0) * L2.target
    assert np.abs(together.units - wanted).max() <= 7
    assert (together.count, together.within) == (7, int((lengths <= 1).sum()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_counts_as_zero_and_tells_nobody(bad):
    found = clipped_sum(rows([bad, 1, 0, 0], [1, 0, 0, 0]), 1.0, L2, seed=0)
    assert np.abs(found.units - np.array([L2.target, 0, 0, 0])).max() <= 1
    assert found.count == 2


def test_nothing_gives_nothing():
    assert clipped_sum([], 1.0, L2, seed=0).units.size == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"norm": "max"}, "norm"),
        ({"units": 0}, "units"),
        ({"units": MOST_UNITS + 1}, "units"),
        ({"size": 0}, "size"),
    ],
)
def test_bounds_out_of_range(change, text):
    with pytest.raises(ConfigError, match=text):
        Bound(**({"norm": "l2", "units": 4, "size": 2} | change))


@pytest.mark.parametrize("clip", [0.0, -1.0, math.inf, math.nan])
def test_a_clipping_norm_out_of_range(clip):
    with pytest.raises(ConfigError, match="clip"):
        clipped_sum(rows([1, 0, 0, 0]), clip, L2, seed=0)


def test_vectors_wider_than_the_bound_says():
    with pytest.raises(ConfigError, match="at most 4"):
        clipped_sum([np.ones((1, 5), np.float32)], 1.0, L2, seed=0)
