"""The comparison with *together* under differential privacy, on the tiny market."""

from __future__ import annotations

import inspect
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import ConfigError, RefusedError
from fedguide.models.evaluate import SETTINGS
from fedguide.models.fit import first_params, layout_of
from fedguide.runtime import private_rounds
from fedguide.runtime.arms import LEAST_STEPS, Trained
from fedguide.runtime.attack_test import attack_test
from fedguide.runtime.baselines import own_baselines
from fedguide.runtime.compare import Comparison, compare
from fedguide.runtime.private_arm import gone_on
from fedguide.runtime.private_rounds import (
    Actors,
    PrivatePlan,
    fresh_actors,
    guard_of,
    run_privately,
    seeded_actors,
    slopes_of,
    spent,
)
from fedguide.runtime.rounds import CutShortError
from fedguide.seeds import seeded_entropy

from .tiny import GUIDE, PLAN, shops

PRIVATE = PrivatePlan(shoppers=90, rounds=3, epsilon=8.0, clip=1.0, baskets=2)
COMPARED = replace(PLAN, train=replace(PLAN.train, private=PRIVATE), seeds=(1,))


def still() -> float:
    return 0.0


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(shops(), COMPARED, still, actors=seeded_actors(1))


def test_every_choice_is_made_within_a_shop(found: Comparison) -> None:
    names = [shop.name for shop in shops()]
    assert set(found.baselines.own) == set(names)
    assert found.baselines.blends == {}
    (outcome,) = found.outcomes
    assert {key[2] for key in outcome.blends} == set(names)
    # What a shop ends with is made of its own rows and the shared model alone: with another shop
    # in the place of the last, and the same shared model, the first ends with the same.
    assert outcome.trained["together"].shared is not None
    for setting, name in itertools.product(SETTINGS, names):
        assert ("together", setting, name) in outcome.blends


def test_another_shops_validation_moves_nothing() -> None:
    first, second, third = shops()
    moved = replace(third, validation=third.test)
    here = compare([first, second, third], COMPARED, still, actors=seeded_actors(1))
    there = compare([first, second, moved], COMPARED, still, actors=seeded_actors(1))
    for arm in ("together", "alone"):
        mine = here.outcomes[0].trained[arm].params[first.name]
        other = there.outcomes[0].trained[arm].params[first.name]
        np.testing.assert_array_equal(mine, other)
        for setting in SETTINGS:
            key = (arm, setting, first.name)
            assert here.outcomes[0].blends[key] == there.outcomes[0].blends[key]
    assert here.baselines.own[first.name].chosen == there.baselines.own[first.name].chosen


def test_the_last_round_is_the_model_and_nothing_was_judged(found: Comparison) -> None:
    trained = found.outcomes[0].trained["together"]
    assert set(trained.rounds.values()) == {3}
    assert [report.score for report in trained.history] == [None] * 3
    assert {report.loss for report in trained.history} == {0.0}
    assert {report.examples for report in trained.history} == {90}


def test_every_shop_goes_on_from_the_shared_model_at_the_gentle_rate() -> None:
    start = first_params(GUIDE, 5)
    names = [shop.name for shop in shops()]
    begun = Trained("together", dict.fromkeys(names, start), dict.fromkeys(names, 3), 0, 0.0)
    benches = own_baselines(shops(), GUIDE, 1).benches
    moved = {}
    for rate in (1e-4, 1e-2):
        plan = replace(COMPARED.train, fine_tune_rate=rate, patience=1000, rounds=4)
        on = gone_on(begun, benches, plan, 1, still, lambda *_: None)
        assert 0 < on.fine_tuned <= 4
        # One step of AdamW moves a coordinate by at most rate x ((1 - β₁)/√(1 - β₂) + decay);
        # a round has at most LEAST_STEPS rounded up to whole epochs.
        moved[rate] = max(float(np.abs(params - start).max()) for params in on.params.values())
        assert 0 < moved[rate] <= 4 * 2 * LEAST_STEPS * rate * 3.5
    assert moved[1e-4] < moved[1e-2] / 10


def test_a_private_comparison_needs_actors() -> None:
    with pytest.raises(ConfigError, match="actors"):
        compare(shops(), COMPARED, still)


SLOPES = slopes_of(shops(), GUIDE, PRIVATE)
START = first_params(GUIDE, 0)


