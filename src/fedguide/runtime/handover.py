"""The end of a run: every party gets the model it ended with, once the coordinator has it for good.

A party that is away for longer than the deadline does not get it: the task is over then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fedguide.codec import Array
from fedguide.errors import RefusedError
from fedguide.protocol import Ask, Coordinator, Message, QuorumLost, State
from fedguide.runtime.couriers import Party
from fedguide.values import PartyId, Vector


@dataclass(frozen=True)
class Adopt(Message):
    """Coordinator to party: the model that the run ended with.

    Attributes:
        round: the round it is of; 0 is the untrained one.
        params: the model, shape ``(p,)``.
        parties: who took part in that round.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    parties: tuple[str, ...]


@dataclass(frozen=True)
class Adopted(Message):
    """Party to coordinator: it has the model."""

    round: int


HANDOVER_WIRE: tuple[type, ...] = (Adopt, Adopted)


def hand_over(
    adopt: Adopt, parties: Sequence[PartyId], deadline_s: float
) -> Coordinator[tuple[PartyId, ...]]:
    """Gives the model to all parties; the result names those that have it."""
    try:
        replies = yield Ask(dict.fromkeys(parties, adopt), 1, deadline_s)
    except QuorumLost:
        return ()
    return tuple(
        name
        for name, reply in replies.answers.items()
        if isinstance(reply, Adopted) and reply.round == adopt.round
    )


def with_handover(
    party: Party,
    keep: Callable[[Adopt], None],
    own: Callable[[State, Adopt], Adopt] = lambda _state, adopt: adopt,
) -> Party:
    """The party, which also takes the model at the end; ``keep`` may be called again with it.

    ``own`` makes the model the party goes on with of its state and the one it was given.
    """

    def answer(env: Any, state: Any, message: Any) -> tuple[State, Message]:
        if isinstance(message, Adopt):
            keep(own(state, message))
            return state, Adopted(message.round)
        if isinstance(message, Adopted):
            raise RefusedError("a party is not told that a model was taken")
        return party.answer(env, state, message)

    return replace(party, answer=answer)
