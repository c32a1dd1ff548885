"""The median of every coordinate.

Yin, Chen, Ramchandran and Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", ICML 2018, definition 1. With fewer than half of the updates bad, every
coordinate of the outcome lies within the range of the honest ones. Weights are not used, as in
the paper: a weight is a claim, and a liar's would be large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.rules import Rule, Updates, Weights, by_columns, majority
from fedguide.values import Vector


def coordinate_median(updates: Updates, _weights: Weights, _bad: int) -> Vector:
    """The middle value of every coordinate, or the mean of the two middle ones."""
    return by_columns(updates, _middle)


def _middle(columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """The middle of sorted rows; halved before added, so that no sum overflows."""
    n = columns.shape[1]
    low, high = columns[:, (n - 1) // 2], columns[:, n // 2]
    middle: NDArray[np.float64] = low.astype(np.float64) / 2 + high.astype(np.float64) / 2
    return middle


MEDIAN = Rule(
    coordinate_median, majority, "n >= 2 f + 1 (Yin et al. 2018, theorem 1: a share below 1/2)"
)
