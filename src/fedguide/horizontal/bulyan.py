"""Bulyan: Krum picks the updates, then every coordinate keeps only what is close to its median.

El Mhamdi, Guerraoui and Rouault, "The Hidden Vulnerability of Distributed Learning in
Byzantium", ICML 2018, section 4. Krum's choice is moved out of the pool θ = n - 2 f times; each
coordinate of the outcome is the mean of the θ - 2 f values closest to the median of the chosen.
It answers an attack on Krum: one coordinate can be far off while the whole vector is close.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.krum import scores
from fedguide.horizontal.rules import (
    Rule,
    Updates,
    Weights,
    by_columns,
    lengths,
    squared_distances,
)
from fedguide.values import Vector


def bulyan(updates: Updates, _weights: Weights, bad: int) -> Vector:
    """The outcome of both steps; weights are not used, as in the paper."""
    chosen = _picked(updates, bad)
    kept = len(chosen) - 2 * bad

    def around_median(columns: NDArray[np.float32]) -> NDArray[np.float64]:
        return _closest_mean(columns.astype(np.float64), kept)

    return by_columns(updates[chosen], around_median)


def _picked(updates: Updates, bad: int) -> NDArray[np.int64]:
    """Krum's choices, one after the other, each without those before it; ascending."""
    distances, length = squared_distances(updates), lengths(updates)
    pool = np.arange(len(updates))
    picked = []
    for _ in range(len(updates) - 2 * bad):
        score = scores(distances[np.ix_(pool, pool)], bad) if len(pool) > 1 else np.zeros(1)
        place = np.lexsort((length[pool], score))[0]
        picked.append(pool[place])
        pool = np.delete(pool, place)
    return np.sort(np.array(picked))


def _closest_mean(columns: NDArray[np.float64], kept: int) -> NDArray[np.float64]:
    """The mean of the ``kept`` values closest to each sorted row's median.

    They stand side by side in a sorted row: of all windows of that width, the one whose farther
    end is nearest to the median.
    """
    n = columns.shape[1]
    middle = (columns[:, (n - 1) // 2] + columns[:, n // 2]) / 2
    starts = np.arange(n - kept + 1)
    reach = np.maximum(
        middle[:, None] - columns[:, starts], columns[:, starts + kept - 1] - middle[:, None]
    )
    best = reach.argmin(axis=1)
    rows = np.arange(len(columns))[:, None]
    mean: NDArray[np.float64] = columns[rows, best[:, None] + np.arange(kept)].mean(axis=1)
    return mean


BULYAN = Rule(
    bulyan, lambda bad: 4 * bad + 3, "n >= 4 f + 3 (El Mhamdi et al. 2018, proposition 1)"
)
