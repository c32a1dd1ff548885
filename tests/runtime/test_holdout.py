"""A judge of which a few shops may lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.runtime.holdout import holdout

MODEL = np.zeros(1, np.float32)


def judged(said, bad):
    return holdout([lambda _params, one=one: one for one in said], bad)(MODEL)


def test_by_hand():
    assert judged([0.9, 0.1, 0.3, 0.2, 0.0], 1) == pytest.approx(0.2)
    assert judged([0.5, 0.1], 0) == pytest.approx(0.3)


def test_it_hears_the_shops_about_the_model():
    judge = holdout([lambda params: float(params[0])] * 3, 1)
    assert judge(np.float32([0.25])) == 0.25


@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=8),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=2),
)
def test_two_liars_stay_within_what_the_others_say(honest, lies):
    score = judged([*honest, *lies], 2)
    assert min(honest) - 1e-12 <= score <= max(honest) + 1e-12


def test_a_mean_would_not():
    said = [0.1, 0.12, 0.11, 0.1, 0.12]
    lies = [1.0, 1.0]
    assert float(np.mean([*said, *lies])) > 0.3  # a harmful round would look like a good one
    assert judged([*said, *lies], 2) <= 0.12


@pytest.mark.parametrize("bad", [-1, 2])
def test_too_many_liars_are_refused(bad):
    with pytest.raises(ConfigError, match=r"below half of the 4 shops, got -?\d"):
        judged([0.1] * 4, bad)
