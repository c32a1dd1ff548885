"""Statistics by hand out of tallies without noise, and with it over masked sums and ledgers."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.data.people import Axis, Breakdown, People, counted
from fedguide.errors import ConfigError, QuorumLostError, RefusedError
from fedguide.horizontal.tally import Noised
from fedguide.privacy.ledger import open_ledger
from fedguide.privacy.policy import Policy
from fedguide.privacy.spend import Budget
from fedguide.runtime.statistics import (
    Rules,
    breakdown_of,
    half_width,
    heavy_hitters,
    quantile,
    threshold,
)
from fedguide.runtime.statistics_run import Holder, Poll, asking
from fedguide.seeds import seeded_entropy

RULES = Rules(epsilon=1.0, floor=10)


def table(name: str, ages: list[int]) -> People:
    cities = np.array([("Bonn", "Ulm", "Kiel")[age % 3] for age in ages])
    columns = {"age": np.array([str(age) for age in ages]), "city": cities}
    return People(name, np.arange(len(ages)), len(ages), columns)


WHOLE = table("all", [20] * 30 + [40] * 50 + [60] * 20)


def exact(asked: list[float]):
    """Tallies whose noise is next to nothing, and what they cost."""

    def ask(breakdown: Breakdown, epsilon: float) -> Noised:
        asked.append(epsilon)
        return Noised(counted(WHOLE, breakdown), 1e-3, 3)

    return ask


def test_a_histogram_shows_what_is_above_the_floor():
    asked: list[float] = []
    breakdown = Breakdown(axes=(Axis("age", edges=(30, 50, 70)),))
    cells = breakdown_of(exact(asked), breakdown, Rules(1.0, 25))
    assert [cell.count for cell in cells] == [30, 50, None, None]
    assert [cell.labels for cell in cells][1] == ("[30, 50)",)
    assert asked == [1.0]
    with pytest.raises(RefusedError, match="no figure reaches the floor of 200"):
        breakdown_of(exact(asked), breakdown, Rules(1.0, 200))


@pytest.mark.parametrize(("share", "expected"), [(0.2, 20), (0.5, 40), (0.79, 40), (0.9, 60)])
def test_quantiles_by_search(share, expected):
    asked: list[float] = []
    made = quantile(exact(asked), "age", share, (0, 128), RULES, 12, Breakdown())
    assert made.value == pytest.approx(expected, abs=made.resolution)
    assert made.resolution == 128 / 2**12
    assert asked == [pytest.approx(1 / 12)] * 12
    with pytest.raises(RefusedError, match="fewer people than the floor of 101"):
        quantile(exact(asked), "age", share, (0, 128), Rules(1.0, 101), 12, Breakdown())


def test_heavy_hitters_are_the_declared_values_above_the_threshold():
    cells = heavy_hitters(exact([]), "city", ("Kiel", "Ulm", "Berlin"), RULES, 3, Breakdown())
    assert [(cell.labels[0], cell.count) for cell in cells] == [("Ulm", 50), ("Kiel", 30)]
    with pytest.raises(RefusedError, match="no value has 10 people"):
        heavy_hitters(exact([]), "city", ("Berlin",), RULES, 3, Breakdown())


def test_widths_and_thresholds_hold_for_drawn_noise():
    # Over 40,000 draws of two-sided geometric noise of scale 4, the share beyond the half-width
    # is at most 5 %: 4.9 standard errors of it are .0053.
    rng = np.random.default_rng(5)
    p = 1 - np.exp(-1 / 4)
    draws = rng.geometric(p, 40_000) - rng.geometric(p, 40_000)
    one = Noised(np.zeros(1, np.int64), 4.0, 1)
    assert np.mean(np.abs(draws) > half_width(one)) < 0.05 + 0.0053
    assert np.mean(np.abs(draws) > half_width(one) - 2) > 0.05
    most = draws[:40_000].reshape(400, 100).max(axis=1)
    assert np.mean(most >= threshold(one, 100)) < 0.05 + 4.9 * np.sqrt(0.05 * 0.95 / 400)


@pytest.fixture
def poll(tmp_path):
    ages = {"a": [20] * 200 + [60] * 100, "b": [20] * 90, "c": [40] * 150}
    ledgers = {
        name: open_ledger(
            str(tmp_path / f"{name}.db"),
            name,
            tmp_path / f"{name}.mark",
            clock=lambda: 0.0,
            entropy=seeded_entropy(1),
        )
        for name in ages
    }
    policy = Policy(Budget(epsilon=3.0), least_cohort=3, purposes=("statistics",))
    holders = tuple(Holder(table(n, ages[n]), ledgers[n], policy) for n in ages)
    yield Poll("stats-1", "statistics", holders)
    for ledger in ledgers.values():
        ledger.close()


def test_over_masked_sums_every_holder_is_charged_and_the_figure_is_near(poll):
    assert poll.masked
    ask = asking(poll, lambda: 0.0, seeded_entropy(2))
    cells = breakdown_of(ask, Breakdown(axes=(Axis("age", edges=(30, 50)),)), Rules(2.0, 50))
    for cell, true in zip(cells, (290, 150, 100), strict=True):
        assert cell.count == pytest.approx(true, abs=8 * cell.half_width + 1)
    for holder in poll.holders:
        (charged,) = holder.ledger.counts(holder.people.name).items()
        assert "shares" in charged[0]
        assert charged[1] == 1


def test_a_budget_that_is_spent_refuses_the_next_question(poll):
    ask = asking(poll, lambda: 0.0, seeded_entropy(2))
    breakdown_of(ask, Breakdown(), Rules(2.0, 50))
    with pytest.raises((RefusedError, QuorumLostError)):
        breakdown_of(ask, Breakdown(), Rules(2.0, 50))


def test_a_purpose_that_is_not_allowed_is_refused_before_anything_is_counted(poll):
    ask = asking(replace(poll, purpose="ads"), lambda: 0.0, seeded_entropy(2))
    with pytest.raises(RefusedError, match="purpose 'ads' is not allowed here"):
        ask(Breakdown(), 1.0)


def test_two_holders_are_asked_without_masks(poll):
    two = Poll(
        "t",
        "statistics",
        tuple(
            replace(holder, policy=replace(holder.policy, least_cohort=2))
            for holder in poll.holders[:2]
        ),
    )
    assert not two.masked
    noised = asking(two, lambda: 0.0, seeded_entropy(2))(Breakdown(), 2.0)
    assert noised.counts[0] == pytest.approx(390, abs=40)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Rules(0.0), r"epsilon must be in \(0, 4\]"),
        (lambda: Rules(1.0, 9), "floor must be at least 10, got 9"),
        (lambda: quantile(exact([]), "age", 1.0, (0, 1), RULES, 3, Breakdown()), "in \\(0, 1\\)"),
        (lambda: quantile(exact([]), "age", 0.5, (1, 1), RULES, 3, Breakdown()), "ascend"),
        (lambda: quantile(exact([]), "age", 0.5, (0, 1), RULES, 31, Breakdown()), "steps"),
    ],
)
def test_numbers_out_of_range_are_refused(make, text):
    with pytest.raises(ConfigError, match=text):
        make()
