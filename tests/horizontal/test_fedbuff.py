"""FedBuff: FedAvg with everybody in, no change lost or counted twice, late ones discounted."""

import numpy as np
import pytest

from fedguide.codec import Limits
from fedguide.errors import ConfigError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedbuff import discount, fedbuff
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.names import WIRE
from fedguide.runtime.faulty import Fault, faulty
from fedguide.values import PartyId
from tests.horizontal.linear import Descent, parties_of, random_data
from tests.horizontal.rounds import rounds

MEAN = weighted_mean()
START = np.float32([0.5, -1, 2])
SLOW = PartyId("shop1")


def late_in(*trips):
    faults = [Fault(trip, SLOW, "delay") for trip in trips]
    return lambda courier: faulty(courier, faults, WIRE, Limits(10_000))


def test_with_everybody_in_time_it_is_fedavg_bit_for_bit():
    parties = parties_of(random_data(3), MEAN, Descent(steps=4))
    plain = rounds(fedavg(MEAN), parties, START, 4).states
    buffered = rounds(fedbuff(MEAN, buffer=3), parties, START, 4).states
    assert [s.params.tobytes() for s in buffered] == [s.params.tobytes() for s in plain]


def test_a_round_ends_with_the_first_answers():
    parties = parties_of(random_data(3), MEAN)
    state = rounds(fedbuff(MEAN, buffer=2), parties, START, 1).states[-1]
    assert state.report is not None
    assert len(state.report.parties) == 2
    assert [one.reason for one in state.report.missing] == ["late"]
    assert state.kept.rounds == dict.fromkeys(state.report.parties, 0)


def test_a_change_that_came_too_late_is_handed_in_discounted_and_once():
    parties = parties_of(random_data(3), MEAN, Descent(steps=4))
    # Late in the rounds 0 and 1: its change of round 0 counts in round 2; then it trains anew.
    told = rounds(fedbuff(MEAN, buffer=3), parties, START, 4, late_in(0, 1))
    mine = [(ask, reply) for name, ask, reply in told.answers if name == SLOW]
    made = mine[0][1].vector
    np.testing.assert_allclose(mine[1][1].vector, made * discount(1), rtol=1e-6)
    np.testing.assert_allclose(mine[2][1].vector, made * discount(2), rtol=1e-6)
    assert [ask.counted for ask, _ in mine] == [-1, -1, -1, 2]
    fresh = Descent(steps=4).fit(random_data(3)["shop1"], mine[3][0].params, None, 0)
    np.testing.assert_allclose(mine[3][1].vector, fresh.params - mine[3][0].params, rtol=1e-5)


def test_a_change_from_too_old_a_model_is_made_anew():
    parties = parties_of(random_data(3), MEAN, Descent(steps=4))
    told = rounds(fedbuff(MEAN, buffer=3, most_late=1), parties, START, 3, late_in(0, 1))
    ask, reply = [(a, r) for name, a, r in told.answers if name == SLOW][2]
    fresh = Descent(steps=4).fit(random_data(3)["shop1"], ask.params, None, 0)
    np.testing.assert_allclose(reply.vector, fresh.params - ask.params, rtol=1e-5)


def test_discounts_by_hand():
    assert discount(0) == 1
    assert discount(3) == 0.5


@pytest.mark.parametrize("changes", [{"buffer": 0}, {"most_late": -1}])
def test_numbers_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        fedbuff(MEAN, **changes)
