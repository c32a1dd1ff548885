"""Linear models in plain numpy: logistic regression by Newton's method, and ridge regression.

Hoerl and Kennard, "Ridge Regression", 1970; for the logistic model iteratively reweighted least
squares as in Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009,
section 4.4.1, halving a step that does not help. Columns are standardised inside, so that one
penalty fits all; the intercept is not penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError

Floats = NDArray[np.float64]

_STEPS = 100
_HALVINGS = 30
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Linear:
    """A linear score ``intercept + x @ weights`` of rows ``(n, d)``.

    Attributes:
        weights: of the columns as they came, shape ``(d,)``.
        intercept: what a row of zeros scores.
    """

    weights: Floats
    intercept: float

    def __call__(self, rows: Floats) -> Floats:
        """The scores, shape ``(n,)``; log odds for a logistic model."""
        scores: Floats = rows @ self.weights + self.intercept
        return scores


def fit_ridge(rows: Floats, targets: Floats, l2: float = 1.0) -> Linear:
    """Least squares with a penalty ``l2``/2 · ‖w‖² on standardised columns.

    Raises:
        ConfigError: ``l2`` is below 0.
        DataError: shapes do not fit, or something is not finite.
    """
    _check(rows, targets, l2)
    scaled, mean, scale = _standardised(rows)
    centre = float(targets.mean())
    gram = scaled.T @ scaled + max(l2, _TOLERANCE) * np.eye(rows.shape[1])
    weights: Floats = np.linalg.solve(gram, scaled.T @ (targets - centre)).astype(np.float64)
    return _unscaled(weights, centre, mean, scale)


def fit_logistic(rows: Floats, targets: Floats, l2: float = 1.0) -> Linear:
    """Logistic regression; ``targets`` in [0, 1] may be soft.

    Raises:
        ConfigError: ``l2`` is below 0.
        DataError: shapes do not fit, something is not finite, a target is outside of [0, 1], or
            all of them are 0 or all of them 1.
    """
    _check(rows, targets, l2)
    if targets.min() < 0 or targets.max() > 1:
        raise DataError(f"targets must be in [0, 1], got {targets.min()} to {targets.max()}")
    share = float(targets.mean())
    if share in (0.0, 1.0):
        raise DataError("all targets are the same: there is nothing to learn")
    scaled, mean, scale = _standardised(rows)
    design = np.column_stack([scaled, np.ones(len(rows))])
    # A trace of a penalty keeps the system solvable where columns repeat one another.
    penalty = np.full(design.shape[1], max(l2, _TOLERANCE))
    penalty[-1] = 0.0
    weights = np.zeros(design.shape[1])
    weights[-1] = np.log(share / (1 - share))
    loss = _loss(design, targets, penalty, weights)
    for _ in range(_STEPS):
        weights, after = _newton(design, targets, penalty, weights, loss)
        if loss - after <= _TOLERANCE * max(1.0, abs(loss)):
            break
        loss = after
    return _unscaled(weights[:-1], float(weights[-1]), mean, scale)


def sigmoid(margins: Floats) -> Floats:
    """1 / (1 + e^-m), without overflow."""
    shares: Floats = 1 / (1 + np.exp(-np.clip(margins, -500, 500)))
    return shares


def _newton(
    design: Floats, targets: Floats, penalty: Floats, weights: Floats, loss: float
) -> tuple[Floats, float]:
    """One step, halved until it helps; the weights as they were where nothing does."""
    shares = sigmoid(design @ weights)
    slope = design.T @ (shares - targets) + penalty * weights
    curves = np.maximum(shares * (1 - shares), 1e-12)
    hessian = (design * curves[:, None]).T @ design + np.diag(penalty)
    step = np.linalg.solve(hessian, slope)
    for halving in range(_HALVINGS):
        tried = weights - step / 2**halving
        after = _loss(design, targets, penalty, tried)
        if after <= loss:
            return tried, after
    return weights, loss


def _loss(design: Floats, targets: Floats, penalty: Floats, weights: Floats) -> float:
    """Penalised negative log likelihood."""
    margins = design @ weights
    fits = np.logaddexp(0, margins) - targets * margins
    return float(fits.sum() + (penalty * weights**2).sum() / 2)


def _standardised(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Columns in standard deviations from their mean; a constant one becomes zeros."""
    mean, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale < 1e-12, 1.0, scale)
    return (rows - mean) / scale, mean, scale


def _unscaled(weights: Floats, intercept: float, mean: Floats, scale: Floats) -> Linear:
    own: Floats = weights / scale
    return Linear(own, float(intercept - mean @ own))


def _check(rows: Floats, targets: Floats, l2: float) -> None:
    if not l2 >= 0:
        raise ConfigError(f"l2 must be at least 0, got {l2}")
    if rows.ndim != 2 or not len(rows) or targets.shape != (len(rows),):
        raise DataError(f"rows {rows.shape} and targets {targets.shape} do not fit")
    if not (np.isfinite(rows).all() and np.isfinite(targets).all()):
        raise DataError("rows and targets must be finite")
