"""Ad views: which click and purchase belongs to which, and the law of the made-up ones."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.data.ad_log import ad_log, synthetic_ad_log
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.errors import DataError
from fedguide.values import AD_CLICK, AD_VIEW, BUY
from tests.data.made import dataset


def test_clicks_and_purchases_belong_to_views():
    rows = [
        ("ann", "tea", 1, AD_VIEW),
        ("ann", "tea", 1, AD_CLICK),
        ("ann", "tea", 8, BUY),
        ("ben", "tea", 2, AD_VIEW),
        ("ben", "tea", 3, AD_CLICK),
        ("ben", "tea", 3, BUY),
        ("cat", "cup", 4, AD_VIEW),
        ("cat", "cup", 4, AD_CLICK),
        ("cat", "cup", 12, BUY),
    ]
    log = ad_log(dataset(rows))
    assert log.shoppers == ("ann", "ben", "cat")
    assert log.clicked.tolist() == [True, False, True]
    assert log.bought.tolist() == [True, False, False]
    assert not log.synthetic


def test_without_views_nothing_can_be_learnt():
    with pytest.raises(DataError, match="no ad views"):
        ad_log(dataset([("ann", "tea", 1, BUY)]))


def test_the_made_up_log_follows_its_law():
    shop = market(MarketPlan(shops=1, shoppers=100, items=20, days=40, seed=3)).shops[0]
    log, truth = synthetic_ad_log(shop, 20_000, 5)
    assert log.synthetic
    assert (np.diff(log.days) >= 0).all()
    # 20,000 clicks of known probability: 4.9 errors fail once in a million.
    error = np.sqrt((truth * (1 - truth)).sum())
    assert abs(log.clicked.sum() - truth.sum()) < 4.9 * error
    assert not (log.bought & ~log.clicked).any()
    again, _ = synthetic_ad_log(shop, 20_000, 5)
    assert np.array_equal(again.clicked, log.clicked)
