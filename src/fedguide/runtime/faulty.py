"""A courier that fails on purpose: what networks, crashes and liars do to a protocol.

It wraps any courier and does to chosen parties on chosen trips what a ``Fault`` says, so that
tests and ``attack-test`` can run a protocol through drop-outs, delays, repeated, swapped, old and
damaged messages. It needs no party's and no coordinator's key, and has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError, PayloadError
from fedguide.protocol import Ask, Courier, Message, Missing, Replies
from fedguide.values import PartyId

FaultKind: TypeAlias = Literal[
    "drop",
    "delay",
    "duplicate",
    "reorder",
    "replay_request",
    "replay_reply",
    "corrupt_request",
    "corrupt_reply",
    "equivocate",
    "substitute",
]
"""What can happen:

- *drop*: the party gets no message on this trip;
- *delay*: it answers, and the answer comes too late;
- *duplicate*: it gets the message twice, and its second answer counts;
- *reorder*: it is asked after all others;
- *replay_request*: before this trip's message it gets one of an earlier trip once more;
- *replay_reply*: one of its earlier answers comes instead of this one;
- *corrupt_request*, *corrupt_reply*: one bit of the payload is flipped;
- *equivocate*: it gets the message that was meant for another party;
- *substitute*: its answer is replaced by what the courier's ``forge`` makes of it.
"""

FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)

Forge: TypeAlias = Callable[[Message], Message]
"""What somebody in the middle makes of an answer, a key of its own in it for instance."""


@dataclass(frozen=True)
class Fault:
    """What happens to one party on one trip.

    ``where`` chooses among what is there: the bit to flip, the earlier trip, the other party.
    """

    trip: int
    party: PartyId
    kind: FaultKind
    where: int = 0


def faulty(
    courier: Courier,
    faults: Iterable[Fault],
    allowed: Sequence[type],
    limits: Limits,
    forge: Forge | None = None,
) -> Courier:
    """The courier with these faults; on a trip without any it is the wrapped one.

    Raises:
        ConfigError: an answer is to be substituted, and there is no ``forge``.
    """
    planned: dict[int, dict[PartyId, list[Fault]]] = {}
    for fault in faults:
        if fault.kind == "substitute" and forge is None:
            raise ConfigError("to substitute answers a faulty courier needs a forge")
        planned.setdefault(fault.trip, {}).setdefault(fault.party, []).append(fault)
    line = _Line(courier, [kind for kind in allowed if issubclass(kind, Message)], limits, forge)
    asked: list[Ask] = []
    answered: list[Replies] = []

    def carry(ask: Ask) -> Replies:
        todo = planned.get(ask.trip, {})
        replies = _through_faults(line, ask, todo, asked, answered) if todo else courier(ask)
        asked.append(ask)
        answered.append(replies)
        return replies

    return carry


@dataclass(frozen=True)
class _Line:
    """The way to the parties, one at a time."""

    courier: Courier
    messages: Sequence[type]
    limits: Limits
    forge: Forge | None

    def send(self, ask: Ask, party: PartyId, message: Message) -> Message | Missing:
        """What one party answers, or why it does not."""
        alone = replace(ask, to={party: message}, quorum=1, first=None)
        replies = self.courier(alone)
        return replies.answers[party] if party in replies.answers else replies.missing[0]

    def damaged(self, message: Message, where: int) -> Message | None:
        """The message with one bit flipped; ``None`` if nobody could read it any more."""
        payload = bytearray(encode(message))
        bit = where % (8 * len(payload))
        payload[bit // 8] ^= 1 << bit % 8
        try:
            read: Message = decode(bytes(payload), self.messages, self.limits)
        except PayloadError:
            return None
        return read


def _through_faults(
    line: _Line,
    ask: Ask,
    todo: dict[PartyId, list[Fault]],
    asked: Sequence[Ask],
    answered: Sequence[Replies],
) -> Replies:
    """One trip, party by party, the reordered ones last."""
    answers: dict[PartyId, Message] = {}
    missing: list[Missing] = []
    for party in sorted(ask.to, key=lambda p: (_has(todo.get(p, ()), "reorder"), p)):
        outcome = _one(line, ask, party, todo.get(party, ()), asked, answered)
        if isinstance(outcome, Missing):
            missing.append(outcome)
        else:
            answers[party] = outcome
    return Replies(answers, tuple(missing))


def _one(
    line: _Line,
    ask: Ask,
    party: PartyId,
    faults: Sequence[Fault],
    asked: Sequence[Ask],
    answered: Sequence[Replies],
) -> Message | Missing:
    """What comes back from one party after all that happens on the way there and back."""
    message: Message | None = ask.to[party]
    for fault in faults:
        if fault.kind == "drop":
            return Missing(party, "lost", "dropped out")
        if fault.kind == "replay_request":
            _replay(line, party, fault.where, asked)
        elif fault.kind == "equivocate":
            others = sorted(ask.to)
            message = ask.to[others[fault.where % len(others)]]
        elif fault.kind == "corrupt_request" and message is not None:
            message = line.damaged(message, fault.where)
    if message is None:
        return Missing(party, "lost", "the request was damaged")
    outcome = line.send(ask, party, message)
    if _has(faults, "duplicate"):
        outcome = line.send(ask, party, message)
    for fault in faults:
        if isinstance(outcome, Missing):
            break
        outcome = _on_the_way_back(line, party, fault, outcome, answered)
    return outcome


def _replay(line: _Line, party: PartyId, where: int, asked: Sequence[Ask]) -> None:
    """Sends an earlier message once more; what comes of it is lost."""
    earlier = [ask for ask in asked if party in ask.to]
    if earlier:
        old = earlier[where % len(earlier)]
        line.send(old, party, old.to[party])


def _on_the_way_back(
    line: _Line, party: PartyId, fault: Fault, reply: Message, answered: Sequence[Replies]
) -> Message | Missing:
    """What one fault makes of an answer."""
    match fault.kind:
        case "delay":
            return Missing(party, "late", "delayed")
        case "replay_reply":
            old = [replies.answers[party] for replies in answered if party in replies.answers]
            return old[fault.where % len(old)] if old else reply
        case "corrupt_reply":
            read = line.damaged(reply, fault.where)
            return Missing(party, "faulty", "the reply was damaged") if read is None else read
        case "substitute" if line.forge is not None:
            return line.forge(reply)
        case _:
            return reply


def _has(faults: Sequence[Fault], kind: FaultKind) -> bool:
    """Is there a fault of this kind?"""
    return any(fault.kind == kind for fault in faults)
