"""Scores to probabilities that can be believed, and how far they can be.

Platt, "Probabilistic Outputs for Support Vector Machines", 1999: a logistic curve over scores,
with smoothed targets. Zadrozny and Elkan, "Transforming Classifier Scores into Accurate
Multiclass Probability Estimates", 2002: isotonic regression by pooling adjacent violators. The
expected calibration error is that of Naeini, Cooper and Hauskrecht, 2015, over bins of equal size,
so that no bin is judged on a handful of people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.models.auc import check_scores
from fedguide.models.bootstrap import Interval
from fedguide.models.logistic import Linear, fit_logistic, sigmoid
from fedguide.models.proportion import wilson

Floats = NDArray[np.float64]

Calibration: TypeAlias = Callable[[Floats], Floats]
"""Scores to probabilities, both of shape ``(c,)``; it never turns two scores around."""


@dataclass(frozen=True)
class Platt:
    """A logistic curve over scores; a slope below 0 is cut to 0, which says nothing."""

    curve: Linear

    def __call__(self, scores: Floats) -> Floats:
        """Probabilities of these scores."""
        return sigmoid(self.curve(scores[:, None]))


@dataclass(frozen=True)
class Isotonic:
    """A rising curve through points; flat beyond both ends.

    Attributes:
        scores: ascending, shape ``(k,)``.
        shares: not falling, shape ``(k,)``.
    """

    scores: Floats = field(repr=False)
    shares: Floats = field(repr=False)

    def __call__(self, scores: Floats) -> Floats:
        """Probabilities of these scores."""
        found: Floats = np.interp(scores, self.scores, self.shares)
        return found


@dataclass(frozen=True)
class ReliabilityRow:
    """One bin of people with like probabilities.

    Attributes:
        count: people in it.
        predicted: their mean probability.
        observed: share of them with label 1, with its 95 % interval.
    """

    count: int
    predicted: float
    observed: Interval


def fit_platt(labels: Floats, scores: Floats) -> Platt:
    """Platt's curve, from people that the scores were not fitted on.

    Raises:
        DataError: as ``auc``; labels of both kinds are needed.
    """
    check_scores(labels, scores)
    ones = float(labels.sum())
    zeros = len(labels) - ones
    if not ones or not zeros:
        raise DataError(f"calibration needs labels of both kinds, got {ones:.0f} of 1")
    targets = np.where(labels == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    curve = fit_logistic(scores[:, None], targets, l2=0.0)
    if curve.weights[0] < 0:
        share = float(targets.mean())
        curve = Linear(np.zeros(1), float(np.log(share / (1 - share))))
    return Platt(curve)


def fit_isotonic(labels: Floats, scores: Floats) -> Isotonic:
    """The rising curve that is nearest to the labels, from people not fitted on.

    Raises:
        DataError: as ``auc``; one kind of label is enough.
    """
    check_scores(labels, scores)
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, labels) / counts
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many scores
    for mean, weight in zip(means.tolist(), counts.tolist(), strict=True):
        blocks.append((mean, float(weight), 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, of_a, spans_a), (b, of_b, spans_b) = blocks[-2:]
            both = of_a + of_b
            blocks[-2:] = [((a * of_a + b * of_b) / both, both, spans_a + spans_b)]
    shares = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
    return Isotonic(values, shares)


def reliability(labels: Floats, probabilities: Floats, bins: int = 10) -> list[ReliabilityRow]:
    """Predicted against observed in bins of equal size, lowest first; equal values stay together.

    Raises:
        ConfigError: ``bins`` is below 1.
        DataError: as ``auc``, or a probability is outside of [0, 1].
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins}")
    check_scores(labels, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise DataError("probabilities must be in [0, 1]")
    edges = np.quantile(probabilities, np.arange(1, bins) / bins)
    places = np.searchsorted(np.unique(edges), probabilities, side="left")
    rows = []
    for place in np.unique(places):
        here = places == place
        count = int(here.sum())
        observed = wilson(float(labels[here].sum()), count)
        rows.append(ReliabilityRow(count, float(probabilities[here].mean()), observed))
    return rows


def calibration_error(labels: Floats, probabilities: Floats, bins: int = 10) -> float:
    """ECE: mean distance between predicted and observed, each bin by its people.

    Raises:
        ConfigError, DataError: as ``reliability``.
    """
    rows = reliability(labels, probabilities, bins)
    gaps = sum(row.count * abs(row.predicted - row.observed.value) for row in rows)
    return float(gaps / len(labels))
