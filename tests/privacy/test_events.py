"""Events: what is refused, and the way to a record and back."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.events import Event, LocalEvent, from_record, to_record
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    RandomisedResponse,
    Unnoised,
)

positive = st.floats(0.5, 1e9)
count = st.integers(1, 10**6)
central = st.one_of(
    st.builds(Laplace, positive, positive, st.integers(0, 10**6)),
    st.builds(Gaussian, positive, positive),
    st.just(Unnoised()),
)
shares = st.one_of(
    st.builds(GaussianShares, positive, positive, count, count),
    st.builds(LaplaceShares, positive, positive, count, count),
)
correlated = st.builds(CorrelatedGaussian, positive, positive, positive, count)
sampling = st.floats(1e-6, 1)
units = st.sampled_from(["shopper", "shop"])
relations = st.sampled_from(["add_or_remove_one", "replace_one"])
placements = st.sampled_from(["central", "distributed", "local"])
task = st.text(min_size=1, max_size=8)
events = st.one_of(
    st.builds(Event, task, central, sampling, count, placements, units, relations),
    st.builds(Event, task, shares, sampling, count, st.just("distributed"), units, relations),
    st.builds(Event, task, correlated, st.just(1.0), st.just(1), st.just("central"), units),
)


@given(events)
def test_a_record_gives_back_its_event_through_json(event):
    assert from_record(json.loads(json.dumps(to_record(event)))) == event


def test_a_record_is_plain_and_complete():
    assert to_record(Event("guide", Gaussian(2.5, 1.0), 0.01, 3)) == {
        "task": "guide",
        "mechanism": {"kind": "gaussian", "noise_multiplier": 2.5, "sensitivity_l2": 1.0},
        "sampling": 0.01,
        "rounds": 3,
        "placement": "central",
        "unit": "shopper",
        "relation": "add_or_remove_one",
    }


def test_laplace_says_its_units_only_where_it_has_them():
    without, given = (to_record(Event("t", Laplace(10.0, 1.0, units))) for units in (0, 7))
    assert without["mechanism"] == {"kind": "laplace", "scale": 10.0, "sensitivity_l1": 1.0}
    assert given["mechanism"] == {**without["mechanism"], "units": 7}


def test_no_event_holds_an_epsilon():
    assert not any("epsilon" in field.name for field in dataclasses.fields(Event))


def record(**changes):
    return {**to_record(Event("t", Laplace(10.0, 1.0))), **changes}


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({}, "mechanism must have a kind"),
        (record(mechanism="laplace"), "mechanism must have a kind"),
        (record(mechanism={"kind": "exponential"}), "mechanism must have a kind"),
        (record(mechanism={"kind": ["laplace"]}), "mechanism must have a kind"),
        (record(mechanism={"kind": "laplace", "scale": 1.0}), "fields .*sensitivity_l1"),
        (record(mechanism={"kind": "laplace", "scale": "1", "sensitivity_l1": 1.0}), "type float"),
        (record(mechanism={"kind": "laplace", "scale": True, "sensitivity_l1": 1.0}), "type float"),
        (record(epsilon=1.0), "a record has the fields"),
        (record(rounds=1.0), "rounds must be of type int"),
        (record(task=3), "task must be of type str"),
        (record(placement="nowhere"), "placement must be one of"),
        (record(unit="row"), "unit must be one of"),
        (record(relation="none"), "relation must be one of"),
    ],
)
def test_a_foreign_record_is_refused(bad, match):
    with pytest.raises(ConfigError, match=match):
        from_record(bad)


def test_an_integer_stands_for_a_float():
    spec = {"kind": "laplace", "scale": 10, "sensitivity_l1": 1}
    assert from_record(record(mechanism=spec)) == Event("t", Laplace(10.0, 1.0))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"mechanism": RandomisedResponse(2, 1.0)}, "got RandomisedResponse"),
        ({"mechanism": "gaussian"}, "got str"),
        ({"task": ""}, "needs a task"),
        ({"sampling": 0.0}, r"sampling must be in \(0, 1\], got 0.0"),
        ({"sampling": 1.5}, "got 1.5"),
        ({"sampling": math.nan}, "got nan"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"placement": "far"}, "placement"),
        ({"unit": "row"}, "unit"),
        ({"relation": "other"}, "relation"),
        ({"mechanism": GaussianShares(2.0, 1.0, 3, 10)}, "placed distributed, got central"),
        ({"mechanism": LaplaceShares(2.0, 1.0, 3, 3), "placement": "local"}, "distributed"),
        ({"mechanism": CorrelatedGaussian(1.0, 1.0, 2.0, 9), "sampling": 0.5}, "fixed cohort"),
        ({"mechanism": CorrelatedGaussian(1.0, 1.0, 2.0, 9), "rounds": 2}, "one event"),
        (
            {"mechanism": CorrelatedGaussian(1.0, 1.0, 2.0, 9), "placement": "local"},
            "central placement",
        ),
    ],
)
def test_an_event_that_cannot_be_is_refused(changes, match):
    fields = {"task": "t", "mechanism": Gaussian(1.0, 1.0), **changes}
    with pytest.raises(ConfigError, match=match):
        Event(**fields)


@pytest.mark.parametrize(("task", "rounds"), [("", 1), ("t", 0)])
def test_a_local_event_checks_its_fields(task, rounds):
    with pytest.raises(ConfigError):
        LocalEvent(task, RandomisedResponse(2, 1.0), rounds)
