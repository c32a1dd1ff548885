"""What a robust rule is: many updates to one that a few bad ones cannot move far.

A rule is a pure function of the updates, their weights and the number f of bad ones it has to
withstand. It may only promise anything where there are enough updates for f; how many is each
paper's own condition, and fewer are refused with that condition named. All rules work on blocks
of columns, so that a million coordinates of fifty parties need no second copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.values import Vector

Updates: TypeAlias = NDArray[np.float32]
"""One update a row, shape ``(n, p)``; the rules give the same for any order of the rows."""

Weights: TypeAlias = NDArray[np.float64]
"""How much each update counts, shape ``(n,)``, all above 0."""

Distances: TypeAlias = NDArray[np.float64]

BLOCK = 1 << 12
"""Columns worked on at once: fifty parties' block stays in a core's cache."""


@dataclass(frozen=True)
class Rule:
    """One robust rule.

    Attributes:
        combine: ``(updates, weights, bad) -> update``, shape ``(p,)``; pure.
        least: fewest updates with which it withstands that many bad ones.
        condition: the same in words, with its source.
        around_last: it is given what the updates differ by from the last round's outcome.
    """

    combine: Callable[[Updates, Weights, int], Vector]
    least: Callable[[int], int]
    condition: str
    around_last: bool = False


def require(name: str, rule: Rule, bad: int, updates: int) -> None:
    """Refuses a rule that can promise nothing against ``bad`` of so many updates.

    Raises:
        ConfigError: ``bad`` is negative, or there are too few updates for it.
    """
    if bad < 0:
        raise ConfigError(f"bad must be at least 0, got {bad}")
    if updates < rule.least(bad):
        raise ConfigError(
            f"{name} needs at least {rule.least(bad)} updates to withstand {bad} bad ones, "
            f"got {updates}: {rule.condition}",
            hint="more parties, or a smaller number of bad ones",
        )


def most_bad(rule: Rule, updates: int) -> int:
    """How many bad ones of so many updates the rule withstands at most.

    Raises:
        ConfigError: it cannot work with so few at all.
    """
    require("the rule", rule, 0, updates)
    return max(bad for bad in range(updates) if rule.least(bad) <= updates)


def majority(bad: int) -> int:
    """2 f + 1: without an honest majority no rule can tell who is right."""
    return 2 * bad + 1


def blocks(updates: Updates) -> Iterator[slice]:
    """The columns of all updates, some thousands at a time."""
    for start in range(0, updates.shape[1], BLOCK):
        yield slice(start, start + BLOCK)


def by_columns(
    updates: Updates, combine: Callable[[NDArray[np.float32]], NDArray[np.floating]]
) -> Vector:
    """Applies ``combine`` to every column by itself.

    ``combine`` is given ``(columns, n)``, each row sorted ascending, and gives ``(columns,)``.
    """
    result = np.empty(updates.shape[1], np.float32)
    for block in blocks(updates):
        columns = np.ascontiguousarray(updates[:, block].T)
        columns.sort(axis=1)
        result[block] = combine(columns)
    return result


def weighted_sum(updates: Updates, weights: Weights) -> Vector:
    """Σ w_i x_i, added up in float64."""
    result = np.empty(updates.shape[1], np.float32)
    for block in blocks(updates):
        result[block] = weights @ updates[:, block].astype(np.float64)
    return result


def lengths(updates: Updates, centre: Vector | None = None) -> NDArray[np.float64]:
    """L2 distance of every update from ``centre`` (from 0 without one), shape ``(n,)``."""
    squares = np.zeros(len(updates))
    for block in blocks(updates):
        part = updates[:, block].astype(np.float64)
        if centre is not None:
            part -= centre[block]
        squares += np.einsum("np,np->n", part, part)
    result: NDArray[np.float64] = np.sqrt(squares)
    return result


def shortening(length: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """The factors, shape ``(n,)``, with which nothing is longer than ``most``."""
    factors = np.ones(len(length))
    return np.divide(most, length, out=factors, where=length > most)


def squared_distances(updates: Updates) -> Distances:
    """Squared L2 distance of every two updates, shape ``(n, n)``."""
    gram = np.zeros((len(updates), len(updates)))
    for block in blocks(updates):
        part = updates[:, block].astype(np.float64)
        gram += part @ part.T
    own = np.diag(gram)
    distances: Distances = np.maximum(own[:, None] + own[None, :] - (gram + gram.T), 0)
    np.fill_diagonal(distances, 0)
    return distances
