"""One step of gradient descent with momentum on shares: what each side does alone.

Polyak, "Some methods of speeding up the convergence of iteration methods", 1964, with momentum
7/8 and a rate that is a power of two, so that both are roundings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.rows import Rows
from fedguide.errors import RunError
from fedguide.vertical.shares import Shares, Side, reduced, rounded

FRACTION_BITS = 13
MOMENTUM_BITS = 3  # v loses 1/8 of itself a step
_MOST_WEIGHT = 1 << 6  # a weight of 64 on a bin is a rounding gone wrong, or steps too large
_SAMPLES_FOR_CURVATURE = 4096


@dataclass(frozen=True)
class Stepping:
    """How steps are taken; both sides know it.

    Attributes:
        shift: a slope is divided by 2^this.
        ridge: this times the weight is added to its slope.
        smooth: this times what it is above its neighbours is added too.
        column_bits: columns are in units of 2^-this.
    """

    shift: int
    ridge: int
    smooth: int
    column_bits: int


def stepped(
    rule: Stepping,
    side: Side,
    kept: NDArray[np.int64],
    slopes: Shares,
    chained: NDArray[np.bool_],
) -> Shares:
    """The shares of weights and velocities after a step, shape ``(2, d)``.

    Args:
        rule: of the session.
        side: whose shares these are.
        kept: weights and velocities before.
        slopes: of the columns.
        chained: columns that are neighbours of the one before them, shape ``(d,)``.
    """
    weights, velocity = kept
    rises = np.where(chained[1:], np.diff(weights), 0)
    above = np.concatenate([[0], rises]) - np.concatenate([rises, [0]])
    penalty = rule.ridge * weights + rule.smooth * above
    slopes = reduced(slopes + (penalty << rule.column_bits))
    slower = velocity - rounded(velocity, MOMENTUM_BITS, side)
    velocity = reduced(slower + rounded(slopes, rule.shift, side))
    return np.stack([reduced(weights - velocity), velocity])


def opened_weights(mine: Shares, theirs: Shares) -> NDArray[np.int64]:
    """Weights in fixed point from both sides' shares.

    Raises:
        RunError: one is out of all bounds.
    """
    weights = reduced(mine + theirs)
    if len(weights) and int(np.abs(weights).max()) > _MOST_WEIGHT << FRACTION_BITS:
        raise RunError(
            f"a weight is beyond ±{_MOST_WEIGHT}: a rounding of shares went wrong, or the steps "
            "were too large",
            hint="train again; if it happens twice, with a smaller learning rate",
        )
    return weights


def steepest(ridge: int, smooth: int, chained: Sequence[NDArray[np.bool_]]) -> int:
    """A bound on the curvature of the penalties: of a chain of neighbours it is below 4."""
    return ridge + (4 * smooth if any(one.any() for one in chained) else 0)


def curvature(rows: Rows, column_bits: int) -> int:
    """A bound on the largest eigenvalue of XᵀX / n, from the first rows, rounded up."""
    some = rows.dense(slice(None), slice(0, _SAMPLES_FOR_CURVATURE)) / 2.0**column_bits
    small = some @ some.T if len(some) < some.shape[1] else some.T @ some
    # A quarter more for the rows that were not looked at.
    largest = float(np.linalg.eigvalsh(small)[-1])
    return math.ceil(1.25 * largest / int(some.shape[1]))
