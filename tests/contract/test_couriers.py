"""One suite for every courier within one process, on a dummy protocol that adds numbers up."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from fedguide.codec import Array, Limits
from fedguide.errors import (
    ConnectionFailedError,
    DataError,
    OversizedError,
    ProtocolError,
    RefusedError,
    TimedOutError,
)
from fedguide.protocol import Ask, Message, Missing, Replies, State, run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.runtime.sqlite import SqlitePartyStore, sqlite_engine
from fedguide.values import PartyId, Vector

A, B, C, D = map(PartyId, "abcd")


@dataclass(frozen=True)
class Add(Message):
    numbers: Annotated[Vector, Array("float32", "p")]


@dataclass(frozen=True)
class Total(Message):
    total: float
    calls: int


@dataclass(frozen=True)
class Adder(State):
    total: float = 0.0
    calls: int = 0


ALLOWED = (Add, Total, Adder)
LIMITS = Limits(10_000, {"p": 4})


def answer(env, state: Adder, message: Message):
    """Adds up whatever came; ``env`` may raise instead."""
    match message:
        case Add():
            env()
            new = Adder(state.total + float(message.numbers.sum()), state.calls + 1)
            return new, Total(new.total, new.calls)
        case _:
            raise ProtocolError(f"no step for a {type(message).__name__}")


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class World:
    """A courier over four parties whose ``env`` a test may set."""

    clock: Clock
    envs: dict
    courier: object


@pytest.fixture(params=["in_process", "bytes_memory", "bytes_sqlite"])
def world(request, tmp_path):
    clock = Clock()
    envs = dict.fromkeys([A, B, C, D], lambda: None)
    parties = {name: Party(lambda name=name: envs[name](), answer, Adder) for name in envs}
    if request.param == "in_process":
        yield World(clock, envs, in_process(parties, clock))
        return
    engine = sqlite_engine(tmp_path / "parties.db")
    memory = request.param == "bytes_memory"
    store = MemoryPartyStore() if memory else SqlitePartyStore(engine, "task", bytes(64))
    yield World(clock, envs, through_bytes(parties, clock, store, LIMITS, ALLOWED))
    engine.dispose()


def ask(*names, value=1.0, trip=0, first=None, deadline_s=10.0):
    message = Add(np.array([value, 2], np.float32))
    return Ask(dict.fromkeys(names, message), 1, deadline_s, first, trip)


def raising(error):
    def env():
        raise error

    return env


def test_everybody_answers_and_keeps_a_state_of_its_own(world):
    assert world.courier(ask(B, A)) == Replies({A: Total(3, 1), B: Total(3, 1)})
    assert world.courier(ask(B, C, value=5, trip=1)) == Replies({B: Total(10, 2), C: Total(7, 1)})


def test_a_whole_coordinator_runs(world):
    def coordinator():
        totals = []
        for value in (1.0, 10.0):
            replies = yield ask(A, B, value=value)
            totals.append([reply.total for reply in replies.answers.values()])
        return totals

    assert run(coordinator(), world.courier) == [[3, 3], [15, 15]]


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (RefusedError("policy: too few"), "refused", "RefusedError: policy: too few"),
        (DataError("no rows"), "faulty", "DataError: no rows"),
        (OversizedError("too large"), "faulty", "OversizedError: too large"),
        (ProtocolError("not now"), "faulty", "ProtocolError: not now"),
        (TimedOutError("busy"), "late", "TimedOutError: busy"),
        (ConnectionFailedError("gone"), "lost", "ConnectionFailedError: gone"),
        (OSError("/home/anna: no space"), "lost", "OSError"),
        (ZeroDivisionError("anna@example.org"), "faulty", "ZeroDivisionError"),
        (MemoryError(), "faulty", "MemoryError"),
    ],
)
def test_one_party_that_fails_is_a_missing_reply(world, error, reason, detail):
    world.envs[B] = raising(error)
    replies = world.courier(ask(A, B, C))
    assert replies == Replies({A: Total(3, 1), C: Total(3, 1)}, (Missing(B, reason, detail),))


def test_a_party_that_failed_goes_on_from_the_state_it_had(world):
    world.courier(ask(A))
    world.envs[A] = raising(DataError("no rows"))
    world.courier(ask(A, value=100, trip=1))
    world.envs[A] = lambda: None
    assert world.courier(ask(A, trip=2)).answers == {A: Total(6, 2)}


def test_stopping_the_process_is_not_swallowed(world):
    world.envs[A] = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.courier(ask(A))


def test_an_unknown_party_is_lost(world):
    replies = world.courier(ask(A, PartyId("nobody")))
    assert replies.missing == (Missing(PartyId("nobody"), "lost", "no such party"),)
    assert list(replies.answers) == [A]


def test_each_party_is_late_by_its_own_time_alone(world):
    world.envs[A] = lambda: world.clock.wait(10.0)
    world.envs[B] = lambda: world.clock.wait(10.5)
    replies = world.courier(ask(A, B, C, deadline_s=10.0))
    assert list(replies.answers) == [A, C]
    assert replies.missing == (Missing(B, "late", "took more than 10 s"),)


def test_the_first_n_are_enough_and_the_rest_is_not_bothered(world):
    asked = []
    for name in world.envs:
        world.envs[name] = lambda name=name: asked.append(name)
    replies = world.courier(ask(A, B, C, D, first=2))
    assert list(replies.answers) == asked == [A, B]
    assert replies.missing == tuple(Missing(n, "late", "the first 2 were in") for n in (C, D))


def test_the_first_n_are_others_on_the_next_trip(world):
    firsts = [list(world.courier(ask(A, B, C, D, first=2, trip=t)).answers) for t in range(4)]
    assert firsts == [[A, B], [B, C], [C, D], [A, D]]


def test_a_missing_party_does_not_count_among_the_first(world):
    world.envs[A] = raising(RefusedError("no"))
    assert list(world.courier(ask(A, B, C, first=2)).answers) == [B, C]


def test_a_message_the_party_has_no_step_for_is_its_refusal(world):
    replies = world.courier(Ask({A: Total(1.0, 1)}, 1))
    assert replies.missing == (Missing(A, "faulty", "ProtocolError: no step for a Total"),)


# What only bytes can show


by_bytes = pytest.mark.parametrize("world", ["bytes_memory", "bytes_sqlite"], indirect=True)


@by_bytes
def test_the_same_trip_again_gets_the_same_reply_and_no_second_answer(world):
    first = world.courier(ask(A))
    world.envs[A] = raising(AssertionError("asked twice"))
    assert world.courier(ask(A)) == first
    world.envs[A] = lambda: None
    assert world.courier(ask(A, trip=1)).answers == {A: Total(6, 2)}


@by_bytes
def test_another_message_on_an_answered_trip_is_refused(world):
    world.courier(ask(A))
    replies = world.courier(ask(A, value=9))
    assert [m.reason for m in replies.missing] == ["faulty"]
    assert "trip 0 was answered to another message" in replies.missing[0].detail
    assert world.courier(ask(A, trip=1)).answers == {A: Total(6, 2)}


@by_bytes
def test_a_trip_that_is_over_is_refused(world):
    world.courier(ask(A, trip=5))
    replies = world.courier(ask(A, trip=4))
    assert "trip 4 is over, the last answered was 5" in replies.missing[0].detail


@by_bytes
def test_a_late_party_answers_the_same_when_asked_again(world):
    world.envs[A] = lambda: world.clock.wait(11)
    assert world.courier(ask(A)).missing[0].reason == "late"
    assert world.courier(ask(A)).answers == {A: Total(3, 1)}


@by_bytes
@pytest.mark.parametrize(
    ("numbers", "detail"),
    [
        (np.ones(5, np.float32), "OversizedError: Add.numbers has p = 5, at most 4"),
        (np.array([np.nan], np.float32), "NotFiniteError: Add.numbers holds NaN"),
        (np.ones(2), "WrongDtypeError: Add.numbers must be an array of float32, got float64"),
    ],
)
def test_illegal_messages_are_faulty_and_name_the_reason(world, numbers, detail):
    replies = world.courier(Ask({A: Add(numbers)}, 1))
    assert replies.missing[0].reason == "faulty"
    assert detail in replies.missing[0].detail


def test_illegal_replies_and_states_are_faulty(tmp_path):
    def broken(env, state, message):
        return (Adder(float("nan")), Total(1, 1)) if env == "state" else (state, Total(np.inf, 1))

    parties = {A: Party("state", broken, Adder), B: Party("reply", broken, Adder)}
    store = MemoryPartyStore()
    replies = through_bytes(parties, Clock(), store, LIMITS, ALLOWED)(ask(A, B))
    assert [m.detail for m in replies.missing] == [
        "NotFiniteError: Adder.total must be finite, got nan",
        "NotFiniteError: Total.total must be finite, got inf",
    ]
    assert store.state(A) is None
    assert store.last_answer(B) is None


def test_kinds_that_are_not_allowed_do_not_pass():
    parties = {A: Party(lambda: None, answer, Adder)}
    courier = through_bytes(parties, Clock(), MemoryPartyStore(), LIMITS, (Total, Adder))
    assert "UnknownKindError: payload is of kind 'Add'" in courier(ask(A)).missing[0].detail


def test_a_state_never_passes_for_a_message():
    parties = {A: Party(lambda: None, lambda env, state, m: (state, state), Adder)}
    courier = through_bytes(parties, Clock(), MemoryPartyStore(), LIMITS, ALLOWED)
    assert "UnknownKindError: payload is of kind 'Adder'" in courier(ask(A)).missing[0].detail


def test_state_survives_the_process(tmp_path):
    parties = {A: Party(lambda: None, answer, Adder)}
    totals = []
    for trip in range(3):
        engine = sqlite_engine(tmp_path / "parties.db")
        store = SqlitePartyStore(engine, "task", bytes(64))
        courier = through_bytes(parties, Clock(), store, LIMITS, ALLOWED)
        totals.append(courier(ask(A, trip=trip)).answers[A])
        engine.dispose()
    assert totals == [Total(3, 1), Total(6, 2), Total(9, 3)]


def test_tasks_in_one_file_do_not_mix(tmp_path):
    engine = sqlite_engine(tmp_path / "parties.db")
    parties = {A: Party(lambda: None, answer, Adder)}
    for task in ("one", "two"):
        store = SqlitePartyStore(engine, task, bytes(64))
        courier = through_bytes(parties, Clock(), store, LIMITS, ALLOWED)
        assert courier(ask(A)).answers == {A: Total(3, 1)}
    engine.dispose()
