"""q-FedAvg: FedAvg at q = 0, one round by hand, and fairer losses the larger q is."""

import numpy as np
import pytest

from fedguide.errors import ConfigError, QuorumLostError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.qfedavg import qfedavg
from tests.horizontal.linear import Descent, Rows, loss_of, parties_of, random_data
from tests.horizontal.rounds import rounds

UNIFORM = weighted_mean("uniform")
START = np.float32([0.5, -1, 2])


@pytest.mark.parametrize("weighting", ["uniform", "num_examples"])
def test_at_zero_it_is_fedavg(weighting):
    mean = weighted_mean(weighting)
    parties = parties_of(random_data(3), mean, Descent(steps=5))
    plain = rounds(fedavg(mean), parties, START, 3).states[-1]
    fair = rounds(qfedavg(mean, 0.0, 0.1), parties, START, 3).states[-1]
    np.testing.assert_allclose(fair.params, plain.params, rtol=1e-6)


def test_one_round_by_hand():
    # From w = 0 with one step of rate .5: F_a = 4/2 = 2, δ_a = .5 · 2 = 1;
    # F_b = 16/2 = 8, δ_b = .5 · (−4) = −2. q = 1, L = 2:
    # v = (2 · 1, 8 · −2) = (2, −16); h = (2 + 2 · 1, 8 + 2 · 4) = (4, 16); w = −14 / 20.
    data = {
        "a": Rows(np.float32([[1]]), np.float32([2])),
        "b": Rows(np.float32([[1]]), np.float32([-4])),
    }
    parties = parties_of(data, UNIFORM, Descent(learning_rate=0.5))
    state = rounds(qfedavg(UNIFORM, 1.0, 0.5), parties, np.float32([0]), 1).states[-1]
    np.testing.assert_allclose(state.params, [-0.7], rtol=1e-5)


def test_the_larger_q_the_nearer_the_losses():
    data = {
        "many": Rows(np.float32([[1]] * 9), np.float32([1] * 9)),
        "few": Rows(np.float32([[1]]), np.float32([-1])),
    }
    mean = weighted_mean()
    parties = parties_of(data, mean, Descent(learning_rate=0.1, steps=3))

    def gap(q):
        params = rounds(qfedavg(mean, q, 0.1), parties, np.float32([0]), 150).states[-1].params
        return abs(loss_of(data["few"], params) - loss_of(data["many"], params))

    gaps = [gap(q) for q in (0.0, 1.0, 5.0)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.6 * gaps[0]


def test_a_party_that_tells_no_loss_refuses():
    parties = parties_of(random_data(3), UNIFORM)
    for one in parties.values():
        object.__setattr__(one.env, "gradient", None)
    with pytest.raises(QuorumLostError, match="refused"):
        rounds(qfedavg(UNIFORM, 1.0, 0.1), parties, START, 1)


@pytest.mark.parametrize("arguments", [(-1.0, 0.1), (float("nan"), 0.1), (1.0, 0.0)])
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match="must be finite"):
        qfedavg(UNIFORM, *arguments)
