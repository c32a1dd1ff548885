"""Several coordinators at once: their trips travel together.

A protocol among the members of one group knows nothing of other groups. Run one after the other,
g groups would take g times as many trips; here every step of all groups is one trip to
all of their parties.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fedguide.errors import ProtocolError
from fedguide.protocol import Ask, Coordinator, Message, QuorumLost, Replies, step
from fedguide.values import PartyId

R = TypeVar("R")


def alongside(coordinators: Sequence[Coordinator[R]]) -> Coordinator[list[R]]:
    """What each of them gives, in their order; no party may be asked by two of them.

    A group that loses its quorum is told so by itself, the others go on.

    Raises:
        ProtocolError: two groups asked one party, or one asked only for the first replies.
        QuorumLost: a group lost its quorum and did not catch it.
    """
    results: dict[int, R] = {}
    asking = _advance({i: _Turn(one) for i, one in enumerate(coordinators)}, results)
    while asking:
        merged = _merged([turn.ask for turn in asking.values() if turn.ask is not None])
        try:
            replies = yield merged
        except QuorumLost as lost:  # nobody at all: each group judges that for itself
            replies = lost.replies
        fed = {
            i: _Turn(turn.coordinator, turn.ask, part_of(replies, turn.ask.to))
            for i, turn in asking.items()
            if turn.ask is not None
        }
        asking = _advance(fed, results)
    return [results[i] for i in range(len(coordinators))]


def part_of(replies: Replies, parties: Mapping[PartyId, Message]) -> Replies:
    """What came, and did not come, from these parties."""
    answers = {party: one for party, one in replies.answers.items() if party in parties}
    return Replies(answers, tuple(one for one in replies.missing if one.party in parties))


@dataclass(frozen=True)
class _Turn:
    """A group, what it asks, and what came of that; ``ask`` is ``None`` before its first."""

    coordinator: Generator[Ask, Replies, Any]
    ask: Ask | None = None
    replies: Replies | None = None


def _advance(turns: Mapping[int, _Turn], results: dict[int, R]) -> dict[int, _Turn]:
    """Every group one step further; those that are done leave their result."""
    asking: dict[int, _Turn] = {}
    for i, turn in turns.items():
        try:
            if turn.ask is None or turn.replies is None:
                ask = next(turn.coordinator)
            else:
                ask = step(turn.coordinator, turn.ask, turn.replies)
            asking[i] = _Turn(turn.coordinator, ask)
        except StopIteration as done:
            results[i] = done.value
    return asking


def _merged(asks: Sequence[Ask]) -> Ask:
    """One trip to everybody; the quorum of each group is judged by itself."""
    to: dict[PartyId, Message] = {}
    for ask in asks:
        if twice := sorted(to.keys() & ask.to.keys()):
            raise ProtocolError(f"two groups of one trip asked {', '.join(twice)}")
        if ask.first is not None:
            raise ProtocolError("a group may not ask for the first replies only")
        to |= ask.to
    return Ask(to, quorum=1, deadline_s=max(ask.deadline_s for ask in asks))
