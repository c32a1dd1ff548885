"""The area under the ROC curve with its interval, of one score or of two over the same people.

DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver
Operating Characteristic Curves", 1988, equations 3 to 6: the area is a mean of placements, and so
are its variance and the covariance of two of them, without drawing anything. Ties count half.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError
from fedguide.models.bootstrap import Interval
from fedguide.models.proportion import Z

Floats = NDArray[np.float64]


def auc(labels: Floats, scores: Floats) -> Interval:
    """The area and its 95 % interval; ``labels`` are 0 and 1, both arrays ``(c,)``.

    Raises:
        DataError: shapes differ, a label is neither 0 nor 1, one of them is absent, or a score
            is NaN.
    """
    of_ones, of_zeros = _placements(labels, scores)
    return _around(float(of_ones.mean()), _variance(of_ones) + _variance(of_zeros))


def auc_difference(labels: Floats, a: Floats, b: Floats) -> Interval:
    """The area of score a less that of b over the same people, paired, with its 95 % interval.

    Raises:
        DataError: as ``auc``.
    """
    ones_a, zeros_a = _placements(labels, a)
    ones_b, zeros_b = _placements(labels, b)
    ones, zeros = ones_a - ones_b, zeros_a - zeros_b
    return _around(float(ones.mean()), _variance(ones) + _variance(zeros))


def log_loss(labels: Floats, probabilities: Floats) -> float:
    """Mean negative log likelihood of 0/1 labels; a probability is held within 1e-15 of 0 and 1.

    Raises:
        DataError: as ``auc``, but one kind of label is enough.
    """
    check_scores(labels, probabilities)
    inside = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return float(-np.where(labels == 1, np.log(inside), np.log1p(-inside)).mean())


def check_scores(labels: Floats, scores: Floats) -> None:
    """Returns if these are 0/1 labels and as many scores.

    Raises:
        DataError: they are not.
    """
    if labels.ndim != 1 or labels.shape != scores.shape or not len(labels):
        raise DataError(f"labels {labels.shape} and scores {scores.shape} must be of one length")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels must be 0 or 1")
    if np.isnan(scores).any():
        raise DataError(f"{int(np.isnan(scores).sum())} scores are NaN")


def _placements(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, for each negative of positives above."""
    check_scores(labels, scores)
    ones = labels == 1
    n1, n0 = int(ones.sum()), int((~ones).sum())
    if not n1 or not n0:
        raise DataError(f"an area needs labels of both kinds, got {n1} of 1 and {n0} of 0")
    ranks = midranks(scores)
    of_ones: Floats = (ranks[ones] - midranks(scores[ones])) / n0
    of_zeros: Floats = 1 - (ranks[~ones] - midranks(scores[~ones])) / n1
    return of_ones, of_zeros


def midranks(scores: Floats) -> Floats:
    """Ranks from 1; equal scores share the mean of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middles: Floats = np.cumsum(counts) - (counts - 1) / 2
    return middles[inverse]


def _variance(placements: Floats) -> float:
    """Variance of their mean; 0 for a single one, of which nothing is known."""
    count = len(placements)
    return float(placements.var(ddof=1)) / count if count > 1 else 0.0


def _around(value: float, variance: float) -> Interval:
    half = Z * math.sqrt(variance)
    return Interval(value, value - half, value + half)
