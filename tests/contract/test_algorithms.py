"""Every algorithm with every aggregator gives the same over every courier, bit for bit."""

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from tests.horizontal.linear import bent
from tests.runtime.hub_world import DRIVER, agreed, at_work, hub_world, proposal_of

from fedguide.codec import Limits, encode
from fedguide.horizontal.compatible import refusal
from fedguide.horizontal.fitting import Steering
from fedguide.horizontal.names import AGGREGATORS, ALGORITHMS, ROBUST_RULES, WIRE, offer_of
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.sides import Job
from fedguide.horizontal.trainer import Personal
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.driver import Durable, drive_round, resume
from fedguide.runtime.https import over_https
from fedguide.runtime.journal import MemoryJournal
from fedguide.runtime.party_process import Work
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.runtime.sqlite import SqliteJournal, SqlitePartyStore, sqlite_engine
from fedguide.seeds import seeded_root, seeded_roots, stream
from fedguide.values import PartyId

SIZE, ROUNDS = 4, 4
SHOPS = {PartyId("shop-a"): 30, PartyId("shop-b"): 12, PartyId("shop-c"): 55}
LIMITS = Limits(100_000, {"p": 2 * SIZE})  # an update may be longer than the model
COURIERS = ("in_process", "bytes_memory", "bytes_sqlite")
# Robust rules need more than three parties: test_aggregators.py runs them.
MEANS = [name for name in AGGREGATORS if name.split("bucketed_")[-1] not in ROBUST_RULES]
PAIRS = [(a, b) for a in ALGORITHMS for b in MEANS if not refusal(a, b)]

EVERYWHERE = ("fedsgd", "fedavg", "fedavg_kept", "fedavgm")
"""Algorithms that are run over every courier with every journal; others meet each of them once."""
GRID = [
    (*pair, kind, journal)
    for pair in PAIRS
    for kind in COURIERS
    for journal in ("memory", "sqlite")
    if pair[0] in EVERYWHERE or kind == f"bytes_{journal}"
]


def sides_for(name, aggregator):
    """Both sides of an aggregator for an algorithm's updates."""
    offer = offer_of(name)
    job = Job("task", tuple(SHOPS), offer.size(SIZE), seeded_root(4), figures=offer.figures)
    return AGGREGATORS[aggregator](job)


@dataclass(frozen=True)
class Fitted:
    params: np.ndarray
    optimizer_state: np.ndarray
    examples: int
    loss: float
    steps: int
    slope: np.ndarray


@dataclass(frozen=True)
class Graded:
    gradient: np.ndarray
    examples: int
    loss: float


def shop(name, aggregator) -> Party:
    """Least squares with SGD that keeps its momentum and draws its order from the seed."""
    draws = stream(seeded_root(2), "data", name)
    wide = draws.normal(size=(SHOPS[name], SIZE + 1)).astype(np.float32)
    y = wide @ np.ones(SIZE + 1, np.float32) + draws.normal(size=len(wide)).astype(np.float32)

    def columns(params):
        """Where part of the model is personal, it has one parameter more."""
        return wide[:, : len(params)]

    def loss(params):
        return float(np.mean((columns(params) @ params - y) ** 2))

    def fit(params, moments, seed):
        return steered(params, moments, seed, Steering())

    def steered(params, moments, seed, steering):
        x, slope = columns(params), np.zeros_like(params)
        velocity = np.zeros_like(params) if moments is None else moments
        for row in np.random.default_rng(seed).permutation(len(x)):
            gradient = x[row] * (x[row] @ params - y[row])
            slope = slope + gradient / np.float32(len(x))
            gradient = bent(gradient, params, steering)
            velocity = np.float32(0.9) * velocity - np.float32(0.002) * gradient
            params = params + velocity
        return Fitted(params, velocity, len(x), loss(params), len(x), slope)

    def gradient(params):
        x = columns(params)
        return Graded(2 * x.T @ (x @ params - y) / np.float32(len(x)), len(x), loss(params))

    def roots(task, number):
        return seeded_root(3, name, task, number)

    own = Personal(np.arange(SIZE + 1) == SIZE, np.zeros(1, np.float32))
    env = PartyEnv(
        "task", roots, aggregator, len(wide), fit, gradient, steered=steered, personal=own
    )
    return Party(env, answer, PartyState)


@pytest.fixture
def engine(tmp_path):
    engine = sqlite_engine(tmp_path / "all.db")
    yield engine
    engine.dispose()


