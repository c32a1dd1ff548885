"""The paced courier by hand: who waits for whom, what comes too late, what is not heard."""

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedbuff import discount, fedbuff
from fedguide.horizontal.mean import weighted_mean
from fedguide.protocol import run
from fedguide.runtime.paced import Pace, paced
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from tests.horizontal.linear import Descent, parties_of, random_data
from tests.horizontal.rounds import Told, watched

MEAN = weighted_mean()
NAMES = tuple(map(PartyId, ("shop0", "shop1", "shop2")))
START = np.zeros(3, np.float32)


def world(paces, steps=2):
    """Parties that take two steps a fit, watched, and how many they have taken."""
    told = Told([], {}, [])
    made = parties_of(random_data(3), MEAN, Descent(steps=steps))
    taken = dict.fromkeys(NAMES, 0)
    for name in NAMES:
        fit = made[name].env.fit

        def counting(params, moments, seed, fit=fit, name=name):
            taken[name] += steps
            return fit(params, moments, seed)

        object.__setattr__(made[name].env, "fit", counting)
    courier, clock = paced(
        watched(made, told),
        dict(zip(NAMES, paces, strict=True)),
        taken.__getitem__,
        np.random.default_rng(0),
    )
    return courier, clock, told, taken


def test_who_waits_for_everybody_takes_as_long_as_the_slowest():
    courier, clock, *_ = world([Pace(1.0), Pace(5.0), Pace(2.0)])
    algorithm = fedavg(MEAN)
    state = algorithm.init(START)
    for number in (1, 2):
        state = run(algorithm.next_round(state, NAMES, seeded_root(0)), courier)
        assert clock() == pytest.approx(number * (0.1 + 2 * 5.0))


def test_who_takes_the_first_two_goes_on_and_the_slow_ones_change_comes_later():
    courier, clock, told, taken = world([Pace(1.0), Pace(3.0), Pace(1.0)])
    algorithm = fedbuff(MEAN, buffer=2, waiting=Waiting(2))
    states = [algorithm.init(START)]
    for _ in range(4):
        states.append(run(algorithm.next_round(states[-1], NAMES, seeded_root(0)), courier))
    # Rounds of the quick two end at 2.1, 4.2; shop1 is through at 6.1 with its change of round 0
    # and hears of round 2 (from 4.2) then: it hands in that change by 6.2, before the others (6.3).
    assert [sorted(state.report.parties) for state in states[1:3]] == [["shop0", "shop2"]] * 2
    assert "shop1" in states[3].report.parties
    mine = [(ask.round, reply) for name, ask, reply in told.answers if name == "shop1"]
    assert [number for number, _ in mine][:2] == [0, 2]
    np.testing.assert_allclose(mine[1][1].vector, mine[0][1].vector * discount(2), rtol=1e-6)
    assert clock() < 4 * 6.1
    assert taken[NAMES[0]] > taken[NAMES[1]] > 0


def test_a_deadline_ends_the_wait_and_dropped_out_parties_are_known():
    courier, clock, *_ = world([Pace(1.0), Pace(50.0), Pace(1.0, drops=0.999)])
    algorithm = fedavg(MEAN, waiting=Waiting(1, 10.0))
    state = run(algorithm.next_round(algorithm.init(START), NAMES, seeded_root(0)), courier)
    reasons = {one.party: one.reason for one in state.report.missing}
    assert reasons == {"shop1": "late", "shop2": "lost"}
    assert clock() == pytest.approx(10.0)


@pytest.mark.parametrize("numbers", [(0.0,), (1.0, 0.0), (1.0, 0.1, 1.0)])
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(ConfigError):
        Pace(*numbers)
