"""How much an event counts by its kind and its age in whole days: looked up, not worked out again.

Every component of a history is a sum, or a maximum, of such numbers, and a shop's model has only
as many of them as there are kinds and days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import Matrix, encoder_named, event_weights
from fedguide.models.scorer import OF_EVENTS, ShopModel, of_events
from fedguide.values import KINDS

DAYS = 2048
"""Ages in the table; what is older is worked out."""


@dataclass(frozen=True)
class Fading:
    """A model's numbers for each kind and age.

    Attributes:
        model: whose they are.
        rows: ``(kinds x DAYS, 5)``, in the columns ``OF_EVENTS`` and the encoder's weight.
    """

    model: ShopModel
    rows: Matrix


def fading_of(model: ShopModel) -> Fading:
    """The table of a model."""
    kinds = np.repeat(np.arange(len(KINDS), dtype=np.uint8), DAYS)
    ages = np.tile(np.arange(DAYS, dtype=np.int32), len(KINDS))
    return Fading(model, _worked_out(model, kinds, ages))


def look_up(fading: Fading, kinds: NDArray[np.uint8], ages: NDArray[np.int32]) -> Matrix:
    """The numbers of some events, shape ``(h, 5)``; ages in days, ≥ 0."""
    if len(ages) and int(ages.max()) >= DAYS:
        return _worked_out(fading.model, kinds, ages)
    found: Matrix = fading.rows.take(kinds * np.int32(DAYS) + ages, axis=0)
    return found


def _worked_out(model: ShopModel, kinds: NDArray[np.uint8], ages: NDArray[np.int32]) -> Matrix:
    rows = np.zeros((len(kinds), len(OF_EVENTS) + 1), np.float32)
    days = ages.astype(np.float32)
    rows[:, :-1] = of_events(model, kinds, days)
    if encoder_named(model.network.encoder).linear:
        rows[:, -1] = event_weights(model.network, kinds, days)
    return rows
