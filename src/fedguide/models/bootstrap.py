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
    """Means of bootstrap samples of the last axis: ``(..., c)`` to ``(..., draws)``.

    A draw is its multinomial counts, so that all models and all draws are one product.

    Raises:
        ConfigError: ``draws`` is below 2, or there is nothing to draw from.
    """
    count = values.shape[-1]
    if draws < 2:
        raise ConfigError(f"draws must be at least 2, got {draws}")
    if count == 0:
        raise ConfigError("a bootstrap needs at least 1 value, got none")
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count
    means: Values = values @ weights.T
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


def interval(values: Values, rng: np.random.Generator, draws: int = DRAWS) -> Interval:
    """The mean over shoppers and its interval; ``values`` as in ``seeds_averaged``."""
    shoppers = seeds_averaged(values)
    if not len(shoppers):
        return Interval(np.nan, np.nan, np.nan)
    return _interval(float(shoppers.mean()), resampled_means(shoppers, rng, draws))


def difference(a: Values, b: Values, rng: np.random.Generator, draws: int = DRAWS) -> Difference:
    """Model a less model b over the same shoppers; seeds are averaged first on each side.

    The relative difference is that of the two means, mean(a) / mean(b) - 1, drawn together.

    Raises:
        WrongShapeError: a and b are not of the same shoppers.
    """
    one, two = seeds_averaged(a), seeds_averaged(b)
    if one.shape != two.shape:
        raise WrongShapeError(f"paired values must match, got {one.shape} and {two.shape}")
    if not len(one):
        nothing = Interval(np.nan, np.nan, np.nan)
        return Difference(nothing, nothing)
    mean_a, mean_b = resampled_means(np.stack([one, two]), rng, draws)
    return Difference(
        _interval(float(one.mean() - two.mean()), mean_a - mean_b),
        _interval(float(_ratio(one.mean(), two.mean())), _ratio(mean_a, mean_b)),
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
