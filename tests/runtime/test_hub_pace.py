"""Parties of different speed over a real hub: who is waited for, what becomes of the late, how much
work is done, and what is sent in fewer bytes. Time is injected: nobody sleeps."""

import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedguide.codec import decode
from fedguide.crypto.signing import make_key
from fedguide.errors import ConfigError
from fedguide.horizontal.party import Haste, PartyEnv, PartyState, answer
from fedguide.horizontal.roster import Policy, consent
from fedguide.protocol import Replies
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.handover import with_handover
from fedguide.runtime.hub import HubPlan
from fedguide.runtime.noising import Noising
from fedguide.runtime.party_process import Work
from fedguide.runtime.proposal import (
    ALLOWED,
    masked_terms,
    partys_aggregator,
    proposal_bytes,
    read_proposal,
    task_limits,
)
from fedguide.runtime.rounds import RoundsPlan, in_memory, run_rounds
from fedguide.runtime.train_task import algorithm_of, train_task
from fedguide.seeds import seeded_root, seeded_roots, stream
from fedguide.values import PartyId
from tests.runtime.hub_world import DRIVER, at_work, driver_of, hub_world, proposal_of

SIZE = 2000
FIRST = np.zeros(SIZE, np.float32)
A, B, C, D = map(PartyId, ("shop-a", "shop-b", "shop-c", "shop-d"))
SHOPS = (A, B, C)
KEYS = {name: make_key() for name in (DRIVER, *SHOPS, D)}
AIMS = {
    name: stream(seeded_root(3), "aim", name).normal(size=SIZE).astype(np.float32)
    for name in (*SHOPS, D)
}
STEP_S = {A: 0.1, B: 0.5, C: 1.0}
WHOLE = 8


NOISING = Noising(
    noise="gaussian",
    multiplier=1.5,
    clip=1.0,
    cohort=100,
    placement="distributed",
    absent=0,
    sampling=1.0,
    unit="shopper",
    delta=1e-6,
    part="tower",
    trained=((0, SIZE),),
    baskets=4,
    learning_rate=0.2,
)


@dataclass(frozen=True)
class Fitted:
    params: np.ndarray
    steps: int = 1
    optimizer_state: np.ndarray | None = None
    examples: int = 10
    loss: float = 1.0


class Shops:
    """Halves of parties that go half the way to their own aim; notes what each does."""

    def __init__(self, hold=lambda _name: None):
        self.hold = hold
        self.fits = []
        self.steps = {name: [] for name in AIMS}
        self.clocks = dict.fromkeys(AIMS, 0.0)

    def env(self, name, proposal):
        def seat(signed):
            known = signed.terms.identities
            mine = Policy(name, KEYS[name].public, KEYS[DRIVER].public, known)
            return consent(signed, mine, KEYS[name])

        def fit(params, _moments, _seed):
            self.fits.append(name)
            self.hold(name)
            return Fitted(params + np.float32(0.5) * (AIMS[name] - params))

        def steered(params, _moments, _seed, how):
            steps = min(WHOLE, how.most_steps or WHOLE)
            self.steps[name].append(steps)
            self.clocks[name] += steps * STEP_S[name]
            for _ in range(steps):
                params = params + np.float32(0.1) * (AIMS[name] - params)
            return Fitted(params, steps)

        haste = Haste(proposal.fit_s, lambda: self.clocks[name]) if proposal.fit_s else None

        def roots(task, number):
            return seeded_root(7, name, task, number)

        aggregator = partys_aggregator(proposal, seat)
        return PartyEnv(proposal.task, roots, aggregator, 10, fit=fit, steered=steered, haste=haste)

    def half(self, name, proposal):
        party = proposal.compression.party(answer, PartyState)
        return Party(self.env(name, proposal), *party)

    def work(self, name, proposal, _keeping):
        half = with_handover(self.half(name, proposal), lambda _adopt: None)
        return Work(half, ALLOWED, task_limits(proposal))