def trained(private: PrivatePlan, actors: Actors, **options: object) -> np.ndarray:
    return run_privately(
        SLOPES, GUIDE, private, START, "task", actors, still, **options
    ).best_params


def test_what_is_not_trained_stays_bit_for_bit() -> None:
    layout = layout_of(GUIDE)
    tower = layout.unflatten(trained(PRIVATE, seeded_actors(1)))
    before = layout.unflatten(START)
    np.testing.assert_array_equal(tower["item"], before["item"])
    assert not np.array_equal(tower["table"], before["table"])
    head = replace(PRIVATE, part="head")
    slopes = slopes_of(shops(), GUIDE, head)
    run = run_privately(slopes, GUIDE, head, START, "task", seeded_actors(1), still)
    after = layout.unflatten(run.best_params)
    np.testing.assert_array_equal(after["table"], before["table"])
    assert not np.array_equal(after["shopper"], before["shopper"])


@pytest.mark.parametrize(
    "change",
    [
        {"placement": "distributed"},
        {"placement": "distributed", "absent": 1},
        {"placement": "local"},
        {"noise": "laplace"},
        {"adaptive": True, "shoppers": 1000},
        {"sampling": 0.5},
        {"unit": "shop"},
        {"cycle": 3},
        {"cycle": 3, "bands": 2},
        {"masked": True, "placement": "distributed"},
        {"sales": 0.25},
        {"sales": 0.25, "cycle": 3, "bands": 2},
        {"noise": "none", "epsilon": math.inf},
    ],
)
def test_every_kind_of_guard_runs_and_repeats(change: dict[str, object]) -> None:
    private = replace(PRIVATE, **change)
    params = trained(private, seeded_actors(1))
    assert params.shape == START.shape
    assert np.isfinite(params).all()
    np.testing.assert_array_equal(params, trained(private, seeded_actors(1)))
    if private.noise != "none":
        assert not np.array_equal(params, trained(private, seeded_actors(2)))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, 8.0),
        ({"epsilon": 2.0}, 2.0),
        ({"noise": "laplace"}, 8.0),
        ({"sampling": 0.2}, 8.0),
        ({"cycle": 3}, 8.0),
        ({"sales": 0.25}, 8.0),
        ({"sales": 0.25, "sampling": 0.2}, 8.0),
        ({"sales": 0.25, "cycle": 3}, 8.0),
    ],
)
def test_what_was_spent_is_what_was_wanted(change: dict[str, object], wanted: float) -> None:
    private = replace(PRIVATE, **change)
    price = spent(private, guard_of(private, GUIDE, 3))
    if private.sampling < 1:
        assert price.epsilon == pytest.approx(wanted, rel=1e-3)
        assert price.epsilon_insider > price.epsilon
    else:
        assert price.epsilon_insider == pytest.approx(wanted, rel=1e-3)


def test_sales_are_drawn_after_the_first_round_is_permitted_by_the_shops_own_root() -> None:
    """With nobody's permission no root of a shop is asked for: no noise is drawn."""
    private = replace(PRIVATE, sales=0.25)
    drawn: list[str] = []

    def roots(actor: str):  # type: ignore[no-untyped-def]
        def root(task: str, number: int):  # type: ignore[no-untyped-def]
            drawn.append(actor)
            return seeded_actors(1).roots(actor)(task, number)

        return root

    def refuse(_message: object) -> None:
        raise RefusedError("budget: nothing left")

    names = [shop.name for shop in shops()]
    with pytest.raises(CutShortError):
        run_privately(
            SLOPES,
            GUIDE,
            private,
            START,
            "task",
            Actors(roots, dict.fromkeys(names, refuse)),
            still,
        )
    assert not set(drawn) & set(names)


def test_sales_change_the_model_by_the_noise_of_each_shop() -> None:
    private = replace(PRIVATE, sales=0.25)
    plain, known = trained(PRIVATE, seeded_actors(1)), trained(private, seeded_actors(1))
    assert not np.array_equal(plain, known)
    terms = layout_of(GUIDE).unflatten(known)["terms"]
    assert terms[2] != 0  # the weight of sales has something to learn from


