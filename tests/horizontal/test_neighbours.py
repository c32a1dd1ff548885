"""(k, t) from exact tails, and the graph they are for."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.horizontal.neighbours import (
    CORRUPTION,
    FAILURE,
    Shape,
    corruption,
    failure,
    neighbours_around,
    neighbours_of,
    shape_of,
)
from fedguide.values import PartyId


def cohort(size):
    return [PartyId(f"p{i:04d}") for i in range(size)]


@pytest.mark.parametrize(("parties", "degree", "threshold"), [(100, 58, 30), (1000, 168, 85)])
def test_the_table_of_the_design(parties, degree, threshold):
    shape = shape_of(parties, 3, 0.3, 0.1)
    assert (shape.degree, shape.threshold) == (degree, threshold)


def test_a_small_failure_worked_out_by_hand():
    # 5 parties, 2 neighbours each, t = 2, one drops out. Its two neighbours are among 4 others, of
    # whom 4 are left: it fails with probability 0. Of one that is there, 4 others of whom 3 are
    # left: with its own share it needs one neighbour; both gone needs 2 of the 1 gone: 0.
    assert failure(5, 2, 2, 1) == 0
    # Two drop out: of a dropped one, 3 of 4 others are left; it needs both neighbours among
    # them: C(3,2)/C(4,2) = 1/2, so it fails with 1/2, twice. Of one that is there, 2 of 4 are
    # left; none of its two neighbours among them: 1/C(4,2) = 1/6, three times.
    assert failure(5, 2, 2, 2) == 2 * Fraction(1, 2) + 3 * Fraction(1, 6)
    # One corrupt among 5: nobody has two corrupt neighbours. Two: C(2,2)/C(4,2) = 1/6 for each of
    # the 3 honest.
    assert corruption(5, 2, 2, 1) == 0
    assert corruption(5, 2, 2, 2) == 3 * Fraction(1, 6)


@pytest.mark.parametrize("parties", [51, 60, 77, 100, 333, 1000])
def test_the_degree_is_the_least_that_keeps_both_bounds(parties):
    shape = shape_of(parties, 3, 0.3, 0.1)
    dropped, corrupt = math.ceil(0.3 * parties), math.ceil(0.1 * parties)
    assert failure(parties, shape.degree, shape.threshold, dropped) < FAILURE
    assert corruption(parties, shape.degree, shape.threshold, corrupt) < CORRUPTION
    smaller = shape.degree - 2
    assert not (
        failure(parties, smaller, smaller // 2 + 1, dropped) < FAILURE
        and corruption(parties, smaller, smaller // 2 + 1, corrupt) < CORRUPTION
    )


@pytest.mark.parametrize("parties", [100, 1000])
def test_the_circle_does_not_fall_apart(parties):
    """Two runs of k/2 neighbours on the circle, all gone, are needed to cut it in two.

    Any two disjoint runs, fewer than n^2 / 2 of them, lose k parties: dropped or corrupt ones.
    """
    degree = shape_of(parties, 3, 0.3, 0.1).degree
    gone = math.ceil(0.4 * parties)
    ways = math.comb(parties - degree, gone - degree) if gone >= degree else 0
    assert (parties**2 // 2) * Fraction(ways, math.comb(parties, gone)) < CORRUPTION


@pytest.mark.parametrize(
    ("parties", "least", "threshold"), [(3, 3, 3), (4, 3, 3), (6, 3, 5), (10, 3, 7), (10, 9, 9)]
)
def test_small_cohorts_are_full(parties, least, threshold):
    shape = shape_of(parties, least, 0.3, 0.1)
    assert shape == Shape(parties - 1, threshold, threshold)


@given(st.integers(3, 300), st.integers(3, 20))
def test_two_sets_of_survivors_always_share_an_honest_signer(parties, least):
    if parties < least:
        return
    shape = shape_of(parties, least, 0.3, 0.1)
    corrupt = (parties - 1) // 3 if parties <= 50 else math.ceil(round(0.1 * parties, 6))
    # Each set is signed by `agreement` of n; together they overlap in at least 2·agreement - n.
    assert 2 * shape.agreement - parties > corrupt


def test_too_few_parties_and_impossible_rates():
    for parties, least in ((2, 2), (2, 3), (4, 5)):
        with pytest.raises(ConfigError, match="a cohort has at least"):
            shape_of(parties, least, 0.3, 0.1)
    with pytest.raises(ConfigError, match="no graph"):
        shape_of(60, 3, 0.7, 0.1)


@settings(max_examples=40)
@given(st.integers(3, 130), st.binary(min_size=32, max_size=32))
def test_the_graph_is_regular_and_mutual(size, seed):
    parties = cohort(size)
    shape = shape_of(size, 3, 0.3, 0.1)
    graph = neighbours_of(parties, shape, seed)
    assert set(graph) == set(parties)
    for party, near in graph.items():
        assert len(near) == shape.degree
        assert party not in near
        assert list(near) == sorted(set(near))
        assert all(party in graph[other] for other in near)
        assert neighbours_around(party, parties, shape, seed) == near


def test_the_graph_follows_from_the_seed():
    parties, shape = cohort(80), shape_of(80, 3, 0.3, 0.1)
    assert neighbours_of(parties, shape, bytes(32)) == neighbours_of(parties, shape, bytes(32))
    assert neighbours_of(parties, shape, bytes(32)) != neighbours_of(
        parties, shape, b"\1" + bytes(31)
    )
