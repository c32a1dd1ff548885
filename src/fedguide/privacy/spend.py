"""What is charged: events of one task and round, and how they are counted.

The ledger stores what was done, never an ε. Events that differ only in their task and in how
often they were done are the same *what*; an account is a count of each, and its price is worked
out from the counts alone.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from fedguide.errors import ConfigError, LedgerError
from fedguide.privacy.accounting import Adversary, epsilon_of
from fedguide.privacy.chain import canonical
from fedguide.privacy.events import Event, from_record, to_record
from fedguide.privacy.mechanisms import CorrelatedGaussian, Unnoised

MOST_EPSILON = 10.0
"""The highest cap that may be configured."""

WARN_EPSILON = 3.0
"""Above this an account is shown with a warning."""

MOST_NAME = 200
"""Characters of an account, a task or a purpose."""

Counts: TypeAlias = Mapping[str, int]
"""What was done (canonical JSON) to how many times."""

Price: TypeAlias = "Callable[[Counts, Budget], float]"
"""The ε of counts at a budget's δ against its adversary."""


@dataclass(frozen=True)
class Budget:
    """What an account may spend over its whole life.

    Attributes:
        epsilon: the cap.
        delta: δ at which ε is worked out.
        adversary: whom the cap holds against; an insider knows who was sampled.
        allow_unnoised: may anything be released without noise? It is recorded as ε = ∞.

    Raises:
        ConfigError: a figure is out of its range.
    """

    epsilon: float = 8.0
    delta: float = 1e-6
    adversary: Adversary = "insider"
    allow_unnoised: bool = False

    def __post_init__(self) -> None:
        """Checks both figures."""
        if not 0 < self.epsilon <= MOST_EPSILON:
            raise ConfigError(f"epsilon must be in (0, {MOST_EPSILON:g}], got {self.epsilon}")
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta must be in (0, 1), got {self.delta}")
        if self.adversary not in ("insider", "outsider"):
            raise ConfigError(f"adversary must be insider or outsider, got {self.adversary!r}")


@dataclass(frozen=True)
class Charge:
    """What one round of one task is about to release about one population.

    Attributes:
        account: whose shoppers; a party's own name at the party.
        task: with ``round``, the id of the charge.
        round: from 0.
        purpose: what the release is for.
        events: what will be done, all of it, metrics included.
        question: SHA-256 (hex) of the message that is answered, so that the same round cannot be
            asked another question for the same charge; empty where nothing is asked.
        recipient: who gets what is released.

    Raises:
        ConfigError: a name is empty or too long, the round is negative, there is no event, or an
            event is for another task.
    """

    account: str
    task: str
    round: int
    purpose: str
    events: tuple[Event, ...]
    question: str = ""
    recipient: str = "coordinator"

    def __post_init__(self) -> None:
        """Checks every field: a ledger's records are for ever."""
        for name in ("account", "task", "purpose", "recipient"):
            require_name(name, getattr(self, name))
        if type(self.round) is not int or not 0 <= self.round < 1 << 31:
            raise ConfigError(f"round must be a whole number in [0, 2^31), got {self.round!r}")
        if not self.events:
            raise ConfigError("a charge needs an event; without noise it is Unnoised()")
        for event in self.events:
            if event.task != self.task:
                raise ConfigError(f"an event of task {event.task!r} in a charge of {self.task!r}")
        if self.question and not (
            len(self.question) == 64 and set(self.question) <= set("0123456789abcdef")
        ):
            raise ConfigError("question must be a SHA-256 in lower-case hex")


def require_name(name: str, value: str) -> None:
    """Returns if ``value`` can name something in a ledger.

    Raises:
        ConfigError: it is empty, too long, or holds what cannot be printed.
    """
    if not (isinstance(value, str) and 1 <= len(value) <= MOST_NAME and value.isprintable()):
        raise ConfigError(f"{name} must be 1 to {MOST_NAME} printable characters")


def delta_for(shoppers: int) -> float:
    """The largest δ allowed for so many shoppers: min(1e-6, N^-1.1).

    Raises:
        ConfigError: there are no shoppers.
    """
    if shoppers < 1:
        raise ConfigError(f"shoppers must be at least 1, got {shoppers}")
    return min(1e-6, math.pow(shoppers, -1.1))


@lru_cache(maxsize=4096)
def what_of(event: Event) -> str:
    """What the event did, whoever it was done for and however often."""
    record = to_record(replace(event, rounds=1))
    del record["task"], record["rounds"]
    return canonical(record).decode()


@lru_cache(maxsize=4096)
def event_of(what: str, times: int = 1) -> tuple[Event, ...]:
    """The events that did this so many times.

    Raises:
        LedgerError: it is not what an event of this version does.
    """
    try:
        event = from_record({**json.loads(what), "task": "counted", "rounds": 1})
    except (ConfigError, ValueError, TypeError) as error:
        raise LedgerError(f"an event in the ledger is not known to this version: {error}") from None
    # Correlated noise is one event for all its steps, so it is repeated, not counted.
    if isinstance(event.mechanism, CorrelatedGaussian):
        return (event,) * times
    return (replace(event, rounds=times),)


def counts_of(events: Iterable[Event]) -> Counter[str]:
    """How often each thing was done."""
    counted: Counter[str] = Counter()
    for event in events:
        counted[what_of(event)] += event.rounds
    return counted


def events_of(counts: Counts) -> tuple[Event, ...]:
    """The events that these counts stand for, fit for an accountant.

    Raises:
        LedgerError: see ``event_of``.
    """
    return tuple(event for what, times in counts.items() for event in event_of(what, times))


def is_noised(what: str) -> bool:
    """Was there any noise?"""
    return not isinstance(event_of(what)[0].mechanism, Unnoised)


def noised(counts: Counts) -> dict[str, int]:
    """The part of the counts that has an ε."""
    return {what: times for what, times in counts.items() if is_noised(what)}


def accounted(counts: Counts, budget: Budget) -> float:
    """The ε of counts by the accountant; ∞ where anything was released without noise.

    Raises:
        ConfigError: dp-accounting is not installed, or events protect different units.
    """
    if not counts:
        return 0.0
    if len(noised(counts)) < len(counts):
        return math.inf
    return epsilon_of(events_of(counts), budget.delta, budget.adversary)
