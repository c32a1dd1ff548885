"""A courier with a clock of its own: parties of different speed, in one process and in no time.

What a party does takes it as long as it would really take: its work (optimiser steps, as its own
counter says) times its seconds a step, and a little for the way. While it works it hears nothing:
a message that came meanwhile it takes up when it is done, the newest one only, if the coordinator
is still waiting then. So a change that came too late is in the party's state and not with the
coordinator, as in life.

A party that drops out of a trip is known to at once: that is in favour of algorithms that wait
for everybody.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedguide.errors import ConfigError
from fedguide.protocol import Ask, Courier, Message, Missing, Replies, State
from fedguide.runtime.couriers import Clock, Party, blame
from fedguide.values import PartyId


@dataclass(frozen=True)
class Pace:
    """How a party gets on.

    Attributes:
        step_s: seconds of one step of work.
        way_s: seconds of a message there and back.
        drops: probability that it is away on a trip.

    Raises:
        ConfigError: a number is out of its range.
    """

    step_s: float
    way_s: float = 0.1
    drops: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not (math.isfinite(self.step_s) and self.step_s > 0 and self.way_s > 0):
            raise ConfigError(f"seconds must be above 0, got {self.step_s:g} and {self.way_s:g}")
        if not 0 <= self.drops < 1:
            raise ConfigError(f"drops must be in [0, 1), got {self.drops}")


@dataclass(frozen=True)
class _Done:
    """What a party did: when it was through, and what came of it."""

    at_s: float
    party: PartyId
    outcome: Message | Missing


def paced(
    parties: Mapping[PartyId, Party],
    paces: Mapping[PartyId, Pace],
    work: Callable[[PartyId], int],
    draws: np.random.Generator,
) -> tuple[Courier, Clock]:
    """The courier, and the clock it moves: seconds since the beginning.

    Args:
        parties: who can be asked.
        paces: how each gets on.
        work: steps that a party has taken since the beginning.
        draws: of who drops out.
    """
    states: dict[PartyId, State] = {}
    busy_s: dict[PartyId, float] = {}
    now_s = 0.0

    def answered(name: PartyId, message: Message, starts_s: float) -> _Done:
        party, before = parties[name], work(name)
        state = states[name] if name in states else party.initial()
        outcome: Message | Missing
        try:
            states[name], outcome = party.answer(party.env, state, message)
        except Exception as error:  # noqa: BLE001 - a party's bug must not end everybody's round
            outcome = blame(name, error)
        pace = paces[name]
        at_s = starts_s + pace.way_s + (work(name) - before) * pace.step_s
        busy_s[name] = at_s
        return _Done(at_s, name, outcome)

    def carry(ask: Ask) -> Replies:
        nonlocal now_s
        ends_s, done, missing = now_s + ask.deadline_s, list[_Done](), list[Missing]()
        waiting: list[tuple[float, PartyId]] = []
        for name in sorted(ask.to):
            if draws.random() < paces[name].drops:
                missing.append(Missing(name, "lost", "dropped out"))
            else:
                heapq.heappush(waiting, (max(now_s, busy_s.get(name, 0.0)), name))
        while waiting:
            starts_s, name = heapq.heappop(waiting)
            if starts_s >= min(ends_s, _closes(done, ask.first)):
                missing.append(Missing(name, "late", "at work on an earlier message"))
            else:
                done.append(answered(name, ask.to[name], starts_s))
        closes_s = min(ends_s, _closes(done, ask.first))
        answers: dict[PartyId, Message] = {}
        for one in sorted(done, key=lambda each: (each.at_s, each.party)):
            if isinstance(one.outcome, Missing):
                missing.append(one.outcome)
            elif one.at_s > closes_s or len(answers) == ask.first:
                missing.append(Missing(one.party, "late", "the coordinator went on without it"))
            else:
                answers[one.party] = one.outcome
        last_s = max((one.at_s for one in done), default=now_s)
        now_s = min(closes_s, last_s) if closes_s < math.inf else last_s
        return Replies(answers, tuple(missing))

    return carry, lambda: now_s


def _closes(done: Sequence[_Done], first: int | None) -> float:
    """When the coordinator has as many answers as it waits for."""
    ready = sorted(one.at_s for one in done if not isinstance(one.outcome, Missing))
    return ready[first - 1] if first is not None and len(ready) >= first else math.inf
