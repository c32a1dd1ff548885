"""Baselines are tuned on validation alone, and a catalogue too large for EASE keeps ItemKNN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fedguide.models.evaluate import SETTINGS, evaluate, questions
from fedguide.runtime.baselines import HISTORY_RECENT, WITHOUT_NETWORK, baselines
from fedguide.values import Cases

from .tiny import GUIDE, shops


def test_every_model_is_there_and_the_network_has_no_weight() -> None:
    steps: list[str] = []
    found = baselines(shops(), GUIDE, 0, steps.append)
    assert steps == ["itemknn", "ease", "nonneural"]
    models = {model for model, _ in found.scorers}
    assert models == {"popularity", "history", "itemknn", "ease"}
    for setting in SETTINGS:
        for model in models:
            assert set(found.scorers[model, setting]) == {"shop0", "shop1", "shop2"}
        assert found.blends["nonneural", setting].weights.network == 0
        assert found.blends["history_recent", setting].weights.neighbours == 0
        best = found.blends["nonneural", setting].score
        assert best >= found.blends["history_recent", setting].score
    assert set(HISTORY_RECENT) < set(WITHOUT_NETWORK)


def test_no_test_row_is_looked_at() -> None:
    nobody = np.zeros(0, np.int64)
    untested = [replace(s, test=Cases(s.test.baskets, nobody, nobody)) for s in shops()]
    found, blind = baselines(shops(), GUIDE, 0), baselines(untested, GUIDE, 0)
    assert found.chosen == blind.chosen
    assert found.blends == blind.blends
    for one, two in zip(found.benches, blind.benches, strict=True):
        assert_array_equal(one.model.neighbours, two.model.neighbours)


def test_too_many_items_for_ease_keep_itemknn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedguide.runtime.baselines.EASE_ITEMS", 20)
    found = baselines(shops(), GUIDE, 0)
    assert not any(model == "ease" for model, _ in found.scorers)
    for bench in found.benches:
        assert (bench.model.neighbour_weights >= 0).all()  # cosines; EASE has negative weights
        asked = questions(bench.shop.test, 24, "discovery")
        scorer = found.scorers["itemknn", "discovery"][bench.shop.name]
        assert evaluate(scorer, asked).ndcg10.mean() > 0


def test_too_many_shoppers_and_items_take_one_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedguide.runtime.baselines.TRIED_RANK", 20)
    found = baselines(shops(), GUIDE, 0)
    assert found.chosen["ease discovery"].startswith("ridge 200,")
    assert ("ease", "all") in found.scorers


def test_very_many_questions_are_tuned_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedguide.runtime.baselines.CELLS", 24 * 4)
    found = baselines(shops(), GUIDE, 0)
    assert all(len(b.validation[s].asked) == 4 for b in found.benches for s in SETTINGS)
