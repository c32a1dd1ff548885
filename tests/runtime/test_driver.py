"""The durable driver, on a dummy algorithm of three trips a round."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pytest

from fedguide.codec import Array, Limits, encode
from fedguide.errors import JournalError, NotFiniteError
from fedguide.protocol import Ask, Message, Missing, QuorumLost, Replies, State
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.driver import Durable, Progress, drive_round, resume
from fedguide.runtime.journal import Checkpoint, MemoryJournal
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import fresh_roots, seeded_entropy, seeded_roots, stream
from fedguide.values import PartyId, Vector

A, B = PartyId("a"), PartyId("b")
TASK = "task"


@dataclass(frozen=True)
class Guess(Message):
    number: float


@dataclass(frozen=True)
class Better(Message):
    number: float
    proof: Annotated[Vector, Array("float32", "p")]


@dataclass(frozen=True)
class Walk(State):
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Seen(State):
    calls: int = 0


ALLOWED = (Guess, Better, Walk, Seen)
LIMITS = Limits(10_000, {"p": 3})


class DiedError(Exception):
    """Stands for the death of the process."""


def answer(log: list, state: Seen, message: Message):
    log.append(message.number)
    number = message.number + 1 + state.calls
    return Seen(state.calls + 1), Better(number, np.full(3, number, np.float32))


def walking(state, root):
    """Three trips, each asking what the last one and the round's root gave."""
    number = float(stream(root, "start").integers(0, 1000))
    for _ in range(3):
        replies = yield Ask({A: Guess(number), B: Guess(-number)}, quorum=2)
        number = sum(reply.number for reply in replies.answers.values()) + number
    return Walk((*state.numbers, number))


@dataclass
class World:
    """Parties behind a courier, and a journal, that outlive the driver."""

    durable: Durable
    courier: object
    logs: dict
    drawn: list
    reports: list
    clock: list


@pytest.fixture
def world():
    logs = {A: [], B: []}
    parties = {name: Party(log, answer, Seen) for name, log in logs.items()}
    drawn, reports, clock = [], [], [0.0]

    def tick():
        clock[0] += 0.5
        return clock[0]

    def roots(task, number):
        drawn.append((task, number))
        return seeded_roots(1)(task, number)

    courier = through_bytes(parties, lambda: 0.0, MemoryPartyStore(), LIMITS, ALLOWED)
    durable = Durable(TASK, MemoryJournal(), roots, tick, ALLOWED, LIMITS, reports.append)
    return World(durable, courier, logs, drawn, reports, clock)


def finish(world, rounds=2, make=walking, courier=None):
    progress = resume(world.durable, Walk())
    while progress.round < rounds:
        progress = drive_round(world.durable, progress, make, courier or world.courier)
    return progress


def test_rounds_follow_one_another(world):
    progress = finish(world)
    assert (progress.round, progress.trip) == (2, 6)
    assert len(progress.state.numbers) == 2
    assert world.drawn == [(TASK, 0), (TASK, 1)]
    assert [len(log) for log in world.logs.values()] == [6, 6]
    assert resume(world.durable, Walk()) == progress
    assert world.durable.journal.trips(TASK) == []


def test_by_hand(world):
    start = float(stream(seeded_roots(1)(TASK, 0), "start").integers(0, 1000))
    # Trip k: a answers n + 1 + k, b answers -n + 1 + k; their sum 2 + 2k is added to n.
    assert finish(world, rounds=1).state == Walk((start + 2 + 4 + 6,))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("dies_at", range(6))
def test_a_crash_around_any_trip_changes_nothing(world, dies_at, when):
    undisturbed = finish(fresh_world(world))
    journal = world.durable.journal
    record = journal.record

    def dying(task, trip):
        if when == "after":
            record(task, trip)
        if trip.trip == dies_at:
            raise DiedError
        if when == "before":
            record(task, trip)

    journal.record = dying
    with pytest.raises(DiedError):
        finish(world)
    journal.record = record
    world.reports.clear()
    assert finish(world) == undisturbed
    assert [len(log) for log in world.logs.values()] == [6, 6]  # nobody answered twice
    assert len(world.drawn) == 2
    replayed = dies_at % 3 + (when == "after")
    expected = [True] * replayed + [False] * (6 - dies_at - (when == "after"))
    assert [report.replayed for report in world.reports] == expected


def fresh_world(world):
    logs = {A: [], B: []}
    parties = {name: Party(log, answer, Seen) for name, log in logs.items()}
    return replace(
        world,
        durable=replace(world.durable, journal=MemoryJournal(), roots=seeded_roots(1)),
        courier=through_bytes(parties, lambda: 0.0, MemoryPartyStore(), LIMITS, ALLOWED),
    )


