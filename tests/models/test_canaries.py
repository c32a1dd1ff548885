"""EVALUATION's four canaries, each also shown to die of the leak it is there for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fedguide.data.contract import Events
from fedguide.horizontal.server import ServerOptimizer
from fedguide.models.blend import weigh
from fedguide.models.ease import ease, spectrum
from fedguide.models.evaluate import Questions, bought, judge, questions
from fedguide.models.examples import Shapes
from fedguide.models.fit import (
    common_shapes,
    first_params,
    layout_of,
    make_fit,
    make_gradient,
)
from fedguide.models.itemknn import by_neighbours, itemknn
from fedguide.models.plan import GuidePlan
from fedguide.models.popularity import by_popularity, sales
from fedguide.models.scorer import SlateWeights
from fedguide.models.served import Contender, known, with_network
from fedguide.models.text import TextSpec, item_features
from fedguide.runtime.baselines import Bench
from fedguide.runtime.compare import ComparePlan, Comparison, compare
from fedguide.runtime.table import MEAN
from fedguide.values import Baskets, Cases, Catalogue, ShopData, Vector
from tests.runtime.tiny import GUIDE, PLAN, dataset, shops

Scores = Callable[[Questions], NDArray[np.float32]]


def ticking() -> float:
    return float(next(TICKS))


TICKS = itertools.count()


# --- negative pool --------------------------------------------------------------------------


WIDE = GuidePlan(text=TextSpec(buckets=8192), size=4, batch=16, lines=8, events=30, negatives=400)


def in_the_pool(
    catalogue: Catalogue, train: Baskets, plan: GuidePlan, shapes: Shapes
) -> NDArray[np.bool_]:
    """Which items the loss pushes up or down: does their own word get a gradient? ``(n,)``.

    An item that is no negative and no target of anybody leaves the loss as it is.
    """
    features = item_features(catalogue, plan.text)
    owners = np.bincount(features[features >= 0], minlength=plan.text.buckets)
    own = [next(int(f) for f in row if f >= 0 and owners[f] == 1) for row in features]
    params = first_params(plan, 0) + np.float32(0.05)
    slope = make_gradient(catalogue, train, plan, shapes)(params).gradient
    table = layout_of(plan).unflatten(slope)["table"]
    return np.abs(table[own]).max(axis=1) > 0


def one_shopper(train: Baskets, shopper: int) -> Baskets:
    keep = train.shoppers == shopper
    lines = np.repeat(keep, np.diff(train.offsets))
    sizes = np.diff(train.offsets)[keep]
    return Baskets(
        train.shoppers[keep],
        train.days[keep],
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        train.items[lines],
        train.kinds[lines],
        train.queries[lines],
        train.shopper_ids,
    )


@pytest.mark.parametrize("full_softmax", [5000, 10])
def test_what_is_held_out_can_be_drawn_as_a_negative(full_softmax: int) -> None:
    shop = shops()[0]
    plan = replace(WIDE, full_softmax=full_softmax)
    shapes = common_shapes([shop], plan)
    asked = questions(shop.test, len(shop.catalogue), "discovery")
    shoppers = shop.test.baskets.shoppers[asked.cases.targets]
    for row in range(0, len(asked), 5):
        train = one_shopper(shop.train, int(shoppers[row]))
        held_out = asked.targets.items[asked.targets.offsets[row] : asked.targets.offsets[row + 1]]
        assert in_the_pool(shop.catalogue, train, plan, shapes)[held_out].all()


def test_the_negative_pool_canary_dies_of_a_pool_without_the_held_out() -> None:
    """The leak: negatives only from what the shopper never touched in the *whole* file."""
    shop = shops()[0]
    asked = questions(shop.test, len(shop.catalogue), "discovery")
    held_out = asked.targets.items[: asked.targets.offsets[1]]
    train = one_shopper(shop.train, int(shop.test.baskets.shoppers[asked.cases.targets[0]]))
    order = np.concatenate([np.setdiff1d(np.arange(24), held_out), held_out])
    pool = 24 - len(held_out)
    place = np.argsort(order).astype(np.int32)
    c = shop.catalogue
    leaky = Catalogue(
        tuple(c.ids[i] for i in order[:pool]),
        tuple(c.titles[i] for i in order[:pool]),
        c.brands[:pool],
        c.categories[:pool],
        c.prices[order[:pool]],
    )
    pushed = np.zeros(24, bool)
    moved = replace(train, items=place[train.items])
    pushed[:pool] = in_the_pool(leaky, moved, WIDE, common_shapes([shop], WIDE))
    assert pushed[:pool].all()
    assert not pushed[place[held_out]].any()


# --- shuffled labels ------------------------------------------------------------------------


def shuffled(asked: Questions) -> Questions:
    """Every shopper's basket goes to another shopper."""
    size = len(asked)
    turn = (np.arange(size) + size // 2) % size
    counts = np.diff(asked.targets.offsets)[turn]
    starts = np.cumsum(counts) - counts
    lines = np.arange(counts.sum()) - np.repeat(starts, counts)
    lines += np.repeat(asked.targets.offsets[:-1][turn], counts)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return replace(
        asked, targets=replace(asked.targets, offsets=offsets, items=asked.targets.items[lines])
    )


def above_popularity(scores: Scores, shop: ShopData) -> float:
    """By how many standard errors a model is above popularity on shuffled labels."""
    asked = shuffled(questions(shop.test, len(shop.catalogue), "all"))
    popular = by_popularity(sales(shop.train, len(shop.catalogue)))
    gain = judge(scores(asked), asked).ndcg10 - judge(popular(asked.cases), asked).ndcg10
    return float(gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain))))


