"""What boosted trees are fitted to: first and second derivatives of a loss by the margin."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError

Objective: TypeAlias = Literal["binary", "regression", "multiclass"]

Floats: TypeAlias = NDArray[np.float64]


def check_labels(labels: NDArray[np.float64], objective: str) -> int:
    """How many margins a sample has: 1, or one a class.

    Raises:
        ConfigError: the objective is unknown.
        DataError: labels are missing, not finite, all the same, or not 0, 1, 2, … of a class.
    """
    if labels.ndim != 1 or not len(labels):
        raise DataError("the label party has no labels")
    if not np.isfinite(labels).all():
        raise DataError(f"{int((~np.isfinite(labels)).sum())} labels are missing or not finite")
    values = np.unique(labels)
    if len(values) < 2:
        raise DataError("all labels are the same: there is nothing to learn")
    if objective == "regression":
        return 1
    if objective == "binary":
        if not np.array_equal(values, [0, 1]):
            raise DataError(f"labels of a binary objective are 0 and 1, got {len(values)} values")
        return 1
    if objective == "multiclass":
        if not np.array_equal(values, np.arange(len(values))):
            raise DataError("labels of a multiclass objective are 0, 1, 2, … without a gap")
        return len(values)
    raise ConfigError(f"objective must be binary, regression or multiclass, got {objective!r}")


def first_margins(labels: Floats, objective: Objective, classes: int) -> Floats:
    """The margins before the first tree, shape ``(classes,)``: log odds, mean or log shares."""
    if objective == "regression":
        return np.array([labels.mean()])
    if objective == "binary":
        share = float(labels.mean())
        return np.array([np.log(share / (1 - share))])
    return np.log(np.bincount(labels.astype(np.int64), minlength=classes) / len(labels))


def derivatives(labels: Floats, margins: Floats, objective: Objective) -> tuple[Floats, Floats]:
    """Gradients and Hessians of the loss, shape ``(classes, c)`` each."""
    if objective == "regression":
        return margins - labels, np.ones_like(margins)
    if objective == "binary":
        shares = probabilities(margins, objective)
        return shares - labels, shares * (1 - shares)
    shares = probabilities(margins, objective)
    wanted = np.arange(len(margins))[:, None] == labels
    # Twice the diagonal bounds the whole matrix (Böhning 1992), as xgboost takes it.
    return shares - wanted, 2 * shares * (1 - shares)


def probabilities(margins: Floats, objective: Objective) -> Floats:
    """What margins mean: shares of a class, or for regression the value; shape ``(classes, c)``."""
    if objective == "regression":
        return margins
    if objective == "binary":
        return 1 / (1 + np.exp(-np.clip(margins, -500, 500)))
    high = np.exp(margins - margins.max(0))
    shares: Floats = high / high.sum(0)
    return shares


def mean_loss(labels: Floats, margins: Floats, objective: Objective) -> float:
    """Mean log loss, or mean squared error: what early stopping watches."""
    if objective == "regression":
        return float(((margins[0] - labels) ** 2).mean())
    shares = np.clip(probabilities(margins, objective), 1e-15, 1 - 1e-15)
    if objective == "binary":
        return float(-np.where(labels == 1, np.log(shares[0]), np.log(1 - shares[0])).mean())
    return float(-np.log(shares[labels.astype(np.int64), np.arange(len(labels))]).mean())
