"""``fedguide sim --clients``: what it refuses, and what it passes on."""

import pytest

from fedguide.cli.devices import DeviceChoice, device_plan, require_clients
from fedguide.cli.train import sim
from fedguide.errors import ConfigError


def test_options_of_clients_need_clients() -> None:
    with pytest.raises(ConfigError, match="--dropout needs --clients"):
        require_clients(DeviceChoice(None, dropout=0.1))
    with pytest.raises(ConfigError, match="--deadline needs --clients"):
        require_clients(DeviceChoice(None, deadline_s=3))
    require_clients(DeviceChoice(None))
    require_clients(DeviceChoice(10, dropout=0.1))


def test_what_was_said_is_in_the_plan_and_the_rest_is_the_plans_own() -> None:
    plan = device_plan(DeviceChoice(500, cohort=50, dropout=0.25, deadline_s=9), 500, 3, 7)
    assert (plan.clients, plan.cohort, plan.rounds, plan.seed) == (500, 50, 3, 7)
    assert (plan.habits.dropout, plan.habits.available, plan.deadline_s) == (0.25, 1.0, 9)
    with pytest.raises(ConfigError, match="dropout must be in"):
        device_plan(DeviceChoice(500, dropout=1.5), 500, None, 0)


def test_a_rehearsal_takes_no_data_of_ones_own() -> None:
    with pytest.raises(ConfigError, match="without data, shops"):
        sim(clients=10, shops=3)
