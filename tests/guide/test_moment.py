"""What is served is what is measured: the guide's sum equals the scorer's."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.guide.moment import group_events, moment_of, prepare, slate_score
from fedguide.models.encoders import History, empty_history
from fedguide.models.scorer import SLATES, slate_scores
from fedguide.values import BUY, CART, SEARCH, VIEW
from tests.guide.sample import LAST_DAY, a_history, a_model


@pytest.mark.parametrize("slate", SLATES)
@pytest.mark.parametrize("length", [1, 7, 60, 300])
def test_the_parts_sum_to_the_scorer_s_score(slate: str, length: int) -> None:
    model = a_model(seed=2)
    history = a_history(np.random.default_rng(length), len(model), length)
    score = slate_score(moment_of(prepare(model), history, LAST_DAY), slate)
    static = np.stack([np.log1p(model.recent_sales), np.log1p(model.popularity)], axis=1)
    total = model.item_vectors @ score.shopper + static @ score.columns + score.sparse
    np.testing.assert_allclose(
        total, slate_scores(model, history, LAST_DAY, slate), rtol=2e-5, atol=2e-5
    )


def test_groups_by_hand() -> None:
    history = History(
        items=np.array([4, -1, 2, 4, -1, 4], np.int32),
        kinds=np.array([VIEW, SEARCH, CART, BUY, SEARCH, VIEW], np.uint8),
        days=np.array([1, 2, 3, 4, 5, 6], np.int32),
        queries=(None, "mug", None, None, "mug", None),
    )
    groups = group_events(history)
    assert groups.searches == 1
    assert groups.grouping.of.tolist() == [2, 0, 1, 2, 0, 2]
    assert groups.grouping.sizes.tolist() == [2, 1, 3]
    assert groups.last_days().tolist() == [5, 3, 6]
    assert groups.strongest().tolist() == [SEARCH, CART, BUY]


def test_bought_items_are_each_once_and_ascending() -> None:
    history = History(
        items=np.array([9, 3, 9, 5], np.int32),
        kinds=np.array([BUY, BUY, BUY, VIEW], np.uint8),
        days=np.array([1, 2, 3, 4], np.int32),
    )
    assert moment_of(prepare(a_model()), history, LAST_DAY).bought.tolist() == [3, 9]


def test_an_empty_history_has_a_moment_too() -> None:
    model = a_model()
    moment = moment_of(prepare(model), empty_history(), LAST_DAY)
    np.testing.assert_allclose(moment.shopper, model.network.arrays["start"], rtol=1e-6)
    assert not slate_score(moment, "discover").sparse.any()
    assert not len(moment.groups.grouping)
