"""A permit judges a task once and charges each round before anything is computed for it."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import RefusedError
from fedguide.horizontal.messages import Train
from fedguide.privacy.accounting import price_of
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import open_ledger
from fedguide.privacy.mechanisms import Gaussian, Unnoised
from fedguide.privacy.policy import Policy, TaskTerms
from fedguide.privacy.spend import Budget
from fedguide.runtime.permits import permit
from fedguide.seeds import seeded_entropy

TERMS = TaskTerms(
    task="guide",
    purpose="recommend",
    cohort=3,
    shoppers=100,
    events=(Event("guide", Gaussian(4.0, 1.0)),),
    clip=1.0,
    rounds=3,
)


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(
        str(tmp_path / "shop.db"),
        "shop",
        tmp_path / "shop.mark",
        clock=lambda: 0.0,
        entropy=seeded_entropy(0),
    ) as opened:
        yield opened


def train(number, value=0.0):
    return Train(number, np.full(2, value, np.float32))


def rounds_spent(ledger):
    return sum(ledger.counts("shop").values())


def test_every_round_is_charged_once(ledger):
    charged = permit(ledger, Policy(), TERMS, "shop")
    assert rounds_spent(ledger) == 0  # judging spends nothing
    for number in (0, 1, 1, 0):
        charged(train(number))
    assert rounds_spent(ledger) == 2


def test_the_same_round_is_not_asked_another_question(ledger):
    charged = permit(ledger, Policy(), TERMS, "shop")
    charged(train(0))
    with pytest.raises(RefusedError):
        charged(train(0, 1.0))
    assert rounds_spent(ledger) == 1


def test_one_mechanism_over_all_rounds_is_one_charge(ledger):
    charged = permit(ledger, Policy(), replace(TERMS, rounds=1), "shop", once=True)
    for number in range(3):
        charged(train(number, float(number)))
    assert rounds_spent(ledger) == 1


def test_what_comes_before_the_rounds_is_charged_once_with_the_first_of_them(ledger):
    table = Event("guide", Gaussian(6.0, 4096.0), placement="local")
    terms = replace(TERMS, before=(table,))
    charged = permit(ledger, Policy(), terms, "shop")
    assert rounds_spent(ledger) == 0
    charged(train(1))
    assert rounds_spent(ledger) == 2
    for number in (1, 0, 2):
        charged(train(number))
    assert rounds_spent(ledger) == 4
    assert ledger.counts("shop") == terms.price
    # Killed and started again: all of it is paid for, and a budget without room for more allows it.
    tight = Policy(Budget(epsilon=ledger.price(ledger.counts("shop"), Budget()) * 1.0001))
    permit(ledger, tight, terms, "shop")(train(2))
    assert rounds_spent(ledger) == 4


def test_what_comes_before_is_in_the_price_that_is_judged(ledger):
    rounds = price_of(TERMS.events * TERMS.rounds, 1e-6).epsilon_insider
    only = Policy(Budget(epsilon=rounds * 1.01))
    permit(ledger, only, TERMS, "shop")
    table = Event("guide", Gaussian(4.0, 4096.0), placement="local")
    with pytest.raises(RefusedError, match="cap"):
        permit(ledger, only, replace(TERMS, before=(table,)), "shop")
    bare = replace(TERMS, before=(Event("guide", Unnoised()),))
    with pytest.raises(RefusedError, match="no noise"):
        permit(ledger, only, bare, "shop")


def test_a_task_that_is_too_dear_is_refused_before_its_first_round(ledger):
    with pytest.raises(RefusedError, match="cap"):
        permit(ledger, Policy(Budget(epsilon=0.5)), TERMS, "shop")
    assert rounds_spent(ledger) == 0


def test_a_round_beyond_the_task_is_refused_by_the_budget(ledger):
    """The task is afforded, hundreds of its rounds are not: the budget ends them, not the plan."""
    charged = permit(ledger, Policy(Budget(epsilon=4.0)), TERMS, "shop")

    def go_on():
        for number in range(100):
            charged(train(number))

    with pytest.raises(RefusedError):
        go_on()
    assert 3 <= rounds_spent(ledger) < 100