def courier_over(kind, sides, engine):
    parties = {name: shop(name, sides.party(name)) for name in SHOPS}
    if kind == "in_process":
        return in_process(parties, lambda: 0.0)
    store = (
        MemoryPartyStore()
        if kind == "bytes_memory"
        else SqlitePartyStore(engine, "task", bytes(64))
    )
    return through_bytes(parties, lambda: 0.0, store, LIMITS, WIRE)


def numbered(courier):
    """Trips counted through all rounds, as the durable driver does: who is first depends on it."""
    trips = itertools.count()
    return lambda ask: courier(replace(ask, trip=next(trips)))


@cache
def reference(name, aggregator):
    """Driven by ``protocol.run`` alone, with answers by direct calls."""
    sides = sides_for(name, aggregator)
    algorithm = ALGORITHMS[name](sides.coordinator)
    courier = numbered(courier_over("in_process", sides, None))
    state = algorithm.init(np.zeros(SIZE, np.float32))
    states = []
    for _ in range(ROUNDS):
        state = run(algorithm.next_round(state, list(SHOPS), seeded_root(0)), courier)
        states.append(encode(state))
    return states


@pytest.mark.parametrize(("name", "aggregator", "kind", "journal"), GRID)
def test_every_pair_over_every_courier_and_journal(name, aggregator, kind, journal, engine):
    sides = sides_for(name, aggregator)
    algorithm = ALGORITHMS[name](sides.coordinator)
    state = algorithm.init(np.zeros(SIZE, np.float32))
    keeper = MemoryJournal() if journal == "memory" else SqliteJournal(engine, bytes(64))
    allowed = (*WIRE, type(state))
    durable = Durable("task", keeper, seeded_roots(1), lambda: 0.0, allowed, LIMITS)
    courier = courier_over(kind, sides, engine)
    progress, states = resume(durable, state), []
    for _ in range(ROUNDS):
        progress = drive_round(
            durable, progress, lambda s, root: algorithm.next_round(s, list(SHOPS), root), courier
        )
        states.append(encode(progress.state))
    assert states == reference(name, aggregator)


@pytest.mark.parametrize(("name", "aggregator"), PAIRS)
def test_every_pair_learns(name, aggregator):
    """The suite above would pass for an algorithm that does nothing."""
    assert len(set(reference(name, aggregator))) == ROUNDS


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


OVER_HTTPS = [
    (a, b)
    for a, b in PAIRS
    if a == "fedavg_kept" or (b == "weighted_mean" and a in (*EVERYWHERE, "scaffold", "ditto"))
]


@pytest.mark.parametrize(("name", "aggregator"), OVER_HTTPS)
def test_chosen_pairs_over_https(name, aggregator, world, tmp_path):
    """A real hub, TLS, signatures, and parties that forget everything between two messages."""
    sides = sides_for(name, aggregator)
    algorithm = ALGORITHMS[name](sides.coordinator)
    proposal = proposal_of(f"{name}-{aggregator}", SIZE)

    def prepare(party, _proposal, _keeping):
        return Work(shop(PartyId(party), sides.party(PartyId(party))), WIRE, LIMITS)

    with at_work(world, tmp_path, prepare):
        agreed(world, proposal)
        courier = over_https(world.client(DRIVER), proposal.task, LIMITS, WIRE)
        state = algorithm.init(np.zeros(SIZE, np.float32))
        durable = Durable(
            "task", MemoryJournal(), seeded_roots(1), lambda: 0.0, (*WIRE, type(state)), LIMITS
        )
        progress, states = resume(durable, state), []
        for _ in range(ROUNDS):
            progress = drive_round(
                durable,
                progress,
                lambda s, root: algorithm.next_round(s, list(SHOPS), root),
                courier,
            )
            states.append(encode(progress.state))
    assert states == reference(name, aggregator)


@pytest.mark.parametrize("name", [a for a, b in PAIRS if b == "masked_sum"])
def test_a_masked_sum_is_the_open_sum_bit_for_bit(name):
    assert reference(name, "masked_sum") == reference(name, "open_sum")


@pytest.mark.parametrize("aggregator", MEANS)
def test_the_algorithms_are_not_all_one(aggregator):
    last = {reference(name, aggregator)[-1] for name in ALGORITHMS if (name, aggregator) in PAIRS}
    # The shared model of Ditto is that of FedAvg: its own models stay at the parties.
    twins = {("ditto", aggregator)} & set(PAIRS)
    assert len(last) == len([name for name, other in PAIRS if other == aggregator]) - len(twins)
