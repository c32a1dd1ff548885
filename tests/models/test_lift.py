"""Lift by groups: by hand, without credit for order, and what adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, DataError
from fedguide.models.lift import lift_table


def test_by_hand():
    labels = np.array([1.0, 1, 0, 1, 0, 0, 0, 0])
    rows = lift_table(labels, np.arange(8, 0, -1.0), 4)
    assert [row.rate.value for row in rows] == [1, 0.5, 0, 0]
    assert [row.lift.value for row in rows] == pytest.approx([8 / 3, 4 / 3, 0, 0])
    assert [row.gain for row in rows] == pytest.approx([2 / 3, 1, 1, 1])


def test_scores_that_say_nothing_lift_nothing_however_rows_are_sorted():
    labels = np.array([1.0] * 5 + [0.0] * 15)
    assert [row.lift.value for row in lift_table(labels, np.zeros(20), 4)] == [1, 1, 1, 1]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=50).filter(
        lambda rows: any(one for one, _ in rows)
    )
)
def test_groups_hold_everybody_once(rows):
    labels = np.array([float(one) for one, _ in rows])
    table = lift_table(labels, np.array([float(score) for _, score in rows]), 4)
    assert sum(row.count for row in table) == len(rows)
    assert table[-1].gain == pytest.approx(1)
    assert sum(row.count * row.rate.value for row in table) == pytest.approx(labels.sum())
    assert all(row.lift.low <= row.lift.value + 1e-12 <= row.lift.high + 1e-9 for row in table)


def test_bad_input():
    with pytest.raises(DataError, match="nobody"):
        lift_table(np.zeros(4), np.arange(4.0), 2)
    with pytest.raises(ConfigError, match=r"\[1, 4\]"):
        lift_table(np.ones(4), np.arange(4.0), 5)
