"""Federated statistics: counts, breakdowns, quantiles and heavy hitters out of noised tallies.

Each figure comes with the half-width of its noise (95 %) and the floor below which it is not
shown. What is judged is always a noised figure, so a refusal tells nothing the noise did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from fedguide.data.people import Axis, Breakdown
from fedguide.errors import ConfigError, RefusedError
from fedguide.horizontal.tally import Noised

LEAST_FLOOR = 10
"""No floor may be lower: a noised count of a handful is as good as a name to who knows them."""

Asking: TypeAlias = Callable[[Breakdown, float], Noised]
"""``ask(breakdown, epsilon)``: one noised tally over all parties, charged to their ledgers."""


@dataclass(frozen=True)
class Rules:
    """What may be shown, and at what price.

    Attributes:
        epsilon: of the whole statistic.
        floor: k; a noised count below it is not shown.

    Raises:
        ConfigError: a number is out of its range.
    """

    epsilon: float = 0.5
    floor: int = 50

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0 < self.epsilon <= 4:  # noise of a smaller scale cannot be drawn exactly
            raise ConfigError(f"epsilon must be in (0, 4], got {self.epsilon}")
        if self.floor < LEAST_FLOOR:
            raise ConfigError(f"floor must be at least {LEAST_FLOOR}, got {self.floor}")


@dataclass(frozen=True)
class Cell:
    """One figure: its names, the noised count (``None`` below the floor), and ± of 95 %."""

    labels: tuple[str, ...]
    count: int | None
    half_width: float


@dataclass(frozen=True)
class Quantile:
    """A quantile: its value, the step of the search it is exact to, and questions asked.

    ``rank_error`` is the 95 % half-width of the noise in the share of people at each question.
    """

    share: float
    value: float
    resolution: float
    questions: int
    rank_error: float


def half_width(noised: Noised) -> float:
    """Half of the 95 % interval of the noise in one cell.

    P(|k| > t) = 2 e^(−(t+1)/s) / (1 + e^(−1/s)) of discrete Laplace; by √(n/(n−1)) wider for the
    one share of n that is more than is counted on, which holds its variance exactly.
    """
    scale, n = noised.scale, noised.parties
    tail = math.log(0.05 * (1 + math.exp(-1 / scale)) / 2)
    wider = math.sqrt(n / (n - 1)) if n > 1 else 1.0
    return float(max(0, math.ceil((-scale * tail - 1) * wider)))


def breakdown_of(ask: Asking, breakdown: Breakdown, rules: Rules) -> tuple[Cell, ...]:
    """Every cell of a breakdown: a count, a histogram, or a table by groups.

    Raises:
        RefusedError: no cell reaches the floor.
    """
    noised = ask(breakdown, rules.epsilon)
    width = half_width(noised)
    cells = tuple(
        Cell(labels, int(count) if count >= rules.floor else None, width)
        for labels, count in zip(breakdown.labels, noised.counts, strict=True)
    )
    if all(cell.count is None for cell in cells):
        raise RefusedError(
            f"policy: no figure reaches the floor of {rules.floor} people",
            hint="wider cells, or more people",
        )
    return cells


def heavy_hitters(
    ask: Asking, column: str, domain: tuple[str, ...], rules: Rules, most: int, where: Breakdown
) -> tuple[Cell, ...]:
    """The declared values with the most people, largest first.

    The domain is declared, not discovered: no value is named that was not in the question. A value
    is shown if its count is above the floor and above what noise alone reaches anywhere in the
    domain with a probability of 5 %.

    Raises:
        RefusedError: no value is above.
        ConfigError: the domain is empty or names a value twice.
    """
    breakdown = replace(where, axes=(Axis(column, domain),), most=min(most, len(domain)))
    noised = ask(breakdown, rules.epsilon)
    least = max(rules.floor, threshold(noised, len(domain)))
    width = half_width(noised)
    found = [
        Cell((value,), int(count), width)
        for value, count in zip(domain, noised.counts, strict=True)
        if count >= least
    ]
    if not found:
        raise RefusedError(
            f"policy: no value has {least} people or more",
            hint="a smaller domain, a larger --epsilon, or more people",
        )
    return tuple(sorted(found, key=lambda cell: (-(cell.count or 0), cell.labels)))


def threshold(noised: Noised, cells: int) -> int:
    """What noise alone reaches in any of so many empty cells with a probability of 5 %.

    P(k ≥ t) = e^(−t/s) / (1 + e^(−1/s)) in each, by the union bound; wider as in ``half_width``.
    """
    scale, n = noised.scale, noised.parties
    wider = math.sqrt(n / (n - 1)) if n > 1 else 1.0
    tail = 0.05 / cells * (1 + math.exp(-1 / scale))
    return math.ceil(-scale * math.log(tail) * wider)


def quantile(
    ask: Asking,
    column: str,
    share: float,
    bounds: tuple[float, float],
    rules: Rules,
    steps: int,
    where: Breakdown,
) -> Quantile:
    """The value below which this share of people is, by a noisy binary search of so many steps.

    A person with several rows is on the side where most of them are. Every question costs an
    equal part of ε. The number of people is noised, and refused below the floor, in the first.

    Raises:
        RefusedError: fewer people than the floor.
        ConfigError: a number is out of its range.
    """
    low, high = bounds
    if not 0 < share < 1:
        raise ConfigError(f"a quantile is in (0, 1), got {share}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"bounds must be finite and ascend, got {low:g} and {high:g}")
    if not 1 <= steps <= 30:
        raise ConfigError(f"steps must be in [1, 30], got {steps}")
    rank_error, asked = 0.0, 0
    while asked < steps and (middle := (low + high) / 2) not in (low, high):
        noised = ask(
            replace(where, axes=(Axis(column, edges=(middle,)),), most=1), rules.epsilon / steps
        )
        asked += 1
        below, above = (int(count) for count in noised.counts)
        people = below + above
        if people < rules.floor:
            raise RefusedError(
                f"policy: fewer people than the floor of {rules.floor}", hint="more people"
            )
        rank_error = max(rank_error, half_width(noised) / people)
        low, high = (middle, high) if below < share * people else (low, middle)
    return Quantile(share, (low + high) / 2, high - low, asked, rank_error)
