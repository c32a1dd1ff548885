"""One shape for every protocol: a coordinator that asks, parties that answer.

A coordinator is a generator. Each ``replies = yield Ask(...)`` is one trip to some parties and
back; nothing else crosses between parties. A party's half is a function
``answer(env, state, message) -> (state, reply)`` whose state survives bytes, because between two
messages its process may be gone. A courier carries an ``Ask`` and is the only seam to a
transport. A coordinator is deterministic in its entropy and its replies: that is what lets a
driver replay it from a journal after a crash.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, TypeVar

from fedguide.errors import ConfigError, QuorumLostError
from fedguide.values import PartyId

R = TypeVar("R")


@dataclass(frozen=True)
class Message:
    """Base of everything that crosses between parties."""


@dataclass(frozen=True)
class State:
    """Base of everything a party or coordinator keeps between two messages."""


MISSING_REASONS = ("refused", "late", "lost", "faulty")


@dataclass(frozen=True)
class Missing:
    """A party that was asked and whose answer is not there.

    ``reason`` is one of ``MISSING_REASONS``: *refused* by the party's policy, *late* (after the
    deadline, or after the first n), *lost* (never came), *faulty* (not a legal message).
    """

    party: PartyId
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Ask:
    """One trip: a message to each of some parties.

    Attributes:
        to: the message for each party.
        quorum: fewest answers with which the coordinator goes on.
        deadline_s: seconds after which answers no longer count.
        first: return as soon as this many answers are in; ``None`` waits for all.
        trip: number of this trip within its run, stamped by whoever drives it.

    Raises:
        ConfigError: nobody is asked, or quorum or first cannot be met.
    """

    to: Mapping[PartyId, Message]
    quorum: int
    deadline_s: float = 600.0
    first: int | None = None
    trip: int = 0

    def __post_init__(self) -> None:
        """Checks that the question can be answered at all."""
        if not self.to:
            raise ConfigError("an Ask needs at least one party")
        if not 1 <= self.quorum <= len(self.to):
            raise ConfigError(f"quorum must be in [1, {len(self.to)}], got {self.quorum}")
        if self.first is not None and not self.quorum <= self.first <= len(self.to):
            raise ConfigError(f"first must be in [{self.quorum}, {len(self.to)}], got {self.first}")
        if not self.deadline_s > 0:
            raise ConfigError(f"deadline_s must be above 0, got {self.deadline_s}")


@dataclass(frozen=True)
class Replies:
    """What came back from an ``Ask``: answers sorted by party, and the missing, named.

    ``payloads`` are answers as the bytes they came in, of a courier that has them; who journals
    them need not encode them again. No coordinator sees them.
    """

    answers: Mapping[PartyId, Message]
    missing: tuple[Missing, ...] = field(default=())
    payloads: Mapping[PartyId, bytes | memoryview] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Sorts, so that no coordinator can depend on the order of arrival."""
        object.__setattr__(self, "answers", dict(sorted(self.answers.items())))
        object.__setattr__(self, "missing", tuple(sorted(self.missing, key=lambda m: m.party)))


class QuorumLost(QuorumLostError):  # noqa: N818 - the design's name for the signal
    """Thrown into a coordinator whose ``Ask`` got fewer answers than its quorum."""

    def __init__(self, ask: Ask, replies: Replies) -> None:
        missing = ", ".join(f"{m.party} ({m.reason})" for m in replies.missing)
        super().__init__(
            f"{len(replies.answers)} of {len(ask.to)} parties answered, quorum is {ask.quorum}; "
            f"missing: {missing}",
            hint="fedguide party status",
        )
        self.ask = ask
        self.replies = replies


Coordinator: TypeAlias = Generator[Ask, Replies, R]


class Courier(Protocol):
    """Carries an ``Ask`` to its parties and brings back what came."""

    def __call__(self, ask: Ask, /) -> Replies:
        """Delivers and collects; never raises for one party's failure."""
        ...


def has_quorum(ask: Ask, replies: Replies) -> bool:
    """Did enough parties answer for the coordinator to go on?"""
    return len(replies.answers) >= ask.quorum


def step(coordinator: Coordinator[R], ask: Ask, replies: Replies) -> Ask:
    """Feeds ``replies`` to the coordinator and gives its next ``Ask``.

    Raises:
        StopIteration: the coordinator is done; its ``value`` is the result.
        QuorumLost: the quorum was lost and the coordinator did not catch it.
    """
    if has_quorum(ask, replies):
        return coordinator.send(replies)
    return coordinator.throw(QuorumLost(ask, replies))


def run(coordinator: Coordinator[R], courier: Courier) -> R:
    """Drives a coordinator to its end and gives its result."""
    trip = 0
    try:
        ask = next(coordinator)
        while True:
            ask = replace(ask, trip=trip)
            ask = step(coordinator, ask, courier(ask))
            trip += 1
    except StopIteration as done:
        result: R = done.value
        return result
