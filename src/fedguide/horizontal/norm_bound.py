"""The mean of updates that are each shortened to one length.

Sun, Kairouz, Suresh and McMahan, "Can You Really Backdoor Federated Learning?", 2019, section 4:
Σ w_i x_i / max(1, |x_i| / M). One update moves the outcome by at most its share of M. Deviation:
without an M, the (f + 1)-th largest of the updates' own lengths is taken, because honest changes
get shorter during a run; of f + 1 updates one is honest, so it is no longer than an honest one.
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


def norm_bound(max_norm: float | None = None) -> Rule:
    """Builds the rule; ``max_norm`` is M.

    Raises:
        ConfigError: ``max_norm`` is not a finite number above 0.
    """
    if max_norm is not None and not (math.isfinite(max_norm) and max_norm > 0):
        raise ConfigError(f"max_norm must be finite and above 0, got {max_norm}")

    def combine(updates: Updates, weights: Weights, bad: int) -> Vector:
        length = lengths(updates)
        most = float(np.sort(length)[-1 - bad]) if max_norm is None else max_norm
        return weighted_sum(updates, weights / weights.sum() * shortening(length, most))

    return Rule(
        combine,
        majority,
        "n >= 2 f + 1 (an honest majority; Sun et al. 2019 assume a known M and no number)",
    )