def scores_of(bench: Bench, contender: Contender) -> Scores:
    def scores(asked: Questions) -> NDArray[np.float32]:
        seen = known(bench.model, bench.shop, asked, GUIDE.recent_days)
        return weigh(with_network(seen, contender.network, contender.vectors), contender.weights)

    return scores


def test_nobody_is_above_popularity_on_shuffled_labels(trained: Comparison) -> None:
    for bench in trained.baselines.benches:
        served = trained.models[bench.shop.name]
        for weights in (served.slates["again"], SlateWeights(network=1.0)):
            contender = Contender(served.network, served.item_vectors, weights)
            assert above_popularity(scores_of(bench, contender), bench.shop) < 3


def test_the_shuffled_labels_canary_dies_of_a_model_that_peeks() -> None:
    shop = shops()[0]

    def peeking(asked: Questions) -> NDArray[np.float32]:
        scores = np.zeros((len(asked), asked.items), np.float32)
        scores[asked.targets.rows, asked.targets.items] = 1
        return scores

    assert above_popularity(peeking, shop) > 3


# --- federation off -------------------------------------------------------------------------


def off_beats_on(comparison: Comparison) -> bool:
    """Is the bare network surely better without averaging? Its interval says."""
    return any(
        gap.absolute_high < 0
        for gap in comparison.differences
        if (gap.a, gap.b, gap.shop) == ("together_net", "alone_net", MEAN)
    )


FEDERATED = ComparePlan(
    replace(PLAN.train, rounds=24, patience=24, fine_tune_rounds=0),
    seeds=(1,),
    draws=400,
)


@pytest.fixture(scope="module")
def trained() -> Comparison:
    return compare(shops(), FEDERATED, ticking)


def test_averaging_switched_off_is_not_surely_better(trained: Comparison) -> None:
    assert not off_beats_on(trained)


def test_the_federation_canary_dies_of_an_average_that_harms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drowned(learning_rate: float, momentum: float) -> ServerOptimizer:
        """The mean arrives, and noise drowns it."""
        rng = np.random.default_rng(0)

        def update(delta: Vector, memory: Vector, params: Vector) -> tuple[Vector, Vector]:
            return rng.normal(size=params.shape).astype(np.float32), memory

        return ServerOptimizer(lambda params: np.zeros(0, np.float32), update)

    monkeypatch.setattr("fedguide.horizontal.choice.momentum_sgd", drowned)
    assert off_beats_on(compare(shops(), FEDERATED, ticking))


# --- future blindness -----------------------------------------------------------------------


def cut_days() -> tuple[int, int]:
    one = shops()[0]
    first = int(one.validation.baskets.days[one.validation.targets].min())
    return first, int(one.test.baskets.days[one.test.targets].min())


