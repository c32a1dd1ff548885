"""Wilson's interval: published figures, the ends, bad input."""

from __future__ import annotations

import math

import pytest

from fedguide.errors import DataError
from fedguide.models.proportion import wilson


def test_a_published_interval():
    """Newcombe 1998, table I, method 3: 81 of 263, and 0 of 20."""
    found = wilson(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    none = wilson(0, 20)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_nobody_and_nonsense():
    assert math.isnan(wilson(0, 0).value)
    with pytest.raises(DataError, match=r"\[0, 3\]"):
        wilson(4, 3)
