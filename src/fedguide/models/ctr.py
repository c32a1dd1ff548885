"""How likely an ad is clicked: logistic regression over hashed features, learnt one by one.

McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013, algorithm 1 (FTRL-Proximal,
a learning rate for each coordinate); features are hashed as in Weinberger et al., "Feature Hashing
for Large Scale Multitask Learning", 2009, here without signs. A feature is a text; two that share
a bucket share a weight, which many buckets make rare.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.models.logistic import sigmoid

Floats = NDArray[np.float64]
Buckets = NDArray[np.int64]


@dataclass(frozen=True)
class CtrPlan:
    """How it is learnt; the letters are the paper's.

    Attributes:
        bits: 2^bits buckets.
        alpha: learning rate of an average example; the paper's, of one coordinate, is that over
            the features an example has, or many features would overshoot together.
        beta: smooths the rate while a coordinate is young.
        l1: weights below it in sum of gradients are exactly 0; ``l2`` shrinks all.
        passes: over the examples.

    Raises:
        ConfigError: a figure is out of its range.
    """

    bits: int = 16
    alpha: float = 1.0
    beta: float = 1.0
    l1: float = 1.0
    l2: float = 1.0
    passes: int = 5

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 4 <= self.bits <= 24:
            raise ConfigError(f"bits must be in [4, 24], got {self.bits}")
        if not (self.alpha > 0 and self.beta > 0 and self.l1 >= 0 and self.l2 >= 0):
            raise ConfigError("alpha and beta must be above 0, l1 and l2 at least 0")
        if self.passes < 1:
            raise ConfigError(f"passes must be at least 1, got {self.passes}")


@dataclass(frozen=True)
class Ctr:
    """Weights by bucket, shape ``(2^bits,)``, and the intercept."""

    weights: Floats = field(repr=False)
    intercept: float

    def __call__(self, examples: Iterable[Buckets]) -> Floats:
        """Log odds of each example, shape ``(n,)``."""
        sums = [float(self.weights[buckets].sum()) for buckets in examples]
        return np.array(sums) + self.intercept


def hashed(names: Iterable[str], bits: int) -> Buckets:
    """The buckets of some features, each once."""
    mask = (1 << bits) - 1
    return np.array(sorted({zlib.crc32(name.encode()) & mask for name in names}), np.int64)


def fit_ctr(examples: Sequence[Buckets], clicks: Floats, plan: CtrPlan | None = None) -> Ctr:
    """Learns from examples in the order of time.

    Raises:
        DataError: lengths differ, a label is neither 0 nor 1, or nobody or everybody clicked.
    """
    plan = plan or CtrPlan()
    if len(examples) != len(clicks) or not np.isin(clicks, (0, 1)).all():
        raise DataError(f"{len(examples)} examples need as many clicks of 0 or 1")
    share = float(clicks.mean()) if len(clicks) else 0.0
    if not 0 < share < 1:
        raise DataError(f"clicks of both kinds are needed, {share:.0%} of {len(clicks)} are")
    # The intercept starts at the base rate and is learnt as one coordinate more, not shrunk to 0.
    start = float(np.log(share / (1 - share)))
    size = 1 << plan.bits
    mean_features = 1 + sum(len(buckets) for buckets in examples) / len(examples)
    plan = replace(plan, alpha=plan.alpha / mean_features)
    z, n = np.zeros(size + 1), np.zeros(size + 1)
    for _ in range(plan.passes):
        for buckets, click in zip(examples, clicks.tolist(), strict=True):
            at = np.append(buckets, size)
            _learn(z, n, at, click, start, plan)
    everything = np.arange(size + 1)
    weights = _weights(z, n, everything, plan)
    return Ctr(weights[:size], start + float(weights[size]))


def _learn(z: Floats, n: Floats, at: Buckets, click: float, start: float, plan: CtrPlan) -> None:
    """One example; ``z`` and ``n`` are changed in place."""
    weights = _weights(z, n, at, plan)
    slope = float(sigmoid(np.array(weights.sum() + start))) - click
    before = n[at]
    rate = (np.sqrt(before + slope**2) - np.sqrt(before)) / plan.alpha
    z[at] += slope - rate * weights
    n[at] = before + slope**2


def _weights(z: Floats, n: Floats, at: Buckets, plan: CtrPlan) -> Floats:
    """The weights that the sums stand for."""
    mine = z[at]
    shrunk = np.sign(mine) * np.maximum(np.abs(mine) - plan.l1, 0)
    weights: Floats = -shrunk / ((plan.beta + np.sqrt(n[at])) / plan.alpha + plan.l2)
    return weights
