"""Every registered algorithm learns; the contract suite runs them over every courier."""

import numpy as np
import pytest

from fedguide.codec import Limits, decode, encode
from fedguide.horizontal.algorithm import ServerState
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.names import ALGORITHMS, WIRE
from fedguide.protocol import run
from fedguide.runtime.couriers import in_process
from fedguide.seeds import seeded_root
from tests.horizontal.linear import Descent, clock, loss_of, parties_of, pooled, random_data


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_learns_and_its_state_survives_bytes(name: str) -> None:
    data, aggregator = random_data(1, sizes=(30, 10, 20)), weighted_mean()
    algorithm = ALGORITHMS[name](aggregator)
    parties = parties_of(data, aggregator, Descent(learning_rate=0.05, momentum=0.5, steps=3))
    courier = in_process(parties, clock)
    state = algorithm.init(np.zeros(3, np.float32))
    for _ in range(60):
        state = run(algorithm.next_round(state, list(parties), seeded_root(0)), courier)
        again: ServerState = decode(encode(state), (*WIRE, ServerState), Limits(1 << 16))
        assert encode(again) == encode(state)
        state = again
    rows = pooled(data)
    best = np.linalg.lstsq(rows.x, rows.y, rcond=None)[0]
    assert loss_of(rows, state.params) < 1.05 * loss_of(rows, best) + 1e-4
