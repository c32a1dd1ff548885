"""Every algorithm with every aggregator gives the same over every courier, bit for bit."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tests.horizontal.linear import Descent, clock, loss_of, party, pooled, random_data

from fedguide.codec import Limits, encode
from fedguide.horizontal.compatible import refusal
from fedguide.horizontal.names import AGGREGATORS, ALGORITHMS, ROBUST_RULES, WIRE, offer_of
from fedguide.horizontal.sides import Job, Sides
from fedguide.protocol import run
from fedguide.runtime.couriers import in_process, through_bytes
from fedguide.runtime.driver import Durable, drive_round, resume
from fedguide.runtime.journal import MemoryJournal
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root, seeded_roots
from fedguide.values import PartyId

WIDTH, ROUNDS = 3, 5
DATA = random_data(3, sizes=(6, 9, 4, 8, 5, 7, 10, 6, 5), width=WIDTH)
NAMES = tuple(sorted(PartyId(name) for name in DATA))
EVERYWHERE = ("fedsgd", "fedavg", "fedavg_kept", "fedavgm")
"""Algorithms that are run over buckets and under masks as well; ``test_algorithms.py`` runs all
of them under masks."""
PAIRS = [
    (name, one)
    for name in AGGREGATORS
    for one in ALGORITHMS
    if not refusal(name, one) and (one in EVERYWHERE or not name.startswith(("masked", "bucketed")))
]
LIMITS = Limits(100_000)


def sides_for(name, algorithm="fedavg"):
    """Both sides of an aggregator for an algorithm's updates."""
    offer = offer_of(algorithm)
    job = Job(
        "test",
        NAMES,
        offer.size(WIDTH),
        seeded_root(4),
        figures=offer.figures,
        max_norm=50.0,
        max_examples=1000,
    )
    return AGGREGATORS[name](job)


def parties(sides: Sides):
    descent = Descent(learning_rate=0.1, momentum=0.3, steps=2, jitter=0.001)
    return {name: party(name, DATA[name], sides.party(name), descent) for name in NAMES}


def by_run(algorithm, courier, rounds=ROUNDS):
    """Driven by ``protocol.run`` alone, its trips counted through all rounds."""
    trips = itertools.count()
    state = algorithm.init(np.zeros(WIDTH, np.float32))
    states = []
    for number in range(rounds):
        root = seeded_roots(1)("task", number)
        state = run(
            algorithm.next_round(state, list(NAMES), root),
            lambda ask: courier(replace(ask, trip=next(trips))),
        )
        states.append(state)
    return states


@pytest.mark.parametrize(("name", "algorithm"), PAIRS)
def test_every_pair_is_the_same_through_bytes_and_the_durable_driver(name, algorithm):
    # Masks are new in every round: the third is as the second, from which all state is kept.
    rounds = 3 if name.startswith("masked") else ROUNDS
    sides = sides_for(name, algorithm)
    built = ALGORITHMS[algorithm](sides.coordinator)
    plain = by_run(built, in_process(parties(sides), clock), rounds)
    courier = through_bytes(parties(sides), clock, MemoryPartyStore(), LIMITS, WIRE)
    first = built.init(np.zeros(WIDTH, np.float32))
    allowed = (*WIRE, type(first))
    durable = Durable("task", MemoryJournal(), seeded_roots(1), clock, allowed, LIMITS)
    progress, states = resume(durable, first), []
    for _ in range(rounds):
        progress = drive_round(
            durable,
            progress,
            lambda s, root: built.next_round(s, list(NAMES), root),
            courier,
        )
        states.append(progress.state)
    assert [encode(state) for state in states] == [encode(state) for state in plain]
    assert {one.reason for one in states[-1].report.missing} <= {"late"}
    assert bool(states[-1].report.missing) == (algorithm == "fedbuff")


@pytest.mark.parametrize("name", AGGREGATORS)
def test_every_aggregator_learns(name):
    """The suite above would pass for one that does nothing."""
    sides = sides_for(name)
    states = by_run(ALGORITHMS["fedavg"](sides.coordinator), in_process(parties(sides), clock))
    rows = pooled(DATA)
    before = loss_of(rows, np.zeros(WIDTH, np.float32))
    assert loss_of(rows, states[-1].params) < 0.5 * before


def test_every_rule_stands_there_over_single_updates_and_over_buckets():
    assert {f"{kind}{name}" for name in ROBUST_RULES for kind in ("", "bucketed_")} | {
        "weighted_mean",
        "open_sum",
        "masked_sum",
    } <= AGGREGATORS.keys()
