"""Whom a treatment moves: effects for each person from a trial, over any base learner.

Künzel, Sekhon, Bickel and Yu, "Metalearners for Estimating Heterogeneous Treatment Effects using
Machine Learning", 2019, section 2. The T-learner (equation 4) is the difference of two models of
the outcome; the X-learner (equations 6 to 9) imputes each person's effect with the other arm's
model, fits both sides, and weighs them by the propensity. In a randomised trial the propensity is
the arm's share, which is what is used here: data that were not randomised do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError
from fedguide.models.logistic import fit_logistic, fit_ridge, sigmoid

Floats = NDArray[np.float64]

Model: TypeAlias = Callable[[Floats], Floats]
"""Rows ``(n, d)`` to values ``(n,)``."""

Learner: TypeAlias = Callable[[Floats, Floats], Model]
"""Rows and their outcomes to a model of the mean outcome."""


def ridge_learner(l2: float = 1.0) -> Learner:
    """Ridge regression; for outcomes and for imputed effects."""
    return lambda rows, outcomes: fit_ridge(rows, outcomes, l2)


def logistic_learner(l2: float = 1.0) -> Learner:
    """Logistic regression; for outcomes of 0 and 1."""

    def learn(rows: Floats, outcomes: Floats) -> Model:
        score = fit_logistic(rows, outcomes, l2)
        return lambda asked: sigmoid(score(asked))

    return learn


def t_learner(rows: Floats, treated: NDArray[np.bool_], outcomes: Floats, learn: Learner) -> Model:
    """The effect as a model of the treated less one of the control.

    Args:
        rows: columns known before the treatment, shape ``(n, d)``.
        treated: who was treated, at random, shape ``(n,)``.
        outcomes: shape ``(n,)``.
        learn: the base learner.

    Raises:
        DataError: shapes do not fit, or an arm is empty.
    """
    check_trial(treated, outcomes, len(rows))
    with_it = learn(rows[treated], outcomes[treated])
    without = learn(rows[~treated], outcomes[~treated])
    return lambda asked: with_it(asked) - without(asked)


def x_learner(
    rows: Floats,
    treated: NDArray[np.bool_],
    outcomes: Floats,
    learn: Learner,
    learn_effect: Learner | None = None,
) -> Model:
    """The effect from imputed effects of both arms; arguments as ``t_learner``.

    ``learn_effect`` fits the imputed effects; ridge regression where none is given.

    Raises:
        DataError: shapes do not fit, or an arm is empty.
    """
    check_trial(treated, outcomes, len(rows))
    of_effects = learn_effect or ridge_learner()
    with_it = learn(rows[treated], outcomes[treated])
    without = learn(rows[~treated], outcomes[~treated])
    from_treated = of_effects(rows[treated], outcomes[treated] - without(rows[treated]))
    from_control = of_effects(rows[~treated], with_it(rows[~treated]) - outcomes[~treated])
    share = float(treated.mean())
    return lambda asked: share * from_control(asked) + (1 - share) * from_treated(asked)


def check_trial(treated: NDArray[np.bool_], outcomes: Floats, count: int) -> None:
    """Returns if these are two arms of a trial of ``count`` people.

    Raises:
        DataError: they are not.
    """
    if treated.dtype != np.bool_ or treated.shape != (count,) or outcomes.shape != (count,):
        raise DataError(
            f"a trial of {count} people needs as many arms (bool) and outcomes, got "
            f"{treated.dtype} {treated.shape} and {outcomes.shape}"
        )
    if treated.all() or not treated.any():
        raise DataError("a trial has two arms, one is empty")
    if not np.isfinite(outcomes).all():
        raise DataError("outcomes must be finite")
