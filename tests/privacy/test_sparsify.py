"""Chosen coordinates: the largest, the common ones, and their gaps as bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import MalformedError
from fedguide.privacy.sparsify import common, from_gaps, largest, to_gaps
from fedguide.seeds import seeded_root


def test_the_largest_by_magnitude():
    vector = np.float32([1, -5, 0, 3, -2])
    assert largest(vector, 2).tolist() == [1, 3]
    assert largest(vector, 9).tolist() == [0, 1, 2, 3, 4]


def test_the_common_choice_is_the_same_for_all_and_another_each_round():
    root = seeded_root(1)
    first = common(1000, 100, root, 0)
    assert np.array_equal(first, common(1000, 100, root, 0))
    assert not np.array_equal(first, common(1000, 100, root, 1))
    assert len(set(first.tolist())) == 100
    # Every coordinate has its turn: over 100 rounds of a tenth, (.9)^100 · 1000 = .03 are left out.
    seen = np.unique(np.concatenate([common(1000, 100, root, n) for n in range(100)]))
    assert len(seen) >= 995


def test_gaps_by_hand():
    assert to_gaps(np.array([0, 1, 5, 260, 1000])).tolist() == [0, 0, 3, 254, 255, 255, 229]
    assert to_gaps(np.array([255])).tolist() == [255, 0]


@given(st.sets(st.integers(0, 3000)))
def test_places_come_back(places):
    ascending = np.array(sorted(places), np.int64)
    assert from_gaps(to_gaps(ascending), 3001).tolist() == ascending.tolist()


def test_damaged_gaps_are_refused():
    with pytest.raises(MalformedError, match="in the middle of one"):
        from_gaps(np.uint8([3, 255]), 1000)
    with pytest.raises(MalformedError, match="lead to 13, beyond the 13 coordinates"):
        from_gaps(np.uint8([3, 9]), 13)
