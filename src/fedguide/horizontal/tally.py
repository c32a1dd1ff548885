"""Counts over all parties that nobody sees without noise: one question, one sum, noise in shares.

Every party counts its own people by the cells of a breakdown, adds its share of discrete Laplace
noise and hands the vector to a summation: the open one, or the masked one, under which the
coordinator sees the sum alone. The shares of all parties but one (who knows its own) are the whole
noise of scale ``most / ε`` (Dwork et al. 2006; shares by Goryczka and Xiong 2017): with every party
in it a sum has a little more. A party that is missing would leave too little, so then there is no
answer. Before it draws its share a party judges the question by its policy and charges its ledger,
once for a round of a task however often it is asked.

Threat model: the coordinator and any one party are curious, parties do not collude; whoever is
one of n parties learns the noised sum and its own share, which is why that one is not counted on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.data.people import Breakdown
from fedguide.errors import ConfigError, ProtocolError
from fedguide.horizontal.summed import Summation, SumTerms
from fedguide.privacy.mechanisms import Laplace, LaplaceShares
from fedguide.privacy.noise import add_noise
from fedguide.privacy.shares import Split, laplace_shares
from fedguide.protocol import Ask, Coordinator, Message, State
from fedguide.seeds import Root, Roots, derive
from fedguide.values import PartyId


@dataclass(frozen=True)
class Tally(Message):
    """Coordinator to party: count your people by these cells.

    Attributes:
        round: number of the question within its task, from 0.
        breakdown: the cells.
        epsilon: what the answer may cost.
        parties: how many are asked, whose shares make the noise.
    """

    round: int
    breakdown: Breakdown
    epsilon: float
    parties: int


@dataclass(frozen=True)
class TallyState(State):
    """What a party keeps between two messages: its round, and its summation's own state."""

    round: int = -1
    aggregation: State | None = None


@dataclass(frozen=True)
class Noised(State):
    """The answer: noised counts, shape ``(c,)``, the scale of the noise, and its shares."""

    counts: Annotated[NDArray[np.int64], Array("int64", "c")]
    scale: float
    parties: int


@dataclass(frozen=True)
class TallyEnv:
    """What a party brings.

    Attributes:
        task: part of every label randomness is derived under.
        roots: the party's own root of a round, the same one every time it is asked.
        summation: how its vector leaves.
        count: its people by the cells of a breakdown, shape ``(cells,)``.
        permit: judges the question by policy and charges the ledger; raises ``RefusedError``.
    """

    task: str
    roots: Roots
    summation: Summation
    count: Callable[[Breakdown], NDArray[np.int64]]
    permit: Callable[[Tally, LaplaceShares], None]


def mechanism_of(message: Tally) -> LaplaceShares:
    """One party's share of the noise of a question.

    Raises:
        ConfigError: ε is not above 0, or there is no party.
    """
    if not message.epsilon > 0:
        raise ConfigError(f"epsilon must be above 0, got {message.epsilon}")
    most = float(message.breakdown.most)
    whole = Laplace(most / message.epsilon, most, message.breakdown.most)
    # One party alone is its own coordinator's: there is nobody else who could know its share.
    return laplace_shares(whole, Split(message.parties, withheld=int(message.parties > 1)))


def answer(env: TallyEnv, state: TallyState, message: Message) -> tuple[TallyState, Message]:
    """A party's half.

    Raises:
        RefusedError: its policy or budget do not allow the question.
        ProtocolError: the question is of a round gone by.
    """
    if not isinstance(message, Tally):
        root = _root(env, state.round)
        aggregation, reply = env.summation.answer(state.aggregation, message, root)
        return TallyState(state.round, aggregation), reply
    if message.round < state.round:
        raise ProtocolError(f"round {message.round} is over, the last was {state.round}")
    mechanism = mechanism_of(message)
    env.permit(message, mechanism)
    counts = env.count(message.breakdown)
    share = add_noise(counts, mechanism, env.roots(env.task, message.round), "tally", env.task)
    vector = share.astype(np.uint32)
    aggregation, reply = env.summation.submit(message.round, vector, _root(env, message.round))
    return TallyState(message.round, aggregation), reply


def _root(env: TallyEnv, number: int) -> Root:
    """What masks of a round are derived from."""
    return Root(derive(env.roots(env.task, number), "tally masks"))


def tally(
    message: Tally,
    parties: Sequence[PartyId],
    root: Root,
    summation: Summation,
    deadline_s: float = 600.0,
) -> Coordinator[Noised]:
    """Asks every party and gives the noised counts over all of them.

    Raises:
        ConfigError: the message counts on another number of parties.
        QuorumLost: a party is missing, and with it its share of the noise.
    """
    if message.parties != len(parties):
        raise ConfigError(f"{len(parties)} parties are asked, {message.parties} are counted on")
    ask = Ask(dict.fromkeys(parties, message), len(parties), deadline_s)
    replies = yield ask
    terms = SumTerms(message.round, message.breakdown.cells, root)
    total = yield from summation.collect(ask, replies, terms)
    counts = total.vector.view(np.int32).astype(np.int64)
    return Noised(counts, mechanism_of(message).scale, len(parties))


TALLY_WIRE: tuple[type, ...] = (Tally, TallyState, Noised)
"""Every kind of message and state of counts."""
