"""A masked sum with its parties in one process, message by message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.signing import SigningKey
from fedguide.errors import FedGuideError
from fedguide.horizontal.masked_job import COORDINATOR, simulated_key, terms_of
from fedguide.horizontal.masked_messages import MASKED_WIRE
from fedguide.horizontal.masked_party import masked_party
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.roster import Policy, Seat, TaskTerms, consent, sign_terms
from fedguide.horizontal.sides import Job
from fedguide.horizontal.summed import Summation, SumTerms, Total
from fedguide.protocol import Ask, Message, Missing, QuorumLost, Replies, State, has_quorum
from fedguide.ring import RingVector, total
from fedguide.seeds import Root, seeded_root
from fedguide.values import PartyId

LENGTH = 7
LIMITS = Limits(1 << 22, max_header_bytes=1 << 20)
STEPS = ("keys", "shares", "inputs", "agreed", "unmask")
"""The trips in order: ``inputs`` is trip 2."""


class Start(Message):
    """What a real round begins with; here it carries nothing."""


def names(count: int) -> tuple[PartyId, ...]:
    return tuple(PartyId(f"p{i:03d}") for i in range(count))


def job(count: int, **changes: object) -> Job:
    made = Job("task", names(count), LENGTH - 2, seeded_root(11))
    return replace(made, **changes)  # type: ignore[arg-type]


def policy_of(made: Job, party: PartyId, /, **changes: object) -> Policy:
    known = {name: simulated_key(made, name).public for name in made.parties}
    coordinator = simulated_key(made, COORDINATOR, "key").public
    policy = Policy(party, known[party], coordinator, known)
    return replace(policy, **changes)  # type: ignore[arg-type]


def seat_of(made: Job, party: PartyId, terms: TaskTerms | None = None) -> Seat:
    signed = sign_terms(terms or terms_of(made), coordinator_key(made))
    return consent(signed, policy_of(made, party), simulated_key(made, party))


def coordinator_key(made: Job) -> SigningKey:
    return simulated_key(made, COORDINATOR, "key")


def vector_of(party: PartyId, made: Job) -> RingVector:
    """Each party's own vector: uniform, so that every bit counts."""
    draws = np.random.default_rng([int(party[1:]), 5])
    words = draws.integers(0, 1 << made.modulus_bits, LENGTH, dtype=np.uint64)
    return words.astype(np.uint32)


def plain_sum(parties: tuple[PartyId, ...], made: Job) -> RingVector:
    return total((vector_of(p, made) for p in parties), LENGTH, made.modulus_bits)


@dataclass
class Room:
    """All parties of one masked sum; ``lost`` drops parties out before they get a trip's message.

    Attributes:
        twist: what becomes of a message on its way down, ``(step, party, message) -> message``.
        twist_up: what becomes of a reply on its way up.
        seen: every message that crossed, in order, as (step, party, message, reply).
    """

    made: Job
    sums: Mapping[PartyId, Summation]
    lost: Mapping[str, tuple[PartyId, ...]] = field(default_factory=dict)
    twist: Callable[[str, PartyId, Message], Message] = lambda _step, _party, message: message
    twist_up: Callable[[str, PartyId, Message], Message] = lambda _step, _party, reply: reply
    attempt: int = 0
    states: dict[PartyId, State | None] = field(default_factory=dict)
    seen: list[tuple[str, PartyId, Message, Message]] = field(default_factory=list)
    refused: dict[PartyId, Exception] = field(default_factory=dict)

    def root(self, party: str) -> Root:
        return seeded_root(21, party, self.attempt)

    def first(self, number: int = 0) -> Replies:
        answers: dict[PartyId, Message] = {}
        for party in self.made.parties:
            if party in self.lost.get("keys", ()):
                continue
            vector = vector_of(party, self.made)
            state, reply = self.sums[party].submit(number, vector, self.root(party))
            self.states[party] = kept(state)
            self.seen.append(("keys", party, Start(), reply))
            answers[party] = self.twist_up("keys", party, crossed(reply))
        return Replies(answers, self._missing(self.made.parties, answers))

    def carry(self, step: str, ask: Ask) -> Replies:
        answers: dict[PartyId, Message] = {}
        for party, message in sorted(ask.to.items()):
            if party in self.lost.get(step, ()):
                continue
            sent = self.twist(step, party, crossed(message))
            try:
                state, reply = self.sums[party].answer(self.states[party], sent, self.root(party))
            except FedGuideError as error:
                self.refused[party] = error
                continue
            self.states[party] = kept(state)
            self.seen.append((step, party, sent, reply))
            answers[party] = self.twist_up(step, party, crossed(reply))
        return Replies(answers, self._missing(tuple(ask.to), answers))

    def _missing(self, asked, answers):
        return tuple(
            Missing(p, "refused" if p in self.refused else "lost", str(self.refused.get(p, "")))
            for p in asked
            if p not in answers
        )


def kept(state: State | None) -> State | None:
    """The state as it comes back from a store."""
    return None if state is None else decode(encode(state), MASKED_WIRE, LIMITS)


def crossed(message: Message) -> Message:
    """The message as it comes out of a wire."""
    if isinstance(message, Start):
        return message
    return decode(encode(message), MASKED_WIRE, LIMITS)


def room(made: Job, **changes: object) -> Room:
    sums = {party: masked_party(seat_of(made, party)) for party in made.parties}
    return Room(made, sums, **changes)  # type: ignore[arg-type]


def collected(one: Room, quorum: int = 1, number: int = 0) -> Total:
    """Runs the sum to its end; raises what the coordinator raises."""
    summation = masked_sum(terms_of(one.made), coordinator_key(one.made))
    ask = Ask(dict.fromkeys(one.made.parties, Start()), quorum)
    wanted = SumTerms(number, LENGTH, one.root("coordinator"), one.made.modulus_bits)
    replies = one.first(number)
    coordinator = summation.collect(ask, replies, wanted)
    try:
        asked = next(coordinator)
        for step in STEPS[1:]:
            answers = one.carry(step, asked)
            if has_quorum(asked, answers):
                asked = coordinator.send(answers)
            else:
                asked = coordinator.throw(QuorumLost(asked, answers))
    except StopIteration as done:
        result: Total = done.value
        return result
    raise AssertionError("a masked sum has five trips")
