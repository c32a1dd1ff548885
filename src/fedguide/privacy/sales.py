"""How often each item was bought, released once with noise: what every shopper's loss may know.

A shopper's loss that knows what sells learns taste, not what everybody buys; but what sells is
other shoppers. So the table is a release of its own, before the rounds, at the shop that has it:
each shopper's row of different items bought is brought to length 1, put on the grid by cutting
towards zero, so that its integer norm is at most one, and discrete Gaussian noise is added to the
sum. The rounds are then made of the noised table, and are paid for on top of it (adaptive
composition).

Threat model. Nobody but the shop sees even the noised table; it is charged as if everybody did,
because every slope of every round is made of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import Gaussian, Unnoised
from fedguide.privacy.samplers import discrete_gaussian
from fedguide.seeds import Root

UNITS = 1 << 12
"""The length of one shopper's row in units of the grid."""

MOST_MULTIPLIER = 200.0
"""Beyond it is nothing to be seen, and the sampler's table is too wide."""


def sales_event(task: str, multiplier: float) -> Event:
    """What is charged for the table: one Gaussian of sensitivity ``UNITS``, for every shopper.

    ``multiplier`` 0 is a table without noise.

    Raises:
        ConfigError: ``multiplier`` is outside [0, MOST_MULTIPLIER].
    """
    if not 0 <= multiplier <= MOST_MULTIPLIER:
        raise ConfigError(
            f"noise of sales must be in [0, {MOST_MULTIPLIER:g}] lengths of a shopper's row, "
            f"got {multiplier:g}",
            hint="a larger [dp] sales, or 0 for none",
        )
    noise = Gaussian(multiplier, float(UNITS)) if multiplier else Unnoised()
    return Event(task, noise, placement="local")


def summed_rows(bought: NDArray[np.int64], items: int) -> NDArray[np.int64]:
    """Σ of the shoppers' rows in units, shape ``(items,)``; none is longer than ``UNITS``.

    Args:
        bought: ``(b, 2)``, shopper and item, each pair once.
        items: of the catalogue.
    """
    _, owner, count = np.unique(bought[:, 0], return_inverse=True, return_counts=True)
    each = np.floor(np.sqrt(UNITS**2 // count)).astype(np.int64)  # a root of a square is exact
    return np.bincount(bought[:, 1], weights=each[owner], minlength=items).astype(np.int64)


def released_sales(
    bought: NDArray[np.int64], items: int, multiplier: float, root: Root
) -> NDArray[np.float64]:
    """The noised table, in lengths of a row over (1 + its noise), at least 0, ``(items,)``.

    The division is public: where the noise is larger than the sales, their logarithm is flat.
    ``root`` is the shop's own for the task: the same table is drawn again by it, and charged once.
    """
    units = summed_rows(bought, items)
    if multiplier:
        units = units + discrete_gaussian(multiplier * UNITS, items, root, "sales")
    return np.maximum(units, 0) / (UNITS * (1 + multiplier))
