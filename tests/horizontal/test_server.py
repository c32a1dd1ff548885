"""Server optimisers; their use in rounds is tested with FedAvg."""

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.server import momentum_sgd


def test_momentum_by_hand() -> None:
    optimizer = momentum_sgd(learning_rate=2.0, momentum=0.5)
    params, memory = np.float32([1, 1]), optimizer.init(np.float32([1, 1]))
    params, memory = optimizer.update(np.float32([1, -1]), memory, params)
    np.testing.assert_array_equal(params, [3, -1])
    params, memory = optimizer.update(np.float32([0, 1]), memory, params)
    np.testing.assert_array_equal(memory, [0.5, 0.5])
    np.testing.assert_array_equal(params, [4, 0])
    assert params.dtype == memory.dtype == np.float32


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_out_of_range_is_refused(momentum: float) -> None:
    with pytest.raises(ConfigError, match=r"momentum must be in \[0, 1\)"):
        momentum_sgd(1.0, momentum)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        momentum_sgd(rate)
