"""After every round with noise, each party shows the signed head of its ledger to all others.

Two small trips: the coordinator asks for the heads, then hands all of them to everybody. What each
makes of them is its own matter (``privacy.witness``). A party that shows none, or an older version
that knows nothing of heads, is a missing reply: the round is made already, and stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedguide.errors import RefusedError
from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.protocol import Ask, Coordinator, Message, QuorumLost, State
from fedguide.runtime.couriers import Party
from fedguide.seeds import Root
from fedguide.values import PartyId

DEADLINE_S = 60.0
"""How long parties have: nothing is computed for a head."""


@dataclass(frozen=True)
class ShowHead(Message):
    """Coordinator to party: where does your ledger stand after this round?"""

    round: int


@dataclass(frozen=True)
class HeadShown(Message):
    """Party to coordinator: its signed head, as ``witness.head_text`` writes it."""

    round: int
    head: bytes


@dataclass(frozen=True)
class KeepHeads(Message):
    """Coordinator to party: the heads of the others, by party."""

    round: int
    heads: Mapping[str, bytes]


@dataclass(frozen=True)
class HeadsKept(Message):
    """Party to coordinator: it has them."""

    round: int


HEADS_WIRE: tuple[type, ...] = (ShowHead, HeadShown, KeepHeads, HeadsKept)


@dataclass(frozen=True)
class Heads:
    """A party's half.

    Attributes:
        show: its own signed head, as it crosses.
        keep: takes the others'; may be called again with the same ones.
    """

    show: Callable[[], bytes]
    keep: Callable[[Mapping[str, bytes]], None]


def exchange(parties: Sequence[PartyId], number: int) -> Coordinator[None]:
    """Asks for all heads of one round and hands each party those of the others."""
    try:
        shown = yield Ask(dict.fromkeys(parties, ShowHead(number)), 1, DEADLINE_S)
        heads = {
            str(name): reply.head
            for name, reply in shown.answers.items()
            if isinstance(reply, HeadShown) and reply.round == number
        }
        others = {
            party: KeepHeads(number, {n: head for n, head in heads.items() if n != party})
            for party in parties
        }
        yield Ask(others, 1, DEADLINE_S)
    except QuorumLost:
        return


def with_exchange(algorithm: Algorithm[ServerState]) -> Algorithm[ServerState]:
    """The algorithm, with an exchange of heads after each of its rounds."""

    def next_round(
        state: ServerState, cohort: Sequence[PartyId], root: Root
    ) -> Coordinator[ServerState]:
        after = yield from algorithm.next_round(state, cohort, root)
        yield from exchange(cohort, state.round)
        return after

    return Algorithm(algorithm.init, next_round)


def with_heads(party: Party, heads: Heads) -> Party:
    """The party, which also shows its head and keeps the others'."""

    def answer(env: Any, state: Any, message: Any) -> tuple[State, Message]:
        match message:
            case ShowHead():
                return state, HeadShown(message.round, heads.show())
            case KeepHeads():
                heads.keep(message.heads)
                return state, HeadsKept(message.round)
            case HeadShown() | HeadsKept():
                raise RefusedError("a party is not told what a party answers")
            case _:
                return party.answer(env, state, message)

    return replace(party, answer=answer)
