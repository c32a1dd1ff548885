"""A shop trains for every algorithm: bent fits, shared and own parts, whole runs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import encode
from fedguide.errors import ConfigError
from fedguide.horizontal.choice import OFFERS
from fedguide.horizontal.fitting import Steering
from fedguide.models.fit import first_params, layout_of, make_fit
from fedguide.runtime.arms import Trained, TrainPlan, fits_of, train_together
from fedguide.runtime.baselines import Bench, baselines
from fedguide.runtime.proposal import task_limits
from fedguide.runtime.shop_training import SHARED, crossing, own_mask, personal_part, training_of

from .hub_world import proposal_of
from .tiny import GUIDE, shops

TICKS = itertools.count()
PLAN = TrainPlan(replace(GUIDE, learning_rate=0.02), rounds=2, patience=2, fine_tune_rounds=0)
FIRST = first_params(PLAN.guide, 3)


def ticking() -> float:
    return float(next(TICKS))


@pytest.fixture(scope="module")
def benches() -> tuple[Bench, ...]:
    return baselines(shops(), PLAN.guide, 0).benches


def trained(benches: tuple[Bench, ...], algorithm: str) -> Trained:
    plan = replace(PLAN, algorithm=algorithm)
    fits = fits_of([bench.shop for bench in benches], plan.guide)
    return train_together(benches, fits, plan, 3, ticking, lambda *_told: None)


def test_a_fit_that_is_not_bent_is_the_plain_fit_and_counts_its_steps() -> None:
    shop = shops()[0]
    plain = make_fit(shop.catalogue, shop.train, PLAN.guide)(FIRST, None, 5)
    steered = training_of(shop, PLAN.guide, OFFERS["fedprox"], FIRST).steered
    assert steered is not None
    same = steered(FIRST, None, 5, Steering())
    np.testing.assert_allclose(same.params, plain.params, rtol=1e-5, atol=1e-6)
    assert same.loss == pytest.approx(plain.loss, rel=1e-5)
    assert same.steps == plain.optimizer_state[-1] > 1
    assert same.slope.shape == FIRST.shape
    # From its first moment Adam knows nothing but slopes: m = (1 − β1) Σ β1^(τ−1−i) g_i, and
    # with one step m / (1 − β1) is that step's slope.
    one = training_of(shop, replace(PLAN.guide, batch=128), OFFERS["fedprox"], FIRST).steered
    assert one is not None
    step = one(FIRST, None, 5, Steering())
    assert step.steps == 1
    np.testing.assert_allclose(
        step.slope, step.optimizer_state[: len(FIRST)] / 0.1, rtol=1e-3, atol=1e-6
    )


def test_a_bent_fit_goes_where_it_is_bent() -> None:
    steered = training_of(shops()[0], PLAN.guide, OFFERS["scaffold"], FIRST).steered
    assert steered is not None
    free = steered(FIRST, None, 5, Steering()).params
    held = steered(FIRST, None, 5, Steering(pull=1e4, anchor=FIRST)).params
    assert np.linalg.norm(held - FIRST) < 0.7 * np.linalg.norm(free - FIRST)
    pushed = steered(FIRST, None, 5, Steering(slope=np.full_like(FIRST, 1e3))).params
    assert (pushed < FIRST).all()


def test_the_shared_part_is_the_text_tower_and_the_rest_is_own() -> None:
    layout, own = layout_of(PLAN.guide), own_mask(PLAN.guide)
    arrays = layout.unflatten(own.astype(np.float32))
    assert {name for name, mask in arrays.items() if not mask.any()} == SHARED
    assert {name for name, mask in arrays.items() if mask.all()} == set(arrays) - SHARED
    shared = crossing(PLAN.guide, OFFERS["fedper"], FIRST)
    personal = personal_part(PLAN.guide, FIRST)
    assert personal.whole(shared, personal.first).tobytes() == FIRST.tobytes()
    assert crossing(PLAN.guide, OFFERS["ditto"], FIRST) is FIRST


@pytest.mark.parametrize("algorithm", [*OFFERS, "ditto:5"])
def test_a_run_ends_with_models_of_the_whole_network(
    benches: tuple[Bench, ...], algorithm: str
) -> None:
    run = trained(benches, algorithm)
    offer = OFFERS[algorithm.partition(":")[0]]
    assert len(run.history) == 2
    models = [params.tobytes() for params in run.params.values()]
    assert all(len(params) == len(FIRST) for params in run.params.values())
    assert len(set(models)) == (len(benches) if offer.personal else 1)
    assert (run.shared is None) == (offer.personal == "within")


def test_what_does_not_go_together_is_refused_before_it_begins() -> None:
    with pytest.raises(ConfigError, match="fedbuff and masked_sum do not go together"):
        replace(PLAN, algorithm="fedbuff", aggregator="masked_sum")
    with pytest.raises(ConfigError, match="algorithm must be one of"):
        replace(PLAN, algorithm="fedsprox")


def test_a_proposal_says_what_its_algorithm_sends() -> None:
    plain, twice = proposal_of("t", 10), proposal_of("t", 10, algorithm="scaffold")
    assert b"fedavg" not in encode(plain)  # as it was before there was a choice
    assert "3 updates of 10 numbers" in plain.leaves[0]
    assert "3 updates of 20 numbers" in twice.leaves[0]
    assert task_limits(twice).dims["p"] == 20
    assert task_limits(proposal_of("t", 10, algorithm="fednova")).dims["n"] == 13
    with pytest.raises(ConfigError, match="fedper has no model to hand over"):
        proposal_of("t", 10, algorithm="fedper")
    with pytest.raises(ConfigError, match="algorithm must be one of"):
        proposal_of("t", 10, algorithm="fedbuf")