def test_a_root_is_journaled_before_it_is_used(world):
    def dying(_state, _root):
        raise DiedError
        yield

    world = replace(world, durable=replace(world.durable, roots=fresh_roots(seeded_entropy(1))))
    with pytest.raises(DiedError):
        drive_round(world.durable, resume(world.durable, Walk()), dying, world.courier)
    kept = world.durable.journal.root(TASK, 0)
    seen = []

    def looking(state, root):
        seen.append(root)
        return walking(state, root)

    finish(world, rounds=1, make=looking)
    assert seen == [kept]


def test_the_coordinator_may_not_ask_otherwise_on_replay(world):
    record = world.durable.journal.record

    def dying(task, trip):
        record(task, trip)
        raise DiedError

    world.durable.journal.record = dying
    with pytest.raises(DiedError):
        finish(world)

    def otherwise(state, root):
        replies = yield Ask({A: Guess(0.125), B: Guess(0.0)}, quorum=2)
        return Walk((replies.answers[A].number,))

    with pytest.raises(JournalError, match="task: the replay asks otherwise than trip 0"):
        finish(world, make=otherwise)
    assert [len(log) for log in world.logs.values()] == [1, 1]


@pytest.mark.parametrize(
    "changed",
    [{"quorum": 1}, {"deadline_s": 1.0}, {"first": 2}, {"to": {A: Guess(1.0)}, "quorum": 1}],
)
def test_every_part_of_an_ask_is_compared(world, changed):
    plain = Ask({A: Guess(1.0), B: Guess(1.0)}, quorum=2)

    def asking(ask, then):
        yield ask
        then()
        return Walk()

    def die():
        raise DiedError

    with pytest.raises(DiedError):
        finish(world, make=lambda _s, _r: asking(plain, die))
    with pytest.raises(JournalError, match="asks otherwise"):
        finish(world, make=lambda _s, _r: asking(replace(plain, **changed), lambda: None))


def test_a_journaled_reply_that_the_task_no_longer_allows_is_refused(world):
    record = world.durable.journal.record

    def dying(task, trip):
        record(task, trip)
        raise DiedError

    world.durable.journal.record = dying
    with pytest.raises(DiedError):
        finish(world)
    narrower = replace(world, durable=replace(world.durable, limits=Limits(10_000, {"p": 2})))
    with pytest.raises(JournalError, match="a reply journaled in trip 0 is unusable"):
        finish(narrower)


def test_the_coordinator_may_not_end_early_on_replay(world):
    record = world.durable.journal.record

    def dying(task, trip):
        record(task, trip)
        raise DiedError

    world.durable.journal.record = dying
    with pytest.raises(DiedError):
        finish(world)

    def ending(state, _root):
        yield from ()
        return state

    with pytest.raises(JournalError, match="ended before trip 0"):
        finish(world, make=ending)


def test_a_lost_round_is_tried_again_with_new_trips_and_a_new_root(world):
    lost = Missing(B, "lost", "gone")

    def without_b(ask):
        replies = world.courier(replace(ask, to={A: ask.to[A]}, quorum=1))
        return Replies(replies.answers, (lost,))

    with pytest.raises(QuorumLost, match=r"1 of 2 .* b \(lost\)"):
        finish(world, rounds=1, courier=without_b)
    progress = resume(world.durable, Walk())
    assert progress == Progress(1, 1, Walk())
    again = drive_round(world.durable, progress, walking, world.courier)
    assert (again.round, again.trip) == (2, 4)
    assert world.drawn == [(TASK, 0), (TASK, 1)]
    assert len(again.state.numbers) == 1
    assert world.reports[0].missing == (lost,)


def test_a_crash_after_the_lost_trip_loses_the_same_round_again(world):
    journal = world.durable.journal
    put = journal.put_checkpoint

    def dying(task, checkpoint):
        raise DiedError

    journal.put_checkpoint = dying
    with pytest.raises(DiedError):
        finish(world, courier=lambda ask: Replies({}, (Missing(A, "lost"), Missing(B, "lost"))))
    journal.put_checkpoint = put
    with pytest.raises(QuorumLost):
        finish(world)
    assert world.logs == {A: [], B: []}
    assert resume(world.durable, Walk()).trip == 1


def test_payloads_that_a_courier_kept_are_journaled_as_they_came(world):
    plain, kept, trips = fresh_world(world), [], []

    def keeping(ask):
        replies = world.courier(ask)
        payloads = {name: memoryview(encode(one)) for name, one in replies.answers.items()}
        kept.append(tuple(payloads.values()))
        return replace(replies, payloads=payloads)

    record = world.durable.journal.record
    world.durable.journal.record = lambda task, trip: (trips.append(trip), record(task, trip))
    assert finish(world, courier=keeping) == finish(plain)
    assert [trip.replies for trip in trips] == kept
    # Not even copies of them.
    journaled = [reply for trip in trips for reply in trip.replies]
    assert list(map(id, journaled)) == [id(one) for trip in kept for one in trip]


def test_a_payload_that_no_replay_could_read_counts_as_faulty(world):
    def damaging(ask):
        replies = world.courier(ask)
        return replace(replies, payloads=dict.fromkeys(replies.answers, b"FGC"))

    with pytest.raises(QuorumLost, match=r"a \(faulty\), b \(faulty\)"):
        finish(world, courier=damaging)


