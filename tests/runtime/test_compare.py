"""The whole comparison on a tiny market: complete, repeatable, gated, and ready to serve."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.blend import keeps_together, over_settings
from fedguide.models.ease import gram
from fedguide.models.encoders import History, empty_history, item_vectors
from fedguide.models.evaluate import SETTINGS, questions
from fedguide.models.fit import to_network
from fedguide.models.scorer import served_by, slate_scores
from fedguide.models.served import SLATE_OF
from fedguide.runtime.arms import ARMS, TrainPlan
from fedguide.runtime.compare import (
    MODELS,
    ComparePlan,
    Comparison,
    Step,
    _gate,
    compare,
)
from fedguide.runtime.private_rounds import PrivatePlan
from fedguide.runtime.table import MEAN, WORST
from fedguide.values import BUY, Cases

from .tiny import PLAN, shops, speaking


def ticking() -> float:
    """A clock that goes on by a second each time it is read."""
    return float(next(TICKS))


TICKS = itertools.count()


@pytest.fixture(scope="module")
def found() -> tuple[Comparison, list[Step]]:
    steps: list[Step] = []
    return compare(shops(), PLAN, ticking, steps.append), steps


Found = tuple[Comparison, list[Step]]


def test_every_model_setting_and_shop_has_its_row(found: Found) -> None:
    rows = {(row.model, row.setting, row.shop): row for row in found[0].rows}
    places = [shop.name for shop in shops()] + [MEAN, WORST]
    assert set(rows) == set(itertools.product(MODELS, SETTINGS, places))
    assert len(rows) == len(found[0].rows)
    for row in rows.values():
        assert 0 <= row.low <= row.ndcg10 <= row.high <= 1
    for model, setting in itertools.product(MODELS, SETTINGS):
        mine = [rows[model, setting, shop.name] for shop in shops()]
        mean = sum(r.ndcg10 * r.cases for r in mine) / sum(r.cases for r in mine)
        assert rows[model, setting, MEAN].ndcg10 == pytest.approx(mean)
        assert rows[model, setting, MEAN].cases == sum(r.cases for r in mine) > 20
        assert rows[model, setting, WORST].ndcg10 == min(r.ndcg10 for r in mine)


def test_differences_are_those_of_the_rows(found: Found) -> None:
    mean = {(r.model, r.setting): r.ndcg10 for r in found[0].rows if r.shop == MEAN}
    pairs = {(gap.a, gap.b) for gap in found[0].differences}
    assert {("together", "nonneural"), ("together", "alone"), ("together", "pooled")} <= pairs
    for gap in found[0].differences:
        a, b = mean[gap.a, gap.setting], mean[gap.b, gap.setting]
        assert gap.absolute == pytest.approx(a - b)
        assert gap.relative == pytest.approx(a / b - 1)
    assert len(found[0].shop_differences) == 2 * 3


def test_tastes_are_found(found: Found) -> None:
    mean = {(r.model, r.setting): r.ndcg10 for r in found[0].rows if r.shop == MEAN}
    for model in ("ease", "nonneural", "together", "pooled"):
        assert mean[model, "discovery"] > mean["popularity", "discovery"]


def test_bytes_that_left_are_counted(found: Found) -> None:
    comparison = found[0]
    size = len(comparison.outcomes[0].trained["together"].params["shop0"])
    rounds = sum(len(outcome.rounds) for outcome in comparison.outcomes)
    assert rounds >= 2
    updates = rounds * 3 * 4 * size  # three shops, float32
    assert updates < comparison.bytes_up < updates * 1.1
    assert updates < comparison.bytes_down < updates * 1.1


def answering(keeps: bool, **more: bool) -> Callable[[Any], dict[tuple[str, str], bool]]:
    """A gate that says this of every shop, and something else of some settings."""
    return lambda gains: {
        (setting, name): more.get(setting, keeps) for setting in SETTINGS for name in gains
    }


def test_the_gate_gives_a_shop_one_of_the_two_models(found: Found) -> None:
    rows = {(r.model, r.setting, r.shop): r.ndcg10 for r in found[0].rows}
    for outcome in found[0].outcomes:
        names = [shop.name for shop in shops()]
        assert set(outcome.kept) == set(itertools.product(ARMS, SETTINGS, names))
        assert all(kept for (arm, *_), kept in outcome.kept.items() if arm == "alone")
    for setting, name in itertools.product(SETTINGS, ("shop0", "shop1", "shop2")):
        if not any(outcome.kept["together", setting, name] for outcome in found[0].outcomes):
            assert rows["together", setting, name] == rows["alone", setting, name]


def test_a_gate_that_keeps_alone_measures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedguide.runtime.compare.keeps_slates", answering(False))
    plan = replace(PLAN, seeds=(1,), train=replace(PLAN.train, rounds=1, fine_tune_rounds=0))
    rows = compare(shops(), plan, ticking).rows
    of = {(r.model, r.setting, r.shop): replace(r, model="") for r in rows}
    for setting, shop in itertools.product(SETTINGS, ("shop0", MEAN)):
        assert of["together", setting, shop] == of["alone", setting, shop]
        assert of["pooled", setting, shop] == of["alone", setting, shop]
    assert of["together_net", "all", MEAN] != of["alone_net", "all", MEAN]  # shown as it is


def test_the_gate_asks_every_shopper_where_other_choices_ask_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[dict[str, int]] = []

    def gate(gains: Mapping[str, Mapping[str, np.ndarray]]) -> dict[tuple[str, str], bool]:
        told.extend(
            {name: int((~np.isnan(g[setting])).sum()) for name, g in gains.items()}
            for setting in SETTINGS
        )
        return answering(True)(gains)

    monkeypatch.setattr("fedguide.runtime.compare.keeps_slates", gate)
    monkeypatch.setattr("fedguide.runtime.baselines.CELLS", 3 * 24)
    plan = replace(PLAN, seeds=(1,), train=replace(PLAN.train, rounds=1, fine_tune_rounds=0))
    found = compare(shops(), plan, ticking)
    assert {len(b.validation["all"].asked) for b in found.baselines.benches} == {3}
    asked = [
        {s.name: len(questions(s.validation, len(s.catalogue), setting)) for s in shops()}
        for setting in SETTINGS
    ]
    assert told == asked * len(ARMS)
    assert asked[SETTINGS.index("all")] == {shop.name: len(shop.validation) for shop in shops()}
    assert min(min(one.values()) for one in asked) > 3


def by_setting(all_items: list[float], discovery: list[float]) -> dict[str, np.ndarray]:
    return {"all": np.array(all_items), "discovery": np.array(discovery)}


NOT_ASKED = math.nan


@pytest.mark.parametrize("private", [None, PrivatePlan()])
def test_a_shop_keeps_for_each_setting_what_is_better_there(private: PrivatePlan | None) -> None:
    # Together less alone, by hand: a gains .1 over all items and loses .1 in discovery, b the other
    # way round; c gains little in discovery and gains more over all items than it loses there,
    # which the mean of both would keep for both.
    alone = {name: by_setting([0.2, 0.3, 0.2, 0.3], [0.1, NOT_ASKED, 0.2, 0.1]) for name in "abc"}
    values = {
        "a": by_setting([0.3, 0.4, 0.3, 0.41], [0.0, NOT_ASKED, 0.1, 0.01]),
        "b": by_setting([0.1, 0.2, 0.1, 0.21], [0.2, NOT_ASKED, 0.3, 0.21]),
        "c": by_setting([0.4, 0.5, 0.4, 0.51], [0.05, NOT_ASKED, 0.15, 0.04]),
    }
    kept = _gate(values, alone, replace(PLAN.train, private=private))
    assert kept == {
        ("all", "a"): True,
        ("all", "b"): False,
        ("all", "c"): True,
        ("discovery", "a"): False,
        ("discovery", "b"): True,
        ("discovery", "c"): False,
    }
    gains = {name: over_settings(values[name]) - over_settings(alone[name]) for name in "abc"}
    assert keeps_together(gains)["c"]


def test_a_shop_is_judged_by_its_own_where_training_was_private() -> None:
    nearly = [0.3] * 4, [0.1] * 4
    alone = {name: by_setting(*nearly) for name in "abc"}
    gained = by_setting([0.4, 0.5, 0.42, 0.48], [0.1] * 4)
    # Alone, c would be told by noise: the others say that it gains.
    values = {"a": gained, "b": gained, "c": by_setting([0.9, 0.0, 0.29, 0.0], [0.1] * 4)}
    assert _gate(values, alone, PLAN.train)["all", "c"]
    assert not _gate(values, alone, replace(PLAN.train, private=PrivatePlan()))["all", "c"]


def test_the_mean_of_both_settings_is_over_those_that_ask() -> None:
    values = by_setting([0.2, 0.4, NOT_ASKED], [0.4, NOT_ASKED, NOT_ASKED])
    np.testing.assert_allclose(over_settings(values), [0.3, 0.4])


@pytest.mark.parametrize("aside", SETTINGS)
def test_a_gate_can_keep_another_model_for_each_slate(
    monkeypatch: pytest.MonkeyPatch, aside: str
) -> None:
    monkeypatch.setattr("fedguide.runtime.compare.keeps_slates", answering(True, **{aside: False}))
    monkeypatch.setattr("fedguide.runtime.compare.fit_blend", speaking())
    plan = replace(PLAN, seeds=(1,), train=replace(PLAN.train, rounds=1, fine_tune_rounds=0))
    found = compare(shops(), plan, ticking)
    of = {(r.model, r.setting, r.shop): r.ndcg10 for r in found.rows}
    (other,) = set(SETTINGS) - {aside}
    for name in ("shop0", "shop1", MEAN):
        assert of["together", aside, name] == of["alone", aside, name]
    assert of["together", other, MEAN] != of["alone", other, MEAN]
    outcome, guide = found.outcomes[0], plan.train.guide
    for shop in shops():
        model = found.models[shop.name]
        assert model.aside is not None
        assert model.aside.slate == SLATE_OF[aside]
        for setting, arm in ((aside, "alone"), (other, "together")):
            mine = served_by(model, SLATE_OF[setting])
            trained = to_network(outcome.trained[arm].params[shop.name], guide)
            for array, value in trained.arrays.items():
                np.testing.assert_array_equal(mine.network.arrays[array], value)
            np.testing.assert_allclose(
                mine.item_vectors, item_vectors(trained, shop.catalogue), rtol=1e-5, atol=1e-6
            )
            weights = outcome.blends[arm, setting, shop.name].weights
            assert mine.slates == {SLATE_OF[setting]: weights}


def test_the_models_serve(found: Found) -> None:
    for shop in shops():
        model = found[0].models[shop.name]
        history = History(
            np.array([0, 1], np.int32), np.full(2, BUY, np.uint8), np.array([50, 55], np.int32)
        )
        for slate, seen in itertools.product(("again", "discover"), (history, empty_history())):
            scores = slate_scores(model, seen, 60, slate)
            assert scores.shape == (24,)
            assert np.isfinite(scores).all()
        assert slate_scores(model, history, 60, "again").std() > 0


def test_counts_of_other_shops_are_for_together_alone(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedguide.runtime.compare.keeps_slates", answering(True))
    # What validation shoppers go on to buy: such counts would be chosen over any others.
    told = {shop.name: 50 * gram(shop.validation.baskets, 24) for shop in shops()}
    other = compare(shops(), PLAN, ticking, elsewhere=told)
    before, after = (
        {(r.model, r.setting, r.shop): r.ndcg10 for r in one.rows} for one in (found[0], other)
    )
    changed = {model for model, *rest in before if before[model, *rest] != after[model, *rest]}
    assert "together" in changed
    # The gate, here held open, gives pooled its own model again.
    assert changed <= {"together", "pooled"}
    plain, mine = (one.models["shop0"].neighbour_weights for one in (found[0], other))
    assert not np.array_equal(plain, mine)


def test_progress_is_told(found: Found) -> None:
    stages = {step.stage for step in found[1]}
    assert {"together", "pooled", "alone shop0", "blending", "measuring"} <= stages
    assert all(1 <= step.done <= step.most for step in found[1])
    training = [step for step in found[1] if step.stage == "together"]
    assert {step.seed for step in training} == {1, 2}
    assert all(step.score is not None and 0 <= step.score <= 1 for step in training)
    assert found[0].seconds["total"] >= found[0].seconds["together"] > 0


def test_the_same_seeds_give_the_same_table() -> None:
    plan = replace(PLAN, seeds=(5,), train=replace(PLAN.train, rounds=2))
    one, two = (compare(shops(), replace(plan, workers=count), ticking) for count in (1, 3))
    assert one.rows == two.rows
    assert one.differences == two.differences
    other = compare(shops(), replace(plan, seeds=(6,)), ticking)
    assert other.rows != one.rows


def test_a_shop_without_validation_or_test_still_trains(found: Found) -> None:
    first, *rest = shops()
    nobody = np.zeros(0, np.int64)
    bare = replace(
        first,
        validation=Cases(first.validation.baskets, nobody, nobody),
        test=Cases(first.test.baskets, nobody, nobody),
    )
    plan = replace(PLAN, seeds=(1,), train=replace(PLAN.train, rounds=1))
    comparison = compare([bare, *rest], plan, ticking)
    row = next(r for r in comparison.rows if r.model == "together" and r.shop == bare.name)
    assert row.cases == 0
    assert math.isnan(row.ndcg10)
    assert comparison.outcomes[0].trained["alone"].rounds[bare.name] >= 1
    assert comparison.models[bare.name].item_vectors.shape[0] == 24
    assert asdict(row)["shop"] == bare.name


def test_what_cannot_be_compared_is_refused() -> None:
    one, two, _ = shops()
    with pytest.raises(DataError, match="at least 2 shops, got 1"):
        compare([one], PLAN, ticking)
    with pytest.raises(DataError, match="different names"):
        compare([one, replace(two, name=one.name)], PLAN, ticking)
    views = replace(two.train, kinds=np.zeros_like(two.train.kinds))
    with pytest.raises(DataError, match="shop1 has no purchase"):
        compare([one, replace(two, train=views)], PLAN, ticking)
    nobody = np.zeros(0, np.int64)
    untested = [replace(s, test=Cases(s.test.baskets, nobody, nobody)) for s in (one, two)]
    with pytest.raises(DataError, match="nothing to measure"):
        compare(untested, PLAN, ticking)
    with pytest.raises(ConfigError, match="seeds must be different"):
        ComparePlan(seeds=(1, 1))
    with pytest.raises(ConfigError, match="workers must be at least 1, got 0"):
        ComparePlan(workers=0)
    with pytest.raises(ConfigError, match="patience must be at least 1, got 0"):
        TrainPlan(patience=0)
    with pytest.raises(ConfigError, match="fine_tune_rounds"):
        TrainPlan(fine_tune_rounds=-1)
    with pytest.raises(ConfigError, match="fine_tune_rate"):
        TrainPlan(fine_tune_rate=0)
