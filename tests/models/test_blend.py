"""The blend finds what tells items apart; the gate listens to a shop as far as it can tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fedguide.errors import ConfigError
from fedguide.models.blend import (
    Stack,
    fit_blend,
    keeps_slates,
    keeps_together,
    spread,
    stack,
    validation_score,
    weigh,
)
from fedguide.models.evaluate import bought_before, questions
from fedguide.models.scorer import SlateWeights

from .small import random_shop


def a_stack(setting: str = "all", seed: int = 0, noise: float = 1.0) -> Stack:
    """``network`` knows the answers up to noise, ``neighbours`` is noise, ``recent`` is flat."""
    shop = random_shop(seed=seed)
    asked = questions(shop.test, 30, setting)
    rng = np.random.default_rng(seed)
    truth = np.zeros((len(asked), 30), np.float32)
    truth[asked.targets.rows, asked.targets.items] = 1
    return stack(
        asked,
        {
            "network": (5 * truth + noise * rng.normal(size=truth.shape)).astype(np.float32),
            "neighbours": (100 * rng.normal(size=truth.shape)).astype(np.float32),
            "recent": np.full(truth.shape, 3, np.float32),
        },
    )


@pytest.mark.parametrize("setting", ["all", "discovery"])
def test_it_finds_the_component_that_knows(setting: str) -> None:
    found = fit_blend([a_stack(setting, noise=0.1)])
    assert found.score == pytest.approx(1)
    assert found.weights.network * 2 > found.weights.neighbours * 100
    assert found.weights.recent == 0  # it cannot tell items apart


def test_two_halves_of_the_truth_are_better_than_one() -> None:
    base = a_stack(noise=0.0)
    truth = base.values["network"] / 5
    left = np.arange(30) < 15
    noise = np.random.default_rng(9).normal(size=(2, *truth.shape)) * 0.3
    values = {"history": truth * left + noise[0], "recent": truth * ~left + noise[1]}
    halves = Stack(base.asked, {k: v.astype(np.float32) for k, v in values.items()}, base.hidden)
    both = fit_blend([halves])
    assert both.score > fit_blend([halves], ["history"]).score + 0.05
    assert both.weights.history > 0 < both.weights.recent


def test_what_is_reported_is_what_the_weights_reach() -> None:
    stacks = [a_stack(seed=0, noise=3), a_stack(seed=1, noise=3)]
    found = fit_blend(stacks)
    again = validation_score(stacks, [weigh(st, found.weights) for st in stacks])
    assert again == pytest.approx(found.score, abs=1e-6)


def test_the_floor_keeps_neighbours_beside_a_network() -> None:
    stacks = [a_stack("discovery", noise=2)]
    units = {name: spread(stacks, name) for name in ("network", "neighbours")}

    def share(floor: float) -> float:
        weights = fit_blend(stacks, floor=floor).weights
        return weights.neighbours * units["neighbours"] / (weights.network * units["network"])

    assert share(0.0) < 0.5
    assert share(0.7) >= 0.7 - 1e-6
    found = fit_blend(stacks, floor=0.7)
    again = validation_score(stacks, [weigh(st, found.weights) for st in stacks])
    assert again == pytest.approx(found.score, abs=1e-6)
    without = fit_blend(stacks, ["neighbours", "recent"], floor=0.7)  # nothing to stand beside
    assert without.weights.network == 0 < without.weights.neighbours


def test_no_component_alone_is_better() -> None:
    stacks = [a_stack(seed=2, noise=4)]
    best = fit_blend(stacks).score
    for name in ("network", "neighbours"):
        alone = [weigh(st, SlateWeights(**{name: 1.0})) for st in stacks]
        assert best >= validation_score(stacks, alone)


@settings(max_examples=10)
@given(st.floats(0.01, 100))
def test_the_unit_of_a_component_does_not_matter(unit: float) -> None:
    one = a_stack(noise=3)
    scaled = {**one.values, "network": (one.values["network"] * unit).astype(np.float32)}
    two = Stack(one.asked, scaled, one.hidden)
    assert fit_blend([two]).score == pytest.approx(fit_blend([one]).score, abs=1e-9)


def test_what_is_hidden_does_not_count() -> None:
    one = a_stack("discovery")
    mask = bought_before(one.asked.cases, 30)
    assert mask.any()
    assert np.isneginf(weigh(one, SlateWeights(network=1.0))[mask]).all()
    # A component that differs only on what is hidden tells nothing apart.
    values = {"history": np.where(mask, 7, 0).astype(np.float32)}
    assert spread([Stack(one.asked, values, one.hidden)], "history") == 0
    assert fit_blend([Stack(one.asked, values, one.hidden)]).weights == SlateWeights()


def test_without_a_question_nothing_is_fitted() -> None:
    shop = random_shop()
    nobody = stack(questions(shop.test, 30, "all"), {})
    assert fit_blend([nobody]).weights == SlateWeights()
    assert fit_blend([]).score == 0


def test_a_name_that_is_no_component_is_refused() -> None:
    with pytest.raises(ConfigError, match="got wishes"):
        fit_blend([a_stack()], ["network", "wishes"])


def around(mean: float, error: float) -> np.ndarray:
    """Two gains with this mean and this standard error of it."""
    return np.array([mean - error, mean + error])


NOT_ASKED = np.full(1, np.nan)


def test_a_slate_has_a_model_of_its_own_beyond_its_error_alone() -> None:
    def gains(all_items: float, discovery: float, error: float) -> dict[str, np.ndarray]:
        return {
            "all": np.concatenate([around(all_items, error), NOT_ASKED]),
            "discovery": np.concatenate([around(discovery, error), NOT_ASKED]),
        }

    def kept(**shops: dict[str, np.ndarray]) -> dict[tuple[str, str], bool]:
        return keeps_slates(shops)

    # The mean of both is what counts where a slate is within its error of 0 ...
    assert set(kept(a=gains(0.3, -0.09, 0.1)).values()) == {True}
    assert set(kept(a=gains(-0.3, 0.09, 0.1)).values()) == {False}
    # ... and not where it is beyond.
    assert kept(a=gains(0.3, -0.11, 0.1)) == {("all", "a"): True, ("discovery", "a"): False}
    assert kept(a=gains(-0.3, 0.11, 0.1)) == {("all", "a"): False, ("discovery", "a"): True}
    # Shops that nothing tells apart share one mean, whose error is smaller: -0.08 ± 0.1 / √4.
    four = {name: gains(0.3, -0.08, 0.1) for name in "abcd"}
    assert kept(**four)["discovery", "c"] is False
    # Nobody can tell: together.
    nobody = {"all": NOT_ASKED, "discovery": NOT_ASKED}
    assert set(kept(a=nobody).values()) == {True}
    # Who has no shopper to ask is told by the others.
    assert kept(a=nobody, b=gains(-0.3, -0.3, 0.1))["all", "a"] is False


def test_a_shop_is_drawn_towards_the_others_as_far_as_its_noise_says() -> None:
    # Weights 100 each, centre 0.05, Q = 100 (0.15² + 0.15²) = 4.5 against an expectation of 1:
    # between = 3.5 / (200 - 100) = 0.035; b's estimate is (-0.1 * 0.035 + 0.05 * 0.01) / 0.045.
    gains = {"a": around(0.2, 0.1), "b": around(-0.1, 0.1)}
    assert gains["a"].var(ddof=1) / 2 == pytest.approx(0.01)
    assert keeps_together(gains) == {"a": True, "b": False}
    # With a mean of -0.01: centre 0.095, Q = 2.205, between = 0.01205; the estimate is
    # (-0.01 * 0.01205 + 0.095 * 0.01) / 0.02205 = 0.038, though b's own mean is below 0.
    assert keeps_together({"a": around(0.2, 0.1), "b": around(-0.01, 0.1)})["b"]
    # Q below its expectation: nothing tells the shops apart, all get the common mean.
    assert keeps_together({"a": around(0.1, 0.1), "b": around(-0.02, 0.1)})["b"]


def test_a_shop_that_surely_loses_leaves_and_one_that_cannot_tell_stays() -> None:
    gains = {
        **{f"wins {i}": around(0.02 + i / 1000, 0.002) for i in range(4)},
        "loses": around(-0.05, 0.002),
        "cannot tell": around(-0.01, 0.08),
        "nobody asked": np.zeros(0),
    }
    leaves = [name for name, stays in keeps_together(gains).items() if not stays]
    assert leaves == ["loses"]


def test_when_all_lose_all_leave() -> None:
    rng = np.random.default_rng(1)
    gains = {name: -0.03 + 0.05 * rng.normal(size=300) for name in "abc"}
    assert keeps_together({**gains, "d": np.zeros(0)}) == dict.fromkeys("abcd", False)


def test_the_gate_makes_fewer_mistakes_than_asking_each_shop() -> None:
    """Shops whose true gains are drawn around +0.01: the rule it was made for."""
    rng = np.random.default_rng(2)
    wrong = own = 0.0
    for _ in range(300):
        truth = rng.normal(0.01, 0.005, 6)
        sizes = [20, 40, 40, 80, 120, 150]
        gains = {str(i): rng.normal(truth[i], 0.1, sizes[i]) for i in range(6)}
        kept = keeps_together(gains)
        wrong += sum(abs(truth[i]) for i in range(6) if kept[str(i)] != (truth[i] >= 0))
        own += sum(
            abs(truth[i]) for i in range(6) if (gains[str(i)].mean() >= 0) != (truth[i] >= 0)
        )
    assert wrong < 0.7 * own


def test_values_that_never_differ_keep_together() -> None:
    assert keeps_together({"a": np.zeros(5), "b": np.zeros(9)}) == {"a": True, "b": True}
    assert_allclose(list(keeps_together({})), [])
