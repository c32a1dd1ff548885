"""What a horizontal algorithm is: the seed's ``initialize()`` and ``next()``, and their state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

from fedguide.codec import Array, Later
from fedguide.horizontal.mean import Aggregator, Mean, Terms
from fedguide.horizontal.messages import Question
from fedguide.protocol import Ask, Coordinator, Message, Missing, State
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector

S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Algorithm(Generic[S]):
    """Two functions: the first state from the first parameters, and one round.

    ``next_round(state, cohort, root)`` is a coordinator: it asks the cohort and gives the next
    state. ``root`` is the coordinator's own of this round.
    """

    init: Callable[[Vector], S]
    next_round: Callable[[S, Sequence[PartyId], Root], Coordinator[S]]


@dataclass(frozen=True)
class Report(State):
    """What a round was like.

    Attributes:
        loss: Σ p_k times the loss the parties handed in.
        examples: Σ n_k over the parties that answered.
        parties: who answered.
        missing: who did not, and why.
        figures: Σ p_k times each figure asked for, by name.
    """

    loss: float
    examples: int
    parties: tuple[PartyId, ...]
    missing: tuple[Missing, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerState(State):
    """What the coordinator keeps from round to round.

    Attributes:
        round: how many rounds are done; the number of the next one.
        params: the model, shape ``(p,)``.
        memory: the server optimiser's own, shape ``(s,)``.
        report: what the last round was like; ``None`` before the first.
        last: the last round's mean, shape ``(u,)``, kept only for an aggregator that remembers it.
        kept: what else an algorithm keeps.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    memory: Annotated[Vector, Array("float32", "s")]
    report: Report | None = None
    last: Annotated[Vector, Array("float32", "u")] | None = None
    kept: Annotated[State | None, Later()] = None


@dataclass(frozen=True)
class Counted(State):
    """The last round in which each party's answer was counted, for parties that have to know."""

    rounds: Mapping[PartyId, int] = field(default_factory=dict)

    def of(self, party: PartyId) -> int:
        """The party's last; -1 for none."""
        return self.rounds.get(party, -1)

    def with_round(self, number: int, parties: Sequence[PartyId]) -> Counted:
        """After a round in which these parties were counted."""
        return Counted({**self.rounds, **dict.fromkeys(parties, number)})


@dataclass(frozen=True)
class Waiting:
    """How long and for how many parties a round waits.

    Attributes:
        quorum: fewest sound updates a round is made of; ``None`` is more than half of the cohort.
        deadline_s: seconds after which an update no longer counts.
        first: a round ends with so many updates, though more parties were asked; ``None`` waits
            for all of them. What comes later is dropped.
    """

    quorum: int | None = None
    deadline_s: float = 600.0
    first: int | None = None


def ask_for_mean(
    message: Question,
    cohort: Sequence[PartyId],
    root: Root,
    aggregator: Aggregator,
    waiting: Waiting,
    last: Vector | None = None,
) -> Coordinator[Mean]:
    """Sends one message to the whole cohort and gives the mean of the updates that come back.

    ``last`` is the mean of the round before, if the aggregator remembers it.

    Raises:
        QuorumLost: fewer sound updates than the quorum.
        ConfigError: the cohort is empty, or smaller than the quorum.
    """
    terms = Terms(message.round, len(message.params), len(message.figures), root, last)
    return (yield from ask_each(dict.fromkeys(cohort, message), terms, aggregator, waiting))


def ask_each(
    to: Mapping[PartyId, Message],
    terms: Terms,
    aggregator: Aggregator,
    waiting: Waiting,
    first: int | None = None,
) -> Coordinator[Mean]:
    """Sends every party its own message and gives the mean of the updates that come back.

    ``first`` waits for so many answers only; where it is not given, ``waiting.first`` does.

    Raises:
        QuorumLost: fewer sound updates than the quorum.
        ConfigError: nobody is asked, or fewer than the quorum.
    """
    quorum = len(to) // 2 + 1 if waiting.quorum is None else waiting.quorum
    if first is None and waiting.first is not None:
        first = min(waiting.first, len(to))
    ask = Ask(to, quorum, waiting.deadline_s, first)
    replies = yield ask
    return (yield from aggregator.collect(ask, replies, terms))


def remembered(aggregator: Aggregator, mean: Mean) -> Vector | None:
    """The mean, for the next round's ``last``, where the aggregator needs it."""
    return mean.vector if aggregator.remembers else None


def report_of(mean: Mean, figures: Sequence[str]) -> Report:
    """The report of a round, with the figures by the names they were asked by."""
    named = dict(zip(figures, (float(value) for value in mean.figures), strict=True))
    return Report(mean.loss, mean.examples, mean.parties, mean.missing, named)
