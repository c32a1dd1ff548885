"""The model to the parties in fewer bytes: its difference from the one they have.

The coordinator remembers the model it last sent, θ̂, and who answered to it and so has it. To those
it sends the difference θ − θ̂ in fewer bytes, adds what it sent to θ̂, and the parties do the same;
they train from θ̂. What compression left out stays in θ − θ̂ and is sent later (error feedback, as in
Tang, Yu, Lian, Zhang and Liu, "DoubleSqueeze", 2019, algorithm 1, on the model instead of the
gradient). A party that missed a round gets all of θ̂ in float32. Before the first round
everybody has zeros.

Every algorithm whose messages carry ``params`` goes through it unchanged: ``thin`` wraps the
algorithm, ``thin_answer`` a party.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import numpy as np

from fedguide.codec import Array
from fedguide.errors import ProtocolError
from fedguide.horizontal.algorithm import Algorithm, Counted, ServerState
from fedguide.horizontal.thrift import Squeezed, Thrift, spread, squeeze
from fedguide.protocol import Coordinator, Message, QuorumLost, State, step
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector

Answer: TypeAlias = Callable[[Any, Any, Any], tuple[State, Message]]
"""A party's half of a protocol."""


@dataclass(frozen=True)
class Step(Message):
    """Coordinator to party: a message whose parameters come as a difference.

    Attributes:
        base: the round whose model the difference is from; -1 is zeros.
        change: the difference, shape ``(p,)``.
        message: the message, with no parameters in it.
    """

    base: int
    change: Squeezed
    message: Message


@dataclass(frozen=True)
class Whole(Message):
    """Coordinator to party: a message with all its parameters, to be remembered."""

    message: Message


@dataclass(frozen=True)
class Sent(State):
    """What the coordinator keeps.

    Attributes:
        round: the round in which θ̂ was sent; -1 before the first.
        params: θ̂, shape ``(p,)``.
        has: the last round each party answered.
        inner: what the algorithm itself keeps.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    has: Counted
    inner: State | None


@dataclass(frozen=True)
class Thinned(State):
    """What a party keeps: the models of the last two rounds it heard of, and its own state.

    ``before`` and ``params`` have shape ``(p,)``, or are empty at first; a round that is asked for
    again is a difference from ``before`` once more.
    """

    inner: State
    base: int
    before: Annotated[Vector, Array("float32", "b")]
    round: int
    params: Annotated[Vector, Array("float32", "p")]


def thin(algorithm: Algorithm[ServerState], thrift: Thrift) -> Algorithm[ServerState]:
    """The algorithm with the model sent as differences, made short by ``thrift``.

    The first difference, the whole model, is sent with all its coordinates, in 8 bits.
    """

    def init(params: Vector) -> ServerState:
        state = algorithm.init(params)
        sent = Sent(-1, np.zeros_like(params), Counted(), state.kept)
        return replace(state, kept=sent)

    def next_round(state: ServerState, cohort: Any, root: Root) -> Coordinator[ServerState]:
        sent = state.kept
        if not isinstance(sent, Sent):
            raise ProtocolError("the run was not begun with differences of models")
        how = Thrift(8) if sent.round < 0 else thrift
        change = squeeze(state.params - sent.params, how, None)
        params = sent.params + spread(change)
        answered: list[PartyId] = []
        inner = algorithm.next_round(replace(state, kept=sent.inner), cohort, root)
        relayed = _relayed(inner, _Way(sent, change, params), answered)
        after = yield from relayed
        has = sent.has.with_round(state.round, answered)
        return replace(after, kept=Sent(state.round, params, has, after.kept))

    return Algorithm(init, next_round)


@dataclass(frozen=True)
class _Way:
    """The model of a round on its way: what was sent before, the difference, and the sum."""

    sent: Sent
    change: Squeezed
    params: Vector

    def message(self, party: PartyId, message: Message) -> Message:
        """The message as this party gets it."""
        if not hasattr(message, "params"):
            return message
        if self.sent.round < 0 or self.sent.has.of(party) == self.sent.round:
            bare = replace(message, params=np.zeros(0, np.float32))  # type: ignore[call-arg]  # it has params
            return Step(self.sent.round, self.change, bare)
        return Whole(replace(message, params=self.params))  # type: ignore[call-arg]  # it has params


def _relayed(
    inner: Coordinator[ServerState], way: _Way, answered: list[PartyId]
) -> Coordinator[ServerState]:
    """The algorithm's round with its messages made short; notes who has the model after it."""
    try:
        ask = next(inner)
        while True:
            short = replace(ask, to=_shortened(ask.to, way))
            try:
                replies = yield short
            except QuorumLost as lost:
                replies = lost.replies
            if any(hasattr(message, "params") for message in ask.to.values()):
                answered += replies.answers.keys()
            ask = step(inner, ask, replies)
    except StopIteration as done:
        result: ServerState = done.value
        return result


def _shortened(to: Mapping[PartyId, Message], way: _Way) -> dict[PartyId, Message]:
    """Every party's message."""
    return {party: way.message(party, message) for party, message in to.items()}


def thin_answer(answer: Answer, initial: Callable[[], State]) -> tuple[Answer, Callable[[], State]]:
    """A party's half, and its first state, for an algorithm that sends differences."""

    def first() -> State:
        nothing = np.zeros(0, np.float32)
        return Thinned(initial(), -1, nothing, -1, nothing)

    def answering(env: Any, state: Thinned, message: Message) -> tuple[State, Message]:
        if not isinstance(message, Step | Whole):
            inner, reply = answer(env, state.inner, message)
            return replace(state, inner=inner), reply
        base, before, params = _model(state, message)
        whole = replace(message.message, params=params)  # type: ignore[call-arg]  # it has params
        inner, reply = answer(env, state.inner, whole)
        number: int = message.message.round  # type: ignore[attr-defined]  # a question of a round
        return Thinned(inner, base, before, number, params), reply

    return answering, first


def _model(state: Thinned, message: Step | Whole) -> tuple[int, Vector, Vector]:
    """The base, the model before and the model that the message is about.

    Raises:
        ProtocolError: the difference is from a model this party does not have.
    """
    if isinstance(message, Whole):
        params: Vector = message.message.params  # type: ignore[attr-defined]  # a question has them
        return state.round, state.params, params
    if message.base < 0:
        if len(message.change.gaps):
            # A size that no levels back could be any, and memory would be taken for it.
            raise ProtocolError("the first model comes with all its coordinates")
        change = spread(message.change)
        return message.base, np.zeros_like(change), change
    if message.base == state.round:
        before = state.params
    elif message.base == state.base:
        before = state.before
    else:
        raise ProtocolError(
            f"a difference from the model of round {message.base}, this party has that of "
            f"{state.round}"
        )
    if len(before) != message.change.size:
        raise ProtocolError(f"a difference of {message.change.size} numbers from {len(before)}")
    return message.base, before, before + spread(message.change)


THIN_WIRE: tuple[type, ...] = (Step, Whole, Thinned, Sent, Squeezed)
"""Every kind of message and state of models sent as differences."""
