"""FedAdagrad, FedAdam and FedYogi: first steps by hand, and what they become in the limit."""

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.fedopt import adaptive
from fedguide.horizontal.server import momentum_sgd

DELTA = np.float32([0.3, -0.4])


def test_the_first_step_of_each_by_hand():
    # τ = .1, v_{−1} = .01, Δ² = (.09, .16), m = .5 Δ, η = 2.
    #   adagrad: v = (.10, .17)
    #   adam, β2 = .9: v = .9 · .01 + .1 · Δ² = (.018, .025)
    #   yogi, β2 = .9: v = .01 + .1 · Δ² = (.019, .026), since Δ² is above v
    for kind, v in (
        ("adagrad", [0.10, 0.17]),
        ("adam", [0.018, 0.025]),
        ("yogi", [0.019, 0.026]),
    ):
        optimizer = adaptive(kind, 2.0, 0.5, 0.9, 0.1)
        memory = optimizer.init(np.zeros(2, np.float32))
        params, memory = optimizer.update(DELTA, memory, np.zeros(2, np.float32))
        np.testing.assert_allclose(memory, [0.15, -0.2, *v], rtol=1e-6)
        np.testing.assert_allclose(params, DELTA / (np.sqrt(v) + 0.1), rtol=1e-6)
        assert params.dtype == memory.dtype == np.float32


def test_yogi_falls_by_no_more_than_the_change_where_adam_forgets():
    zero = np.zeros(2, np.float32)
    for kind, left in (("yogi", 1.0), ("adam", 0.5)):
        optimizer = adaptive(kind, 1.0, 0.0, 0.5, 1.0)
        _, memory = optimizer.update(zero, optimizer.init(zero), zero)
        np.testing.assert_allclose(memory[2:], [left, left])


def test_with_second_zero_and_no_momentum_adam_takes_steps_of_its_rate():
    optimizer = adaptive("adam", 0.5, 0.0, 0.0, 1e-9)
    zero = np.zeros(2, np.float32)
    params, _ = optimizer.update(DELTA, optimizer.init(zero), zero)
    np.testing.assert_allclose(params, [0.5, -0.5], rtol=1e-6)


def test_with_a_large_tau_all_three_are_averaging():
    zero = np.zeros(2, np.float32)
    expected, _ = momentum_sgd(1.0).update(DELTA, np.zeros(0, np.float32), zero)
    for kind in ("adagrad", "adam", "yogi"):
        optimizer = adaptive(kind, 2e3, 0.0, 1 - 1e-9, 1e3)  # √v + τ is 2 τ in the first round
        params, _ = optimizer.update(DELTA, optimizer.init(zero), zero)
        np.testing.assert_allclose(params, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"first": 1.0}, r"first must be in \[0, 1\), got 1.0"),
        ({"second": -0.1}, r"second must be in \[0, 1\), got -0.1"),
        ({"tau": 0.0}, "tau must be finite and above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be finite and above 0, got nan"),
        ({"kind": "sgd"}, "kind must be one of adagrad, adam, yogi, got 'sgd'"),
    ],
)
def test_numbers_out_of_range_are_refused(changes, text):
    with pytest.raises(ConfigError, match=text):
        adaptive(**{"kind": "adam", "learning_rate": 0.1, **changes})
