"""A reason is a promise: take the named item away and the score falls by that much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.guide.moment import moment_of, prepare
from fedguide.guide.reasons import MOST_REASONS, group_effects, reasons
from fedguide.models.attention import BLOCKS
from fedguide.models.encoders import SCALES_DAYS, History
from fedguide.models.scorer import SLATES, ShopModel, slate_scores
from fedguide.values import BUY, KINDS, VIEW
from tests.guide.sample import LAST_DAY, a_history, a_model

MODEL = a_model(seed=3)
SHORT_MEMORY = a_model(seed=3, events=10)


def a_transformer() -> ShopModel:
    """A model whose encoder is not additive: leaving events out means running it again."""
    rng, d = np.random.default_rng(9), MODEL.network.size
    arrays = dict(MODEL.network.arrays)
    arrays |= {"of_kind": rng.normal(size=(len(KINDS), d)), "asking": rng.normal(size=d)}
    arrays["of_age"] = rng.normal(size=(len(SCALES_DAYS), d))
    for block in range(BLOCKS):
        for part in ("q", "k", "v", "out"):
            arrays[f"{part}{block}"] = rng.normal(size=(d, d)) / np.sqrt(d)
        arrays[f"up{block}"] = rng.normal(size=(d, 2 * d)) / np.sqrt(d)
        arrays[f"down{block}"] = rng.normal(size=(2 * d, d)) / np.sqrt(2 * d)
    single = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    return replace(MODEL, network=replace(MODEL.network, encoder="transformer", arrays=single))


MODELS = {"bag": MODEL, "short memory": SHORT_MEMORY, "transformer": a_transformer()}


def without(history: History, keep: np.ndarray) -> History:
    kept = np.flatnonzero(keep).tolist()
    queries = tuple(history.queries[at] for at in kept) if history.queries else ()
    return History(history.items[keep], history.kinds[keep], history.days[keep], queries)


def fall(model: ShopModel, history: History, keep: np.ndarray, slate: str) -> np.ndarray:
    """The score of every item, less its score on what is kept of the history."""
    rest = without(history, keep)
    before = slate_scores(model, history, LAST_DAY, slate)
    return before.astype(np.float64) - slate_scores(model, rest, LAST_DAY, slate)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    length=st.integers(1, 40),
    slate=st.sampled_from(SLATES),
    name=st.sampled_from(sorted(MODELS)),
)
def test_removing_the_named_item_lowers_the_score(
    seed: int, length: int, slate: str, name: str
) -> None:
    model = MODELS[name]
    rng = np.random.default_rng(seed)
    history = a_history(rng, len(model), length)
    items = np.unique(np.concatenate([rng.integers(0, len(model), 5), history.items.clip(0)[:5]]))
    moment = moment_of(prepare(model), history, LAST_DAY)
    for item, found in zip(items.tolist(), reasons(moment, slate, items), strict=True):
        assert len(found) <= MOST_REASONS
        assert sum(reason.share for reason in found) <= 1 + 1e-5
        for reason in found:
            if reason.item:
                keep = history.items != model.catalogue.ids.index(reason.item)
            else:
                keep = np.array([query != reason.query for query in history.queries])
            fell = fall(model, history, keep, slate)[item]
            assert reason.effect > 0
            assert fell == pytest.approx(reason.effect, rel=1e-3, abs=2e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), length=st.integers(1, 30), slate=st.sampled_from(SLATES))
def test_every_group_s_effect_is_the_fall(seed: int, length: int, slate: str) -> None:
    history = a_history(np.random.default_rng(seed), len(MODEL), length)
    moment = moment_of(prepare(MODEL), history, LAST_DAY)
    items = np.arange(0, len(MODEL), 7)
    effects = group_effects(moment, slate, items)
    for group in range(effects.shape[1]):
        fell = fall(MODEL, history, moment.groups.grouping.of != group, slate)
        np.testing.assert_allclose(effects[:, group], fell[items], rtol=1e-3, atol=3e-5)


def test_the_last_basket_passes_on_when_its_only_item_goes() -> None:
    history = History(
        items=np.array([1, 2, 5], np.int32),
        kinds=np.array([BUY, BUY, BUY], np.uint8),
        days=np.array([LAST_DAY - 9, LAST_DAY - 9, LAST_DAY - 1], np.int32),
    )
    moment = moment_of(prepare(MODEL), history, LAST_DAY)
    items = np.array([1, 2, 5])
    effects = group_effects(moment, "again", items)
    for group, item in enumerate((1, 2, 5)):
        fell = fall(MODEL, history, history.items != item, "again")
        np.testing.assert_allclose(effects[:, group], fell[items], rtol=1e-3, atol=3e-5)
    # Without item 5 the flag comes to 1 and 2: leaving 5 out raises their scores.
    weight = MODEL.slates["again"].last_basket
    without_flag = fall(MODEL, history, history.items != 5, "again")
    assert without_flag[1] < 0.5 * weight


def test_the_strongest_reason_comes_first_and_names_what_was_done() -> None:
    history = History(
        items=np.array([7, 7, 3], np.int32),
        kinds=np.array([VIEW, BUY, VIEW], np.uint8),
        days=np.array([LAST_DAY - 30, LAST_DAY - 20, LAST_DAY - 2], np.int32),
    )
    moment = moment_of(prepare(MODEL), history, LAST_DAY)
    (found,) = reasons(moment, "again", np.array([7]))
    effects = [reason.effect for reason in found]
    assert effects == sorted(effects, reverse=True)
    own = next(reason for reason in found if reason.item == MODEL.catalogue.ids[7])
    assert (own.kind, own.times, own.last_day) == ("buy", 2, LAST_DAY - 20)
    assert own.title == MODEL.catalogue.titles[7]


def test_nothing_that_lowers_a_score_is_called_a_reason() -> None:
    history = a_history(np.random.default_rng(5), len(MODEL), 30)
    moment = moment_of(prepare(MODEL), history, LAST_DAY)
    items = np.arange(len(MODEL))
    effects = group_effects(moment, "discover", items)
    assert (effects < 0).any()
    for row, found in enumerate(reasons(moment, "discover", items)):
        assert len(found) == min(MOST_REASONS, int((effects[row] > 0).sum()))
