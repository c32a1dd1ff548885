"""Ditto: its shared model is FedAvg's, its own models go from training alone to the shared one."""

import numpy as np
import pytest

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError
from fedguide.horizontal.ditto import ditto
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.party import answer
from tests.horizontal.linear import Descent, parties_of, random_data
from tests.horizontal.rounds import rounds

MEAN = weighted_mean()
START = np.float32([0.5, -1, 2])
DESCENT = Descent(learning_rate=0.05, steps=4)


def test_the_shared_model_is_fedavgs_bit_for_bit():
    parties = parties_of(random_data(3), MEAN, DESCENT)
    plain = rounds(fedavg(MEAN), parties, START, 3).states[-1]
    shared = rounds(ditto(MEAN, 0.7), parties, START, 3).states[-1]
    assert shared.params.tobytes() == plain.params.tobytes()


def test_without_a_pull_each_own_model_is_training_alone():
    data = random_data(3)
    told = rounds(ditto(MEAN, 0.0), parties_of(data, MEAN, DESCENT), START, 3)
    for name, rows in data.items():
        alone = Descent(learning_rate=0.05, steps=12).fit(rows, START, None, 0).params
        np.testing.assert_allclose(told.kept[name].kept.params, alone, rtol=1e-5)


def test_the_stronger_the_pull_the_nearer_to_the_shared_model():
    data, gaps = random_data(3), []
    for pull in (0.0, 1.0, 10.0):
        told = rounds(ditto(MEAN, pull), parties_of(data, MEAN, DESCENT), START, 12)
        shared = told.states[-2].params  # what the own models were last pulled to
        gaps.append(max(np.abs(kept.kept.params - shared).max() for kept in told.kept.values()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.3 * gaps[0]


def test_no_answer_holds_an_own_model_and_a_round_asked_again_trains_it_once():
    parties = parties_of(random_data(3), MEAN, DESCENT)
    told = rounds(ditto(MEAN, 0.5), parties, START, 2)
    for name, message, reply in told.answers[3:]:
        own = told.kept[name].kept
        assert len(reply.vector) == 3
        assert not np.allclose(reply.vector, own.params - message.params, atol=1e-4)
        party = parties[name]
        again, _ = answer(party.env, told.kept[name], message)
        assert encode(again.kept) == encode(own)


def test_what_a_party_keeps_survives_bytes():
    told = rounds(ditto(MEAN, 0.5), parties_of(random_data(3), MEAN, DESCENT), START, 1)
    for state in told.kept.values():
        assert encode(decode(encode(state), WIRE, Limits(10_000))) == encode(state)


@pytest.mark.parametrize("pull", [-1.0, float("inf")])
def test_a_pull_out_of_range_is_refused(pull):
    with pytest.raises(ConfigError, match="pull must be finite"):
        ditto(MEAN, pull)
