"""Can somebody tell two cases apart by what they see? A trained distinguisher and its AUC.

Logistic regression on standardised features, fitted by Newton's method with a little ridge, on one
half of what was seen, judged on the other. It finds any linear trace of the case in the features
it is given; features that can show a trace are the caller's to choose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import WrongShapeError

Floats = NDArray[np.float64]

_RIDGE = 1e-3  # keeps Newton's matrix invertible where the cases can be told apart perfectly
_STEPS = 8


def distinguish(first: Floats, second: Floats) -> float:
    """The AUC, on unseen draws, of a distinguisher trained on seen ones; 0.5 is guessing.

    Args:
        first: features of draws of the one case, shape ``(m, f)``.
        second: of the other case, shape ``(m, f)``; even rows train, odd rows judge.

    Raises:
        WrongShapeError: the cases have different features.
    """
    if first.shape[1:] != second.shape[1:] or first.ndim != 2:
        raise WrongShapeError(f"features have shapes {first.shape} and {second.shape}")
    weights = _fit(first[::2], second[::2])
    return auc(_scores(first[1::2], *weights), _scores(second[1::2], *weights))


def auc(low: Floats, high: Floats) -> float:
    """The probability that a score of ``high`` is above one of ``low``; ties count half."""
    scores = np.concatenate([low, high])
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.bincount(inverse, ranks, len(values)) / counts
    above = mean_ranks[inverse[len(low) :]].sum() - len(high) * (len(high) + 1) / 2
    return float(above / (len(low) * len(high)))


def _fit(first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, spread and weights (the constant last) of the logistic regression."""
    rows = np.concatenate([first, second])
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-12
    x = np.column_stack([(rows - mean) / spread, np.ones(len(rows))])
    labels = np.repeat([0.0, 1.0], [len(first), len(second)])
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (chance - labels) / len(x) + _RIDGE * weights
        curve = (x.T * (chance * (1 - chance))) @ x / len(x) + _RIDGE * np.eye(len(weights))
        weights = weights - np.linalg.solve(curve, slope)
    return mean, spread, weights


def _scores(rows: Floats, mean: Floats, spread: Floats, weights: Floats) -> Floats:
    """How much each row speaks for the second case."""
    scores: Floats = ((rows - mean) / spread) @ weights[:-1] + weights[-1]
    return scores
