"""FedSGD against numbers worked out by hand and against gradient descent on the pooled data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.mean import Weighting, weighted_mean
from fedguide.protocol import run
from fedguide.runtime.couriers import in_process
from fedguide.seeds import seeded_root
from tests.horizontal.linear import (
    Rows,
    clock,
    gradient_of,
    parties_of,
    pooled,
    random_data,
)

# F_k(w) = mean (x·w − y)² / 2 at w = 1:
#   a: x=1 y=2, x=2 y=2            g = (1·(1−2) + 2·(2−2)) / 2 = −1/2   F = (1/2 + 0) / 2 = 1/4
#   b: x=3 y=0                     g = 3·3 = 9                          F = 9/2
#   c: x=1 y=1, x=1 y=2, x=1 y=3   g = (0 − 1 − 2) / 3 = −1             F = (0 + 1/2 + 2) / 3 = 5/6
BY_HAND = {
    "a": Rows(np.float32([[1], [2]]), np.float32([2, 2])),
    "b": Rows(np.float32([[3]]), np.float32([0])),
    "c": Rows(np.float32([[1], [1], [1]]), np.float32([1, 2, 3])),
}


@pytest.mark.parametrize(
    ("weighting", "params", "loss"),
    [
        # p = 2/6, 1/6, 3/6: Σ p g = (−1 + 9 − 3) / 6 = 5/6;  w = 1 − .6 · 5/6 = .5
        ("num_examples", 0.5, (2 / 4 + 9 / 2 + 3 * 5 / 6) / 6),
        # p = 1/3 each: Σ p g = (−1/2 + 9 − 1) / 3 = 5/2;  w = 1 − .6 · 5/2 = −.5
        ("uniform", -0.5, (1 / 4 + 9 / 2 + 5 / 6) / 3),
    ],
)
def test_one_round_by_hand(weighting: Weighting, params: float, loss: float) -> None:
    aggregator = weighted_mean(weighting)
    algorithm = fedsgd(aggregator, learning_rate=0.6, figures=("loss",))
    parties = parties_of(BY_HAND, aggregator)
    state = algorithm.init(np.float32([1]))
    state = run(
        algorithm.next_round(state, list(parties), seeded_root(0)), in_process(parties, clock)
    )
    assert state.round == 1
    np.testing.assert_allclose(state.params, [params], rtol=1e-6)
    assert state.report is not None
    assert state.report.loss == pytest.approx(loss, rel=1e-6)
    assert state.report.figures == pytest.approx({"loss": loss}, rel=1e-6)
    assert state.report.examples == 6
    assert state.report.parties == ("a", "b", "c")


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_it_is_gradient_descent_on_the_pooled_data(seed: int, sizes: list[int]) -> None:
    data = random_data(seed, tuple(sizes))
    aggregator = weighted_mean()
    algorithm = fedsgd(aggregator, learning_rate=0.05)
    parties = parties_of(data, aggregator)
    courier = in_process(parties, clock)
    state = algorithm.init(np.zeros(3, np.float32))
    params = np.zeros(3, np.float32)
    for _ in range(5):
        state = run(algorithm.next_round(state, list(parties), seeded_root(0)), courier)
        params = params - 0.05 * gradient_of(pooled(data), params).gradient
    np.testing.assert_allclose(state.params, params, rtol=1e-4, atol=1e-5)
    assert state.params.dtype == np.float32


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_learning_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate .*above 0"):
        fedsgd(weighted_mean(), rate)
