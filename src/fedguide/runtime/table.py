"""The table of a comparison: rows, paired differences, worst shop, all from per-shopper values.

``Answers`` holds, for one model in one setting, one value per metric, shop, seed and shopper.
Seeds are averaged per shopper first; shops are put in one bag for the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.bootstrap import DRAWS, difference, interval, resampled_means, seeds_averaged
from fedguide.models.metrics import METRICS, Metrics
from fedguide.seeds import seeded_root, stream

MEAN, WORST = "mean", "worst"
"""Names that stand in the place of a shop's: all shoppers together, and the worst shop."""

Answers = Mapping[tuple[str, str], Mapping[str, Sequence[Metrics]]]
"""(model, setting) to shop to the metrics of each seed."""


@dataclass(frozen=True)
class Row:
    """One line of the table; ``low`` and ``high`` are the 95 % interval of ``ndcg10``.

    ``shop`` is a shop's name, ``mean`` or ``worst``; values are NaN where nobody was asked.
    """

    model: str
    setting: str
    shop: str
    ndcg10: float
    recall20: float
    hr10: float
    mrr: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True)
class Gap:
    """Model a less model b in NDCG@10, paired over the shoppers of a shop (or ``mean``: all).

    ``relative`` is a share of b's mean, ``low`` and ``high`` its 95 % interval; ``absolute`` and
    its interval are in NDCG; ``error`` is the standard error of ``absolute``.
    """

    a: str
    b: str
    setting: str
    shop: str
    relative: float
    low: float
    high: float
    absolute: float
    absolute_low: float
    absolute_high: float
    error: float
    cases: int


def averaged(seeds: Sequence[Metrics]) -> dict[str, NDArray[np.float64]]:
    """One value per metric and shopper, ``(c,)``: the mean over seeds."""
    return {m: seeds_averaged(np.stack([getattr(one, m) for one in seeds])) for m in METRICS}


@dataclass(frozen=True)
class Sample:
    """All models' values in one setting and one shop (or over all shops), and their draws.

    Attributes:
        setting: of the questions.
        shop: a shop's name, or ``mean``.
        values: model to metric to ``(c,)``, seeds averaged.
        drawn: model to the mean NDCG@10 of each bootstrap draw, ``(draws,)``.
    """

    setting: str
    shop: str
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    drawn: Mapping[str, NDArray[np.float64]]


def samples_of(answers: Answers, seed: int, draws: int = DRAWS) -> list[Sample]:
    """One sample for every setting and shop, and one over all shops; shoppers drawn once each."""
    samples = []
    for setting in dict.fromkeys(setting for _, setting in answers):
        models = {model: shops for (model, of), shops in answers.items() if of == setting}
        values = {m: {s: averaged(v) for s, v in shops.items()} for m, shops in models.items()}
        for shop in next(iter(values.values())):
            mine = {model: shops[shop] for model, shops in values.items()}
            samples.append(_sample(setting, shop, mine, seed, draws))
        everybody = {
            model: {m: np.concatenate([v[m] for v in shops.values()]) for m in METRICS}
            for model, shops in values.items()
        }
        samples.append(_sample(setting, MEAN, everybody, seed, draws))
    return samples


def rows_of(samples: Sequence[Sample]) -> list[Row]:
    """Every model's row in every sample, and its worst shop in every setting."""
    rows = [_row(sample, model) for sample in samples for model in sample.values]
    worst = []
    for model, setting in dict.fromkeys((row.model, row.setting) for row in rows):
        mine = [row for row in rows if (row.model, row.setting) == (model, setting)]
        asked = [row for row in mine if row.cases and row.shop != MEAN]
        if asked:
            worst.append(replace(min(asked, key=lambda r: (r.ndcg10, r.shop)), shop=WORST))
    return rows + worst


def gap_of(sample: Sample, a: str, b: str) -> Gap:
    """The paired difference of two models.

    Raises:
        ConfigError: one of them was not measured.
    """
    for model in (a, b):
        if model not in sample.values:
            raise ConfigError(f"{model} was not measured, only {', '.join(sample.values)}")
    one, two = sample.values[a]["ndcg10"], sample.values[b]["ndcg10"]
    found = difference(one, two, sample.drawn[a], sample.drawn[b])
    several = len(one) > 1
    return Gap(
        a,
        b,
        sample.setting,
        sample.shop,
        relative=found.relative.value,
        low=found.relative.low,
        high=found.relative.high,
        absolute=found.absolute.value,
        absolute_low=found.absolute.low,
        absolute_high=found.absolute.high,
        error=float(np.std(one - two, ddof=1) / np.sqrt(len(one))) if several else float("nan"),
        cases=len(one),
    )


def _sample(
    setting: str,
    shop: str,
    values: Mapping[str, Mapping[str, NDArray[np.float64]]],
    seed: int,
    draws: int,
) -> Sample:
    rng = stream(seeded_root(seed), "bootstrap", setting, shop)
    headline = np.stack([metrics["ndcg10"] for metrics in values.values()])
    drawn = resampled_means(headline, rng, draws)
    return Sample(setting, shop, values, dict(zip(values, drawn, strict=True)))


def _row(sample: Sample, model: str) -> Row:
    values = sample.values[model]
    bounds = interval(values["ndcg10"], sample.drawn[model])
    count = len(values["ndcg10"])
    mean = {m: float(v.mean()) if count else float("nan") for m, v in values.items()}
    return Row(
        model,
        sample.setting,
        sample.shop,
        **mean,
        low=bounds.low,
        high=bounds.high,
        cases=count,
    )
