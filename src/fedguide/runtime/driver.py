"""The durable driver: a run that dies at any moment ends in the bytes of one that did not.

A coordinator is a generator and cannot be stored, but it is deterministic in its root and its
replies. So the driver journals the root of a round before it is used and every trip before
its replies are fed in. After a crash it runs the round again from the last checkpoint, feeds the
journaled replies, and goes on at the trip where it died; a party that had answered that trip
already gives its stored reply (``couriers.through_bytes``). Nothing is trained twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from fedguide.codec import Buffer, Limits, decode, encode
from fedguide.errors import JournalError, MalformedError, PayloadError, QuorumLostError
from fedguide.protocol import Ask, Coordinator, Courier, Message, Missing, Replies, State, step
from fedguide.runtime.couriers import Clock
from fedguide.runtime.journal import Checkpoint, Journal, Trip
from fedguide.seeds import Root, Roots
from fedguide.values import PartyId

S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class TripReport:
    """What one trip cost; ``replayed`` trips were paid for before the crash.

    ``bytes_down`` goes from the driver to the parties, ``bytes_up`` comes back.
    """

    trip: int
    seconds: float
    bytes_down: int
    bytes_up: int
    missing: tuple[Missing, ...]
    replayed: bool


@dataclass(frozen=True)
class Durable:
    """What a durable run needs beside its protocol.

    Attributes:
        task: names the run in the journal; the same name goes on with the same run.
        journal: where roots, trips and checkpoints are kept.
        roots: draws the root of a round, once.
        clock: seconds from any fixed moment, never going back.
        allowed: the kinds of message and state of the protocol.
        limits: sizes they may have.
        on_trip: told of every trip when it is done.
    """

    task: str
    journal: Journal
    roots: Roots
    clock: Clock
    allowed: Sequence[type]
    limits: Limits
    on_trip: Callable[[TripReport], None] = lambda _report: None


@dataclass(frozen=True)
class Progress(Generic[S]):
    """Where a task stands: its next round, its next trip, and the coordinator's state.

    ``round`` counts the rounds tried, those that lost their quorum included: a second try draws
    a root of its own.
    """

    round: int
    trip: int
    state: S


def resume(durable: Durable, fresh: S) -> Progress[S]:
    """Where the task stands; a new task begins with the state ``fresh``.

    Raises:
        JournalError: the checkpoint is damaged or of another protocol.
    """
    checkpoint = durable.journal.checkpoint(durable.task)
    if checkpoint is None:
        return Progress(0, 0, fresh)
    state = _state(durable, checkpoint.state)
    if type(state) is not type(fresh):
        raise JournalError(
            f"the checkpoint of {durable.task} holds a {type(state).__name__}, "
            f"this run needs a {type(fresh).__name__}",
            hint="give this run another task name",
        )
    return Progress(checkpoint.round, checkpoint.trip, state)


def drive_round(
    durable: Durable,
    progress: Progress[S],
    make: Callable[[S, Root], Coordinator[S]],
    courier: Courier,
) -> Progress[S]:
    """Runs one round to its checkpoint, feeding first what the journal has of it.

    ``make(state, root)`` gives the round's coordinator; it must be deterministic in its two
    arguments and the replies.

    Raises:
        QuorumLost: the coordinator did not catch it. The lost round is checkpointed with the state
            unchanged, so that the next call tries again with new trips and a new root.
        JournalError: a replay asks otherwise than the journal says.
    """
    root = _root(durable, progress.round)
    past = [t for t in durable.journal.trips(durable.task) if t.trip >= progress.trip]
    drive = _Drive(durable, courier, past, progress.trip)
    try:
        state = drive.through(make(progress.state, root))
    except QuorumLostError:
        _checkpoint(durable, Progress(progress.round + 1, drive.trip, progress.state))
        raise
    return _checkpoint(durable, Progress(progress.round + 1, drive.trip, state))


@dataclass
class _Drive:
    """One round on its way; ``trip`` is the number of the next trip."""

    durable: Durable
    courier: Courier
    past: list[Trip]
    trip: int

    def through(self, coordinator: Coordinator[S]) -> S:
        """Drives the coordinator to its end."""
        try:
            ask = next(coordinator)
            while True:
                ask = step(coordinator, ask, self._replies(replace(ask, trip=self.trip)))
        except StopIteration as done:
            result: S = done.value
        if self.past:
            raise JournalError(
                f"{self.durable.task}: the coordinator ended before trip {self.past[0].trip}, "
                "which is in the journal"
            )
        return result

    def _replies(self, ask: Ask) -> Replies:
        """The journaled replies of a trip, or those that the courier brings, journaled."""
        payloads = _payloads(ask)
        digest = _digest(ask, payloads)
        replayed = bool(self.past)
        trip = self.past.pop(0) if self.past else self._carry(ask, digest)
        if trip.trip != ask.trip or trip.digest != digest:
            raise JournalError(
                f"{self.durable.task}: the replay asks otherwise than trip {trip.trip} of the "
                "journal; settings, data or code have changed since",
                hint="give this run another task name to begin anew",
            )
        self.trip += 1
        self.durable.on_trip(
            TripReport(
                trip.trip,
                trip.ended_s - trip.started_s,
                sum(map(len, payloads.values())),
                sum(map(len, trip.replies)),
                trip.missing,
                replayed,
            )
        )
        return self._fed(trip)

    def _carry(self, ask: Ask, digest: bytes) -> Trip:
        """Makes the trip and journals it."""
        started_s = self.durable.clock()
        replies = self.courier(ask)
        ended_s = self.durable.clock()
        answers: dict[PartyId, Buffer] = {}
        missing = list(replies.missing)
        for party, answer in replies.answers.items():
            payload = replies.payloads.get(party)
            try:
                # A value has one encoding: what came is what encoding the answer would give.
                answers[party] = self._checked(encode(answer) if payload is None else payload)
            except PayloadError as error:
                missing.append(Missing(party, "faulty", f"{type(error).__name__}: {error}"))
        by_party = sorted(missing, key=lambda m: m.party)
        trip = Trip(
            ask.trip,
            digest,
            tuple(answers),
            tuple(answers.values()),
            tuple(by_party),
            started_s,
            ended_s,
        )
        self.durable.journal.record(self.durable.task, trip)
        return trip

    def _checked(self, payload: Buffer) -> Buffer:
        """The payload, once it is known that a replay will be able to read it."""
        self._decode(payload)
        return payload

    def _decode(self, payload: Buffer) -> Message:
        value = decode(payload, self.durable.allowed, self.durable.limits)
        if not isinstance(value, Message):
            raise MalformedError(f"a {type(value).__name__} is not a message")
        return value

    def _fed(self, trip: Trip) -> Replies:
        """What the coordinator gets: always read from the journaled bytes, live or replayed."""
        pairs = zip(trip.parties, trip.replies, strict=True)
        try:
            return Replies({party: self._decode(reply) for party, reply in pairs}, trip.missing)
        except PayloadError as error:
            raise JournalError(f"a reply journaled in trip {trip.trip} is unusable") from error


def _root(durable: Durable, round_number: int) -> Root:
    """The journaled root of a round, or a new one, journaled before anybody sees it."""
    root = durable.journal.root(durable.task, round_number)
    if root is None:
        root = durable.roots(durable.task, round_number)
        durable.journal.put_root(durable.task, round_number, root)
    return root


def _checkpoint(durable: Durable, progress: Progress[S]) -> Progress[S]:
    """Keeps where the task stands, and goes on with the state as a restart would read it."""
    kept = encode(progress.state)
    state: S = _state(durable, kept)
    durable.journal.put_checkpoint(durable.task, Checkpoint(progress.round, progress.trip, kept))
    return replace(progress, state=state)


def _state(durable: Durable, kept: bytes) -> Any:
    """A state from bytes that this task wrote itself, however large."""
    size = len(kept)
    limits = replace(
        durable.limits,
        max_bytes=max(size, durable.limits.max_bytes),
        max_header_bytes=max(size, durable.limits.max_header_bytes),
        max_text=max(size, durable.limits.max_text),
    )
    try:
        return decode(kept, durable.allowed, limits)
    except PayloadError as error:
        raise JournalError(f"the state of {durable.task} is unusable: {error}") from error


def _payloads(ask: Ask) -> dict[PartyId, bytes]:
    """Every party's message as bytes; a message that goes to many is encoded once."""
    encoded: dict[int, bytes] = {}
    payloads = {}
    for party, message in sorted(ask.to.items()):
        if id(message) not in encoded:
            encoded[id(message)] = encode(message)
        payloads[party] = encoded[id(message)]
    return payloads


def _digest(ask: Ask, payloads: dict[PartyId, bytes]) -> bytes:
    """SHA-256 over everything that an ``Ask`` says."""
    hashes: dict[int, bytes] = {}
    for payload in payloads.values():
        hashes.setdefault(id(payload), hashlib.sha256(payload).digest())
    parts: list[Any] = [ask.trip, ask.quorum, ask.deadline_s, ask.first]
    parts += [[party, hashes[id(payload)]] for party, payload in payloads.items()]
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()
