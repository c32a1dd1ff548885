"""The mean of every coordinate without its f largest and f smallest values.

Yin, Chen, Ramchandran and Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", ICML 2018, definition 2, with β = f / n. With at most f updates bad, every
coordinate of the outcome lies within the range of the honest ones. Weights are not used, as in
the paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.rules import Rule, Updates, Weights, by_columns, majority
from fedguide.values import Vector


def trimmed_mean(updates: Updates, _weights: Weights, bad: int) -> Vector:
    """The mean of the n - 2 f middle values of every coordinate."""

    def middle(columns: NDArray[np.float32]) -> NDArray[np.float64]:
        kept: NDArray[np.float64] = columns[:, bad : len(updates) - bad].mean(1, np.float64)
        return kept

    return by_columns(updates, middle)


TRIMMED = Rule(
    trimmed_mean, majority, "n >= 2 f + 1 (Yin et al. 2018, theorem 4: f / n <= β < 1/2)"
)
