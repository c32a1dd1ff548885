"""A whole run over a hub: approved, trained, stopped, gone on with, handed over, forgotten."""

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from fedguide.crypto.signing import make_key
from fedguide.errors import ConfigError, FedGuideError, NotFoundError, RefusedError, RunError
from fedguide.horizontal.party import PartyState, answer
from fedguide.horizontal.roster import Policy, consent
from fedguide.runtime.consent import Desk, Rules
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.handover import Adopt, with_handover
from fedguide.runtime.journal import MemoryJournal, journaled_roots
from fedguide.runtime.party_files import PartyFiles
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
from fedguide.runtime.run_book import RunBook
from fedguide.runtime.sqlite import SqliteJournal, sqlite_engine
from fedguide.runtime.train_task import Driving, StoppedError, algorithm_of, train_task
from fedguide.seeds import seeded_roots
from fedguide.values import PartyId
from tests.contract.test_algorithms import SHOPS, SIZE, shop
from tests.runtime.hub_world import DRIVER, at_work, driver_of, hub_world, proposal_of

FIRST = np.zeros(SIZE, np.float32)


KEYS = {name: make_key() for name in (DRIVER, *SHOPS)}


def linear_env(party, proposal):
    """Least squares of the contract suite around the proposal's aggregator."""

    def seat(signed):
        identities = signed.terms.identities
        mine = Policy(party, KEYS[party].public, KEYS[DRIVER].public, identities)
        return consent(signed, mine, KEYS[party])

    env = shop(party, partys_aggregator(proposal, seat)).env
    return replace(env, task=proposal.task)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


@pytest.fixture
def driving(world, tmp_path):
    with driver_of(world, tmp_path, KEYS[DRIVER]) as made:
        yield made


def working(world, folder, models):
    def prepare(party, proposal, keeping):
        assert keeping
        half = Party(linear_env(party, proposal), answer, PartyState)
        keep = with_handover(half, lambda adopt: models.setdefault(party, []).append(adopt))
        return Work(keep, ALLOWED, task_limits(proposal))

    return at_work(world, folder, prepare)


def in_one_process(proposal):
    """The same run by direct calls."""
    parties = {name: Party(linear_env(name, proposal), answer, PartyState) for name in SHOPS}
    return run_rounds(
        algorithm_of(proposal, KEYS[DRIVER]),
        FIRST,
        list(SHOPS),
        in_process(parties, lambda: 0.0),
        RoundsPlan(proposal.rounds, patience=None),
        durable=in_memory(proposal.task, seeded_roots(1), lambda: 0.0, SIZE),
    )


def made(task, aggregation, **changes):
    """A proposal, with signed terms where updates are masked."""
    if aggregation != "masked_sum":
        return proposal_of(task, SIZE, aggregation=aggregation, **changes)
    proposal = proposal_of(task, SIZE, aggregation="open_sum", **changes)
    keys = {name: key.public for name, key in KEYS.items()}
    terms = masked_terms(proposal, keys, KEYS[DRIVER])
    return replace(proposal, aggregation=aggregation, terms=terms)


@pytest.mark.parametrize("aggregation", ["weighted_mean", "open_sum", "masked_sum"])
def test_the_same_bits_as_in_one_process(world, driving, tmp_path, aggregation):
    task = aggregation.replace("_", "-")
    proposal = made(task, aggregation, server_momentum=0.5, max_norm=9.0)
    assert read_proposal(proposal_bytes(proposal)) == proposal
    driving.book.begin(proposal, 0.0)
    models = {}
    with working(world, tmp_path, models):
        finished = train_task(driving, proposal, FIRST)
    expected = in_one_process(proposal)
    assert finished.run.best_params.tobytes() == expected.best_params.tobytes()
    assert [r.loss for r in finished.run.history] == [r.loss for r in expected.history]
    assert finished.has_model == tuple(sorted(SHOPS))
    assert sorted(models) == sorted(SHOPS)
    for (adopt,) in models.values():
        assert adopt.params.tobytes() == expected.best_params.tobytes()
        assert (adopt.round, adopt.parties) == (3, tuple(sorted(SHOPS)))
    assert driving.book.get(task).status == "done"


