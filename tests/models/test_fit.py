"""Local fits: they learn, they repeat, they hand their state on, they refuse nonsense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import ConfigError, NotFiniteError, WrongShapeError
from fedguide.models.encoders import empty_history, encode, item_vectors
from fedguide.models.fit import (
    Fit,
    common_shapes,
    first_params,
    layout_of,
    make_fit,
    make_gradient,
    make_pooled_fit,
    stepped,
    to_network,
    train_rounds,
)
from fedguide.models.plan import GuidePlan
from fedguide.models.text import TextSpec
from fedguide.values import Cases, ShopData

from .market import baskets, catalogue

PLAN = GuidePlan(text=TextSpec(buckets=128), size=8, batch=16, learning_rate=0.02)


def shop(seed: int = 0, shoppers: int = 40, items: int = 12) -> ShopData:
    train = baskets(shoppers=shoppers, items=items, seed=seed)
    nobody = Cases(train, np.zeros(0, np.int64), np.zeros(0, np.int64))
    return ShopData(f"shop{seed}", catalogue(items), train, nobody, nobody, 0)


BOTH = common_shapes([shop(0), shop(1, shoppers=10, items=8)], PLAN)
"""One size for all tests: the training step is compiled once."""


def a_fit(plan: GuidePlan = PLAN) -> Fit:
    return make_fit(catalogue(), baskets(), plan, BOTH)


def test_a_fit_learns_and_tells_tastes_apart() -> None:
    fit = a_fit()
    params, state, losses = first_params(PLAN, 0), None, []
    for seed in range(6):
        fitted = fit(params, state, seed)
        params, state = fitted.params, fitted.optimizer_state
        losses.append(fitted.loss)
    assert losses[-1] < losses[0] - 0.2
    assert fitted.examples == 160
    network = to_network(params, PLAN)
    vectors = item_vectors(network, catalogue())
    red = encode(network, vectors, _bought(1, 3), 40) @ vectors.T
    blue = encode(network, vectors, _bought(2, 4), 40) @ vectors.T
    assert (red - blue)[1::2].mean() > 0 > (red - blue)[0::2].mean()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    start = first_params(PLAN, 0)
    one, again, other = (a_fit()(start, None, seed).params for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() != other.tobytes()
    assert start.tobytes() == first_params(PLAN, 0).tobytes()  # what came in was not written to


def test_pooling_one_shop_is_training_alone_batch_by_batch() -> None:
    pooled = make_pooled_fit([shop()], PLAN, BOTH)(first_params(PLAN, 0), None, 5)
    alone = a_fit()(first_params(PLAN, 0), None, 5)
    assert pooled.params.tobytes() == alone.params.tobytes()


def test_pooling_learns_from_every_shop_in_shapes_of_the_largest() -> None:
    shops = [shop(0), shop(1, shoppers=10, items=8)]
    fit = make_pooled_fit(shops, PLAN, BOTH)
    first = fit(first_params(PLAN, 0), None, 1)
    later = fit(first.params, first.optimizer_state, 2)
    assert first.examples == 200
    assert later.loss < first.loss
    assert later.optimizer_state[-1] == 2 * (10 + 3)  # steps: 160 and 40 baskets by 16


def test_a_kept_state_is_not_a_fresh_one() -> None:
    fit = a_fit()
    first = fit(first_params(PLAN, 0), None, 0)
    kept = fit(first.params, first.optimizer_state, 1)
    fresh = fit(first.params, None, 1)
    assert kept.params.tobytes() != fresh.params.tobytes()
    assert first.optimizer_state.shape == (2 * layout_of(PLAN).size + 1,)


def test_at_most_so_many_steps() -> None:
    fit = a_fit(replace(PLAN, steps=3))
    assert fit(first_params(PLAN, 0), None, 0).optimizer_state[-1] == 3


def test_a_large_catalogue_takes_larger_batches_of_shorter_histories() -> None:
    assert stepped(PLAN, BOTH) == PLAN
    sampled = replace(PLAN, full_softmax=11, sampled_batch=50, sampled_steps=3, sampled_events=5)
    assert BOTH.items == 12
    seen = stepped(sampled, BOTH)
    assert seen == replace(sampled, batch=50, steps=3, events=5, lines=BOTH.basket)
    assert 1 < BOTH.basket < PLAN.lines
    # A basket of one line in the cart would leave nothing to ask for.
    assert stepped(sampled, replace(BOTH, basket=1)).cart == 0
    fitted = a_fit(sampled)(first_params(PLAN, 0), None, 0)
    assert fitted.optimizer_state[-1] == 3  # 160 baskets by 50 would be 4 steps


def test_a_sampled_fit_learns_tastes_too() -> None:
    fit = a_fit(replace(PLAN, full_softmax=11, sampled_batch=16, negatives=8))
    params, state = first_params(PLAN, 0), None
    for seed in range(6):
        fitted = fit(params, state, seed)
        params, state = fitted.params, fitted.optimizer_state
    network = to_network(params, PLAN)
    vectors = item_vectors(network, catalogue())
    red = encode(network, vectors, _bought(1, 3), 40) @ vectors.T
    blue = encode(network, vectors, _bought(2, 4), 40) @ vectors.T
    assert (red - blue)[1::2].mean() > 0 > (red - blue)[0::2].mean()


def test_vectors_of_another_plan_are_refused() -> None:
    fit = a_fit()
    with pytest.raises(WrongShapeError):
        fit(np.zeros(3, np.float32), None, 0)
    with pytest.raises(WrongShapeError):
        fit(first_params(PLAN, 0), np.zeros(3, np.float32), 0)


def test_training_that_runs_away_is_said() -> None:
    fit = a_fit(replace(PLAN, learning_rate=1e30))
    with pytest.raises(NotFiniteError, match="ran away"):
        fit(first_params(PLAN, 0), None, 0)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    gradient = make_gradient(catalogue(), baskets(), PLAN, BOTH)
    params = first_params(PLAN, 0)
    graded = gradient(params)
    assert graded.examples == 160
    direction = graded.gradient / np.linalg.norm(graded.gradient)
    up, down = (gradient(params + np.float32(step) * direction).loss for step in (0.02, -0.02))
    assert (up - down) / 0.04 == pytest.approx(np.linalg.norm(graded.gradient), rel=0.02)
    assert gradient(params).gradient.tobytes() == graded.gradient.tobytes()


def test_rounds_keep_the_best_and_stop_with_patience() -> None:
    fit = a_fit()
    verdicts = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    told: list[tuple[int, float]] = []
    trained = train_rounds(
        fit,
        first_params(PLAN, 0),
        lambda _: next(verdicts),
        lambda number: number,
        patience=2,
        on_round=lambda number, score: told.append((number, score)),
    )
    assert trained.round == 2
    assert trained.scores == (0.1, 0.3, 0.2, 0.3)
    assert told == [(1, 0.1), (2, 0.3), (3, 0.2), (4, 0.3)]


def test_fine_tuning_that_does_not_help_keeps_the_start() -> None:
    fit = a_fit()
    start = first_params(PLAN, 0)
    verdicts = iter([0.5, 0.4, 0.3])
    trained = train_rounds(fit, start, lambda _: next(verdicts), int, rounds=2, start_counts=True)
    assert trained.round == 0
    assert trained.params.tobytes() == start.tobytes()


@pytest.mark.parametrize(
    "wrong", [{"encoder": "oracle"}, {"size": 0}, {"dropout": 1.0}, {"cart": 2.0}]
)
def test_a_wrong_plan_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GuidePlan(**wrong)


def test_an_unknown_shopper_has_a_finite_vector() -> None:
    network = to_network(first_params(PLAN, 0), PLAN)
    vectors = item_vectors(network, catalogue())
    assert np.isfinite(encode(network, vectors, empty_history(), 0)).all()


def _bought(*items: int):
    from fedguide.models.encoders import History
    from fedguide.values import BUY

    size = len(items)
    return History(
        np.array(items, np.int32), np.full(size, BUY, np.uint8), np.full(size, 35, np.int32)
    )
