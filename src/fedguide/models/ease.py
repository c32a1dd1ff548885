"""EASE: the item x item weights of ridge regression with a zero diagonal, in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equation 8:
B_ij = -P_ij / P_jj with P = (X'X + λI)^-1. With the right singular vectors V and squared singular
values s of X, P = (I - V diag(s / (s + λ)) V') / λ, so that one decomposition, on the smaller side
of X, serves every λ, and scores need no (items, items) matrix. Deviation: only the strongest
neighbours of each item are kept. Nothing here leaves the shop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.evaluate import Scorer
from fedguide.models.itemknn import KEEP, Neighbours, faded_history, shopper_items, strongest
from fedguide.values import Baskets, Cases

Scores = NDArray[np.float32]

EASE_ITEMS = 10_000
"""Largest catalogue for EASE: its matrix takes 4 n² bytes; above it, a shop keeps ItemKNN."""

LAMBDAS = (50.0, 100.0, 200.0, 400.0, 800.0)
"""Ridge strengths tried on validation."""

RIDGE = 200.0
"""The ridge of a shop that is too large to try several."""

TRIED_RANK = 3000
"""Up to so many shoppers *or* items a shop is decomposed; beyond, one inverse has to do."""


@dataclass(frozen=True)
class Spectrum:
    """The shopper x item matrix X by its r singular directions.

    Attributes:
        vectors: right singular vectors, shape ``(n, r)``.
        values: squared singular values, shape ``(r,)``, all above 0.
    """

    vectors: NDArray[np.float32]
    values: NDArray[np.float32]


def spectrum(train: Baskets, items: int) -> Spectrum:
    """Decomposes a shop's train rows, from the side of shoppers or items that is smaller.

    Raises:
        ConfigError: the catalogue is larger than ``EASE_ITEMS``.
    """
    _require(items, RIDGE)
    X = shopper_items(train, items)
    by_shopper = X.shape[0] < items
    gram = (X @ X.T if by_shopper else X.T @ X).toarray().astype(np.float64)
    values, sides = np.linalg.eigh(gram)
    there = values > 1e-9 * max(values.max(initial=0.0), 1.0)
    values, sides = values[there], sides[:, there]
    vectors = X.T @ sides / np.sqrt(values) if by_shopper else sides
    return Spectrum(np.asarray(vectors, np.float32), values.astype(np.float32))


def gram(train: Baskets, items: int) -> NDArray[np.float64]:
    """X'X: how often two items were had by one shopper, shape ``(n, n)``."""
    X = shopper_items(train, items)
    return np.asarray((X.T @ X).toarray(), np.float64)


def spectrum_of(counts: NDArray[np.float64]) -> Spectrum:
    """Decomposes X'X itself, where X is not at hand; directions below 0 are left out.

    Raises:
        ConfigError: the catalogue is larger than ``EASE_ITEMS``.
    """
    _require(len(counts), RIDGE)
    values, vectors = np.linalg.eigh(counts)
    there = values > 1e-9 * max(values.max(initial=0.0), 1.0)
    return Spectrum(vectors[:, there].astype(np.float32), values[there].astype(np.float32))


def ease_scores(found: Spectrum, history: NDArray[np.float32], ridge: float) -> Scores:
    """``history @ B`` for histories of shape ``(c, n)``, without B.

    Raises:
        ConfigError: ``ridge`` is not above 0.
    """
    shrunk = _shrunk(found, ridge)
    own = 1 - (found.vectors**2) @ shrunk  # λ times the diagonal of P
    mixed = history - ((history @ found.vectors) * shrunk) @ found.vectors.T
    scores: Scores = history - mixed / own
    return scores


def ease_matrix(found: Spectrum, ridge: float) -> Scores:
    """B: row i says how much having item i speaks for every item; shape ``(n, n)``.

    Raises:
        ConfigError: ``ridge`` is not above 0.
    """
    shrunk = _shrunk(found, ridge)
    own = 1 - (found.vectors**2) @ shrunk
    weights: Scores = (found.vectors * shrunk) @ found.vectors.T / own
    np.fill_diagonal(weights, 0)
    return weights


def inverse_matrix(train: Baskets, items: int, ridge: float = RIDGE) -> Scores:
    """B by one matrix inverse, four times cheaper than a decomposition where both sides are large.

    Raises:
        ConfigError: ``ridge`` is not above 0, or the catalogue is larger than ``EASE_ITEMS``.
    """
    _require(items, ridge)
    X = shopper_items(train, items)
    gram = (X.T @ X).toarray().astype(np.float64)
    gram[np.diag_indices(items)] += ridge
    P = np.linalg.inv(gram)
    weights: Scores = (P / -np.diag(P)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def ease(found: Spectrum, ridge: float, *, keep: int = KEEP) -> Neighbours:
    """The ``keep`` strongest weights of every item.

    Raises:
        ConfigError: as ``ease_matrix``.
    """
    return Neighbours(*strongest(ease_matrix(found, ridge), keep))


def by_ease(found: Spectrum, ridge: float, fade_days: float) -> Scorer:
    """Scores by all neighbours, none left out; what is released keeps the strongest."""

    def scorer(cases: Cases) -> Scores:
        history = faded_history(cases, len(found.vectors), fade_days).toarray()
        return ease_scores(found, history, ridge)

    return scorer


def _shrunk(found: Spectrum, ridge: float) -> NDArray[np.float32]:
    """How much of each direction a ridge leaves, ``(r,)``."""
    _require(len(found.vectors), ridge)
    shrunk: NDArray[np.float32] = found.values / (found.values + np.float32(ridge))
    return shrunk


def _require(items: int, ridge: float) -> None:
    if items > EASE_ITEMS:
        raise ConfigError(
            f"EASE takes at most {EASE_ITEMS} items, got {items}", hint="use itemknn instead"
        )
    if not ridge > 0:
        raise ConfigError(f"ridge must be above 0, got {ridge}")
