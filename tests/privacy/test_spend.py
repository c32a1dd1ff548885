"""What is charged, and how it is counted."""

import math

import pytest

from fedguide.errors import ConfigError
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import CorrelatedGaussian, Gaussian, Laplace, Unnoised
from fedguide.privacy.spend import (
    Budget,
    Charge,
    accounted,
    counts_of,
    delta_for,
    events_of,
    noised,
    what_of,
)

PLAIN = Gaussian(2.0, 1.0)


def event(mechanism=PLAIN, **fields) -> Event:
    return Event("t", mechanism, **fields)


@pytest.mark.parametrize("epsilon", [0, -1, 10.5, math.nan, math.inf])
def test_a_cap_is_above_0_and_at_most_10(epsilon: float) -> None:
    with pytest.raises(ConfigError, match=r"\(0, 10\]"):
        Budget(epsilon=epsilon)


@pytest.mark.parametrize("delta", [0, 1, -1e-6, math.nan])
def test_a_delta_is_between_0_and_1(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta must be in"):
        Budget(delta=delta)


def test_an_adversary_is_known() -> None:
    with pytest.raises(ConfigError, match="insider or outsider"):
        Budget(adversary="nobody")


@pytest.mark.parametrize(
    "fields",
    [
        {"account": ""},
        {"account": "x" * 201},
        {"task": "a\nb"},
        {"purpose": None},
        {"round": -1},
        {"round": 1.0},
        {"round": True},
        {"round": 1 << 31},
        {"events": ()},
        {"events": (Event("other", PLAIN),)},
        {"question": "AB" * 32},
        {"question": "ab"},
    ],
)
def test_a_charge_that_could_not_stand_for_ever_is_refused(fields: dict) -> None:
    good = {"account": "a", "task": "t", "round": 0, "purpose": "p", "events": (event(),)}
    Charge(**good)
    with pytest.raises(ConfigError):
        Charge(**(good | fields))


def test_delta_follows_the_number_of_shoppers() -> None:
    assert delta_for(1) == delta_for(1000) == 1e-6
    # 10^6: (10^6)^-1.1 = 10^-6.6
    assert delta_for(10**6) == pytest.approx(10**-6.6)
    with pytest.raises(ConfigError):
        delta_for(0)


def test_events_are_counted_whatever_their_task() -> None:
    done = [event(), Event("other", PLAIN, rounds=3), event(sampling=0.5), event(Laplace(2.0, 1.0))]
    counts = counts_of(done)
    assert counts[what_of(event())] == 4
    assert len(counts) == 3
    back = {what_of(one): one.rounds for one in events_of(counts)}
    assert back == counts


def test_correlated_noise_is_repeated_not_counted() -> None:
    tree = event(CorrelatedGaussian(4.0, 1.0, 2.0, 64))
    assert events_of({what_of(tree): 3}) == (events_of({what_of(tree): 1})[0],) * 3


def test_what_has_no_noise_is_infinite() -> None:
    counts = counts_of([event(), event(Unnoised())])
    assert noised(counts) == {what_of(event()): 1}
    assert accounted(counts, Budget()) == math.inf
    assert accounted({}, Budget()) == 0.0


def test_the_adversary_matters_where_shoppers_are_sampled() -> None:
    counts = counts_of([event(Gaussian(1.0, 1.0), sampling=0.01)])
    outsider = accounted(counts, Budget(adversary="outsider"))
    assert outsider < 0.5 * accounted(counts, Budget())
