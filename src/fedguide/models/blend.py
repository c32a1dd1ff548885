"""The blend of each slate, fitted on validation, and the gate that keeps for it what is better.

A slate's score is Σ weight x component (``scorer.COMPONENTS``). The weights are searched one at a
time on a ratio grid, for the NDCG@20 of the validation cases of all shops together: twenty
places tell more than ten about which weights are better. (Measured on five earlier cuts and
partitions of the development data, test weeks unseen: blends fitted on @20 had the higher NDCG@10
in the month after.) Only a sum over shoppers leaves a shop, one number for each candidate.

All weights are at least 0, and a component that cannot tell items apart keeps weight 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.evaluate import Questions, bought_before
from fedguide.models.metrics import ndcg_at
from fedguide.models.scorer import COMPONENTS, SlateWeights

Floats = NDArray[np.float64]

DEPTH = 20
"""Places of a ranking that count while weights are fitted."""

RATIOS = (0.0, 0.25, 0.5, 0.7, 1.4, 2.0, 4.0)
"""A weight is tried at these multiples of itself."""

ENTRIES = (0.1, 0.3, 1.0)
"""A weight of 0 is tried at these multiples of the largest, in standard deviations."""

PASSES = 4
"""Most passes over all components."""

FLOOR = 0.15
"""Least weight of the neighbours for new items, as a share of the network's, both in standard
deviations.

The network's rounds were chosen on the discovery questions of the same validation shoppers, which
flatters it; the neighbours were not. On three earlier cuts and partitions (test months unseen) the
NDCG@10 of the month after was .1095 together and .1026 alone with this floor, .1073 and .1013
without, .1078 and .1023 at twice it.
"""

LEAST_GAIN = 1e-5
"""Smallest gain of NDCG that is not rounding."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Stack:
    """One shop's questions of one setting with the value of every component.

    Attributes:
        asked: the questions.
        values: component name to ``(q, n)``; a component left out has weight 0.
        hidden: flat places of what is not ranked, into ``(q, n)``.
    """

    asked: Questions
    values: Mapping[str, Matrix]
    hidden: NDArray[np.int64]


def stack(asked: Questions, values: Mapping[str, Matrix]) -> Stack:
    """Puts questions and component values together."""
    if asked.setting == "all":
        return Stack(asked, values, np.zeros(0, np.int64))
    return Stack(asked, values, np.flatnonzero(bought_before(asked.cases, asked.items)))


def weigh(stacked: Stack, weights: SlateWeights) -> Matrix:
    """Σ weight x component, ``-inf`` where an item is not ranked; shape ``(q, n)``."""
    scores = np.zeros((len(stacked.asked), stacked.asked.items), np.float32)
    for name, values in stacked.values.items():
        weight = np.float32(getattr(weights, name))
        if weight:
            scores += weight * values
    scores.reshape(-1)[stacked.hidden] = -np.inf
    return scores


def validation_score(stacks: Sequence[Stack], scores: Sequence[Matrix]) -> float:
    """Mean NDCG@20 over the shoppers of all shops; 0 where nobody was asked."""
    values = [ndcg_at(s, st.asked.targets, DEPTH) for st, s in zip(stacks, scores, strict=True)]
    count = sum(map(len, values))
    return float(sum(v.sum() for v in values)) / count if count else 0.0


@dataclass(frozen=True)
class Blend:
    """Fitted weights and what they reach on validation (NDCG@20)."""

    weights: SlateWeights
    score: float


def fit_blend(
    stacks: Sequence[Stack],
    use: Sequence[str] = COMPONENTS,
    *,
    floor: float = 0.0,
) -> Blend:
    """The weights of the components in ``use`` that are best on validation.

    Coordinate search from the best of these starts: all components alike, and each by itself.
    ``floor`` is the least weight of the neighbours beside a network, see ``FLOOR``.

    Raises:
        ConfigError: a name is not a component.
    """
    unknown = sorted(set(use) - set(COMPONENTS))
    if unknown:
        raise ConfigError(f"components are {', '.join(COMPONENTS)}, got {', '.join(unknown)}")
    stacks = [st for st in stacks if len(st.asked)]
    units = {name: unit for name in use if (unit := spread(stacks, name)) > 0}
    if not units:
        return Blend(SlateWeights(), 0.0)
    tied = 0.0
    if floor and {"network", "neighbours"} <= set(units):
        tied = floor * units["network"] / units["neighbours"]
        stacks = [_tied(st, tied) for st in stacks]
        units["network"] = spread(stacks, "network")
    starts = [units, *({name: unit} for name, unit in units.items())]
    tried = [
        (_score(stacks, {n: 1 / unit for n, unit in start.items()}), start) for start in starts
    ]
    score, start = max(tried, key=lambda pair: pair[0])
    weights = {name: 1 / unit if name in start else 0.0 for name, unit in units.items()}
    for _ in range(PASSES):
        before = score
        for name in units:
            score = _improve(stacks, weights, units, name, score)
        if score <= before + LEAST_GAIN:
            break
    if tied:
        weights["neighbours"] += tied * weights["network"]
    largest = max(weights[name] * units[name] for name in units)
    return Blend(SlateWeights(**{n: w / largest for n, w in weights.items()}), score)


def _tied(stacked: Stack, share: float) -> Stack:
    """The stack with some of the neighbours added to the network, so that it brings them along."""
    values = dict(stacked.values)
    values["network"] = values["network"] + np.float32(share) * values["neighbours"]
    return replace(stacked, values=values)


