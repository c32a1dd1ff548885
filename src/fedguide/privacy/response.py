"""Counts of answers that each shopper has randomised: nobody who asks is trusted.

Warner, "Randomized Response", 1965; for k answers Kairouz, Bonawitz and Ramage, "Discrete
Distribution Estimation under Local Privacy", 2016, section 3. Threat model: who collects the
answers, and everybody who sees them later, may be curious; only who randomises is trusted with
the truth and with the root. The ε is local. It is recorded as a ``LocalEvent``, which no central
sum of ε accepts: the two speak of different adversaries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.privacy.laws import Answers
from fedguide.privacy.mechanisms import RandomisedResponse
from fedguide.privacy.samplers import draw
from fedguide.seeds import Label, Root


@dataclass(frozen=True)
class LocalCounts:
    """Unbiased estimates of how many gave each answer; both arrays have shape ``(k,)``.

    An estimate may be below 0 or above the number of answers: cutting it off would bias it.

    Attributes:
        counts: the estimates.
        standard_errors: of each, with the estimate standing for the truth.
        mechanism: how the answers were randomised; its ε is local.
    """

    counts: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    mechanism: RandomisedResponse


def randomise(
    answers: NDArray[np.int64], mechanism: RandomisedResponse, root: Root, *labels: Label
) -> NDArray[np.int64]:
    """Each answer kept with the mechanism's probability, else another one evenly; shape ``(n,)``.

    Raises:
        ConfigError: an answer is outside [0, categories), or the noise cannot be drawn.
    """
    k = mechanism.categories
    if answers.size and not 0 <= int(answers.min()) <= int(answers.max()) < k:
        raise ConfigError(
            f"answers must be in [0, {k}), got {int(answers.min())} to {int(answers.max())}"
        )
    moved = draw(Answers(k, mechanism.epsilon), len(answers), root, *labels)
    return (answers + moved) % k


def estimate(randomised: NDArray[np.int64], mechanism: RandomisedResponse) -> LocalCounts:
    """How many truly gave each answer, from the counts of randomised ones, shape ``(k,)``.

    With p the probability of the truth and q = (1 - p)/(k - 1) that of one lie, the expected
    count is q·n + (p - q)·truth; solved for the truth it is unbiased (section 3.1 of the paper).

    Raises:
        WrongShapeError: there are not k counts.
    """
    k = mechanism.categories
    if randomised.shape != (k,):
        raise WrongShapeError(f"counts must have shape ({k},), got {randomised.shape}")
    p = mechanism.truth_probability
    q = (1 - p) / (k - 1)
    n = int(randomised.sum())
    counts = ((randomised - q * n) / (p - q)).astype(np.float64)
    truth = np.clip(counts, 0, n)
    variance = truth * p * (1 - p) + (n - truth) * q * (1 - q)
    errors = np.sqrt(variance) / (p - q)
    return LocalCounts(counts, errors.astype(np.float64), mechanism)
