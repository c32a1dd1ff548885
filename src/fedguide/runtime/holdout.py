"""A judge made of what the shops say, of whom a few may lie.

A round can only be undone by somebody who can tell that it did harm. Every shop scores the model
on its own validation cases and says one number in [0, 1]; the judge is the mean of what is left
without the highest and the lowest f (Yin et al., "Byzantine-Robust Distributed Learning", 2018,
definition 2), so that f liars can neither hide a harmful round nor undo a good one by themselves.
A shop counts like another here, large or small: a liar's number of cases would be a claim, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fedguide.errors import ConfigError
from fedguide.values import Vector

Says = Callable[[Vector], float]
"""What one shop says of a model: a mean of validation scores in [0, 1]."""


def holdout(shops: Sequence[Says], bad: int) -> Says:
    """The trimmed mean of what the shops say; what is no number in [0, 1] is cut to it.

    Raises:
        ConfigError: ``bad`` is negative, or not fewer than half of the shops.
    """
    if not 0 <= 2 * bad < len(shops):
        raise ConfigError(
            f"bad must be at least 0 and below half of the {len(shops)} shops, got {bad}"
        )

    def judge(params: Vector) -> float:
        said = np.nan_to_num(np.array([shop(params) for shop in shops], np.float64), nan=0.0)
        kept = np.sort(said.clip(0, 1))[bad : len(said) - bad]
        return float(kept.mean())

    return judge
