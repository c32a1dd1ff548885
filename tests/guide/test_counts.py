"""Counts that leave: charged before the noise, drawn once, under a floor, by the law they state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import ConfigError, RefusedError
from fedguide.guide.counts import NoisyCounts, Office, release_counts, require_allowed
from fedguide.privacy.policy import Policy
from fedguide.privacy.spend import Budget
from fedguide.seeds import seeded_root
from tests.privacy.ledgers import opened

TERMS = {"purpose": "audience", "recipient": "bank", "shoppers": 1000}
ALLOWED = Policy(Budget(epsilon=3.0), purposes=("audience",))


@pytest.fixture
def office(tmp_path):
    with opened(tmp_path / "ledger.db", tmp_path / "ledger.mark") as ledger:
        yield Office(ledger, ALLOWED, "shop1")


def counts(*values):
    return np.array(values, np.int64)


def test_a_release_is_charged_with_what_was_done(office):
    made = release_counts(counts(500, 3), "spring", office, seeded_root(1), **TERMS)
    (entry,) = office.ledger.entries()
    assert made.record == entry.seq == 1
    (spent,) = entry.record["spent"]
    assert spent["times"] == 1
    assert spent["what"]["mechanism"] == {
        "kind": "laplace",
        "scale": 4,
        "sensitivity_l1": 1,
        "units": 1,
    }
    assert (entry.record["purpose"], entry.record["recipient"]) == ("audience", "bank")
    assert made.scale == 4
    assert abs(made.values[0] - 500) < 100


def test_nothing_is_drawn_where_the_charge_fails(office):
    for number in range(3):
        release_counts(counts(500), f"task {number}", office, seeded_root(number), **TERMS)
    with pytest.raises(RefusedError, match="cap"):
        release_counts(counts(500), "task 3", office, seeded_root(3), **TERMS)
    assert len(office.ledger.counts("shop1")) == 1
    with pytest.raises(RefusedError, match="cap"):
        require_allowed("task 4", office, **TERMS)


def test_noise_is_drawn_once_for_a_task(office):
    release_counts(counts(500), "spring", office, seeded_root(1), **TERMS)
    with pytest.raises(RefusedError, match="released before"):
        release_counts(counts(500), "spring", office, seeded_root(2), **TERMS)


def test_a_purpose_that_is_not_allowed_is_refused_and_recorded(office):
    strict = replace(office, policy=Policy(Budget(epsilon=3.0)))
    with pytest.raises(RefusedError, match="purpose 'audience'"):
        release_counts(counts(500), "spring", strict, seeded_root(1), **TERMS)
    (entry,) = office.ledger.entries()
    assert entry.record["kind"] == "refusal"


def test_the_noise_has_the_scale_that_was_charged(office):
    """20,000 cells at scale 4: E|k| = 2q/(1-q²) = 3.959; its mean is normal within 5.2 errors."""
    made = release_counts(np.full(20_000, 500), "spring", office, seeded_root(9), **TERMS)
    noise = np.abs(np.array(made.values) - 500)
    ratio = np.exp(-1 / 4)
    mean = 2 * ratio / (1 - ratio**2)
    spread = np.sqrt(2 * ratio / (1 - ratio) ** 2 - mean**2)
    assert abs(noise.mean() - mean) < 5.2 * spread / np.sqrt(20_000)
    # Nine tenths of the noise would be found out.
    assert abs(0.9 * noise.mean() - mean) > 5.2 * spread / np.sqrt(20_000)
    inside = (noise <= made.half_width()).mean()
    assert 0.95 <= inside < 0.98


def test_twice_the_cells_cost_twice_the_noise(office):
    made = release_counts(counts(500), "spring", office, seeded_root(1), **TERMS, most_cells=2)
    assert made.scale == 8


def test_the_floor_is_on_what_is_shown():
    made = NoisyCounts((70, 20, -4, 45), 50, 0.25, 4.0, 1)
    assert made.shown == (70, None, None, None)
    assert made.total(slice(1, None)) == 61
    with pytest.raises(RefusedError, match="floor of 50"):
        made.total(slice(1, 3))
    assert made.half_width(4) == pytest.approx(1.96 * np.sqrt(4 * 31.83), rel=0.01)


def test_bad_input(office):
    with pytest.raises(ConfigError, match="int64"):
        release_counts(np.array([1.5]), "spring", office, seeded_root(1), **TERMS)
    with pytest.raises(ConfigError, match="from 0"):
        release_counts(counts(-1), "spring", office, seeded_root(1), **TERMS)
    with pytest.raises(ConfigError, match="floor"):
        replace(office, floor=2)
    with pytest.raises(ConfigError, match="epsilon"):
        replace(office, epsilon=2.0)