def test_a_caught_loss_goes_on_in_the_same_round(world):
    def patient(state, root):
        try:
            yield Ask({A: Guess(1.0), PartyId("x"): Guess(1.0)}, quorum=2)
        except QuorumLost as lost:
            survivors = tuple(lost.replies.answers)
        replies = yield Ask(dict.fromkeys(survivors, Guess(2.0)), quorum=1)
        return Walk((replies.answers[A].number,))

    progress = finish(world, rounds=1, make=patient)
    assert progress.state == Walk((4.0,))
    assert (progress.round, progress.trip) == (1, 2)


def test_an_illegal_reply_is_one_missing_party_whatever_the_courier(world):
    def illegal(env, state, message):
        return state, Better(float("nan"), np.zeros(3, np.float32))

    def too_long(env, state, message):
        return state, Better(1.0, np.zeros(4, np.float32))

    def no_message(env, state, message):
        return state, state

    parties = {
        PartyId(name): Party([], behaviour, Seen)
        for name, behaviour in
        {"a": answer, "n": illegal, "o": too_long, "s": no_message}.items()
    }  # fmt: skip

    def asking(state, root):
        replies = yield Ask(dict.fromkeys(parties, Guess(0.0)), quorum=1)
        assert list(replies.answers) == [A]
        return Walk(tuple(float(len(m.detail)) for m in replies.missing))

    finish(world, rounds=1, make=asking, courier=in_process(parties, lambda: 0.0))
    reasons = [(m.party, m.reason, m.detail.split(":")[0]) for m in world.reports[0].missing]
    assert reasons == [
        ("n", "faulty", "NotFiniteError"),
        ("o", "faulty", "OversizedError"),
        ("s", "faulty", "MalformedError"),
    ]


def test_the_coordinator_is_fed_from_the_journal_live_as_on_replay(world):
    """An int where a float is declared would come back as a float from the journal alone."""
    parties = {A: Party([], lambda e, s, m: (s, Better(7, np.zeros(3, np.float32))), Seen)}
    kinds = []

    def asking(state, root):
        replies = yield Ask({A: Guess(0.0)}, quorum=1)
        kinds.append(type(replies.answers[A].number))
        return state

    finish(world, rounds=1, make=asking, courier=in_process(parties, lambda: 0.0))
    assert kinds == [float]


def test_reports_count_real_bytes_and_seconds(world):
    finish(world, rounds=1)
    first = world.reports[0]
    number = world.logs[A][0]
    down = sum(len(encode(Guess(n))) for n in (number, -number))
    up = sum(len(encode(Better(n, np.zeros(3, np.float32)))) for n in (1.5, 2.5))
    assert (first.bytes_down, first.bytes_up) == (down, up)
    assert first.seconds == 0.5
    assert [report.trip for report in world.reports] == [0, 1, 2]


def test_a_checkpoint_of_another_protocol_is_refused(world):
    finish(world, rounds=1)
    with pytest.raises(JournalError, match="holds a Walk, this run needs a Seen"):
        resume(world.durable, Seen())
    with pytest.raises(JournalError, match="of kind 'Walk'"):
        resume(replace(world.durable, allowed=(Seen,)), Seen())


def test_a_damaged_checkpoint_is_refused(world):
    world.durable.journal.put_checkpoint(TASK, Checkpoint(1, 3, b"FGC"))
    with pytest.raises(JournalError, match="the state of task is unusable"):
        resume(world.durable, Walk())


def test_a_state_larger_than_a_message_may_be_is_kept(world):
    many = Walk(tuple(float(n) for n in range(3000)))
    small = replace(world.durable, limits=Limits(2000, {"p": 3}, max_header_bytes=1000))

    def growing(_state, _root):
        yield from ()
        return many

    progress = drive_round(small, resume(small, Walk()), growing, world.courier)
    assert resume(small, Walk()) == progress == Progress(1, 0, many)


def test_a_state_that_cannot_be_kept_ends_the_round_before_it_is_lost(world):
    def broken(_state, _root):
        yield from ()
        return Walk((float("nan"),))

    with pytest.raises(NotFiniteError, match="must be finite, got nan"):
        finish(world, rounds=1, make=broken)
    assert world.durable.journal.checkpoint(TASK) is None


def test_two_drivers_on_one_task_do_not_both_go_on(world):
    def other_was_faster(ask):
        replies = world.courier(ask)
        if not world.durable.journal.trips(TASK):
            finish_one_trip(world)
        return replies

    def finish_one_trip(world):
        def dying(ask):
            if ask.trip == 1:
                raise DiedError
            return world.courier(ask)

        with pytest.raises(DiedError):
            finish(world, courier=dying)

    with pytest.raises(JournalError, match="another driver runs this task"):
        finish(world, courier=other_was_faster)