def spread(stacks: Sequence[Stack], name: str) -> float:
    """A component's standard deviation over everything ranked: the unit of its weight.

    0 for a component that gives every item of a question the same value.
    """
    total, count = 0.0, 0
    for st in stacks:
        values = st.values.get(name)
        if values is None or not len(values):
            continue
        ranked = np.ones(values.shape, np.bool_)
        ranked.reshape(-1)[st.hidden] = False
        counts = np.maximum(ranked.sum(axis=1, keepdims=True), 1)
        mean = np.where(ranked, values, 0).sum(axis=1, keepdims=True) / counts
        total += float((np.where(ranked, values - mean, 0) ** 2).sum(dtype=np.float64))
        count += int(counts.sum())
    deviation = float(np.sqrt(total / count)) if count else 0.0
    return deviation if deviation > 1e-7 else 0.0


def _score(stacks: Sequence[Stack], weights: Mapping[str, float]) -> float:
    return validation_score(stacks, [weigh(st, SlateWeights(**weights)) for st in stacks])


def _improve(
    stacks: Sequence[Stack],
    weights: dict[str, float],
    units: Mapping[str, float],
    name: str,
    score: float,
) -> float:
    """Tries other weights for one component, keeps the best in ``weights``; gives its score."""
    others = {n: w for n, w in weights.items() if n != name}
    rest = [weigh(st, SlateWeights(**others)) for st in stacks]
    old = weights[name]
    largest = max(weights[n] * units[n] for n in units)
    tries = [old * r for r in RATIOS] if old > 0 else [e * largest / units[name] for e in ENTRIES]
    for candidate in tries:
        if candidate == 0 and not any(others.values()):
            continue
        scores = [
            r + np.float32(candidate) * st.values[name] for r, st in zip(rest, stacks, strict=True)
        ]
        reached = validation_score(stacks, scores)
        if reached > score + LEAST_GAIN:
            score, weights[name] = reached, candidate
    return score


def keeps_slates(gains: Mapping[str, Mapping[str, Floats]]) -> dict[tuple[str, str], bool]:
    """(setting, shop): does it keep the model trained together there, or the one trained alone?

    ``gains`` holds, per shop and setting, what together gains over alone for each validation
    shopper, ``(v,)``, NaN where the setting does not ask that shopper. A shop keeps one model for
    all settings, the one that is better on their mean, unless the gain of one setting (drawn
    towards the other shops', as in ``keeps_together``) is more than its own standard error on the
    other side of 0: two networks cost twice the memory, and a difference within its error is none.
    """
    whole = keeps_together({shop: over_settings(mine) for shop, mine in gains.items()})
    kept: dict[tuple[str, str], bool] = {}
    for setting in dict.fromkeys(setting for mine in gains.values() for setting in mine):
        asked = {shop: mine[setting][~np.isnan(mine[setting])] for shop, mine in gains.items()}
        for shop, (gain, error) in _drawn(asked).items():
            kept[setting, shop] = gain > 0 if abs(gain) > error else whole[shop]
    return kept


def over_settings(values: Mapping[str, Floats]) -> Floats:
    """Each shopper's mean over the settings that ask it; without those whom none asks."""
    stacked = np.stack([*values.values()])
    asked = ~np.isnan(stacked)
    known = asked.any(axis=0)
    means: Floats = np.nansum(stacked, axis=0)[known] / asked.sum(axis=0)[known]
    return means


def keeps_together(gains: Mapping[str, Floats]) -> dict[str, bool]:
    """Which shops keep the model trained together; the others keep the one trained alone.

    ``gains`` holds, per shop, what together gains over alone for each validation shopper. A shop
    with twenty such shoppers cannot tell from them alone, and a gate that asks only them would
    throw a coin. So its mean gain is drawn towards that of all shops as far as its own noise says
    (random-effects meta-analysis: DerSimonian and Laird, "Meta-analysis in clinical trials",
    1986, equation 9; the shop's estimate is the empirical-Bayes one), and together is kept where
    the result is not below 0. Only a shop's mean and variance leave it.
    """
    return {shop: gain >= 0 for shop, (gain, _) in _drawn(gains).items()}


def _drawn(gains: Mapping[str, Floats]) -> dict[str, tuple[float, float]]:
    """Each shop's mean gain, drawn towards that of all, and its standard error."""
    known = {name: np.asarray(g, np.float64) for name, g in gains.items() if len(g) > 1}
    mean = {name: float(g.mean()) for name, g in known.items()}
    noise = {n: max(float(g.var(ddof=1)) / len(g), 1e-12) for n, g in known.items()}
    if not known:
        return dict.fromkeys(gains, (0.0, math.inf))
    w = np.array([1 / noise[n] for n in known])
    m = np.array([mean[n] for n in known])
    centre = float((w * m).sum() / w.sum())
    heterogeneity = float((w * (m - centre) ** 2).sum()) - (len(m) - 1)
    scale = float(w.sum() - (w**2).sum() / w.sum())
    between = max(heterogeneity / scale, 0.0) if scale > 0 else 0.0
    if between:
        w = 1 / (1 / w + between)
        centre = float((w * m).sum() / w.sum())
    of_centre = 1 / float(w.sum())
    found = dict.fromkeys(gains, (centre, math.sqrt(between + of_centre)))
    for name in known:
        own = between / (between + noise[name])
        variance = own * noise[name] + (1 - own) ** 2 * of_centre
        found[name] = (own * mean[name] + (1 - own) * centre, math.sqrt(variance))
    return found
