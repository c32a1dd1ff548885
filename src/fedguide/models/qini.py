"""What targeting by predicted uplift is worth: the Qini curve, its area, a table by decile.

Radcliffe, "Using Control Groups to Target on Predicted Lift", 2007, sections 6 and 7. The curve
is, for the best share φ of people, the outcome gained by treating them,
Y_t(φ) - Y_c(φ) · N_t(φ) / N_c(φ), here divided by all treated so that it reads as gain a treated
person. The coefficient is the area between the curve and the straight line of treating at random
(Radcliffe's is that over an optimum's area, which for a rare outcome needs a guess). People with
equal scores are taken together, so that the order of rows says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.models.auc import midranks
from fedguide.models.bootstrap import LEVEL, Interval
from fedguide.models.proportion import Z
from fedguide.models.uplift import check_trial

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The Qini curve.

    Attributes:
        share: of people treated, from 0 to 1, shape ``(k,)``.
        gain: outcome gained, a treated person of the whole trial, shape ``(k,)``.
    """

    share: Floats = field(repr=False)
    gain: Floats = field(repr=False)

    @property
    def coefficient(self) -> float:
        """Area between the curve and the line of treating at random."""
        above = self.gain - self.share * self.gain[-1]
        return float((np.diff(self.share) * (above[1:] + above[:-1]) / 2).sum())


@dataclass(frozen=True)
class TreatRow:
    """One group of people with like predicted uplift; group 1 has the highest.

    Attributes:
        group: its number.
        treated: people in the treated arm; ``control`` in the other.
        predicted: mean predicted uplift.
        with_it: mean outcome of the treated; ``without`` of the control.
        uplift: their difference with its 95 % interval (Welch).
    """

    group: int
    treated: int
    control: int
    predicted: float
    with_it: float
    without: float
    uplift: Interval


def qini_curve(scores: Floats, treated: NDArray[np.bool_], outcomes: Floats) -> Curve:
    """The curve of one score, all arrays of shape ``(n,)``.

    Raises:
        DataError: shapes do not fit, an arm is empty, or a score is NaN.
    """
    check_trial(treated, outcomes, len(scores))
    return _curve(_grouped(scores), treated, outcomes, np.ones(len(scores)))


def qini_coefficients(
    scores: Sequence[Floats],
    treated: NDArray[np.bool_],
    outcomes: Floats,
    rng: np.random.Generator,
    draws: int = 500,
) -> tuple[list[Interval], Floats]:
    """The coefficient of each score with its bootstrap interval, and all draws ``(scores, draws)``.

    A draw takes the same people for every score, so that two of them may be compared.

    Raises:
        ConfigError: ``draws`` is below 2.
        DataError: as ``qini_curve``.
    """
    if draws < 2:
        raise ConfigError(f"draws must be at least 2, got {draws}")
    values = [qini_curve(score, treated, outcomes).coefficient for score in scores]
    groups = [_grouped(score) for score in scores]
    drawn = np.empty((len(scores), draws))
    count = len(outcomes)
    for draw in range(draws):
        often = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        for at, grouped in enumerate(groups):
            drawn[at, draw] = _curve(grouped, treated, outcomes, often).coefficient
    tail = (1 - LEVEL) / 2
    bounds = np.quantile(drawn, [tail, 1 - tail], axis=1)
    made = [Interval(v, float(lo), float(hi)) for v, lo, hi in zip(values, *bounds, strict=True)]
    return made, drawn


def treat_table(
    scores: Floats, treated: NDArray[np.bool_], outcomes: Floats, groups: int = 10
) -> list[TreatRow]:
    """Measured uplift by group of predicted uplift, highest first; a large tie leaves gaps.

    Raises:
        ConfigError: ``groups`` is not in [1, people].
        DataError: as ``qini_curve``, or an arm is empty within a group.
    """
    check_trial(treated, outcomes, len(scores))
    if not 1 <= groups <= len(scores):
        raise ConfigError(f"groups must be in [1, {len(scores)}], got {groups}")
    if np.isnan(scores).any():
        raise DataError(f"{int(np.isnan(scores).sum())} scores are NaN")
    places = (groups * (midranks(-scores) - 0.5) / len(scores)).astype(np.int64)
    return [
        _row(int(place) + 1, *(part[places == place] for part in (scores, treated, outcomes)))
        for place in np.unique(places)
    ]


def _row(number: int, scores: Floats, treated: NDArray[np.bool_], outcomes: Floats) -> TreatRow:
    with_it, without = outcomes[treated], outcomes[~treated]
    if min(len(with_it), len(without)) < 2:
        raise DataError(f"group {number} has fewer than 2 people in an arm: ask for fewer groups")
    gap = float(with_it.mean() - without.mean())
    error = math.sqrt(with_it.var(ddof=1) / len(with_it) + without.var(ddof=1) / len(without))
    return TreatRow(
        number,
        len(with_it),
        len(without),
        float(scores.mean()),
        float(with_it.mean()),
        float(without.mean()),
        Interval(gap, gap - Z * error, gap + Z * error),
    )


def _grouped(scores: Floats) -> NDArray[np.int64]:
    """The place of each person's score from the best down; equal scores share one."""
    if np.isnan(scores).any():
        raise DataError(f"{int(np.isnan(scores).sum())} scores are NaN")
    return np.unique(-scores, return_inverse=True)[1].astype(np.int64)


def _curve(
    places: NDArray[np.int64], treated: NDArray[np.bool_], outcomes: Floats, often: Floats
) -> Curve:
    """The curve where each person stands ``often`` times."""

    def summed(weights: Floats) -> Floats:
        sums: Floats = np.cumsum(np.bincount(places, weights))
        return sums

    in_t, in_c = summed(often * treated), summed(often * ~treated)
    of_t, of_c = summed(often * treated * outcomes), summed(often * ~treated * outcomes)
    # Before the first of the control is met, there is nothing to hold the treated against.
    rate = np.divide(of_c, in_c, out=np.zeros_like(of_c), where=in_c > 0)
    gain = (of_t - rate * in_t) / in_t[-1]
    share = (in_t + in_c) / (in_t[-1] + in_c[-1])
    return Curve(np.concatenate([[0.0], share]), np.concatenate([[0.0], gain]))
