"""The table of a comparison: rows, paired differences, worst shop, all from per-shopper values.

``Answers`` holds, for one model in one setting, one value per metric, shop, seed and shopper.
Seeds are averaged per shopper first; shops are put in one bag for the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.bootstrap import DRAWS, Difference, difference, interval
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
    """One value per metric and shopper: the mean over seeds."""
    return {m: np.mean([getattr(one, m) for one in seeds], axis=0) for m in METRICS}


def rows_of(answers: Answers, seed: int, draws: int = DRAWS) -> list[Row]:
    """Every shop's row, the mean over all shoppers, and the worst shop, for every model."""
    rows = []
    for (model, setting), shops in answers.items():
        values = {shop: averaged(seeds) for shop, seeds in shops.items()}
        own = [
            _row(model, setting, shop, metrics, _rng(seed, setting, shop), draws)
            for shop, metrics in values.items()
        ]
        rows += own
        everybody = {m: np.concatenate([v[m] for v in values.values()]) for m in METRICS}
        rows.append(_row(model, setting, MEAN, everybody, _rng(seed, setting, MEAN), draws))
        asked = [row for row in own if row.cases]
        if asked:
            worst = min(asked, key=lambda row: (row.ndcg10, row.shop))
            rows.append(Row(**{**vars(worst), "shop": WORST}))
    return rows


def gap_of(
    answers: Answers, a: str, b: str, setting: str, shop: str, seed: int, draws: int = DRAWS
) -> Gap:
    """The paired difference of two models in one setting, in one shop or over all.

    Raises:
        ConfigError: one of the models was not measured.
    """
    for model in (a, b):
        if (model, setting) not in answers:
            raise ConfigError(f"{model} was not measured in setting {setting}")
    one, two = (_values(answers[model, setting], shop) for model in (a, b))
    gap: Difference = difference(one, two, _rng(seed, setting, shop), draws)
    error = float(np.std(one - two, ddof=1) / np.sqrt(len(one))) if len(one) > 1 else float("nan")
    return Gap(
        a,
        b,
        setting,
        shop,
        gap.relative.value,
        gap.relative.low,
        gap.relative.high,
        gap.absolute.value,
        gap.absolute.low,
        gap.absolute.high,
        error,
        len(one),
    )


def _values(shops: Mapping[str, Sequence[Metrics]], shop: str) -> NDArray[np.float64]:
    names = list(shops) if shop == MEAN else [shop]
    values: NDArray[np.float64] = np.concatenate([averaged(shops[n])["ndcg10"] for n in names])
    return values


def _row(
    model: str,
    setting: str,
    shop: str,
    values: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
    draws: int,
) -> Row:
    bounds = interval(values["ndcg10"], rng, draws)
    count = len(values["ndcg10"])
    mean = {m: float(v.mean()) if count else float("nan") for m, v in values.items()}
    return Row(model, setting, shop, **mean, low=bounds.low, high=bounds.high, cases=count)


def _rng(seed: int, setting: str, shop: str) -> np.random.Generator:
    """The same shoppers are drawn for every model: rows of one table belong together."""
    return stream(seeded_root(seed), "bootstrap", setting, shop)