def test_where_nothing_is_clipped_the_scale_of_others_is_undone() -> None:
    """The same step without noise and with a clip that nobody reaches; shorter ones are another."""
    wide = replace(PRIVATE, noise="none", epsilon=math.inf, clip=1000.0, rounds=1)
    whole, scaled = (trained(replace(wide, others=o), seeded_actors(1)) for o in (1.0, 0.25))
    # Adam's first step is the sign of a coordinate, but for slopes near τ, which is relative to the
    # mean of all and so four times as much of a slope of the table: 1 - 99/100 becomes 1 - 99/103.
    step, rate = np.abs(whole - START), wide.learning_rate
    large = step > 0.99 * rate
    assert large.sum() > 0.8 * (step > 0).sum() > 0
    np.testing.assert_allclose(scaled[large], whole[large], rtol=0, atol=0.04 * rate)
    near = replace(wide, clip=0.1, rounds=3)
    short, less = (trained(replace(near, others=o), seeded_actors(1)) for o in (1.0, 0.25))
    assert not np.allclose(short, less, atol=1e-3)


def test_who_refuses_is_missing_and_too_many_end_the_run() -> None:
    def refuse(_message: object) -> None:
        raise RefusedError("budget: nothing left")

    asked: list[int] = []
    one = Actors(
        seeded_actors(1).roots,
        {"shop0": refuse, "shop1": lambda message: asked.append(message.round)},
    )
    run = run_privately(SLOPES, GUIDE, PRIVATE, START, "task", one, still)
    assert asked == [0, 1, 2]
    assert [m.party for m in run.history[0].missing] == ["shop0"]
    assert "budget" in run.history[0].missing[0].detail
    many = Actors(one.roots, {"shop0": refuse, "shop1": refuse})
    with pytest.raises(CutShortError):
        run_privately(SLOPES, GUIDE, PRIVATE, START, "task", many, still)
    shared = replace(PRIVATE, placement="distributed")
    with pytest.raises(CutShortError):
        run_privately(SLOPES, GUIDE, shared, START, "task", one, still)


def test_fresh_actors_draw_every_root_once() -> None:
    actors = fresh_actors(seeded_entropy(0), {})
    first = actors.roots("a")("t", 0)
    assert actors.roots("a")("t", 0) == first
    others = [actors.roots(a)(t, n) for a, t, n in (("b", "t", 0), ("a", "u", 0), ("a", "t", 1))]
    assert len({first.value, *(other.value for other in others)}) == 4


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": math.inf}, "infinite"),
        ({"noise": "none"}, "infinite"),
        ({"delta": 1.0}, "delta"),
        ({"shoppers": 0}, "shoppers"),
        ({"rounds": 0}, "rounds"),
        ({"baskets": 0}, "baskets"),
        ({"part": "foot"}, "part"),
        ({"others": 0.0}, "others"),
        ({"others": 1.1}, "others"),
        ({"others": 0.5, "part": "head"}, "trains no table"),
        ({"sales": 1.0}, "share of ε"),
        ({"sales": -0.1}, "share of ε"),
        ({"sales": 0.1, "noise": "laplace"}, "sales are released"),
        ({"sales": 0.1, "unit": "shop"}, "sales are released"),
    ],
)
def test_plans_out_of_range(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        replace(PRIVATE, **change)


def test_masks_change_nothing_but_what_is_seen() -> None:
    """Bit for bit the same model as with the open sum."""
    shared = replace(PRIVATE, placement="distributed", rounds=2)
    np.testing.assert_array_equal(
        trained(shared, seeded_actors(1)), trained(replace(shared, masked=True), seeded_actors(1))
    )


def test_no_judge_is_ever_given_to_a_private_run() -> None:
    assert "judge" not in inspect.getsource(private_rounds.run_privately)


def test_an_attack_on_a_tiny_private_run() -> None:
    outcome = attack_test(
        shops(),
        COMPARED.train,
        START,
        8.0,
        seeded_actors(4),
        still,
        rounds=2,
        canaries=50,
    )
    assert outcome.leak is not None
    assert outcome.leak.flags == ()
    assert outcome.inversion is not None
    assert (outcome.membership.members, outcome.membership.others) == (45, 45)
    assert outcome.membership.shadows == 2
    assert not any("membership" in flag for flag in outcome.flags)
    assert outcome.epsilon == 8.0
