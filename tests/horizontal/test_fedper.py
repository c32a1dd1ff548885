"""FedPer: the personal part trains, differs, comes back after bytes, and never leaves."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import encode
from fedguide.errors import ConfigError, QuorumLostError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedper import fedper
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.party import answer
from fedguide.horizontal.trainer import Personal
from tests.horizontal.linear import Descent, Rows, parties_of, random_data
from tests.horizontal.rounds import rounds

MEAN = weighted_mean()
DESCENT = Descent(learning_rate=0.2, steps=5)


def shifted():
    """One slope for all, an intercept of each party's own."""
    x = np.float32([[-1], [0], [1], [2]])
    return {"a": Rows(x, 2 * x[:, 0] + 5), "b": Rows(x, 2 * x[:, 0] - 5)}


def test_the_shared_part_finds_the_common_slope_and_each_its_own_intercept():
    told = rounds(fedper(MEAN), parties_of(shifted(), MEAN, DESCENT), np.float32([0]), 60)
    np.testing.assert_allclose(told.states[-1].params, [2], atol=0.01)
    np.testing.assert_allclose(told.kept["a"].kept.after, [5], atol=0.05)
    np.testing.assert_allclose(told.kept["b"].kept.after, [-5], atol=0.05)


def test_the_personal_part_never_leaves():
    told = rounds(fedper(MEAN), parties_of(shifted(), MEAN, DESCENT), np.float32([0]), 3)
    for name, message, reply in told.answers:
        assert len(message.params) == len(reply.vector) == 1
        mine = told.kept[name].kept.after
        assert mine.tobytes() not in encode(reply)
        assert mine.tobytes() not in encode(message)


def test_with_nothing_personal_it_is_fedavg_bit_for_bit():
    parties = parties_of(random_data(3), MEAN, Descent(steps=3))
    nothing = Personal(np.zeros(3, bool), np.zeros(0, np.float32))
    whole = {
        name: replace(one, env=replace(one.env, personal=nothing)) for name, one in parties.items()
    }
    start = np.float32([0.5, -1, 2])
    plain = rounds(fedavg(MEAN), parties, start, 3).states[-1]
    shared = rounds(fedper(MEAN), whole, start, 3).states[-1]
    assert shared.params.tobytes() == plain.params.tobytes()


def test_a_round_asked_again_begins_from_the_same_part_again():
    parties = parties_of(shifted(), MEAN, DESCENT)
    told = rounds(fedper(MEAN), parties, np.float32([0]), 2)
    for name, message, reply in told.answers[2:]:
        state, again = answer(parties[name].env, told.kept[name], message)
        assert encode(again) == encode(reply)
        assert encode(state.kept) == encode(told.kept[name].kept)


def test_a_party_without_a_part_of_its_own_refuses():
    parties = parties_of(shifted(), MEAN)
    for one in parties.values():
        object.__setattr__(one.env, "personal", None)
    with pytest.raises(QuorumLostError, match="refused"):
        rounds(fedper(MEAN), parties, np.float32([0]), 1)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="2 of 3 parameters are personal and 1 first"):
        Personal(np.array([True, True, False]), np.zeros(1, np.float32))
    with pytest.raises(ConfigError, match="some parameters have to be shared"):
        Personal(np.array([True]), np.zeros(1, np.float32))
    with pytest.raises(ConfigError, match="shared part must have 1 parameters, got 2"):
        Personal(np.array([True, False]), np.zeros(1, "f4")).whole(
            np.zeros(2, "f4"), np.zeros(1, "f4")
        )
