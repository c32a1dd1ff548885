"""FedAvg by hand, and its laws: FedSGD, local training, plain averaging, kept moments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import QuorumLostError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.server import momentum_sgd
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root
from fedguide.values import PartyId, Vector
from tests.horizontal.linear import Descent, Rows, clock, parties_of, party, random_data

MEAN = weighted_mean()


def rounds(
    algorithm: Algorithm[ServerState], parties: dict[PartyId, Party], start: Vector, count: int
) -> list[ServerState]:
    courier = in_process(parties, clock)
    states = [algorithm.init(start)]
    for _ in range(count):
        states.append(run(algorithm.next_round(states[-1], list(parties), seeded_root(0)), courier))
    return states


def test_two_rounds_with_server_momentum_by_hand() -> None:
    # One row x=1 each, y = 3 (n=1) and y = 0 (n=2, twice): a step of rate .5 from w moves
    # a by .5·(3 − w) and b by −.5·w, so the mean change is (.5·3 − 1.5·w) / 3 = .5 − .5·w.
    data = {
        "a": Rows(np.float32([[1]]), np.float32([3])),
        "b": Rows(np.float32([[1], [1]]), np.float32([0, 0])),
    }
    parties = parties_of(data, MEAN, Descent(learning_rate=0.5))
    algorithm = fedavg(MEAN, server=momentum_sgd(learning_rate=0.5, momentum=0.5))
    first, second = rounds(algorithm, parties, np.float32([4]), 2)[1:]
    # w=4: change .5 − 2 = −1.5, v = −1.5, w = 4 − .75 = 3.25
    np.testing.assert_allclose(first.memory, [-1.5])
    np.testing.assert_allclose(first.params, [3.25])
    # w=3.25: change .5 − 1.625 = −1.125, v = −.75 − 1.125 = −1.875, w = 3.25 − .9375
    np.testing.assert_allclose(second.memory, [-1.875])
    np.testing.assert_allclose(second.params, [2.3125])


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.1, 0.3]))
def test_one_full_batch_step_is_fedsgd(seed: int, rate: float) -> None:
    parties = parties_of(random_data(seed), MEAN, Descent(learning_rate=rate))
    start = np.random.default_rng(seed).normal(size=3).astype(np.float32)
    averaged = rounds(fedavg(MEAN), parties, start, 4)[-1]
    stepped = rounds(fedsgd(MEAN, rate), parties, start, 4)[-1]
    np.testing.assert_allclose(averaged.params, stepped.params, rtol=1e-5, atol=1e-6)


def test_without_momentum_it_is_plain_averaging_bit_for_bit() -> None:
    data = random_data(3)
    descent = Descent(steps=4)
    parties = parties_of(data, MEAN, descent)
    start = np.float32([0.5, -1, 2])
    state = rounds(fedavg(MEAN, server=momentum_sgd(1.0, 0.0)), parties, start, 3)[-1]
    params, total = start, sum(len(rows.y) for rows in data.values())
    for _ in range(3):
        mean = np.zeros(3)
        for rows in data.values():
            delta = descent.fit(rows, params, None, 0).params - params
            mean += delta.astype(np.float64) * (len(rows.y) / total)
        params = params + mean.astype(np.float32)
    assert state.params.tobytes() == params.tobytes()
    assert state.memory.shape == (0,)


def test_one_party_alone_is_local_training() -> None:
    data = {"only": random_data(5)["shop2"]}
    state = rounds(fedavg(MEAN), parties_of(data, MEAN, Descent(steps=7)), np.ones(3, "f4"), 3)[-1]
    local = Descent(steps=21).fit(data["only"], np.ones(3, np.float32), None, 0)
    np.testing.assert_allclose(state.params, local.params, rtol=1e-5)


def test_kept_moments_go_on_and_fresh_ones_begin_again() -> None:
    data = {"only": random_data(6)["shop0"]}
    descent = Descent(learning_rate=0.05, momentum=0.9, steps=3)
    start = np.ones(3, np.float32)
    kept = rounds(fedavg(MEAN, keep_moments=True), parties_of(data, MEAN, descent), start, 4)[-1]
    fresh = rounds(fedavg(MEAN), parties_of(data, MEAN, descent), start, 4)[-1]
    whole = Descent(learning_rate=0.05, momentum=0.9, steps=12).fit(data["only"], start, None, 0)
    again = start
    for _ in range(4):
        again = descent.fit(data["only"], again, None, 0).params
    np.testing.assert_allclose(kept.params, whole.params, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fresh.params, again, rtol=1e-4, atol=1e-5)
    assert np.abs(kept.params - fresh.params).max() > 0.05


def test_a_refusing_party_drops_out_and_the_weights_are_made_anew() -> None:
    data = random_data(7)
    parties = parties_of(data, MEAN)
    parties[PartyId("shop1")] = party("shop1", data["shop1"], MEAN, Descent(), least_examples=100)
    rest = {name: rows for name, rows in data.items() if name != "shop1"}
    start = np.zeros(3, np.float32)
    with_refusal = rounds(fedavg(MEAN, waiting=Waiting(quorum=2)), parties, start, 1)[-1]
    without = rounds(fedavg(MEAN), parties_of(rest, MEAN), start, 1)[-1]
    assert with_refusal.params.tobytes() == without.params.tobytes()
    assert with_refusal.report is not None
    assert [(m.party, m.reason) for m in with_refusal.report.missing] == [("shop1", "refused")]
    with pytest.raises(QuorumLostError, match=r"2 of 3 .* quorum is 3; missing: shop1 \(refused\)"):
        rounds(fedavg(MEAN, waiting=Waiting(quorum=3)), parties, start, 1)


def test_without_a_quorum_more_than_half_must_answer() -> None:
    data = random_data(8, sizes=(2, 2, 2, 2))
    parties = parties_of(data, MEAN)
    for name in ("shop0", "shop1"):
        parties[PartyId(name)] = party(name, data[name], MEAN, Descent(), least_examples=9)
    with pytest.raises(QuorumLostError, match="2 of 4 parties answered, quorum is 3"):
        rounds(fedavg(MEAN), parties, np.zeros(3, np.float32), 1)
