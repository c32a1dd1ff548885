"""EASE: the item x item weights of ridge regression with a zero diagonal, in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equation 8:
B_ij = -P_ij / P_jj with P = (X'X + λI)^-1. Where a shop has fewer shoppers than items, the same P
comes cheaper from the shoppers' side (Woodbury): P = (I - X'(XX' + λI)^-1 X) / λ.
Deviation: only the strongest neighbours of each item are kept. Nothing here leaves the shop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.itemknn import KEEP, Neighbours, shopper_items, strongest
from fedguide.values import Baskets

EASE_ITEMS = 10_000
"""Largest catalogue for EASE: its matrix takes 4 n² bytes; above it, a shop keeps ItemKNN."""

LAMBDAS = (50.0, 100.0, 200.0, 400.0, 800.0)
"""Ridge strengths tried on validation."""


def ease_matrix(train: Baskets, items: int, ridge: float) -> NDArray[np.float32]:
    """Row i says how much having item i speaks for every item; shape ``(items, items)``.

    Raises:
        ConfigError: ``ridge`` is not above 0, or the catalogue is larger than ``EASE_ITEMS``.
    """
    if not ridge > 0:
        raise ConfigError(f"ridge must be above 0, got {ridge}")
    if items > EASE_ITEMS:
        raise ConfigError(
            f"EASE takes at most {EASE_ITEMS} items, got {items}", hint="use itemknn instead"
        )
    X = shopper_items(train, items)
    shoppers = X.shape[0]
    if shoppers < items:
        gram = np.asarray((X @ X.T).toarray(), np.float64)
        gram[np.diag_indices(shoppers)] += ridge
        dense = X.toarray()
        inner = np.linalg.solve(gram, dense.astype(np.float64)).astype(np.float32)
        P = (dense.T @ inner) / np.float32(-ridge)
        P[np.diag_indices(items)] += np.float32(1 / ridge)
    else:
        gram = np.asarray((X.T @ X).toarray(), np.float64)
        gram[np.diag_indices(items)] += ridge
        P = np.linalg.inv(gram).astype(np.float32)
    weights: NDArray[np.float32] = P / -np.diag(P)
    weights[np.diag_indices(items)] = 0
    return weights


def ease(train: Baskets, items: int, ridge: float, *, keep: int = KEEP) -> Neighbours:
    """The ``keep`` strongest weights of every item.

    Raises:
        ConfigError: as ``ease_matrix``.
    """
    return Neighbours(*strongest(ease_matrix(train, items, ridge), keep))
