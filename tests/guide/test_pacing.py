"""Pacing: an adjustment by hand, and a day of traffic in which the budget lasts until evening."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.guide.pacing import LEAST_RATE, Pace, adjusted, planned_evenly


def test_an_adjustment_by_hand():
    pace = Pace(0.5, 100.0)
    assert adjusted(pace, 159.0, 0, 10) == pace
    assert adjusted(pace, 160.0, 0, 10) == Pace(pytest.approx(0.55), 160.0)
    assert adjusted(pace, 160.0, 10, 10) == Pace(pytest.approx(0.45), 160.0)
    assert adjusted(Pace(1.0), 60.0, 0, 10).rate == 1
    assert adjusted(Pace(LEAST_RATE), 60.0, 10, 0).rate == LEAST_RATE
    with pytest.raises(ConfigError, match="at least 100"):
        adjusted(pace, 99.0, 0, 0)


def test_a_budget_lasts_over_a_day_whose_traffic_could_spend_it_in_an_hour():
    rng = np.random.default_rng(3)
    budget, pace, spent, half_way = 4000, Pace(1.0), 0, 0
    hours = []
    for second in range(0, 86_400, 5):  # an auction every 5 s, a click in ten, 20 fen each
        pace = adjusted(pace, float(second), spent, planned_evenly(budget, second))
        if spent + 20 <= budget and rng.random() < pace.rate and rng.random() < 0.1:
            spent += 20
            hours.append(second // 3600)
        half_way = spent if second < 43_200 else half_way
    # Unpaced, 72 clicks an hour would have spent it all before three in the morning.
    assert spent > 0.9 * budget
    assert 0.4 * budget < half_way < 0.6 * budget
    assert len(set(hours)) >= 22
