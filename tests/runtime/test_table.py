"""Rows and differences from per-shopper values, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fedguide.errors import ConfigError
from fedguide.models.metrics import Metrics
from fedguide.runtime.table import MEAN, WORST, gap_of, rows_of, samples_of


def metrics(*values: float) -> Metrics:
    one = np.array(values)
    return Metrics(one, one / 2, one / 4, one / 8)


ANSWERS = {
    ("new", "all"): {
        "big": [metrics(0.4, 0.6, 0.8), metrics(0.6, 0.8, 1.0)],
        "small": [metrics(0.1), metrics(0.3)],
        "none": [metrics(), metrics()],
    },
    ("old", "all"): {
        "big": [metrics(0.4, 0.6, 0.8)],
        "small": [metrics(0.4)],
        "none": [metrics()],
    },
}


def test_rows_average_seeds_then_shoppers() -> None:
    rows = {(row.model, row.shop): row for row in rows_of(samples_of(ANSWERS, 0, 200))}
    assert rows["new", "big"].ndcg10 == pytest.approx(0.7)
    assert rows["new", MEAN].ndcg10 == pytest.approx((0.5 + 0.7 + 0.9 + 0.2) / 4)
    assert rows["new", MEAN].recall20 == pytest.approx(rows["new", MEAN].ndcg10 / 2)
    assert rows["new", MEAN].mrr == pytest.approx(rows["new", MEAN].ndcg10 / 8)
    assert rows["new", MEAN].cases == 4
    assert rows["new", "big"].low < 0.7 < rows["new", "big"].high
    assert rows["new", WORST].ndcg10 == rows["new", "small"].ndcg10 == pytest.approx(0.2)
    assert rows["old", WORST].cases == 1
    assert rows["new", "none"].cases == 0
    assert np.isnan(rows["new", "none"].ndcg10)
    assert len(rows) == 2 * (3 + 2)


def test_a_difference_is_paired_over_all_shoppers() -> None:
    overall = next(s for s in samples_of(ANSWERS, 0, 500) if s.shop == MEAN)
    gap = gap_of(overall, "new", "old")
    assert gap.absolute == pytest.approx((0.1 + 0.1 + 0.1 - 0.2) / 4)
    assert gap.relative == pytest.approx(gap.absolute / 0.55)
    assert gap.error == pytest.approx(np.std([0.1, 0.1, 0.1, -0.2], ddof=1) / 2)
    assert gap.absolute_low == pytest.approx(-0.125)  # three of the four drawn are the loser
    assert gap.absolute_high == pytest.approx(0.1)
    assert gap.low < gap.relative < gap.high
    assert gap.cases == 4


def test_a_shop_by_itself() -> None:
    samples = {sample.shop: sample for sample in samples_of(ANSWERS, 0, 50)}
    assert gap_of(samples["small"], "new", "old").relative == pytest.approx(-0.5)
    assert np.isnan(gap_of(samples["small"], "new", "old").error)  # one shopper has no spread
    assert np.isnan(gap_of(samples["none"], "new", "old").relative)


def test_the_same_seed_draws_the_same_shoppers() -> None:
    one, two = (samples_of(ANSWERS, 3, 50)[-1] for _ in range(2))
    assert_array_equal(one.drawn["new"], two.drawn["new"])
    other = samples_of(ANSWERS, 4, 50)[-1]
    assert (one.drawn["new"] != other.drawn["new"]).any()


def test_a_model_that_was_not_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="best was not measured, only new, old"):
        gap_of(samples_of(ANSWERS, 0, 50)[0], "best", "old")
