"""Couriers within one process: direct calls, and calls through bytes with forgotten state.

Both turn one party's failure into a missing reply, never into a crash of the round. Parties are
called one after another, in sorted order that starts one party later with every trip, so that
``first=n`` does not always leave out the same ones; each party's deadline counts its own time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fedguide.codec import Buffer, Limits, decode, encode, encode_parts
from fedguide.errors import (
    ConnectionFailedError,
    FedGuideError,
    JournalError,
    ProtocolError,
    RefusedError,
    TimedOutError,
)
from fedguide.protocol import Ask, Courier, Message, Missing, Replies, State
from fedguide.runtime.party_store import Answered, PartyStore
from fedguide.values import PartyId

Clock: TypeAlias = Callable[[], float]
"""Seconds from any fixed moment, never going back; ``time.monotonic`` outside of tests."""

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (RefusedError, "refused"),
    (TimedOutError, "late"),
    (ConnectionFailedError, "lost"),
    (OSError, "lost"),
)


@dataclass(frozen=True)
class Party:
    """A party's half of a protocol: what it has, what it does, and how its state begins.

    ``answer(env, state, message)`` gives the next state and the reply; ``env`` holds what stays
    (data, policy, keys), the state what changes from message to message.
    """

    env: Any
    answer: Callable[[Any, Any, Any], tuple[State, Message]]
    initial: Callable[[], State]


def in_process(
    parties: Mapping[PartyId, Party], clock: Clock, states: dict[PartyId, State] | None = None
) -> Courier:
    """Calls every party directly and keeps its state in memory: in ``states``, where given."""
    states = {} if states is None else states

    def deliver(name: PartyId, party: Party, ask: Ask) -> Message:
        state = states[name] if name in states else party.initial()
        states[name], reply = party.answer(party.env, state, ask.to[name])
        return reply

    return lambda ask: _collect(parties, clock, ask, deliver)


def through_bytes(
    parties: Mapping[PartyId, Party],
    clock: Clock,
    store: PartyStore,
    limits: Limits,
    allowed: Sequence[type],
) -> Courier:
    """Sends every message and reply as bytes; a party's state lives only in ``store``.

    This is what a network does to a protocol, without the network. A message that comes again on
    the party's last trip gets the stored reply, never a second answer; another message on that
    trip, or an older trip, is refused and the party counts as faulty.

    Args:
        parties: who can be asked.
        clock: measures how long a party takes.
        store: keeps states and last replies of one task.
        limits: sizes that messages, replies and states may have.
        allowed: the kinds of message and state of the running protocol.
    """

    def deliver(name: PartyId, party: Party, ask: Ask) -> Message:
        payload = encode(ask.to[name])
        reply = stored_answer(name, party, store, ask.trip, payload, limits, allowed)
        answered: Message = decode(reply, messages_of(allowed), limits)
        return answered

    return lambda ask: _collect(parties, clock, ask, deliver)


def stored_answer(
    name: PartyId,
    party: Party,
    store: PartyStore,
    trip: int,
    payload: Buffer,
    limits: Limits,
    allowed: Sequence[type],
    digest: bytes | None = None,
) -> bytes:
    """A party's reply to a message, both as bytes; the same message again gets the same bytes.

    ``digest`` is a hash of the message that its sender and every repetition share; SHA-256 of the
    bytes where none is given. State and reply are in ``store`` before this returns, so whatever
    moment the process dies at, the party has either not answered the trip at all or answers it the
    same again.

    Raises:
        ProtocolError: the trip is over, or was answered to another message.
        PayloadError: the message is none of the allowed kinds, or larger than allowed.
        FedGuideError: whatever the party's half raises; nothing is stored then.
    """
    digest = hashlib.sha256(payload).digest() if digest is None else digest
    last = store.last_asked(name)
    if last is None or trip > last.trip:
        message = decode(payload, messages_of(allowed), limits)
        old = store.state(name)
        state = party.initial() if old is None else decode(old, allowed, limits)
        new, reply = party.answer(party.env, state, message)
        answered = Answered(trip, digest, encode(reply))
        store.put(name, answered, encode_parts(new))
        return answered.reply
    if trip < last.trip:
        raise ProtocolError(f"trip {trip} is over, the last answered was {last.trip}")
    if digest != last.digest:
        raise ProtocolError(f"trip {trip} was answered to another message")
    kept = store.last_answer(name)
    if kept is None:
        raise JournalError(f"the answer of {name} to trip {trip} is gone")
    return kept.reply


def messages_of(allowed: Sequence[type]) -> list[type]:
    """The kinds that may cross: messages, not states."""
    return [kind for kind in allowed if issubclass(kind, Message)]


def _collect(
    parties: Mapping[PartyId, Party],
    clock: Clock,
    ask: Ask,
    deliver: Callable[[PartyId, Party, Ask], Message],
) -> Replies:
    """Asks one party after another until all, or the first n, are in."""
    answers: dict[PartyId, Message] = {}
    missing: list[Missing] = []
    for name in in_turn(ask):
        if ask.first is not None and len(answers) == ask.first:
            missing.append(Missing(name, "late", f"the first {ask.first} were in"))
            continue
        outcome = _outcome(name, parties.get(name), clock, ask, deliver)
        if isinstance(outcome, Missing):
            missing.append(outcome)
        else:
            answers[name] = outcome
    return Replies(answers, tuple(missing))


def in_turn(ask: Ask) -> list[PartyId]:
    """The asked parties, sorted, starting one later with every trip."""
    names = sorted(ask.to)
    start = ask.trip % len(names)
    return names[start:] + names[:start]


def _outcome(
    name: PartyId,
    party: Party | None,
    clock: Clock,
    ask: Ask,
    deliver: Callable[[PartyId, Party, Ask], Message],
) -> Message | Missing:
    """A party's reply, or the reason why there is none."""
    if party is None:
        return Missing(name, "lost", "no such party")
    start = clock()
    try:
        reply = deliver(name, party, ask)
    except Exception as error:  # noqa: BLE001 - a party's bug must not end everybody's round
        return blame(name, error)
    if clock() - start > ask.deadline_s:
        return Missing(name, "late", f"took more than {ask.deadline_s:g} s")
    return reply


def blame(name: PartyId, error: Exception) -> Missing:
    """Why a party's reply is missing, told by what it raised."""
    reason = next((why for kind, why in _REASONS if isinstance(error, kind)), "faulty")
    # Of an unforeseen error only the type: its text may quote a person's data.
    text = str(error) if isinstance(error, FedGuideError) else ""
    return Missing(
        name, reason, f"{type(error).__name__}: {text}" if text else type(error).__name__
    )
