"""Choosing an audience: the best, never fewer than the floor, bands that hold everybody once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, DataError, RefusedError
from fedguide.guide.audience import BANDS, banded, choose, reach
from fedguide.guide.counts import NoisyCounts


def test_the_best_are_chosen_and_equals_go_by_id():
    made = choose(["c", "a", "b", "d"], np.array([0.5, 0.5, 0.9, 0.1]), 3, 2)
    assert made.shoppers == ("b", "a", "c")
    assert made.expected == pytest.approx(1.9)


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(order):
    ids, scores = np.array(list("abcdef")), np.array([0.1, 0.2, 0.2, 0.3, 0.3, 0.3])
    made = choose(ids[order].tolist(), scores[order], 4, 2)
    assert made.shoppers == ("d", "e", "f", "b")


def test_below_the_floor_is_refused():
    with pytest.raises(RefusedError, match="audience of 3 is below the floor of 10"):
        choose(["a", "b", "c"], np.full(3, 0.5), 50, 10)
    with pytest.raises(RefusedError, match="audience of 5"):
        choose([str(n) for n in range(100)], np.full(100, 0.5), 5, 10)


@given(st.lists(st.floats(0, 1), max_size=50))
def test_bands_hold_everybody_once(probabilities):
    made = banded(np.array(probabilities))
    assert made.sum() == len(probabilities)
    for first in range(len(BANDS) - 1):
        assert made[first:].sum() == sum(p >= BANDS[first] for p in probabilities)


def test_reach_reads_thresholds_off_one_release():
    values = tuple(range(100, 112))
    made = NoisyCounts(values, 50, 0.25, 4.0, 1)
    assert reach(made, 0.0)[0] == sum(values)
    # At scale 4, 2 e^(-13/4) / (1 + e^(-1/4)) = 0.044 is beyond 12, 0.056 beyond 11.
    assert reach(made, 0.9) == (111, 12.0)
    with pytest.raises(ConfigError, match=r"0\.05"):
        reach(made, 0.07)


def test_bad_input():
    with pytest.raises(DataError, match="probabilities"):
        choose(["a"], np.array([1.5]), 1, 1)
    with pytest.raises(DataError, match="probabilities"):
        choose(["a", "b"], np.array([0.5]), 1, 1)
