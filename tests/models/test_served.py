"""What is measured is what is served: scores of cases equal those of ``scorer``, one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.models.blend import weigh
from fedguide.models.encoders import Network, histories_of, item_vectors
from fedguide.models.evaluate import SETTINGS, bought_before, questions
from fedguide.models.fit import first_params, to_network
from fedguide.models.itemknn import itemknn
from fedguide.models.metrics import measure
from fedguide.models.plan import GuidePlan
from fedguide.models.popularity import known_sales, sales
from fedguide.models.scorer import COMPONENTS, ShopModel, SlateWeights, served_by, slate_scores
from fedguide.models.served import (
    SLATE_OF,
    Contender,
    as_kept,
    features_of,
    known,
    measure_all,
    model_without_network,
    released,
    vectors_of,
    with_network,
)
from fedguide.models.text import TextSpec
from fedguide.values import ShopData

from .small import random_shop

PLAN = GuidePlan(text=TextSpec(buckets=128), size=8)
WEIGHTS = SlateWeights(**{name: 0.5 + i / 4 for i, name in enumerate(COMPONENTS)})


def a_model(shop: ShopData) -> ShopModel:
    return model_without_network(shop, itemknn(shop.train, len(shop.catalogue)), 50.0, PLAN)


def a_network(seed: int = 0) -> Network:
    params = first_params(PLAN, 0) + np.random.default_rng(seed).normal(
        scale=0.3, size=first_params(PLAN, 0).shape
    ).astype(np.float32)
    return to_network(params, PLAN)


@pytest.mark.parametrize("setting", SETTINGS)
def test_measured_scores_are_served_scores(setting: str) -> None:
    shop, network = random_shop(), a_network()
    vectors = vectors_of(network, features_of(shop, PLAN.text))
    assert_allclose(vectors, item_vectors(network, shop.catalogue))
    model = a_model(shop)
    asked = questions(shop.test, 30, setting)
    scores = weigh(with_network(known(model, shop, asked, 20), network, vectors), WEIGHTS)

    slates = dict.fromkeys(SLATE_OF.values(), WEIGHTS)
    serving = replace(model, network=network, item_vectors=vectors, slates=slates)
    counters = known_sales(shop.train, asked.cases, 30, 20)
    histories, todays = histories_of(asked.cases)
    hidden = bought_before(asked.cases, 30)
    for row, (history, today) in enumerate(zip(histories, todays.tolist(), strict=True)):
        of_the_day = replace(serving, recent_sales=counters[row])
        served = slate_scores(of_the_day, history, today, SLATE_OF[setting])
        ranked = ~hidden[row] if setting == "discovery" else np.ones(30, bool)
        assert_allclose(scores[row][ranked], served[ranked], rtol=1e-4, atol=1e-4)
        assert np.isneginf(scores[row][~ranked]).all()


def test_many_contenders_are_measured_as_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedguide.models.evaluate.CHUNK", 9)
    shop, network = random_shop(), a_network()
    vectors = vectors_of(network, features_of(shop, PLAN.text))
    model = a_model(shop)
    silent = Contender(model.network, model.item_vectors, SlateWeights(neighbours=1.0))
    spoken = Contender(network, vectors, WEIGHTS)
    asked = questions(shop.test, 30, "discovery")
    found = measure_all(model, shop, asked, {"silent": silent, "spoken": spoken}, 20)
    whole = known(model, shop, asked, 20)
    for name, one in (("silent", silent), ("spoken", spoken)):
        scores = weigh(with_network(whole, one.network, one.vectors), one.weights)
        assert_allclose(found[name].ndcg10, measure(scores, asked.targets).ndcg10)
    assert found["silent"].ndcg10.mean() > found["spoken"].ndcg10.mean()  # tastes, not chance


def test_a_release_has_the_measured_parameters_and_todays_counters() -> None:
    shop, network = random_shop(), a_network()
    vectors = vectors_of(network, features_of(shop, PLAN.text))
    model = a_model(shop)
    weights = {"all": SlateWeights(history=1.0), "discovery": WEIGHTS}
    served = released(model, shop, network, vectors, weights, 20)
    assert served.slates == {"again": weights["all"], "discover": WEIGHTS}
    assert served.network is network
    assert_array_equal(served.neighbours, model.neighbours)
    assert_array_equal(served.popularity, sales(shop.train, 30))
    assert_array_equal(served.recent_sales, sales(shop.test.baskets, 30, 20))
    assert served.last_day == shop.test.baskets.days.max() > model.last_day


def test_one_vote_counts_shoppers_wherever_sales_are_counted() -> None:
    shop, plan = random_shop(), replace(PLAN, one_vote=True)
    n = len(shop.catalogue)
    neighbours = itemknn(shop.train, n)
    model = model_without_network(shop, neighbours, 50.0, plan)
    assert_array_equal(model.popularity, sales(shop.train, n, one_vote=True))
    assert_array_equal(model.recent_sales, sales(shop.train, n, 20, one_vote=True))
    assert (model.popularity < a_model(shop).popularity).any()  # somebody bought again
    asked = questions(shop.test, n, "all")
    seen = known(model, shop, asked, 20, one_vote=True)
    votes = known_sales(shop.train, asked.cases, n, 20, one_vote=True)
    assert_allclose(seen.terms["recent"], np.log1p(votes))
    assert (seen.terms["recent"] < known(model, shop, asked, 20).terms["recent"]).any()
    network = a_network()
    vectors = vectors_of(network, features_of(shop, PLAN.text))
    weights = dict.fromkeys(SETTINGS, WEIGHTS)
    served = released(model, shop, network, vectors, weights, 20, one_vote=True)
    assert_array_equal(served.recent_sales, sales(shop.test.baskets, n, 20, one_vote=True))


def two_models(alone: SlateWeights) -> dict[str, ShopModel]:
    """A shop's models by two networks; ``alone`` weighs the slates of the second."""
    shop = random_shop()
    model, features = a_model(shop), features_of(shop, PLAN.text)
    found = {}
    for seed, (arm, weights) in enumerate({"together": WEIGHTS, "alone": alone}.items()):
        network, by_setting = a_network(seed), dict.fromkeys(SETTINGS, weights)
        vectors = vectors_of(network, features)
        found[arm] = released(model, shop, network, vectors, by_setting, 20)
    return found


