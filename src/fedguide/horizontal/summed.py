"""A mean out of nothing but a sum on the grid: what lets sums be masked and noised.

An aggregator that never sees a single update can still give the mean, if every party lays its
update, its weight and its figures side by side on the grid (``Packing``) and somebody adds the
vectors up (``Summation``). How the sum is made is the summation's business alone: in the open
here, under masks elsewhere. Sums on the grid are exact, so all summations of the same vectors
give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NoReturn

import numpy as np

from fedguide.codec import Array
from fedguide.errors import ProtocolError
from fedguide.horizontal.mean import Aggregator, Mean, Terms, Update
from fedguide.protocol import Ask, Coordinator, Message, Missing, QuorumLost, Replies, State
from fedguide.ring import WORD_BITS, RingVector, total
from fedguide.seeds import Root
from fedguide.values import PartyId


@dataclass(frozen=True)
class SumTerms:
    """What a round expects of each vector: its number, its length, and b, for sums mod 2^b.

    ``root`` is the coordinator's own of this round.
    """

    round: int
    length: int
    root: Root
    modulus_bits: int = WORD_BITS


@dataclass(frozen=True)
class Total:
    """The sum on the grid, shape ``(length,)``, whose vectors are in it, and who is missing."""

    vector: RingVector
    parties: tuple[PartyId, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Packing:
    """How updates become vectors on the grid, and their sum a mean.

    Attributes:
        length: ``terms -> length`` of every party's vector.
        pack: party: ``(update, root) -> vector``; the root is the party's own of this round.
        unpack: coordinator: ``(total, terms) -> Mean``.
        modulus_bits: b, the grid's.
    """

    length: Callable[[Terms], int]
    pack: Callable[[Update, Root], RingVector]
    unpack: Callable[[Total, Terms], Mean]
    modulus_bits: int = WORD_BITS


@dataclass(frozen=True)
class Summation:
    """How vectors on the grid are added up; the halves are those of an ``Aggregator``.

    Attributes:
        submit: party: ``(round, vector, root) -> (state or None, first message)``.
        answer: party: one further trip, ``(state, message, root) -> (state, reply)``.
        collect: coordinator: ``(ask, its replies, terms) -> Total``; raises ``QuorumLost`` if
            the sum would hold fewer vectors than the ask's quorum.
    """

    submit: Callable[[int, RingVector, Root], tuple[State | None, Message]]
    answer: Callable[[State | None, Message, Root], tuple[State | None, Message]]
    collect: Callable[[Ask, Replies, SumTerms], Coordinator[Total]]


@dataclass(frozen=True)
class Addend(Message):
    """Party to coordinator under the open sum: its vector on the grid, in the open."""

    round: int
    vector: Annotated[RingVector, Array("uint32", "n")]


def summed(packing: Packing, summation: Summation) -> Aggregator:
    """The aggregator that packs updates, adds them up, and reads the mean off the sum."""

    def submit(update: Update, root: Root) -> tuple[State | None, Message]:
        return summation.submit(update.round, packing.pack(update, root), root)

    def collect(ask: Ask, replies: Replies, terms: Terms) -> Coordinator[Mean]:
        wanted = SumTerms(terms.round, packing.length(terms), terms.root, packing.modulus_bits)
        return packing.unpack((yield from summation.collect(ask, replies, wanted)), terms)

    return Aggregator(submit, summation.answer, collect)


def open_sum() -> Summation:
    """The sum of vectors sent in the open: its coordinator sees each of them."""

    def collect(ask: Ask, replies: Replies, terms: SumTerms) -> Coordinator[Total]:
        yield from ()  # everything needed came with the first replies
        sound: dict[PartyId, Addend] = {}
        missing = list(replies.missing)
        for party, reply in replies.answers.items():
            if isinstance(reply, Addend) and not (flaw := _flaw(reply, terms)):
                sound[party] = reply
            else:
                detail = flaw if isinstance(reply, Addend) else f"sent a {type(reply).__name__}"
                missing.append(Missing(party, "faulty", detail))
        if len(sound) < ask.quorum:
            raise QuorumLost(ask, Replies(sound, tuple(missing)))
        vectors = (reply.vector for reply in sound.values())
        vector = total(vectors, terms.length, terms.modulus_bits)
        return Total(vector, tuple(sound), tuple(missing))

    return Summation(_submit, _no_further_trip, collect)


def _submit(round_number: int, vector: RingVector, _root: Root) -> tuple[None, Addend]:
    """The vector as it is."""
    return None, Addend(round_number, vector)


def _no_further_trip(_state: State | None, message: Message, _root: Root) -> NoReturn:
    """The open sum is done after one trip."""
    raise ProtocolError(f"an open sum has no step for {type(message).__name__}")


def _flaw(reply: Addend, terms: SumTerms) -> str:
    """Why a vector may not enter the sum; empty if it may."""
    if reply.round != terms.round:
        return f"answered round {reply.round} in round {terms.round}"
    if reply.vector.shape != (terms.length,) or reply.vector.dtype != np.uint32:
        return f"shape must be ({terms.length},), got {reply.vector.shape}"
    return ""