def in_one_process(proposal, courier=None):
    """The same run by direct calls, or with the replies that a courier gives."""
    shops = Shops()
    halves = {PartyId(name): shops.half(name, proposal) for name in proposal.parties}
    return run_rounds(
        algorithm_of(proposal, KEYS[DRIVER]),
        FIRST,
        [PartyId(name) for name in proposal.parties],
        courier or in_process(halves, lambda: 0.0),
        RoundsPlan(proposal.rounds, patience=None),
        durable=in_memory(proposal.task, seeded_roots(1), lambda: 0.0, SIZE),
    )


def made(task, aggregation="weighted_mean", **changes):
    """A proposal, with signed terms where updates are masked."""
    if aggregation != "masked_sum":
        return proposal_of(task, SIZE, aggregation=aggregation, **changes)
    proposal = proposal_of(task, SIZE, aggregation="open_sum", **changes)
    keys = {name: KEYS[name].public for name in proposal.parties}
    terms = masked_terms(proposal, keys, KEYS[DRIVER])
    return replace(proposal, aggregation=aggregation, terms=terms)


class Recorder:
    """A journal that also keeps what its checkpoints forget."""

    def __init__(self, journal):
        self._journal = journal
        self.recorded = {}

    def record(self, task, trip):
        self.recorded[trip.trip] = trip
        self._journal.record(task, trip)

    def __getattr__(self, name):
        return getattr(self._journal, name)

    def courier(self, proposal):
        """Gives the recorded replies once more."""

        def courier(ask):
            trip = self.recorded[ask.trip]
            limits = task_limits(proposal)
            pairs = zip(trip.parties, trip.replies, strict=True)
            return Replies({p: decode(r, ALLOWED, limits) for p, r in pairs}, trip.missing)

        return courier


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    with hub_world(folder, plan=HubPlan(recheck_s=0.1)) as world:
        yield world


@pytest.fixture
def driving(world, tmp_path):
    with driver_of(world, tmp_path, KEYS[DRIVER]) as driving:
        yield replace(driving, journal=Recorder(driving.journal))
    world.wall.ahead_s = 0.0


def with_a_slow_one(world, driving, folder, proposal, *, by_deadline):
    """shop-c is at its first fit until the round is over; it alone moves the hub's clock."""
    over, events = threading.Event(), []

    def hold(name):
        if name != C or shops.fits.count(C) > 1:
            return
        until = time.monotonic() + 30
        while by_deadline and sum(event.what == "answered" for _, event in events) < 2:
            assert time.monotonic() < until
            over.wait(0.01)
        if by_deadline:
            world.wall.ahead_s += proposal.deadline_s + 1
        assert over.wait(30)

    shops = Shops(hold)
    driving.book.begin(proposal, 0.0)
    with at_work(world, folder, shops.work, events=events):
        finished = train_task(driving, proposal, FIRST, on_round=lambda _report: over.set())
    assert any(name == C and event.what == "failed" for name, event in events)
    return finished.run, shops


def half_way(params, *names):
    return {name: np.float32(0.5) * (AIMS[name] - params) for name in names}


@pytest.mark.parametrize("algorithm", ["fedavg", "fedbuff:3"])
def test_a_round_closes_at_its_deadline_and_the_late_change_waits_or_is_dropped(
    world, driving, tmp_path, algorithm
):
    proposal = made(algorithm[:6].replace(":", ""), algorithm=algorithm, quorum=2, rounds=3)
    run, shops = with_a_slow_one(world, driving, tmp_path, proposal, by_deadline=True)
    assert [report.parties for report in run.history] == [(A, B), SHOPS, SHOPS]
    assert [(m.party, m.reason) for m in run.history[0].missing] == [(C, "late")]
    first = half_way(FIRST, *SHOPS)
    one = (first[A] + first[B]) / 2
    second = half_way(one, *SHOPS)
    waits = algorithm != "fedavg"
    if waits:
        second[C] = first[C] * np.float32(2**-0.5)
    two = one + sum(second.values()) / 3
    three = two + sum(half_way(two, *SHOPS).values()) / 3
    assert np.allclose(run.best_params, three, atol=1e-5)
    # A change that waits is handed in as it is, one that was dropped is made anew.
    assert [shops.fits.count(name) for name in SHOPS] == [3, 3, 2 if waits else 3]
    again = in_one_process(proposal, driving.journal.courier(proposal))
    assert again.best_params.tobytes() == run.best_params.tobytes()


