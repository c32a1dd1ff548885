"""SCAFFOLD: its invariant through lost answers, SGD alone, the paper's option II, less drift."""

import numpy as np
import pytest

from fedguide.codec import Limits
from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.scaffold import Controls, scaffold
from fedguide.runtime.faulty import Fault, faulty
from fedguide.values import PartyId
from tests.horizontal.linear import Descent, Rows, gradient_of, parties_of, pooled, random_data
from tests.horizontal.rounds import rounds

MEAN = weighted_mean("uniform")
START = np.float32([0.5, -1, 2])


def test_the_coordinators_control_is_the_mean_of_the_parties_though_answers_are_lost():
    parties = parties_of(random_data(4), MEAN, Descent(steps=3))
    late = [
        Fault(trip, PartyId(f"shop{party}"), kind)
        for trip, party, kind in [(0, 1, "delay"), (1, 1, "delay"), (2, 0, "drop"), (3, 2, "delay")]
    ]
    told = rounds(
        scaffold(MEAN, waiting=Waiting(quorum=1)),
        parties,
        START,
        6,
        lambda courier: faulty(courier, late, WIRE, Limits(10_000)),
    )
    last = told.states[-1]
    controls = [told.kept[name].kept.known(last.kept.of(name)) for name in parties]
    np.testing.assert_allclose(last.memory, np.mean(controls, axis=0), rtol=1e-5, atol=1e-6)
    # shop2 was late in round 3: had it taken that over as well, the mean would be another.
    unheard = [reply for name, ask, reply in told.answers if (name, ask.round) == ("shop2", 3)]
    assert np.abs(unheard[0].vector[3:]).max() > 1e-3


def test_an_answer_that_was_not_counted_leaves_the_control_as_it_was():
    kept = Controls(np.float32([1]), np.float32([2]), answered=5)
    assert kept.known(5) == [2]
    assert kept.known(4) == kept.known(-1) == [1]


def test_one_party_alone_is_sgd():
    data = {"only": random_data(5)["shop2"]}
    told = rounds(scaffold(MEAN), parties_of(data, MEAN, Descent(steps=7)), START, 3)
    local = Descent(steps=21).fit(data["only"], START, None, 0)
    np.testing.assert_allclose(told.states[-1].params, local.params, rtol=1e-5)


def test_the_mean_gradient_is_option_two_of_the_paper():
    # c_k⁺ = c_k − c + (θ − y_k) / (K η): for one party from c = c_k it is (θ − y) / (K η).
    data = {"a": random_data(5)["shop2"], "b": random_data(6)["shop0"]}
    descent = Descent(learning_rate=0.1, steps=4)
    told = rounds(scaffold(MEAN), parties_of(data, MEAN, descent), START, 2)
    first, second = told.states[1], told.states[2]
    for (name, message, reply), before in zip(told.answers[2:], told.answers[:2], strict=True):
        own = before[2].vector[3:]  # c_k after the first round, which began at 0
        change, control = np.split(reply.vector, 2)
        option = own - message.control - change / (4 * 0.1)
        np.testing.assert_allclose(control, option - own, rtol=1e-3, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(second.memory, first.memory + np.mean(
        [reply.vector[3:] for *_, reply in told.answers[2:]], axis=0), rtol=1e-5)  # fmt: skip


def test_it_reaches_the_optimum_where_fedavg_stops_beside_it():
    # Two parties with different curvature: many local steps pull FedAvg off the joint optimum.
    data = {
        "a": Rows(np.float32([[1]] * 4), np.float32([2] * 4)),
        "b": Rows(np.float32([[3]] * 4), np.float32([-3] * 4)),
    }
    descent = Descent(learning_rate=0.05, steps=10)
    rows = pooled(data)
    best = float(np.linalg.lstsq(rows.x, rows.y, rcond=None)[0][0])
    ends = {
        build.__name__: float(
            rounds(build(MEAN), parties_of(data, MEAN, descent), np.float32([0]), 60)
            .states[-1]
            .params[0]
        )
        for build in (fedavg, scaffold)
    }
    assert abs(ends["scaffold"] - best) < 1e-3
    assert abs(ends["fedavg"] - best) > 0.1
    assert abs(gradient_of(rows, np.float32([ends["scaffold"]])).gradient[0]) < 0.01


def test_a_round_that_asks_some_moves_the_control_by_their_share():
    parties = parties_of(random_data(4), MEAN, Descent(steps=2))
    told = rounds(scaffold(MEAN, parties=3), parties, START, 1, cohort=[PartyId("shop0")])
    change = told.answers[0][2].vector[3:]
    np.testing.assert_allclose(told.states[-1].memory, change / 3, rtol=1e-6)


@pytest.mark.parametrize("changes", [{"learning_rate": 0.0}, {"parties": 0}])
def test_numbers_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        scaffold(MEAN, **changes)
