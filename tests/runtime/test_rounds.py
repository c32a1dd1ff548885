"""Whole runs: early stopping, the best model, cohorts, bytes, lost quorums, and going on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError, RunError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.messages import Train
from fedguide.horizontal.server import momentum_sgd
from fedguide.protocol import Ask, Courier, Missing, Replies, run
from fedguide.runtime.couriers import in_process
from fedguide.runtime.driver import Durable
from fedguide.runtime.journal import MemoryJournal
from fedguide.runtime.rounds import (
    CutShortError,
    RoundReport,
    RoundsPlan,
    Run,
    RunState,
    in_memory,
    run_rounds,
)
from fedguide.seeds import fresh_roots, seeded_entropy, seeded_root, seeded_roots
from fedguide.values import PartyId, Vector
from tests.horizontal.linear import Descent, clock, loss_of, parties_of, pooled, random_data

DATA = random_data(11, sizes=(6, 3, 9, 4))
NAMES = [PartyId(name) for name in DATA]
START = np.float32([2, -2, 1])
MEAN = weighted_mean()
ALGORITHM = fedavg(MEAN, server=momentum_sgd(1.0, 0.5), keep_moments=True)


def courier() -> Courier:
    descent = Descent(learning_rate=0.05, momentum=0.5, steps=2, jitter=0.01)
    return in_process(parties_of(DATA, MEAN, descent), clock)


def memory() -> Durable:
    return in_memory("t", seeded_roots(3), clock, len(START))


def judge(params: Vector) -> float:
    return -loss_of(pooled(DATA), params)


def scripted(scores: list[float]) -> Callable[[Vector], float]:
    left = iter(scores)
    return lambda _params: next(left)


def test_without_a_judge_it_is_the_algorithm_round_by_round() -> None:
    done = run_rounds(ALGORITHM, START, NAMES, courier(), RoundsPlan(rounds=5), durable=memory())
    state, carry = ALGORITHM.init(START), courier()
    for _ in range(5):
        state = run(ALGORITHM.next_round(state, NAMES, seeded_root(0)), carry)
    assert done.best_params.tobytes() == state.params.tobytes()
    assert done.best_round == 5
    assert [report.round for report in done.history] == [1, 2, 3, 4, 5]
    assert all(report.score is None for report in done.history)
    assert done.history[-1].loss < done.history[0].loss / 2


def test_it_ends_when_patience_is_over_and_gives_the_best_model() -> None:
    models: list[Vector] = []
    told: list[RoundReport] = []
    scores = scripted([0.1, 0.3, 0.2, 0.3, 0.25, 9.0])

    def watch(params: Vector) -> float:
        models.append(params)
        return scores(params)

    done = run_rounds(
        ALGORITHM,
        START,
        NAMES,
        courier(),
        RoundsPlan(rounds=60, patience=3),
        durable=memory(),
        judge=watch,
        on_round=told.append,
    )
    assert done.best_round == 2  # the first of equal scores
    assert done.best_params.tobytes() == models[1].tobytes()
    assert [report.score for report in done.history] == [0.1, 0.3, 0.2, 0.3, 0.25]
    assert tuple(told) == done.history


def test_patience_none_never_ends_early() -> None:
    plan = RoundsPlan(rounds=4, patience=None)
    falling = scripted([4.0, 3.0, 2.0, 1.0])
    done = run_rounds(ALGORITHM, START, NAMES, courier(), plan, durable=memory(), judge=falling)
    assert (done.best_round, len(done.history)) == (1, 4)


def test_bytes_and_seconds_are_those_of_the_trips() -> None:
    ticks = iter(range(1000))
    seen: list[tuple[Ask, Replies]] = []
    inner = courier()

    def watched(ask: Ask) -> Replies:
        seen.append((ask, inner(ask)))
        return seen[-1][1]

    durable = replace(memory(), clock=lambda: float(next(ticks)))
    plan = RoundsPlan(rounds=2)
    done = run_rounds(ALGORITHM, START, NAMES, watched, plan, durable=durable, judge=judge)
    for report, (ask, replies) in zip(done.history, seen, strict=True):
        assert report.bytes_down == sum(len(encode(message)) for message in ask.to.values())
        assert report.bytes_up == sum(len(encode(reply)) for reply in replies.answers.values())
        assert report.bytes_down > 4 * len(NAMES) * len(START)
        assert report.seconds == 2.0  # one tick for the trip, one for the judge


def test_a_cohort_is_drawn_anew_each_round_and_repeats_with_its_roots() -> None:
    def cohorts(seed: int) -> list[tuple[PartyId, ...]]:
        durable = replace(memory(), roots=seeded_roots(seed))
        plan = RoundsPlan(rounds=12, cohort_size=2)
        done = run_rounds(ALGORITHM, START, NAMES, courier(), plan, durable=durable)
        return [report.parties for report in done.history]

    assert cohorts(1) == cohorts(1) != cohorts(2)
    assert {len(cohort) for cohort in cohorts(1)} == {2}
    assert {party for cohort in cohorts(1) for party in cohort} == set(NAMES)


class Crash(BaseException):
    """The process dies: nothing in the house may catch it."""


@pytest.mark.parametrize("dies_at", [0, 1, 3])
@pytest.mark.parametrize("after_the_trip", [False, True])
def test_a_run_that_died_ends_in_the_same_bytes(dies_at: int, after_the_trip: bool) -> None:
    plan = RoundsPlan(rounds=5, cohort_size=3)

    def durable() -> Durable:
        journal = MemoryJournal()
        entropy = fresh_roots(seeded_entropy(5))
        return replace(memory(), journal=journal, roots=entropy)

    undisturbed = run_rounds(
        ALGORITHM, START, NAMES, courier(), plan, durable=durable(), judge=judge
    )
    carry, kept = courier(), durable()
    calls = 0

    def dying(ask: Ask) -> Replies:
        if not after_the_trip and ask.trip == dies_at:
            raise Crash
        return carry(ask)

    def dying_judge(params: Vector) -> float:
        nonlocal calls
        calls += 1
        if after_the_trip and calls == dies_at + 1:
            raise Crash
        return judge(params)

    with pytest.raises(Crash):
        run_rounds(ALGORITHM, START, NAMES, dying, plan, durable=kept, judge=dying_judge)
    told: list[RoundReport] = []
    resumed = run_rounds(
        ALGORITHM,
        START,
        NAMES,
        carry,
        plan,
        durable=kept,
        judge=judge,
        on_round=told.append,
    )
    assert resumed.best_params.tobytes() == undisturbed.best_params.tobytes()
    assert resumed.history == undisturbed.history
    assert [report.round for report in told] == list(range(dies_at + 1, 6))


def test_a_lost_quorum_ends_with_what_is_there_and_can_go_on() -> None:
    algorithm = fedavg(MEAN, waiting=Waiting(quorum=3))
    inner, durable, plan = courier(), memory(), RoundsPlan(rounds=4)

    def failing(ask: Ask) -> Replies:
        if ask.trip < 2:
            return inner(ask)
        lost = ("shop0", "shop2")
        to = {party: message for party, message in ask.to.items() if party not in lost}
        missing = tuple(Missing(PartyId(party), "lost") for party in lost)
        return Replies(inner(replace(ask, to=to, quorum=1)).answers, missing)

    with pytest.raises(CutShortError) as cut:
        run_rounds(algorithm, START, NAMES, failing, plan, durable=durable, judge=judge)
    assert "ended after 2 rounds: 2 of 4 parties answered" in str(cut.value)
    assert "shop0 (lost), shop2 (lost)" in str(cut.value)
    assert isinstance(cut.value, RunError)
    assert len(cut.value.run.history) == 2
    assert judge(cut.value.run.best_params) == max(r.score or 0 for r in cut.value.run.history)
    done = run_rounds(algorithm, START, NAMES, inner, plan, durable=durable, judge=judge)
    assert done.history[:2] == cut.value.run.history
    assert [report.round for report in done.history] == [1, 2, 3, 4]


def test_the_missing_of_a_round_are_in_its_report() -> None:
    inner = courier()

    def deaf(ask: Ask) -> Replies:
        got = inner(ask)
        answers = {party: reply for party, reply in got.answers.items() if party != "shop1"}
        return Replies(answers, (Missing(PartyId("shop1"), "late", "5 s"),))

    done = run_rounds(ALGORITHM, START, NAMES, deaf, RoundsPlan(rounds=1), durable=memory())
    assert done.history[0].missing == (Missing(PartyId("shop1"), "late", "5 s"),)
    assert done.history[0].parties == ("shop0", "shop2", "shop3")
    assert done.history[0].examples == 6 + 9 + 4


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_ends_the_run(score: float) -> None:
    with pytest.raises(RunError, match=r"finite score, got (nan|inf) in round 1"):
        run_rounds(
            ALGORITHM,
            START,
            NAMES,
            courier(),
            RoundsPlan(),
            durable=memory(),
            judge=scripted([score]),
        )


@pytest.mark.parametrize("name", ["rounds", "patience", "cohort_size", "most_undone"])
def test_a_plan_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        RoundsPlan(**{name: 0})


def test_a_cohort_larger_than_the_parties_is_refused() -> None:
    plan = RoundsPlan(cohort_size=5)
    with pytest.raises(ConfigError, match=r"cohort_size must be in \[1, 4\], got 5"):
        run_rounds(ALGORITHM, START, NAMES, courier(), plan, durable=memory())


def test_the_limits_of_a_simulation_hold_its_messages() -> None:
    size = 533_000
    limits: Limits = in_memory("t", seeded_roots(0), clock, size).limits
    payload = encode(Train(0, np.zeros(size, np.float32)))
    assert len(payload) < limits.max_bytes
    assert limits.dims["p"] == size


def undoing(tolerance: float = 0.1, **more: int) -> RoundsPlan:
    return RoundsPlan(rounds=5, patience=None, tolerance=tolerance, **more)


def states_of(scores: list[float], plan: RoundsPlan) -> tuple[list[Vector], Run]:
    """The model that each round began with, and the run."""
    began: list[Vector] = []
    inner = courier()

    def watched(ask: Ask) -> Replies:
        (train, *_) = ask.to.values()
        assert isinstance(train, Train)
        assert train.round == len(began)  # no number is asked for twice
        began.append(train.params)
        return inner(ask)

    done = run_rounds(
        ALGORITHM, START, NAMES, watched, plan, durable=memory(), judge=scripted(scores)
    )
    return began, done


def test_a_round_that_harms_is_undone_and_counted_and_its_parties_are_named() -> None:
    # The first is the score of the first model; round 3 falls by 0.3, round 4 by 0.05.
    began, done = states_of([0.2, 0.5, 0.6, 0.3, 0.55, 0.7], undoing())
    assert [report.undone for report in done.history] == [False, False, True, False, False]
    assert [report.round for report in done.history] == [1, 2, 3, 4, 5]
    assert done.history[2].parties == tuple(sorted(NAMES))
    assert done.history[2].score == 0.3
    assert began[3].tobytes() == began[2].tobytes()  # round 4 begins where round 3 had begun
    assert began[4].tobytes() != began[3].tobytes()  # round 4 was worse, but tolerated
    assert (done.best_round, len(began)) == (5, 5)


def test_undoing_leaves_the_server_s_memory_as_it_was() -> None:
    """With momentum, a harmful push would otherwise go on pushing."""
    kept: list[RunState] = []
    durable = memory()
    journal = MemoryJournal()

    def note(report: RoundReport) -> None:
        checkpoint = journal.checkpoint(durable.task)
        assert checkpoint is not None
        kept.append(decode(checkpoint.state, durable.allowed, durable.limits))

    run_rounds(
        ALGORITHM,
        START,
        NAMES,
        courier(),
        undoing(),
        durable=replace(durable, journal=journal),
        judge=scripted([0.0, 0.5, 0.1, 0.6, 0.6, 0.6]),
        on_round=note,
    )
    first, undone = kept[0].server, kept[1].server
    assert undone.memory.tobytes() == first.memory.tobytes() != START.tobytes()
    assert undone.params.tobytes() == first.params.tobytes()
    assert (first.round, undone.round) == (1, 2)


def test_the_first_round_is_held_against_the_first_model() -> None:
    began, done = states_of([0.5, 0.1, 0.5, 0.2, 0.5, 0.6, 0.7, 0.8], undoing())
    assert [report.undone for report in done.history] == [True, True, False, False, False]
    assert began[1].tobytes() == began[2].tobytes() == START.tobytes()


def test_a_run_with_too_many_undone_rounds_ends_with_its_best_model() -> None:
    began, done = states_of([0.0, 0.5, 0.1, 0.1, 9.0], undoing(most_undone=2))
    assert [report.undone for report in done.history] == [False, True, True]
    assert done.best_round == 1
    assert done.best_params.tobytes() == began[1].tobytes()


def test_slow_harm_adds_up_against_the_best_not_the_last() -> None:
    _, done = states_of([0.0, 0.5, 0.43, 0.37, 0.43, 0.5], undoing())
    assert [report.undone for report in done.history] == [False, False, True, False, False]


def test_a_round_is_undone_alike_when_the_run_died_in_it() -> None:
    """The decision is made again from the journal, with the same outcome, bit for bit."""
    worth = {}

    def falls_in_round_three(params: Vector) -> float:
        """By how many different models it was asked about: the same for the same model."""
        number = worth.setdefault(params.tobytes(), len(worth))
        return [0.1, 0.3, 0.4, 0.1, 0.5, 0.6][number]

    plan, deaths = undoing(), 0

    def dying(params: Vector) -> float:
        nonlocal deaths
        score = falls_in_round_three(params)
        if score == 0.1 and len(worth) > 1 and not deaths:
            deaths += 1
            raise Crash
        return score

    undisturbed = run_rounds(
        ALGORITHM, START, NAMES, courier(), plan, durable=memory(), judge=falls_in_round_three
    )
    worth.clear()
    kept, carry = replace(memory(), journal=MemoryJournal()), courier()
    with pytest.raises(Crash):
        run_rounds(ALGORITHM, START, NAMES, carry, plan, durable=kept, judge=dying)
    resumed = run_rounds(ALGORITHM, START, NAMES, carry, plan, durable=kept, judge=dying)
    assert [report.undone for report in resumed.history] == [False, False, True, False, False]
    assert resumed.history == undisturbed.history
    assert resumed.best_params.tobytes() == undisturbed.best_params.tobytes()


@pytest.mark.parametrize("tolerance", [-0.1, float("inf"), float("nan")])
def test_a_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(ConfigError, match="tolerance must be finite and at least 0"):
        RoundsPlan(tolerance=tolerance)


def test_a_tolerance_without_a_judge_is_refused() -> None:
    with pytest.raises(ConfigError, match="a tolerance needs a judge"):
        run_rounds(ALGORITHM, START, NAMES, courier(), undoing(), durable=memory())
