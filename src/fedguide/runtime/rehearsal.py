"""A federation rehearsed by a clock of its own: slow, absent and vanishing parties.

A courier around another one. Who can be reached, who drops out and how long everybody takes is
drawn from a seed; the clock is moved on by as long as the coordinator would have waited. So a
plan's deadline, cohort and ``first=n`` can be tried in seconds on parties that would take days.
Parties that would not have answered in time are not trained at all.

The device model is that of Lai et al., "FedScale: Benchmarking Model and System Performance of
Federated Learning at Scale", ICML 2022, section 3.2 (speed and availability for each client), with
laws instead of its traces: speeds are spread evenly in their logarithm, absence and drop-out are
drawn afresh for every trip. A party that comes too late does not go on in the background.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedguide.errors import ConfigError
from fedguide.protocol import Ask, Courier, Missing, Replies
from fedguide.values import PartyId


@dataclass(frozen=True)
class Habits:
    """What the parties are like.

    Attributes:
        seed: everything random follows from it.
        spread: how many times slower the slowest party is than the fastest, at least 1.
        available: chance that a party can be reached in a trip.
        dropout: chance that a party that was reached never answers.
        trip_s: seconds that a message takes there and back.
        example_s: seconds that the fastest party takes for one example.

    Raises:
        ConfigError: a number is out of its range.
    """

    seed: int = 0
    spread: float = 10.0
    available: float = 1.0
    dropout: float = 0.0
    trip_s: float = 1.0
    example_s: float = 0.01

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 1 <= self.spread < math.inf:
            raise ConfigError(f"spread must be at least 1, got {self.spread}")
        if not 0 < self.available <= 1:
            raise ConfigError(f"available must be in (0, 1], got {self.available}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")
        for name in ("trip_s", "example_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")

    def slowness(self, party: PartyId) -> float:
        """How many times longer than the fastest a party takes; always the same for it."""
        drawn = zlib.crc32(party.encode(), self.seed & 0xFFFFFFFF) / 2**32
        return float(self.spread**drawn)


class VirtualClock:
    """Seconds that pass only when somebody says so; called, it tells them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Seconds since it was made."""
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        """Time goes on."""
        self.seconds += seconds


@dataclass(frozen=True)
class _Fate:
    """What becomes of one trip: seconds of those that come in time, the others, the waiting."""

    times: Mapping[PartyId, float]
    missing: tuple[Missing, ...]
    waited_s: float


def rehearsed(
    courier: Courier,
    habits: Habits,
    clock: VirtualClock,
    examples: Callable[[PartyId], int],
) -> Courier:
    """Builds the courier around ``courier``, which trains those that come in time.

    Args:
        courier: for example ``simulated``.
        habits: what the parties are like.
        clock: moved on with every trip; give the driver the same one.
        examples: how many examples a party trains on, known without training.
    """
    trips = 0

    def rehearse(ask: Ask) -> Replies:
        nonlocal trips
        fate = _fate(ask, habits, trips, examples)
        trips += 1
        clock.pass_by(fate.waited_s)
        if not fate.times:
            return Replies({}, fate.missing)
        # The party that is quickest stands first in the plain couriers, too.
        some = {name: ask.to[name] for name in fate.times}
        replies = courier(replace(ask, to=some, quorum=1, first=None))
        return Replies(replies.answers, replies.missing + fate.missing)

    return rehearse


def _fate(ask: Ask, habits: Habits, trip: int, examples: Callable[[PartyId], int]) -> _Fate:
    """Draws who answers when."""
    draws = np.random.default_rng([habits.seed, trip])
    names = sorted(ask.to)
    absent, drops = draws.random((2, len(names)))
    missing: list[Missing] = []
    times: dict[PartyId, float] = {}
    silent = False
    for name, away, drop in zip(names, absent.tolist(), drops.tolist(), strict=True):
        work_s = examples(name) * habits.example_s * habits.slowness(name)
        if away >= habits.available:
            missing.append(Missing(name, "lost", "not available"))
        elif drop < habits.dropout:
            missing.append(Missing(name, "lost", "dropped out"))
            silent = True
        elif habits.trip_s + work_s > ask.deadline_s:
            missing.append(Missing(name, "late", f"would take {habits.trip_s + work_s:.1f} s"))
            silent = True
        else:
            times[name] = habits.trip_s + work_s
    order = sorted(times, key=lambda name: (times[name], name))
    if ask.first is not None and len(order) >= ask.first:
        missing += [
            Missing(n, "late", f"the first {ask.first} were in") for n in order[ask.first :]
        ]
        order, silent = order[: ask.first], False
    longest = max((times[name] for name in order), default=habits.trip_s)
    # Nobody knows that a silent party will stay so: the coordinator waits as long as it said.
    waited_s = ask.deadline_s if silent and math.isfinite(ask.deadline_s) else longest
    return _Fate({name: times[name] for name in order}, tuple(missing), waited_s)
