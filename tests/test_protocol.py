"""Coordinators, asks and replies, on a dummy protocol that counts."""

from collections.abc import Generator
from dataclasses import dataclass

import pytest

from fedguide.errors import ConfigError, QuorumLostError
from fedguide.protocol import Ask, Message, Missing, QuorumLost, Replies, has_quorum, run, step


@dataclass(frozen=True)
class Ping(Message):
    number: int


@dataclass(frozen=True)
class Pong(Message):
    number: int


def courier(ask: Ask) -> Replies:
    """Doubles every number; parties whose name begins with ``x`` are lost."""
    return Replies(
        {p: Pong(m.number * 2) for p, m in reversed(ask.to.items()) if not p.startswith("x")},
        tuple(Missing(p, "lost") for p in reversed(ask.to) if p.startswith("x")),
    )


def counting(parties, trips, quorum=1) -> Generator[Ask, Replies, int]:
    number = 1
    for _ in range(trips):
        replies = yield Ask(dict.fromkeys(parties, Ping(number)), quorum)
        number = sum(reply.number for reply in replies.answers.values())
    return number


def test_run_gives_the_result():
    assert run(counting(["a", "b"], 3), courier) == 64  # times 4 a trip


def test_run_of_a_coordinator_that_asks_nothing():
    assert run(counting(["a"], 0), courier) == 1


def test_run_numbers_the_trips():
    seen = []

    def spying(ask):
        seen.append(ask.trip)
        return courier(ask)

    run(counting(["a"], 3), spying)
    assert seen == [0, 1, 2]


def test_coordinators_compose():
    def outer():
        left = yield from counting(["a", "b"], 1)
        right = yield from counting(["a"], 2)
        return left, right

    assert run(outer(), courier) == (4, 4)


def test_replies_and_missing_are_sorted():
    replies = courier(Ask(dict.fromkeys(["xb", "c", "a", "xa", "b"], Ping(1)), 1))
    assert list(replies.answers) == ["a", "b", "c"]
    assert [m.party for m in replies.missing] == ["xa", "xb"]


def test_quorum_lost_ends_a_coordinator_that_does_not_catch_it():
    with pytest.raises(QuorumLostError, match=r"1 of 2 parties answered, quorum is 2") as error:
        run(counting(["a", "x"], 3, quorum=2), courier)
    assert "x (lost)" in str(error.value)
    assert error.value.replies.answers == {"a": Pong(2)}


def test_quorum_lost_can_be_caught():
    def patient():
        try:
            yield Ask({"x": Ping(1), "a": Ping(1)}, quorum=2)
        except QuorumLost as lost:
            survivors = list(lost.replies.answers)
        replies = yield Ask(dict.fromkeys(survivors, Ping(5)), quorum=1)
        return replies.answers["a"].number

    assert run(patient(), courier) == 10


def test_quorum_is_met_by_exactly_as_many():
    ask = Ask({"a": Ping(1), "x": Ping(1)}, quorum=1)
    assert has_quorum(ask, courier(ask))
    assert not has_quorum(Ask(ask.to, quorum=2), courier(ask))


def test_step_feeds_and_gives_the_next_ask():
    coordinator = counting(["a"], 2)
    first = next(coordinator)
    second = step(coordinator, first, courier(first))
    assert second.to == {"a": Ping(2)}
    with pytest.raises(StopIteration) as done:
        step(coordinator, second, courier(second))
    assert done.value.value == 4


@pytest.mark.parametrize(
    ("parties", "options", "text"),
    [
        ([], {"quorum": 1}, "at least one party"),
        (["a"], {"quorum": 0}, r"quorum must be in \[1, 1\], got 0"),
        (["a"], {"quorum": 2}, r"quorum must be in \[1, 1\], got 2"),
        (["a", "b"], {"quorum": 2, "first": 1}, r"first must be in \[2, 2\], got 1"),
        (["a", "b"], {"quorum": 1, "first": 3}, r"first must be in \[1, 2\], got 3"),
        (["a"], {"quorum": 1, "deadline_s": 0.0}, "deadline_s must be above 0, got 0.0"),
        (["a"], {"quorum": 1, "deadline_s": float("nan")}, "deadline_s must be above 0"),
    ],
)
def test_impossible_asks_are_refused(parties, options, text):
    with pytest.raises(ConfigError, match=text):
        Ask(dict.fromkeys(parties, Ping(1)), **options)
