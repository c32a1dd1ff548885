"""Choosing splits from sums of gradients over bins: second-order gradient boosting.

Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", 2016, section 2.2: with G and H the
sums of first and second derivatives, the gain of a split is
½ (G_L²/(H_L+λ) + G_R²/(H_R+λ) − G²/(H+λ)) − γ and a leaf weighs −G/(H+λ). Missing values go where
the gain is larger (section 3.4). Sums are whole numbers, so every party's sums of the same
samples agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.vertical.features import MISSING

Sums = NDArray[np.int64]
"""Sums of gradients and Hessians by bin and node, shape ``(rows, nodes, 2)``, in fixed point."""


@dataclass(frozen=True)
class Shape:
    """What a tree is held to.

    Attributes:
        l2: λ.
        least_gain: γ.
        least_hessian: smallest sum of Hessians of a child.
    """

    l2: float = 1.0
    least_gain: float = 0.0
    least_hessian: float = 1.0


@dataclass(frozen=True)
class Split:
    """The best split of a node among one party's features.

    Attributes:
        gain: above 0, or no split is worth it.
        feature: its number.
        bin: samples of bins up to this one go left.
        missing_left: where missing values go.
    """

    gain: float
    feature: int
    bin: int
    missing_left: bool


NO_SPLIT = Split(0.0, -1, -1, missing_left=False)


def best_splits(
    sums: Sums, offsets: NDArray[np.int64], scales: NDArray[np.float64], shape: Shape
) -> list[Split]:
    """The best split of every node; the first feature and bin win a tie.

    Args:
        sums: of every bin and node.
        offsets: first row of each feature and the end.
        scales: units of the fixed point in 1.0, of gradients and of Hessians.
        shape: what a split is held to.
    """
    best = [NO_SPLIT] * sums.shape[1]
    for feature in range(len(offsets) - 1):
        real = sums[offsets[feature] : offsets[feature + 1]] / scales
        if len(real) < 3:  # one bin beside that of missing values
            continue
        for node, found in enumerate(_best_of_feature(real, shape)):
            if found[0] > best[node].gain:
                best[node] = Split(found[0], feature, found[1], found[2])
    return best


def leaf_weights(totals: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    """−G / (H + λ) of each node, from totals of shape ``(nodes, 2)``."""
    return -totals[:, 0] / (totals[:, 1] + l2)


def _best_of_feature(real: NDArray[np.float64], shape: Shape) -> list[tuple[float, int, bool]]:
    """(gain, bin, missing left) of every node for one feature: sums ``(bins, nodes, 2)``."""
    total = real.sum(0)
    missing = real[MISSING]
    up_to = np.cumsum(real[1:-1], 0)  # left sums of splits after bins 1 … last - 1
    options = np.stack([up_to, up_to + missing])
    gains = _gains(options, total, shape)
    flat = np.moveaxis(gains, -1, 0).reshape(gains.shape[-1], -1)
    found = []
    for row in flat:
        at = int(row.argmax())
        left, place = divmod(at, len(up_to))
        found.append((float(row[at]) if np.isfinite(row[at]) else 0.0, place + 1, bool(left)))
    return found


def _gains(
    left: NDArray[np.float64], total: NDArray[np.float64], shape: Shape
) -> NDArray[np.float64]:
    """The gain of every split; −∞ where a child is too light."""
    right = total - left

    def score(part: NDArray[np.float64]) -> NDArray[np.float64]:
        # Hessians are sums of rounded numbers: below zero only by rounding, where a child is light.
        value: NDArray[np.float64] = part[..., 0] ** 2 / (np.maximum(part[..., 1], 0) + shape.l2)
        return value

    gains = (score(left) + score(right) - score(total)) / 2 - shape.least_gain
    light = np.minimum(left[..., 1], right[..., 1]) < shape.least_hessian
    return np.where(light, -np.inf, gains)
