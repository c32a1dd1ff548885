"""Whom a treatment moves: found where it is so, said to be unknown where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import DataError
from fedguide.runtime.trial import Trial, judge_trial
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.local import LocalPartner, PartnerPlan

BANK = PartyId("bank")
PEOPLE = 3000


def trial(moved=0.4, people=PEOPLE):
    """Young people are moved by ``moved``, old ones not at all; what they spend says nothing."""
    rng = np.random.default_rng(0)
    age, spend = rng.normal(size=(2, people))
    treated = rng.random(people) < 0.5
    chance = 0.3 + moved * (treated & (age < 0))
    outcomes = (rng.random(people) < chance).astype(float)
    return Trial({"spend": spend, "age": age}, treated, outcomes), age


def test_whom_it_moves_is_found_and_judged_on_others():
    made, age = trial()
    found = judge_trial(made, {}, {}, seeded_root(1), cost=0.2)
    assert 0.4 < found.judged.mean() < 0.6
    assert found.effect.low < 0.2 < found.effect.high
    assert found.qini.low > 0
    assert found.qini_alone is None
    assert found.scores[age < -0.5].mean() > 0.25 > found.scores[age > 0.5].mean() + 0.1
    addressed = found.addressed
    assert 0.35 < addressed.share < 0.65
    assert addressed.uplift.low < 0.4 < addressed.uplift.high + 0.05
    assert addressed.rest.value < 0.1
    assert len(found.tenths) == 10
    assert found.telling.low < 0.5 < found.telling.high
    again = judge_trial(made, {}, {}, seeded_root(2), cost=0.2)
    assert np.array_equal(again.scores, found.scores)


def test_a_partners_column_finds_what_the_shop_alone_cannot():
    made, age = trial(people=2400)
    shop = replace(made, columns={"spend": made.columns["spend"]})
    there = np.random.default_rng(1).permutation(2400)
    bank = LocalPartner({"age": age[np.argsort(there)]}, seeded_root(3), PartnerPlan(8))
    found = judge_trial(shop, {BANK: bank}, {BANK: there}, seeded_root(1))
    assert found.qini.low > 0
    assert found.qini.value > found.qini_alone.value
    said = [fact.en for fact in found.learned if fact.party == "bank"]
    assert len(said) == 2, "a model of each arm"
    assert all("Not which of its splits" in text for text in said)


def test_where_nobody_is_moved_the_interval_says_so():
    made, _ = trial(moved=0.0)
    found = judge_trial(made, {}, {}, seeded_root(1))
    assert found.qini.low < 0 < found.qini.high
    assert found.effect.low < 0 < found.effect.high


def test_an_amount_is_an_outcome_too():
    made, age = trial()
    amounts = replace(made, outcomes=made.outcomes * 20.0)
    found = judge_trial(amounts, {}, {}, seeded_root(1), cost=4.0)
    assert found.scores[age < 0].mean() > 4
    assert found.effect.low < 4 < found.effect.high


def test_when_nobody_is_worth_it_nobody_is_addressed():
    found = judge_trial(trial()[0], {}, {}, seeded_root(1), cost=2.0)
    assert found.addressed.share == 0
    assert found.addressed.uplift is None


def test_what_is_no_random_trial_is_refused():
    made, age = trial()
    chosen = age + 0.5 * np.random.default_rng(2).normal(size=PEOPLE) > 0
    for wrong, text in (
        (replace(made, treated=chosen), "tell who was treated .* no random trial"),
        (replace(made, treated=np.arange(PEOPLE) < 300), "treated people on one half, at least"),
        (replace(made, treated=np.ones(PEOPLE, np.bool_)), "one is empty"),
        (replace(made, columns={"a": np.ones(PEOPLE)}), "no column of the trial says anything"),
    ):
        with pytest.raises(DataError, match=text):
            judge_trial(wrong, {}, {}, seeded_root(1))
