"""Spending a day's budget over the whole day: a share of auctions that follows the plan.

Agarwal, Ghosh, Wei and You, "Budget Pacing for Targeted Online Advertisements at LinkedIn", 2014,
section 3: an ad takes part in an auction with a probability that rises by a tenth where less was
spent than planned by now, and falls by a tenth where more was. The paper plans by a forecast of
traffic; here the plan is even over the day unless the caller hands in another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedguide.errors import ConfigError

ADJUSTED_BY = 0.1
"""The paper's adjustment rate."""

LEAST_RATE = 0.005
"""So that an ad that spent too fast in the morning can come back."""

EVERY_S = 60.0
"""The paper's minute between two adjustments."""


@dataclass(frozen=True)
class Pace:
    """An ad's pace on one day.

    Attributes:
        rate: probability of taking part in an auction, in (0, 1].
        at_s: when it was adjusted last, in seconds of the day.
    """

    rate: float = 0.1
    at_s: float = 0.0


def adjusted(pace: Pace, now_s: float, spent_fen: float, planned_fen: float) -> Pace:
    """The pace after a look at the books, at most once in ``EVERY_S``.

    Args:
        pace: as it was.
        now_s: seconds of the day.
        spent_fen: so far today.
        planned_fen: that should be spent by now.

    Raises:
        ConfigError: the time is before the last look.
    """
    if now_s < pace.at_s:
        raise ConfigError(f"now_s must be at least {pace.at_s}, got {now_s}")
    if now_s - pace.at_s < EVERY_S:
        return pace
    factor = 1 + ADJUSTED_BY if spent_fen < planned_fen else 1 - ADJUSTED_BY
    return replace(pace, rate=min(1.0, max(LEAST_RATE, pace.rate * factor)), at_s=now_s)


def planned_evenly(budget_fen: int, now_s: float) -> float:
    """What is to be spent by a second of the day where it is spent evenly."""
    return budget_fen * min(1.0, now_s / 86_400)
