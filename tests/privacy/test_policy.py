"""A party's policy: refuses before anything is trained, names the limit, and writes it down."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.chain import CHARGE, REFUSAL
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.mechanisms import Gaussian, Unnoised
from fedguide.privacy.policy import Policy, TaskTerms, charge_of, judge, rounds_left
from fedguide.privacy.spend import Budget, accounted, counts_of
from tests.privacy.ledgers import SIX, fill, opened

POLICY = Policy(budget=SIX, least_cohort=3, most_clip=1.0, purposes=("recommend", "ads"))


def terms(**fields: object) -> TaskTerms:
    good = {
        "task": "spring",
        "purpose": "recommend",
        "cohort": 3,
        "shoppers": 1000,
        "events": (Event("spring", Gaussian(2.0, 1.0)),),
        "clip": 1.0,
        "rounds": 6,
    }
    return TaskTerms(**(good | fields))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db", tmp_path / "mark") as made:
        yield made


def test_what_is_allowed_costs_nothing_yet(ledger: Ledger) -> None:
    judge(POLICY, terms(), ledger, "shop1")
    judge(POLICY, terms(purpose="ads"), ledger, "shop1")
    assert list(ledger.entries()) == []


def test_every_round_is_charged_by_itself(ledger: Ledger) -> None:
    asked = terms()
    for number in range(6):
        ledger.charge(charge_of(asked, "shop1", number, "ab" * 32), POLICY.budget)
    with pytest.raises(RefusedError):
        ledger.charge(charge_of(asked, "shop1", 6), POLICY.budget)


@pytest.mark.parametrize(
    ("fields", "said", "hint"),
    [
        (
            {"purpose": "resale"},
            "purpose 'resale' is not allowed here, allowed: recommend, ads",
            "",
        ),
        ({"cohort": 2}, "over 2 parties, at least 3", "least_cohort"),
        ({"clip": 1.5}, r"clip 1\.5 \(l2\) is above the bound of 1", "most_clip"),
        ({"shoppers": 10**6}, r"δ = 1e-06 is too large for 1000000 .* 2\.5e-07", "delta"),
        ({"events": (Event("spring", Unnoised()),)}, "dp: none, ε = ∞", "allow_unnoised"),
        ({"rounds": 7}, r"7 rounds .* ε to 7 \(now 0\) .* the cap is 6", "6 rounds, or more noise"),
        ({"rounds": 10**5}, "to 1e\\+05", "6 rounds"),
    ],
)
def test_a_refusal_names_limit_and_way_on(
    ledger: Ledger, fields: dict, said: str, hint: str
) -> None:
    for _ in range(2):
        with pytest.raises(RefusedError, match=said) as caught:
            judge(POLICY, terms(**fields), ledger, "shop1")
        assert hint in caught.value.hint
        assert caught.value.exit_code == 6
    (entry,) = ledger.entries()
    assert entry.record["kind"] == REFUSAL
    assert entry.record["why"] == str(caught.value)
    assert ledger.spent() == {}


def test_what_was_spent_before_counts(ledger: Ledger) -> None:
    fill(ledger, 4, task="winter")
    judge(POLICY, terms(rounds=2), ledger, "shop1")
    judge(POLICY, terms(rounds=6), ledger, "shop2")
    with pytest.raises(RefusedError, match="now 4") as caught:
        judge(POLICY, terms(rounds=3), ledger, "shop1")
    assert "2 rounds" in caught.value.hint
    fill(ledger, 6, task="winter")
    with pytest.raises(RefusedError) as caught:
        judge(POLICY, terms(rounds=1), ledger, "shop1")
    assert caught.value.hint.startswith("more noise")


def test_without_noise_only_where_the_party_allows_it(ledger: Ledger) -> None:
    free = replace(POLICY, budget=replace(SIX, allow_unnoised=True))
    asked = terms(events=(Event("spring", Unnoised()),), clip=math.inf, shoppers=10**6)
    judge(free, asked, ledger, "shop1")
    ledger.charge(charge_of(asked, "shop1", 0), free.budget)
    with pytest.raises(RefusedError, match="released without noise before") as caught:
        judge(POLICY, terms(rounds=1), ledger, "shop1")
    assert "allow_unnoised" in caught.value.hint
    judge(free, terms(), ledger, "shop1")
    assert [entry.record["kind"] for entry in ledger.entries()] == [CHARGE, REFUSAL]


def test_a_restored_ledger_takes_part_in_nothing(ledger: Ledger) -> None:
    ledger.mark.path.unlink()
    with pytest.raises(RefusedError, match=r"mark .* is missing"):
        judge(POLICY, terms(), ledger, "shop1")


def test_the_forecast_is_exact(tmp_path: Path) -> None:
    budget = Budget()
    with opened(tmp_path / "real.db", tmp_path / "real", price=accounted) as ledger:
        one = counts_of([Event("x", Gaussian(8.0, 1.0))])
        left = rounds_left(ledger, "shop1", one, budget)
        # PRIVACY's table: 100 rounds of z = 8 cost 6.312060 at δ = 1e-6.
        assert left > 100
        (what,) = one
        assert accounted({what: left}, budget) <= 8 < accounted({what: left + 1}, budget)
        nothing = counts_of([Event("x", Gaussian(2e4, 1.0))])
        assert rounds_left(ledger, "shop1", nothing, budget) is None
        too_much = counts_of([Event("x", Gaussian(0.1, 1.0))])
        assert rounds_left(ledger, "shop1", too_much, budget) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"task": ""},
        {"purpose": "a\x00"},
        {"cohort": 0},
        {"shoppers": 0},
        {"shoppers": 10.0},
        {"rounds": 0},
        {"clip": 0.0},
        {"clip": math.nan},
        {"norm": "l3"},
        {"events": ()},
        {"events": (Event("other", Gaussian(1.0, 1.0)),)},
        {"unit": "shop"},
    ],
)
def test_terms_that_make_no_sense_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError):
        terms(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"least_cohort": 0}, {"most_clip": 0.0}, {"most_clip": math.inf}, {"purposes": ("",)}],
)
def test_policies_that_make_no_sense_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError):
        Policy(**fields)