def other_items_from(day: int) -> Callable[[Events], Events]:
    """Every row on or after a day buys another item."""

    def change(events: Events) -> Events:
        later = events.days >= day
        return replace(events, items=np.where(later, (events.items + 7) % 24, events.items))

    return change


def fitted_without_network(shop: ShopData, train: Baskets) -> list[bytes]:
    n = len(shop.catalogue)
    knn, ridge = itemknn(train, n), ease(spectrum(train, n), 100.0)
    arrays = (knn.items, knn.weights, ridge.items, ridge.weights, sales(train, n))
    return [array.tobytes() for array in arrays]


def fitted_parameters(shops: Sequence[ShopData]) -> list[list[bytes]]:
    """Everything that is fitted in every shop, as bytes."""
    shapes, start = common_shapes(shops, GUIDE), first_params(GUIDE, 0)
    return [
        [
            *fitted_without_network(shop, shop.train),
            make_fit(shop.catalogue, shop.train, GUIDE, shapes)(start, None, 1).params.tobytes(),
        ]
        for shop in shops
    ]


def test_no_row_on_or_after_the_first_cut_changes_a_parameter() -> None:
    first, _ = cut_days()
    changed = shops(other_items_from(first))
    for shop, other in zip(shops(), changed, strict=True):
        assert (shop.test.baskets.items != other.test.baskets.items).any()
    assert fitted_parameters(shops()) == fitted_parameters(changed)


def test_no_row_on_or_after_the_second_cut_changes_anything_that_is_chosen(
    trained: Comparison,
) -> None:
    _, second = cut_days()
    other = compare(shops(other_items_from(second)), FEDERATED, ticking)
    assert chosen(other) == chosen(trained)
    assert other.rows != trained.rows  # the labels did change


def chosen(comparison: Comparison) -> list[object]:
    """Parameters, rounds, blends, gates, ridges: all that is not measured on test."""
    outcome = comparison.outcomes[0]
    return [
        {arm: {s: p.tobytes() for s, p in t.params.items()} for arm, t in outcome.trained.items()},
        {arm: dict(t.rounds) for arm, t in outcome.trained.items()},
        {key: blend.weights for key, blend in outcome.blends.items()},
        {key: blend.weights for key, blend in comparison.baselines.blends.items()},
        outcome.kept,
        outcome.validation,
        dict(comparison.baselines.chosen),
        {b.shop.name: b.model.neighbour_weights.tobytes() for b in comparison.baselines.benches},
    ]


def test_the_blindness_canary_dies_of_a_fit_on_all_rows() -> None:
    first, _ = cut_days()
    shop, other = shops()[0], shops(other_items_from(first))[0]
    leaky, changed = (fitted_without_network(s, s.test.baskets) for s in (shop, other))
    assert all(one != two for one, two in zip(leaky, changed, strict=True))


def test_the_order_of_lines_in_a_basket_changes_no_score() -> None:
    def turned(events: Events) -> Events:
        """Lines of one shopper and day in the opposite order."""
        order = np.lexsort((-np.arange(len(events)), events.days, events.users))
        columns = ("users", "items", "kinds", "times", "days", "queries", "quantities", "prices")
        return replace(
            events,
            **{name: getattr(events, name)[order] for name in (*columns, "baskets")},
        )

    events = dataset(0).events
    assert (turned(events).items != events.items).any()
    assert (turned(events).days == events.days).all()
    shop, other = shops()[0], shops(turned)[0]
    assert fitted_parameters(shops()) == fitted_parameters(shops(turned))
    scorer = by_neighbours(ease(spectrum(shop.train, 24), 20.0), 120.0)
    again = by_neighbours(ease(spectrum(other.train, 24), 20.0), 120.0)
    assert scorer(shop.test).tobytes() == again(other.test).tobytes()


def test_the_line_order_canary_dies_of_a_history_that_forgets_the_first_line() -> None:
    """A model that reads the order: it leaves out each case's first line."""

    def first_item(cases: Cases, flip: bool) -> NDArray[np.int64]:
        owner, item, line = bought(cases.baskets, cases.starts, cases.targets)
        order = np.lexsort((-line if flip else line, owner))
        return item[order][np.searchsorted(owner[order], np.arange(len(cases)))]

    cases = shops()[0].test
    assert (first_item(cases, False) != first_item(cases, True)).any()
