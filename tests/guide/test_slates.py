"""Buy again holds what was bought, discover what was not, both in the scorer's order."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.guide.candidates import build_index
from fedguide.guide.moment import moment_of, prepare
from fedguide.guide.slates import best_again, best_discover, best_sellers
from fedguide.models.encoders import History
from fedguide.models.scorer import slate_scores
from fedguide.values import BUY, VIEW
from tests.guide.sample import LAST_DAY, a_history, a_model

MODEL = a_model(seed=6, copies=3)
INDEX = build_index(MODEL)


@pytest.mark.parametrize("seed", range(8))
def test_both_slates_are_in_the_scorer_s_order(seed: int) -> None:
    history = a_history(np.random.default_rng(seed), len(MODEL), 50)
    bought = set(history.items[history.kinds == BUY].tolist())
    moment = moment_of(prepare(MODEL), history, LAST_DAY)
    again, discover = best_again(moment, INDEX, 10), best_discover(moment, INDEX, 10)
    assert set(again.items.tolist()) <= bought
    assert len(again.items) == min(10, len(bought))
    assert not set(discover.items.tolist()) & bought
    for slate, best in (("again", again), ("discover", discover)):
        scores = slate_scores(MODEL, history, LAST_DAY, slate)
        np.testing.assert_allclose(best.scores, scores[best.items], rtol=1e-4, atol=1e-5)
        allowed = np.isin(np.arange(len(MODEL)), list(bought)) == (slate == "again")
        assert scores[best.items[-1]] >= np.sort(scores[allowed])[-len(best.items)] - 1e-5


def test_who_bought_everything_has_nothing_to_discover() -> None:
    n = len(MODEL)
    everything = History(
        np.arange(n, dtype=np.int32), np.full(n, BUY, np.uint8), np.full(n, LAST_DAY, np.int32)
    )
    moment = moment_of(prepare(MODEL), everything, LAST_DAY)
    assert len(best_discover(moment, INDEX, 10).items) == 0
    assert len(best_again(moment, INDEX, 10).items) == 10


def test_who_bought_nothing_has_nothing_to_buy_again() -> None:
    seen = History(np.array([1], np.int32), np.array([VIEW], np.uint8), np.array([1], np.int32))
    assert len(best_again(moment_of(prepare(MODEL), seen, LAST_DAY), INDEX, 10).items) == 0


def test_best_sellers_by_recent_sales_then_all_sales() -> None:
    best = best_sellers(MODEL, 20)
    keys = [
        (-float(MODEL.recent_sales[item]), -float(MODEL.popularity[item]), item)
        for item in best.items.tolist()
    ]
    assert keys == sorted(keys)
    assert MODEL.recent_sales[best.items[0]] == MODEL.recent_sales.max()