LOUD, SILENT = SlateWeights(network=2.0, recent=1.0), SlateWeights(neighbours=1.0, recent=0.5)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("alone", [LOUD, SILENT])
def test_each_slate_is_scored_by_the_model_that_was_kept(setting: str, alone: SlateWeights) -> None:
    models = two_models(alone)
    kept = {s: "alone" if s == setting else "together" for s in SETTINGS}
    served = as_kept(models, kept)
    assert served.network is models["together"].network
    # A network that says nothing is not kept twice.
    assert (served.aside is None) is (alone is SILENT)
    histories, todays = histories_of(questions(random_shop().test, 30, "all").cases)
    for name, slate in SLATE_OF.items():
        for history, today in zip(histories[:9], todays[:9].tolist(), strict=True):
            assert_array_equal(
                slate_scores(served, history, today, slate),
                slate_scores(models[kept[name]], history, today, slate),
            )


def test_neighbours_of_its_own_are_reason_enough_for_two_models() -> None:
    models = two_models(SILENT)
    other = models["alone"].neighbours[::-1].copy()
    models["alone"] = replace(models["alone"], neighbours=other)
    served = as_kept(models, {"all": "together", "discovery": "alone"})
    assert served_by(served, "discover").neighbours is other
    assert served_by(served, "again").neighbours is models["together"].neighbours


@pytest.mark.parametrize("arm", ["together", "alone"])
def test_one_model_is_served_as_it_is(arm: str) -> None:
    models = two_models(LOUD)
    assert as_kept(models, dict.fromkeys(SETTINGS, arm)) is models[arm]
