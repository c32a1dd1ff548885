"""The laws all robust rules share, and each rule's own, worked out by hand."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.horizontal.bulyan import bulyan
from fedguide.horizontal.clipping import centred_clipping
from fedguide.horizontal.geometric import geometric_median
from fedguide.horizontal.krum import krum, multi_krum
from fedguide.horizontal.median import coordinate_median
from fedguide.horizontal.names import ROBUST_RULES
from fedguide.horizontal.norm_bound import norm_bound
from fedguide.horizontal.rules import (
    BLOCK,
    by_columns,
    lengths,
    require,
    squared_distances,
    weighted_sum,
)
from fedguide.horizontal.trimmed import trimmed_mean

LARGEST = float(np.finfo(np.float32).max)
BOUNDED = ("median", "trimmed", "krum", "multi_krum", "bulyan")
"""Rules that give the same whatever the weights."""


def rows(*values):
    return np.array(values, np.float32)


def even(updates):
    return np.ones(len(updates))


def combined(name, updates, bad, weights=None):
    return ROBUST_RULES[name].combine(updates, even(updates) if weights is None else weights, bad)


def diameter(honest):
    """Largest distance of two honest updates."""
    return float(np.sqrt(squared_distances(honest).max()))


@st.composite
def tampered(draw, bad=2):
    """Honest updates, and ``bad`` others that are anything at all."""
    name = draw(st.sampled_from(sorted(ROBUST_RULES)))
    n = ROBUST_RULES[name].least(bad) + draw(st.integers(0, 3))
    honest = st.floats(-4, 4, width=32)
    wild = st.one_of(honest, st.floats(-LARGEST, LARGEST, width=32))
    good = draw(
        st.lists(st.lists(honest, min_size=3, max_size=3), min_size=n - bad, max_size=n - bad)
    )
    lies = draw(st.lists(st.lists(wild, min_size=3, max_size=3), min_size=bad, max_size=bad))
    return name, rows(*good), rows(*lies)


@given(tampered())
def test_two_updates_that_are_anything_move_no_rule_beyond_its_bound(case):
    name, honest, lies = case
    updates = np.concatenate([honest, lies])
    outcome = combined(name, updates, 2).astype(np.float64)
    assert np.isfinite(outcome).all()
    low, high = honest.min(0).astype(np.float64), honest.max(0).astype(np.float64)
    longest = float(lengths(honest).max())
    n = len(updates)
    if name in ("median", "trimmed"):  # Yin et al. 2018: within the honest range
        assert (outcome >= low).all()
        assert (outcome <= high).all()
    elif name in ("krum", "multi_krum"):
        # A chosen update's score is no higher than an honest one's, at most (n - f - 2) diam². At
        # least one of its n - f - 2 >= f + 1 neighbours (itself among them if it lies) is honest.
        reach = diameter(honest) * np.sqrt(n - 2 - 2)
        assert lengths(honest, outcome.astype(np.float32)).min() <= reach * (1 + 1e-5) + 1e-5
    elif name == "bulyan":
        # The median of the chosen is in the honest range, and enough honest values are no farther
        # from it than that range is wide (El Mhamdi et al. 2018, proposition 2).
        wide = high - low
        assert (outcome >= low - wide - 1e-5).all()
        assert (outcome <= high + wide + 1e-5).all()
    elif name == "geometric":
        # Lopuhaä and Rousseeuw 1991: 2 (1 - α) / (1 - 2 α) times the farthest honest one.
        share = 2 / n
        assert np.linalg.norm(outcome) <= 2 * (1 - share) / (1 - 2 * share) * longest + 1e-4
    elif name == "norm_bound":
        assert np.linalg.norm(outcome) <= longest * (1 + 1e-5)
    else:  # one pass moves the centre by at most the median distance from it: 1, 2, 4 times
        assert np.linalg.norm(outcome) <= (1 + 2 + 4) * longest * (1 + 1e-5)


@pytest.mark.parametrize("name", ROBUST_RULES)
def test_the_plain_mean_is_moved_where_the_rule_is_not(name):
    rng = np.random.default_rng(0)
    bad = 2
    honest = rng.normal(size=(ROBUST_RULES[name].least(bad), 5)).astype(np.float32)
    lies = np.full((bad, 5), 1e6, np.float32)
    updates = np.concatenate([honest, lies])
    assert np.linalg.norm(updates.mean(0)) > 1e4
    assert np.linalg.norm(combined(name, updates, bad)) < 30


@pytest.mark.parametrize("name", ROBUST_RULES)
@given(seed=st.integers(0, 1000), order=st.permutations(range(9)))
def test_the_order_of_the_updates_does_not_matter(name, seed, order):
    rng = np.random.default_rng(seed)
    bad = 1
    updates = rng.integers(-8, 9, size=(9, 4)).astype(np.float32)  # ties are common
    updates += np.arange(9, dtype=np.float32)[:, None] / 64
    weights = rng.integers(1, 5, size=9).astype(np.float64)
    one = combined(name, updates, bad, weights)
    other = combined(name, updates[order], bad, weights[order])
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ROBUST_RULES)
def test_equal_updates_are_their_own_outcome(name):
    updates = np.tile(rows([1, -2, 3]), (7, 1))
    np.testing.assert_allclose(combined(name, updates, 1), [1, -2, 3], rtol=1e-6)
    nothing = np.zeros((7, 3), np.float32)
    np.testing.assert_array_equal(combined(name, nothing, 1), nothing[0])


@pytest.mark.parametrize("name", ROBUST_RULES)
def test_more_columns_than_a_block_are_each_combined_alike(name):
    rng = np.random.default_rng(1)
    part = rng.normal(size=(7, 3)).astype(np.float32)
    wide = np.tile(part, (1, BLOCK))
    outcome = combined(name, wide, 1)
    np.testing.assert_allclose(outcome, np.tile(outcome[:3], BLOCK), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BOUNDED)
def test_weights_are_a_claim_and_change_nothing(name):
    rng = np.random.default_rng(2)
    updates = rng.normal(size=(7, 3)).astype(np.float32)
    heavy = np.array([1, 1, 1, 1e9, 1, 1, 1])
    np.testing.assert_array_equal(combined(name, updates, 1), combined(name, updates, 1, heavy))


@pytest.mark.parametrize(
    ("name", "bad", "least", "condition"),
    [
        ("median", 3, 7, "n >= 2 f + 1 (Yin et al. 2018, theorem 1"),
        ("trimmed", 2, 5, "n >= 2 f + 1 (Yin et al. 2018, theorem 4"),
        ("krum", 2, 7, "n >= 2 f + 3 (Blanchard et al. 2017, proposition 4.2"),
        ("multi_krum", 1, 5, "n >= 2 f + 3 (Blanchard et al. 2017"),
        ("bulyan", 2, 11, "n >= 4 f + 3 (El Mhamdi et al. 2018, proposition 1"),
        ("geometric", 2, 5, "n >= 2 f + 1 (Pillutla et al. 2022"),
        ("clipping", 2, 5, "n >= 2 f + 1 (an honest majority; Karimireddy et al. 2021"),
        ("norm_bound", 2, 5, "n >= 2 f + 1 (an honest majority; Sun et al. 2019"),
    ],
)
def test_too_few_updates_are_refused_with_the_papers_condition(name, bad, least, condition):
    require(name, ROBUST_RULES[name], bad, least)
    refusal = f"{name} needs at least {least} updates to withstand {bad} bad ones, got {least - 1}"
    with pytest.raises(ConfigError, match=re.escape(f"{refusal}: {condition}")):
        require(name, ROBUST_RULES[name], bad, least - 1)
    with pytest.raises(ConfigError, match="bad must be at least 0, got -1"):
        require(name, ROBUST_RULES[name], -1, 100)


def test_median_by_hand():
    updates = rows([1, 9], [5, 7], [2, -1e30])
    np.testing.assert_array_equal(coordinate_median(updates, even(updates), 1), [2, 7])
    four = rows([1, LARGEST], [2, LARGEST], [4, LARGEST], [8, LARGEST])  # the sum would overflow
    np.testing.assert_array_equal(coordinate_median(four, even(four), 1), [3, LARGEST])


def test_trimmed_mean_by_hand():
    updates = rows([0, 100], [1, 1], [2, 2], [6, 3], [-50, 4])
    np.testing.assert_array_equal(trimmed_mean(updates, even(updates), 1), [1, 3])
    np.testing.assert_array_equal(trimmed_mean(updates, even(updates), 2), [1, 3])
    np.testing.assert_allclose(trimmed_mean(updates, even(updates), 0), updates.mean(0))


def test_krum_by_hand():
    # n = 5, f = 1: two nearest others. Scores: 0: 1 + 4 = 5; 1: 1 + 1 = 2; 2: 1 + 4 = 5;
    # 6: 16 + 25 = 41; 100: beyond.
    updates = rows([0], [1], [2], [6], [100])
    np.testing.assert_array_equal(krum(updates, even(updates), 1), [1])
    # The four of the lowest scores are all but 100.
    np.testing.assert_array_equal(multi_krum(updates, even(updates), 1), [2.25])
    # Of equal scores the shorter update goes first: 1 + 1 for -1 and for 2, half of it for 0 and 1.
    np.testing.assert_array_equal(krum(rows([2], [-1], [0.5]), np.ones(3), 0), [0.5])


def test_bulyan_by_hand():
    # n = 7, f = 1: five picks, the mean of the three values closest to their median. Krum with
    # n - f - 2 = 4 neighbours: 3 (1 + 1 + 4 + 4), then 2, and so on; 1000 is never picked, and 6
    # or 0 last. The picks are 1 … 5 or 0 … 4 shifted; the middle three of 1 … 5 are 2, 3, 4.
    updates = rows([1], [2], [3], [4], [5], [1000], [-1000])
    np.testing.assert_array_equal(bulyan(updates, even(updates), 1), [3])


def test_bulyan_holds_one_far_coordinate_that_krum_lets_pass():
    """The attack of El Mhamdi et al. 2018: close as a vector, far off in one coordinate."""
    rng = np.random.default_rng(4)
    honest = rng.normal(size=(10, 400)).astype(np.float32)
    lie = honest.mean(0)
    lie[0] = 12
    updates = np.concatenate([honest, lie[None]])
    assert krum(updates, even(updates), 1)[0] == 12
    assert abs(bulyan(updates, even(updates), 1)[0]) < 2


def test_geometric_median_by_hand():
    # Of four corners it is the crossing of the diagonals; of three on a line the middle one.
    square = rows([0, 0], [2, 0], [2, 2], [0, 2])
    np.testing.assert_allclose(geometric_median(square, even(square), 1), [1, 1], atol=1e-4)
    line = rows([0], [1], [10])
    np.testing.assert_allclose(geometric_median(line, even(line), 1), [1], atol=1e-3)
    # A weight above half of the whole pulls it there.
    heavy = geometric_median(line, np.array([1.0, 1.0, 3.0]), 0)
    np.testing.assert_allclose(heavy, [10], atol=1e-3)


def test_geometric_median_is_where_the_unit_vectors_cancel():
    """Its first-order condition: Σ w (x_i - v) / |x_i - v| = 0."""
    rng = np.random.default_rng(5)
    updates, weights = rng.normal(size=(8, 6)).astype(np.float32), rng.uniform(1, 2, size=8)
    point = geometric_median(updates, weights, 3).astype(np.float64)
    apart = updates - point
    pull = weights @ (apart / np.linalg.norm(apart, axis=1)[:, None])
    assert np.linalg.norm(pull) < 1e-3 * weights.sum()


def test_centred_clipping_by_hand():
    # τ = 1, one pass from 0: (1 + 1 - 1 + 0.5) / 4.
    updates = rows([3], [4], [-5], [0.5])
    once = centred_clipping(radius=1, passes=1)
    np.testing.assert_allclose(once.combine(updates, even(updates), 1), [0.375])
    # The second pass from 0.375: 0.375 + (1 + 1 - 1 + 0.125) / 4.
    twice = centred_clipping(radius=1, passes=2)
    np.testing.assert_allclose(twice.combine(updates, even(updates), 1), [0.65625])
    # Without a radius it is the median distance, (3 + 4) / 2 = 3.5: (3 + 3.5 - 3.5 + 0.5) / 4.
    free = centred_clipping(passes=1)
    np.testing.assert_allclose(free.combine(updates, even(updates), 1), [0.875])


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=2, max_size=2))
def test_f_updates_move_centred_clipping_by_at_most_two_tau_f_over_n(lies):
    rng = np.random.default_rng(6)
    honest = rng.normal(size=(6, 1)).astype(np.float32)
    rule = centred_clipping(radius=0.5, passes=1)
    outcomes = [
        float(rule.combine(np.concatenate([honest, rows([a], [b])]), np.ones(8), 2)[0])
        for a, b in (lies, (0.0, 0.0))
    ]
    assert abs(outcomes[0] - outcomes[1]) <= 2 * 0.5 * 2 / 8 + 1e-6


def test_norm_bound_by_hand():
    updates = rows([3, 4], [0, 1], [-30, 40])  # lengths 5, 1, 50
    one = norm_bound(1.0).combine(updates, even(updates), 1)
    np.testing.assert_allclose(one, [(0.6 - 0.6) / 3, (0.8 + 1 + 0.8) / 3], atol=1e-7)
    # The second largest length is 5; weights 1 : 2 : 1.
    second = norm_bound().combine(updates, np.array([1.0, 2.0, 1.0]), 1)
    np.testing.assert_allclose(second, [(3 - 3) / 4, (4 + 2 + 4) / 4], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_lengths_out_of_range_are_refused(value):
    with pytest.raises(ConfigError, match="radius must be finite and above 0"):
        centred_clipping(value)
    with pytest.raises(ConfigError, match="max_norm must be finite and above 0"):
        norm_bound(value)


def test_no_passes_are_refused():
    with pytest.raises(ConfigError, match="passes must be at least 1, got 0"):
        centred_clipping(passes=0)


def test_the_pieces_by_hand():
    updates = rows([3, 4], [0, 0], [3, 0])
    np.testing.assert_allclose(lengths(updates), [5, 0, 3])
    np.testing.assert_allclose(lengths(updates, rows([3, 0])[0]), [4, 3, 0])
    np.testing.assert_allclose(squared_distances(updates), [[0, 25, 16], [25, 0, 9], [16, 9, 0]])
    np.testing.assert_allclose(weighted_sum(updates, np.array([1, 5, 2.0])), [9, 4])
    np.testing.assert_array_equal(by_columns(updates, lambda c: c[:, 0]), [0, 0])
