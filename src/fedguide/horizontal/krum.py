"""Krum and Multi-Krum: the updates that lie closest to their nearest neighbours.

Blanchard, El Mhamdi, Guerraoui and Stainer, "Machine Learning with Adversaries: Byzantine
Tolerant Gradient Descent", NIPS 2017, sections 4 and 5. An update's score is the sum of its
squared distances to its n - f - 2 nearest others; Krum takes the update of the lowest score,
Multi-Krum the mean of the m lowest. m is n - f: there are so many honest ones, so every one of the
m has a score no higher than some honest update's. Equal scores are told apart by the shorter
update, so that the order of the rows does not matter. Weights are not used, as in the paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.rules import (
    Distances,
    Rule,
    Updates,
    Weights,
    lengths,
    squared_distances,
    weighted_sum,
)
from fedguide.values import Vector


def krum(updates: Updates, _weights: Weights, bad: int) -> Vector:
    """The update of the lowest score, as it is."""
    chosen: Vector = updates[_closest(updates, bad)[0]].copy()
    return chosen


def multi_krum(updates: Updates, _weights: Weights, bad: int) -> Vector:
    """The mean of the n - f updates of the lowest scores."""
    chosen = _closest(updates, bad)[: len(updates) - bad]
    return weighted_sum(updates[np.sort(chosen)], np.full(len(chosen), 1 / len(chosen)))


def scores(distances: Distances, bad: int) -> NDArray[np.float64]:
    """Σ of the squared distances to the n - f - 2 nearest others, shape ``(n,)``.

    With so few updates left that this is none (Bulyan's last picks), the nearest one counts.
    """
    neighbours = max(len(distances) - bad - 2, 1)
    # Column 0 is the distance to itself.
    nearest = np.sort(distances, axis=1)[:, 1 : 1 + neighbours]
    total: NDArray[np.float64] = nearest.sum(axis=1)
    return total


def least(bad: int) -> int:
    """Fewest updates for f bad ones."""
    return 2 * bad + 3


def _closest(updates: Updates, bad: int) -> NDArray[np.int64]:
    """The updates' places, lowest score first."""
    return np.lexsort((lengths(updates), scores(squared_distances(updates), bad)))


_CONDITION = "n >= 2 f + 3 (Blanchard et al. 2017, proposition 4.2: 2 f + 2 < n)"

KRUM = Rule(krum, least, _CONDITION)

MULTI_KRUM = Rule(multi_krum, least, _CONDITION)
