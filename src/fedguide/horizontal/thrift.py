"""Updates in fewer bytes: quantised, the largest coordinates, low rank, or a common random choice.

``thrifty`` wraps an aggregator whose parties send single updates: what travels is a ``Packed``
update, what the aggregator gets is the vector it stands for. ``common_choice`` wraps any
aggregator, sums under masks included: everybody hands in the same coordinates of a round. The order
with everything else is clip → compress → round to the grid → noise: compression comes before
noise, so that no noise is thrown away with coordinates and the accountant's mechanism is the last
thing done; where a guard makes the update, nothing here touches it.

Bytes are those of the encoded messages. What a party left out it keeps and adds to its next update
(error feedback, Karimireddy et al. 2019): that holds for whoever answers every round, and what an
answer that was not counted held is gone.

Low rank: the vector, in rows of ``FOLD`` numbers, by its nearest matrix of a rank (Vogels,
Karimireddy and Jaggi, "PowerSGD", NeurIPS 2019, with error feedback as there). Deviation: the exact
nearest one instead of a step of power iteration, which is cheap for rows this short, and every
party's own factors instead of common ones, which saves a trip and so does not go under sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.errors import ConfigError, PayloadError, ProtocolError, RefusedError
from fedguide.horizontal.mean import Aggregator, Mean, Terms, Update
from fedguide.horizontal.messages import Submission
from fedguide.privacy.quantise import Levels, dequantise, quantise
from fedguide.privacy.sparsify import common, from_gaps, largest, to_gaps
from fedguide.protocol import Ask, Coordinator, Message, Missing, QuorumLost, Replies, State
from fedguide.seeds import Root, seeded_root, stream
from fedguide.values import PartyId, Vector

PUBLIC = seeded_root(0, "common coordinates")
"""Which coordinates a round is about is no secret."""

FOLD = 128
"""Numbers of a row where a vector is seen as a matrix: the width of the guide's tables, by default.
A table that begins within a row has at most twice its own rank."""


@dataclass(frozen=True)
class Thrift:
    """How a vector is made shorter.

    Attributes:
        bits: of a coordinate.
        share: of the coordinates that are kept, by magnitude; the rest is kept for the next time.
        rank: of the matrix that stands for the vector; 0 is the vector itself.

    Raises:
        ConfigError: a number is out of its range.
    """

    bits: int
    share: float = 1.0
    rank: int = 0

    def __post_init__(self) -> None:
        """Checks share and rank; ``quantise`` knows the bits."""
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must be in (0, 1], got {self.share}")
        if not 0 <= self.rank <= FOLD or (self.rank and self.share < 1):
            raise ConfigError(f"rank must be in [0, {FOLD}], without a share, got {self.rank}")

    @property
    def remembers(self) -> bool:
        """Is what was left out kept?"""
        return self.share < 1 or self.rank > 0


@dataclass(frozen=True)
class Squeezed(State):
    """A vector of ``size`` numbers in fewer bytes.

    Attributes:
        size: n, of the whole vector.
        bits: of a level.
        gaps: between the coordinates that are there, shape ``(g,)``; empty if all are.
        levels: shape ``(l,)``.
        scales: shape ``(c,)``.
        rank: of the factors that the levels are; 0 where they are the numbers themselves.
    """

    size: int
    bits: int
    gaps: Annotated[NDArray[np.uint8], Array("uint8", "g")]
    levels: Annotated[NDArray[np.uint8], Array("uint8", "l")]
    scales: Annotated[NDArray[np.float32], Array("float32", "c")]
    rank: int = 0


@dataclass(frozen=True)
class Packed(Message):
    """Party to coordinator: a ``Submission`` in fewer bytes.

    Attributes:
        round: the round it answers.
        update: the update.
        examples: how many examples it was made on.
        loss: mean loss over them.
        figures: the figures asked for, shape ``(m,)``.
    """

    round: int
    update: Squeezed
    examples: int
    loss: float
    figures: Annotated[NDArray[np.float64], Array("float64", "m")]


@dataclass(frozen=True)
class Residual(State):
    """What a party left out, shape ``(u,)``, before and after its last answer.

    A round that is asked for again begins from the same one again.
    """

    round: int
    before: Annotated[Vector, Array("float32", "u")]
    after: Annotated[Vector, Array("float32", "u")]


def squeeze(vector: Vector, thrift: Thrift, generator: np.random.Generator | None) -> Squeezed:
    """The vector in fewer bytes.

    With a generator all coordinates are rounded at random, so that means stay what they are;
    without one, and where some are left out, to the nearest: the error is kept then.
    """
    if not thrift.remembers:
        made = quantise(vector, thrift.bits, generator)
        none = np.zeros(0, np.uint8)
        return Squeezed(len(vector), thrift.bits, none, made.packed, made.scales)
    if thrift.rank:
        return _factored(vector, thrift)
    places = largest(vector, max(1, round(thrift.share * len(vector))))
    made = quantise(vector[places], thrift.bits, None)
    return Squeezed(len(vector), thrift.bits, to_gaps(places), made.packed, made.scales)


def spread(squeezed: Squeezed) -> Vector:
    """The vector that it stands for, shape ``(size,)``.

    Raises:
        PayloadError: its parts do not fit together.
    """
    if squeezed.size < 0 or squeezed.bits not in (4, 8):
        raise ProtocolError(f"{squeezed.size} numbers in {squeezed.bits} bits are no vector")
    levels = Levels(squeezed.bits, squeezed.levels, squeezed.scales)
    if squeezed.rank:
        return _multiplied(levels, squeezed.size, squeezed.rank)
    if not len(squeezed.gaps):
        return dequantise(levels, squeezed.size)
    places = from_gaps(squeezed.gaps, squeezed.size)
    vector = np.zeros(squeezed.size, np.float32)
    vector[places] = dequantise(levels, len(places))
    return vector


def _factored(vector: Vector, thrift: Thrift) -> Squeezed:
    """The factors of the nearest matrix of the rank, column by column, so that scales fit."""
    rows = -(-len(vector) // FOLD)
    matrix = np.zeros((rows, FOLD), np.float32)
    matrix.reshape(-1)[: len(vector)] = vector
    rank = min(thrift.rank, rows)
    _, sides = np.linalg.eigh(matrix.T @ matrix)
    right = sides[:, ::-1][:, :rank].astype(np.float32)
    left = matrix @ right
    # Alike in size, column by column: they may share a block of levels.
    most = np.abs(left).max(axis=0), np.abs(right).max(axis=0)
    even = np.sqrt(np.maximum(most[0], 1e-30) / most[1]).astype(np.float32)
    factors = np.concatenate([(left / even).T.ravel(), (right * even).T.ravel()])
    made = quantise(factors, thrift.bits, None)
    none = np.zeros(0, np.uint8)
    return Squeezed(len(vector), thrift.bits, none, made.packed, made.scales, rank)


def _multiplied(levels: Levels, size: int, rank: int) -> Vector:
    """The vector of a matrix by its factors.

    Raises:
        ProtocolError: no such vector has a matrix of this rank.
    """
    rows = -(-size // FOLD)
    if not 1 <= rank <= min(FOLD, rows):
        raise ProtocolError(f"rank {rank} is none of {rows} rows of {FOLD}")
    factors = dequantise(levels, rank * (rows + FOLD))
    left, right = factors[: rank * rows], factors[rank * rows :]
    matrix = left.reshape(rank, rows).T @ right.reshape(rank, FOLD)
    vector: Vector = matrix.reshape(-1)[:size].astype(np.float32, copy=False)
    return vector


def thrifty(aggregator: Aggregator, thrift: Thrift) -> Aggregator:
    """The aggregator with its parties' updates in fewer bytes.

    Raises:
        ConfigError: ``thrift`` is out of range. While running, at a party: ``RefusedError`` if the
            aggregator does not send single updates.
    """
    quantise(np.zeros(1, np.float32), thrift.bits, None)  # its range, before a round begins

    def submit_after(
        kept: State | None, update: Update, root: Root
    ) -> tuple[State | None, Message]:
        old = _residual(kept, update) if thrift.remembers else None
        vector = update.vector if old is None else update.vector + old
        squeezed = squeeze(vector, thrift, stream(root, "quantise", update.round))
        _, message = aggregator.submit(replace(update, vector=vector), root)
        if not isinstance(message, Submission):
            raise RefusedError("policy: only single updates are compressed this way")
        packed = Packed(message.round, squeezed, message.examples, message.loss, message.figures)
        if old is None:
            return None, packed
        return Residual(update.round, old, vector - spread(squeezed)), packed

    def submit(update: Update, root: Root) -> tuple[State | None, Message]:
        return submit_after(None, update, root)

    def collect(ask: Ask, replies: Replies, terms: Terms) -> Coordinator[Mean]:
        answers: dict[PartyId, Message] = {}
        missing = list(replies.missing)
        for party, reply in replies.answers.items():
            try:
                answers[party] = _unpacked(reply, terms)
            except (PayloadError, ProtocolError) as error:
                missing.append(Missing(party, "faulty", str(error)))
        sound = Replies(answers, tuple(missing))
        if len(answers) < ask.quorum:
            raise QuorumLost(ask, sound)
        return (yield from aggregator.collect(ask, sound, terms))

    return replace(
        aggregator,
        submit=submit,
        collect=collect,
        takes_patches=False,
        submit_after=submit_after if thrift.remembers else None,
    )


def _residual(kept: State | None, update: Update) -> Vector:
    """What the party left out before this round."""
    if not isinstance(kept, Residual) or kept.after.shape != update.vector.shape:
        return np.zeros_like(update.vector)
    return kept.before if kept.round == update.round else kept.after


def _unpacked(reply: Message, terms: Terms) -> Submission:
    """The update a party sent, at its whole length.

    Raises:
        ProtocolError: it sent something else, or of another length.
    """
    if not isinstance(reply, Packed):
        raise ProtocolError(f"sent a {type(reply).__name__}")
    if reply.update.size != terms.size:
        raise ProtocolError(f"an update of {reply.update.size} numbers, {terms.size} are expected")
    vector = spread(reply.update)
    return Submission(reply.round, vector, reply.examples, reply.loss, reply.figures)


def common_choice(aggregator: Aggregator, share: float) -> Aggregator:
    """The aggregator over a random choice of coordinates, the same for all, another each round.

    The coordinates left out stay as they are: every one of them has its turn. What is chosen is
    multiplied by one over the share, so that the expected step is the whole mean.

    Raises:
        ConfigError: ``share`` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share must be in (0, 1], got {share}")

    def places(size: int, number: int) -> NDArray[np.int64]:
        return common(size, chosen_of(size, share), PUBLIC, number)

    def submit(update: Update, root: Root) -> tuple[State | None, Message]:
        if update.units is not None:
            raise RefusedError("policy: what a guard let out is not compressed any more")
        chosen = update.vector[places(len(update.vector), update.round)]
        return aggregator.submit(replace(update, vector=chosen), root)

    def collect(ask: Ask, replies: Replies, terms: Terms) -> Coordinator[Mean]:
        where = places(terms.size, terms.round)
        last = None if terms.last is None else terms.last[where]
        short = replace(terms, size=len(where), last=last)
        mean = yield from aggregator.collect(ask, replies, short)
        vector = np.zeros(terms.size, np.float32)
        vector[where] = mean.vector * np.float32(terms.size / len(where))
        return replace(mean, vector=vector)

    return replace(aggregator, submit=submit, collect=collect, takes_patches=False)


def chosen_of(size: int, share: float) -> int:
    """How many of ``size`` coordinates are chosen."""
    return max(1, round(share * size))


THRIFT_WIRE: tuple[type, ...] = (Packed, Residual)
"""Every kind of message and state of compressed updates."""
