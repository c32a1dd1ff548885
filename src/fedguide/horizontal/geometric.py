"""The geometric median: the point with the smallest weighted sum of distances to all updates.

Pillutla, Kakade and Harchaoui, "Robust Aggregation for Federated Learning", IEEE Transactions on
Signal Processing 2022 (RFA), algorithm 2, the smoothed Weiszfeld algorithm. With bad updates of a
weight share α below 1/2 the outcome is no farther from any point than 2 (1 - α) / (1 - 2 α) times
the farthest honest update (Lopuhaä and Rousseeuw, "Breakdown Points of Affine Equivariant
Estimators", 1991, theorem 2.2). Deviations: it begins at the mean of the updates shortened to their
median length, which a liar cannot drag away, and it goes on until it stands still.
"""

from __future__ import annotations

import numpy as np

from fedguide.horizontal.rules import (
    Rule,
    Updates,
    Weights,
    lengths,
    majority,
    shortening,
    weighted_sum,
)
from fedguide.values import Vector

SMOOTHING = 1e-6
"""ν: a distance below this share of the median distance counts as that; keeps weights finite."""

STILL = 1e-5
"""The iteration ends when a step is below this share of the median distance."""

MOST_STEPS = 100


def geometric_median(updates: Updates, weights: Weights, _bad: int) -> Vector:
    """The smoothed geometric median."""
    length = lengths(updates)
    shorter = shortening(length, float(np.median(length)))
    point = weighted_sum(updates, weights / weights.sum() * shorter)
    for _ in range(MOST_STEPS):
        distance = lengths(updates, point)
        middle = float(np.median(distance))
        if middle == 0:  # more than half of the updates are one and the same
            return point
        pull = weights / np.maximum(distance, SMOOTHING * middle)
        before, point = point, weighted_sum(updates, pull / pull.sum())
        if float(lengths(point[None], before)[0]) <= STILL * middle:
            break
    return point


GEOMETRIC = Rule(
    geometric_median,
    majority,
    "n >= 2 f + 1 (Pillutla et al. 2022, section 3: bad weight below 1/2)",
)