def test_stopped_after_a_round_and_gone_on_with_in_a_new_process(world, driving, tmp_path):
    proposal = proposal_of("stopped", SIZE, rounds=4)
    driving.book.begin(proposal, 0.0)
    rounds = []

    def stop(report):
        rounds.append(report.round)
        driving.book.ask_to_stop(proposal.task, stop=report.round == 2)

    models = {}
    with working(world, tmp_path, models):
        with pytest.raises(StoppedError, match="stopped after 2 rounds"):
            train_task(driving, proposal, FIRST, on_round=stop)
        assert driving.book.get(proposal.task).status == "stopped"
        assert models == {}
        driving.book.ask_to_stop(proposal.task, stop=False)
        finished = train_task(driving, proposal, FIRST, on_round=stop)
    assert rounds == [1, 2, 3, 4]
    assert finished.run.best_params.tobytes() == in_one_process(proposal).best_params.tobytes()


def test_a_second_coordinator_of_the_same_name_is_not_followed(world, driving, tmp_path):
    """It has the key but not the journal: what it asks is not what was asked before."""
    proposal = proposal_of("twice", SIZE, rounds=3)
    driving.book.begin(proposal, 0.0)

    def stop(report):
        driving.book.ask_to_stop(proposal.task, stop=report.round == 1)

    engine = sqlite_engine(tmp_path / "second.db")
    second = replace(
        driving,
        book=RunBook(engine),
        journal=SqliteJournal(engine, bytes(64)),
        roots=seeded_roots(2),
    )
    models = {}
    with working(world, tmp_path, models):
        with pytest.raises(StoppedError):
            train_task(driving, proposal, FIRST, on_round=stop)
        second.book.begin(proposal, 0.0)
        with pytest.raises(FedGuideError, match="asked otherwise: another driver runs it"):
            train_task(second, proposal, FIRST + 1)
        assert models == {}
        driving.book.ask_to_stop(proposal.task, stop=False)
        finished = train_task(driving, proposal, FIRST)
    assert finished.run.best_params.tobytes() == in_one_process(proposal).best_params.tobytes()
    engine.dispose()


def test_too_few_owners_approve(world, driving, tmp_path):
    proposal = proposal_of("refused", SIZE)
    driving.book.begin(proposal, 0.0)
    views = []

    def prepare(party, _proposal, _keeping):
        raise AssertionError(f"{party} touched its rows")

    hasty = Driving(
        driving.client,
        driving.book,
        driving.journal,
        driving.roots,
        time.monotonic,
        1.0,
        KEYS[DRIVER],
    )
    with (
        at_work(world, tmp_path, prepare, rules=Rules(decide="ask")),
        pytest.raises(RunError, match="0 of 3 owners approved refused, its quorum is 3") as caught,
    ):
        train_task(hasty, proposal, FIRST, views.append)
    assert "fedguide party approve refused" in caught.value.hint
    assert {said for _, said, _ in views[-1].decisions} == {"waiting"}
    assert driving.book.get("refused").status == "failed"


def test_a_party_gone_for_good_is_missing_and_the_run_goes_on(world, driving, tmp_path):
    proposal = proposal_of("gone", SIZE, quorum=2, deadline_s=3.0, rounds=2)
    driving.book.begin(proposal, 0.0)
    gone = threading.Event()

    def prepare(party, task, _keeping):
        half = Party(linear_env(party, task), answer, PartyState)

        def last_words(env, state, message):
            if party == "shop-c" and getattr(message, "round", 0) == 1:
                gone.wait(60)
            return answer(env, state, message)

        half = Party(half.env, last_words, PartyState)
        return Work(with_handover(half, lambda _adopt: None), ALLOWED, task_limits(task))

    with at_work(world, tmp_path, prepare):
        finished = train_task(driving, proposal, FIRST)
        gone.set()
    assert [len(r.parties) for r in finished.run.history] == [3, 2]
    assert [m.reason for m in finished.run.history[1].missing] == ["late"]


