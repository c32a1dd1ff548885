"""How certain a mean is: the bootstrap over shoppers, alone and paired.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3 (percentile
interval). Shoppers are drawn, never lines or seeds: values of several seeds are averaged per
shopper first. In a paired comparison a draw takes the same shoppers for both models, so that what
makes a shopper hard for both cancels out. The interval speaks of other shoppers of the same
shops and weeks; it does not cover other partitions, months or seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, WrongShapeError

DRAWS = 2000
"""Draws of a published interval."""

BLOCK = 4_000_000
"""Draws x shoppers that are counted at a time."""

LEVEL = 0.95
"""Coverage of every interval here."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval; all NaN where there was nobody to ask."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Model a less model b, paired: absolute, and relative to the mean of b."""

    absolute: Interval
    relative: Interval


def resampled_means(values: Values, rng: np.random.Generator, draws: int = DRAWS) -> Values:
    """Means of bootstrap samples of the shoppers: ``(models, c)`` to ``(models, draws)``.

    Every draw takes the same shoppers for all models. NaN where there is no shopper.

    Raises:
        ConfigError: ``draws`` is below 2.
    """
    if draws < 2:
        raise ConfigError(f"draws must be at least 2, got {draws}")
    models, count = values.shape
    if count == 0:
        return np.full((models, draws), np.nan)
    block = max(BLOCK // count, 1)
    parts = []
    for start in range(0, draws, block):
        size = min(block, draws - start)
        places = rng.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        often = np.bincount(places.ravel(), minlength=size * count).reshape(size, count)
        parts.append(values @ (often.T / count))
    means: Values = np.concatenate(parts, axis=1)
    return means


def seeds_averaged(values: Values) -> Values:
    """``(seeds, c)`` or ``(c,)`` to one value per shopper, ``(c,)``.

    Raises:
        WrongShapeError: the array has another number of axes, or no seed.
    """
    if values.ndim == 1:
        return values
    if values.ndim != 2 or not len(values):
        raise WrongShapeError(f"values must have shape (seeds, c) or (c,), got {values.shape}")
    mean: Values = values.mean(axis=0)
    return mean


def interval(values: Values, drawn: Values) -> Interval:
    """The mean of one model's shoppers ``(c,)``, its interval from its means ``(draws,)``."""
    return _interval(float(values.mean()) if len(values) else float("nan"), drawn)


def difference(a: Values, b: Values, drawn_a: Values, drawn_b: Values) -> Difference:
    """Model a less model b over the same shoppers ``(c,)``, drawn together ``(draws,)``.

    The relative difference is that of the two means, mean(a) / mean(b) - 1.

    Raises:
        WrongShapeError: a and b are not of the same shoppers, or not of the same draws.
    """
    if a.shape != b.shape or drawn_a.shape != drawn_b.shape:
        raise WrongShapeError(
            f"paired values must match, got {a.shape} and {b.shape} of shoppers, "
            f"{drawn_a.shape} and {drawn_b.shape} of draws"
        )
    if not len(a):
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        return Difference(nothing, nothing)
    return Difference(
        _interval(float(a.mean() - b.mean()), drawn_a - drawn_b),
        _interval(float(_ratio(a.mean(), b.mean())), _ratio(drawn_a, drawn_b)),
    )


def _ratio(a: Values, b: Values) -> Values:
    """What a is above b, as a share of b; NaN where b is 0."""
    safe = np.where(np.asarray(b) == 0, np.nan, b)
    ratio: Values = a / safe - 1
    return ratio


def _interval(value: float, drawn: Values) -> Interval:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not np.isfinite(value):
        return Interval(float(value), np.nan, np.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))
