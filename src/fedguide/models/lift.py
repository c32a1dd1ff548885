"""Lift and gain by groups of equal size: what ranking people by a score is worth.

Groups are cut from the best score down. People with equal scores share their successes evenly, so
that the order in which rows came can make no lift. The interval of a group's rate is Wilson's; the
interval of its lift is that over the rate of everybody, which is taken as known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.models.auc import check_scores
from fedguide.models.bootstrap import Interval
from fedguide.models.proportion import wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LiftRow:
    """One group of people.

    Attributes:
        group: 1 has the best scores.
        count: people.
        rate: share with label 1, with its 95 % interval.
        lift: that over the rate of everybody.
        gain: share of all successes in this and the better groups.
    """

    group: int
    count: int
    rate: Interval
    lift: Interval
    gain: float


def lift_table(labels: Floats, scores: Floats, groups: int = 10) -> list[LiftRow]:
    """The groups, best first.

    Raises:
        ConfigError: ``groups`` is not in [1, people].
        DataError: as ``auc``; there must be a success.
    """
    check_scores(labels, scores)
    if not 1 <= groups <= len(labels):
        raise ConfigError(f"groups must be in [1, {len(labels)}], got {groups}")
    base = float(labels.mean())
    if not base:
        raise DataError("nobody has label 1: there is no lift to speak of")
    shared = shared_evenly(labels, scores)
    order = np.argsort(-scores, kind="stable")
    rows, so_far = [], 0.0
    for number, members in enumerate(np.array_split(order, groups), start=1):
        successes, count = float(shared[members].sum()), len(members)
        so_far += successes
        rate = wilson(min(successes, count), count)
        lift = Interval(rate.value / base, rate.low / base, rate.high / base)
        rows.append(LiftRow(number, count, rate, lift, so_far / float(labels.sum())))
    return rows


def shared_evenly(labels: Floats, scores: Floats) -> Floats:
    """Every label as the mean of those with the same score, shape ``(c,)``."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means: Floats = np.bincount(inverse, labels) / counts
    return means[inverse]