def test_a_name_is_one_run_and_its_proposal_stays(driving):
    proposal = proposal_of("one", SIZE)
    assert driving.book.begin(proposal, 1.0) == driving.book.begin(proposal, 2.0)
    with pytest.raises(ConfigError, match="a run one is there already"):
        driving.book.begin(proposal_of("one", SIZE, rounds=9), 3.0)
    with pytest.raises(NotFoundError):
        driving.book.get("two")
    with pytest.raises(NotFoundError):
        driving.book.ask_to_stop("two", stop=True)
    assert [entry.proposal.task for entry in driving.book.all()] == ["one"]


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "../../etc/passwd"},
        {"task": "Upper"},
        {"purpose": " "},
        {"rounds": 0},
        {"quorum": 4},
        {"deadline_s": float("inf")},
        {"aggregation": "telepathy"},
        {"server_momentum": 1.0},
        {"size": 0},
    ],
)
def test_a_proposal_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ConfigError):
        proposal_of(**{"task": "t", "size": SIZE, **changes})


def test_terms_of_another_task_are_refused():
    masked = made("t", "masked_sum")
    for changes in ({"task": "u"}, {"purpose": "p"}, {"max_norm": 2.0}, {"size": 5}):
        with pytest.raises(ConfigError, match="not those of its proposal"):
            replace(masked, **changes)
    with pytest.raises(ConfigError, match="belong to a masked_sum"):
        replace(masked, aggregation="open_sum")
    with pytest.raises(ConfigError, match="belong to a masked_sum"):
        replace(masked, terms=None)


def test_a_known_partys_key_does_not_change(tmp_path):
    engine = sqlite_engine(tmp_path / "desk.db")
    desk = Desk(engine)
    keys = {name: KEYS[name].public for name in SHOPS}
    first, second, _ = SHOPS
    assert desk.pin({first: keys[first]}) == {first: keys[first]}
    assert desk.pin(keys) == keys
    with pytest.raises(RefusedError, match="another key"):
        desk.pin({first: keys[second]})
    with pytest.raises(RefusedError, match="another key"):
        desk.pin({PartyId("shop-z"): keys[second]})
    assert desk.pin({}) == keys
    engine.dispose()


# What a party keeps


def test_a_partys_roots_are_drawn_once_and_gone_with_the_task(tmp_path):
    draws = []

    def entropy(size):
        draws.append(size)
        return os.urandom(size)

    files = PartyFiles(tmp_path / "party", entropy)
    first = files.roots()("t", 1)
    assert draws.count(32) == 1
    files.close()
    files = PartyFiles(tmp_path / "party", entropy)
    assert files.roots()("t", 1) == first
    assert files.roots()("t", 2) != first
    raw = b"".join(p.read_bytes() for p in (tmp_path / "party").glob("party.db*"))
    assert first.value not in raw
    files.forget("t")
    assert files.roots()("t", 1) != first
    files.close()
    assert (tmp_path / "party").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "party" / "party.key").stat().st_mode & 0o777 == 0o600


def test_a_model_is_kept_whole_and_read_back(tmp_path):
    files = PartyFiles(tmp_path / "party")
    proposal = proposal_of("t", SIZE)
    adopt = Adopt(3, np.arange(SIZE, dtype=np.float32), ("shop-a",))
    for _ in range(2):
        files.keep_model("t", adopt)
    assert files.models() == ["t"]
    kept = files.model(proposal)
    assert (kept.round, kept.parties) == (3, ("shop-a",))
    assert np.array_equal(kept.params, adopt.params)
    files.close()


def test_journaled_roots_are_drawn_once():
    drawn = []

    def fresh(task, number):
        drawn.append((task, number))
        return seeded_roots(len(drawn))(task, number)

    roots = journaled_roots(MemoryJournal(), fresh)
    assert roots("t", 0) == roots("t", 0)
    assert drawn == [("t", 0)]