def test_a_round_ends_with_the_first_of_those_that_were_asked(world, driving, tmp_path):
    proposal = made("first", quorum=2, first=2, rounds=1)
    run, _ = with_a_slow_one(world, driving, tmp_path, proposal, by_deadline=False)
    assert run.history[0].parties == (A, B)
    assert run.history[0].missing[0].detail == "the first 2 were in"
    changes = half_way(FIRST, A, B)
    assert np.allclose(run.best_params, (changes[A] + changes[B]) / 2, atol=1e-6)


def test_the_first_three_of_four_under_masks():
    names = (*SHOPS, D)
    run = in_one_process(
        made("over", "masked_sum", parties=names, quorum=3, first=3, rounds=2, max_norm=100.0)
    )
    assert [len(report.parties) for report in run.history] == [3, 3]
    assert {m.reason for report in run.history for m in report.missing} == {"late"}


def test_who_is_slow_takes_as_many_steps_as_there_is_time_for(world, driving, tmp_path):
    proposal = made("haste", algorithm="fednova", fit_s=2.0, rounds=3)
    shops = Shops()
    driving.book.begin(proposal, 0.0)
    with at_work(world, tmp_path, shops.work):
        finished = train_task(driving, proposal, FIRST)
    assert shops.steps == {A: [8, 8, 8], B: [8, 4, 4], C: [8, 2, 2], D: []}
    expected = in_one_process(proposal)
    assert finished.run.best_params.tobytes() == expected.best_params.tobytes()
    # Equal weights, though A took four times the steps: the mean of the changes for each step.
    assert [report.parties for report in finished.run.history] == [SHOPS] * 3


@pytest.mark.parametrize(
    ("compress", "aggregation", "most"),
    [
        ("int8", "weighted_mean", 0.3),
        ("top:0.05", "weighted_mean", 0.1),
        ("random:0.1", "masked_sum", 0.2),
    ],
)
def test_less_is_sent_and_the_model_is_that_of_one_process(
    world, driving, tmp_path, compress, aggregation, most
):
    task = compress.partition(":")[0]
    proposal = made(task, aggregation, compress=compress, max_norm=100.0)
    assert read_proposal(proposal_bytes(proposal)) == proposal
    assert compress in proposal.leaves[0]
    driving.book.begin(proposal, 0.0)
    with at_work(world, tmp_path, Shops().work):
        finished = train_task(driving, proposal, FIRST)
    expected = in_one_process(proposal)
    assert finished.run.best_params.tobytes() == expected.best_params.tobytes()
    up = [trip for trip in driving.journal.recorded.values() if trip.trip]
    largest = max(len(reply) for trip in up for reply in trip.replies)
    assert largest < most * 4 * SIZE + 1500  # the figures, and what masks need beside the vector


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"first": 4}, "first must be"),
        ({"first": 1, "quorum": 2}, "first must be"),
        ({"first": 3, "algorithm": "fedbuff"}, "ends its rounds itself"),
        ({"fit_s": -1.0}, "fit_s must be"),
        ({"fit_s": 5.0}, "pulls less"),
        ({"compress": "zip"}, "compress must be one of"),
        ({"compress": "top:0.1", "aggregation": "open_sum"}, "its largest"),
        ({"compress": "int8", "aggregation": "open_sum"}, "a grid of their own"),
        ({"compress": "int8", "algorithm": "scaffold"}, "control variates"),
        ({"algorithm": "fedbuff", "aggregation": "masked_sum"}, "parties of one round"),
        (
            {
                "aggregation": "open_sum",
                "compress": "random:0.1",
                "noising": NOISING,
                "max_norm": NOISING.clip,
            },
            "noise away",
        ),
    ],
)
def test_what_cannot_go_together_is_refused_before_anybody_is_asked(changes, why):
    with pytest.raises(ConfigError, match=why):
        proposal_of("t", SIZE, **changes)
