"""Every shopper a client: alone or together the same; only the adapter moves, and it learns."""

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.models.fit import first_params, layout_of
from fedguide.models.shoppers import shopper_losses
from fedguide.protocol import run
from fedguide.runtime.couriers import in_process
from fedguide.runtime.devices import Devices, devices, parties_of
from fedguide.runtime.simulator import simulated
from fedguide.seeds import seeded_root
from fedguide.values import Vector
from tests.horizontal.linear import clock
from tests.runtime.tiny import GUIDE, shops

SHOP = shops()[0]
WARM = first_params(GUIDE, 0)


@pytest.fixture(scope="module")
def made() -> Devices:
    return devices(SHOP, WARM, GUIDE, rate=0.5, clip=1.0)


def after(made: Devices, rounds: int, together: bool) -> Vector:
    algorithm = fedavg(weighted_mean("uniform"))
    parties = parties_of(made, weighted_mean("uniform"), 3)
    courier = simulated(parties, made.together) if together else in_process(parties, clock)
    state = algorithm.init(made.first)
    for number in range(rounds):
        step = algorithm.next_round(state, list(made.names), seeded_root(2, number))
        state = run(step, courier)
        assert state.report is not None
        assert state.report.loss > 0
    return state.params


def test_together_and_one_by_one_are_the_same(made: Devices) -> None:
    one, other = after(made, 2, together=False), after(made, 2, together=True)
    assert np.abs(one - made.first).max() > 1e-3
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)


def test_every_shopper_with_a_purchase_is_a_client_and_no_step_is_longer_than_allowed(
    made: Devices,
) -> None:
    assert len(made.names) == 30
    assert list(made.names) == sorted(made.names)
    fits = made.together(made.first, made.names, [0] * 30)
    lengths = [float(np.linalg.norm(fitted.params - made.first)) for fitted in fits]
    assert max(lengths) <= 0.5 * 1.0 + 1e-6
    assert min(lengths) > 0
    assert {fitted.examples for fitted in fits} <= {1, 2, 3, 4}


def test_the_tower_stays_and_the_clients_losses_fall(made: Devices) -> None:
    whole = made.whole(after(made, 25, together=True))
    before, now = (layout_of(GUIDE).unflatten(params) for params in (WARM, whole))
    assert {name for name in before if not np.array_equal(before[name], now[name])} == set(
        before
    ) - {"table", "item", "temperature"}
    losses = [
        shopper_losses(SHOP.catalogue, SHOP.train, GUIDE, params)[1].mean()
        for params in (WARM, whole)
    ]
    assert losses[1] < losses[0] - 0.005


@pytest.mark.parametrize("bad", [{"rate": 0.0}, {"clip": float("inf")}])
def test_numbers_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        devices(SHOP, WARM, GUIDE, **{"rate": 1.0, "clip": 1.0, **bad})
