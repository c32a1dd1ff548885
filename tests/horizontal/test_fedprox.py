"""FedProx: FedAvg without its pull, by hand with it, and nothing moves under a strong one."""

import numpy as np
import pytest

from fedguide.errors import ConfigError, QuorumLostError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedprox import fedprox, held_back
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.messages import Prox
from fedguide.horizontal.server import momentum_sgd
from fedguide.horizontal.trainer import Trainer
from tests.horizontal.linear import Descent, Rows, parties_of, random_data
from tests.horizontal.rounds import rounds

MEAN = weighted_mean()
START = np.float32([0.5, -1, 2])


def test_without_a_pull_it_is_fedavg_bit_for_bit():
    parties = parties_of(random_data(3), MEAN, Descent(steps=4, momentum=0.5))
    server = momentum_sgd(0.5, 0.9)
    plain = rounds(fedavg(MEAN, server=server, keep_moments=True), parties, START, 4)
    prox = rounds(fedprox(MEAN, 0.0, server=server, keep_moments=True), parties, START, 4)
    assert [s.params.tobytes() for s in prox.states] == [s.params.tobytes() for s in plain.states]


def test_a_pull_of_nothing_changes_no_bit_of_a_fit():
    rows, descent = random_data(3)["shop1"], Descent(steps=4, momentum=0.5)
    plain = descent.fit(rows, START, None, 7)
    trainer = Trainer(None, lambda p, m, s, how: descent.fit(rows, p, m, s, how), *[None] * 4, 7)
    done = held_back(trainer, Prox(0, START, 0.0))
    assert done.vector.tobytes() == (plain.params - START).tobytes()


def test_two_steps_by_hand():
    # One row x = 1, y = 3; rate .5, μ = 1, from w = 1:
    # w1 = 1 − .5 (1 − 3 + 0) = 2; w2 = 2 − .5 (2 − 3 + (2 − 1)) = 2.
    data = {"a": Rows(np.float32([[1]]), np.float32([3]))}
    parties = parties_of(data, MEAN, Descent(learning_rate=0.5, steps=2))
    np.testing.assert_allclose(
        rounds(fedprox(MEAN, 1.0), parties, np.float32([1]), 1).states[-1].params, [2.0]
    )


def test_the_stronger_the_pull_the_shorter_the_way():
    parties = parties_of(random_data(3), MEAN, Descent(learning_rate=0.02, steps=20))
    ways = [
        float(
            np.linalg.norm(rounds(fedprox(MEAN, mu), parties, START, 1).states[-1].params - START)
        )
        for mu in (0.0, 0.5, 5.0, 40.0)
    ]
    assert ways == sorted(ways, reverse=True)
    assert ways[-1] < 0.2 * ways[0]


def test_a_party_that_cannot_be_steered_refuses():
    parties = parties_of(random_data(3), MEAN)
    for party in parties.values():
        object.__setattr__(party.env, "steered", None)
    with pytest.raises(QuorumLostError, match="refused"):
        rounds(fedprox(MEAN, 1.0), parties, START, 1)


@pytest.mark.parametrize("pull", [-0.1, float("nan"), float("inf")])
def test_a_pull_out_of_range_is_refused(pull):
    with pytest.raises(ConfigError, match="pull must be finite and at least 0"):
        fedprox(MEAN, pull)
