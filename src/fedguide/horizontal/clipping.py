"""Centred clipping: every update may pull the last outcome only so far.

Karimireddy, He and Jaggi, "Learning from History for Byzantine Robust Optimization", ICML 2021,
section 4.2, equation CC: v ← v + (1/n) Σ (x_i - v) min(1, τ / |x_i - v|), begun at the outcome
of the last round. One update moves v by at most τ / n a pass, whatever it says. Deviations: weights
count where they are given, and without a radius τ is the median of the distances |x_i - v|,
because the length of an honest change is not known before a run and falls during it; a median is
a liar's to move only as far as the honest ones reach. (The paper's own proof asks for a smaller
share of bad updates, about a tenth; see there.)
"""

from __future__ import annotations

import math

import numpy as np

from fedguide.errors import ConfigError
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


def centred_clipping(radius: float | None = None, passes: int = 3) -> Rule:
    """Builds the rule; ``radius`` is τ, ``passes`` how often the centre moves in a round.

    Raises:
        ConfigError: ``radius`` is not a finite number above 0, or ``passes`` below 1.
    """
    if radius is not None and not (math.isfinite(radius) and radius > 0):
        raise ConfigError(f"radius must be finite and above 0, got {radius}")
    if passes < 1:
        raise ConfigError(f"passes must be at least 1, got {passes}")

    def combine(updates: Updates, weights: Weights, _bad: int) -> Vector:
        shares = weights / weights.sum()
        centre = np.zeros(updates.shape[1], np.float32)
        for _ in range(passes):
            distance = lengths(updates, centre)
            reach = float(np.median(distance)) if radius is None else radius
            clip = shortening(distance, reach)
            # Σ p c (x - v) = Σ p c x - (Σ p c) v
            pulled = weighted_sum(updates, shares * clip)
            centre = pulled + np.float32(1 - float(shares @ clip)) * centre
        return centre

    return Rule(
        combine,
        majority,
        "n >= 2 f + 1 (an honest majority; Karimireddy et al. 2021 prove less than that)",
        around_last=True,
    )
