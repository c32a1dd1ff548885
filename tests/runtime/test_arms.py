"""The arms: equal effort, choices on the sum of all shops, nothing without validation breaks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import Fitted, first_params
from fedguide.runtime import arms
from fedguide.runtime.arms import LEAST_STEPS, Trained, TrainPlan
from fedguide.runtime.baselines import Bench, baselines
from fedguide.values import Vector

from .tiny import GUIDE, shops

TICKS = itertools.count()
PLAN = TrainPlan(replace(GUIDE, learning_rate=0.02), rounds=2, patience=2, fine_tune_rounds=2)


def ticking() -> float:
    return float(next(TICKS))


@pytest.fixture(scope="module")
def benches() -> tuple[Bench, ...]:
    return baselines(shops(), PLAN.guide, 0).benches


def silent(_stage: str, _number: int, _score: float) -> None:
    return None


@dataclass
class Counting:
    """A fit that adds one and counts its calls."""

    calls: int = 0

    def __call__(self, params: Vector, optimizer_state: Vector | None, seed: int) -> Fitted:
        self.calls += 1
        return Fitted(params + 1, np.zeros(1, np.float32), 1, 0.5)


def test_a_small_shop_alone_takes_enough_steps_between_two_looks(
    benches: tuple[Bench, ...],
) -> None:
    fits = {bench.shop.name: Counting() for bench in benches}
    trained = arms.train_alone(benches, fits, PLAN, 0, ticking, silent)
    for bench in benches:
        steps = -(-len(np.unique(np.arange(len(bench.shop.train)))) // PLAN.guide.batch)
        calls = fits[bench.shop.name].calls
        assert calls % 2 == 0  # two rounds
        assert calls // 2 * steps >= LEAST_STEPS > (calls // 2 - 1) * steps
        assert trained.params[bench.shop.name][0] != first_params(PLAN.guide, 0)[0]


@pytest.mark.parametrize("steps", [2, 7, 40])
def test_even_work_is_about_as_many_steps_in_every_shop(
    benches: tuple[Bench, ...], steps: int
) -> None:
    plan = replace(PLAN.guide, steps=steps)
    for bench in benches:
        fit = Counting()
        arms.even_work(fit, bench.shop, plan)(first_params(plan, 0), None, 1)
        epoch = min(-(-len(buying_baskets(bench.shop.train)) // plan.batch), steps)
        assert abs(fit.calls * epoch - steps) <= epoch / 2


def test_the_judge_is_a_mean_over_the_shoppers_of_all_shops(benches: tuple[Bench, ...]) -> None:
    params = first_params(PLAN.guide, 3)
    values = [arms.validation_values(bench, params, PLAN.guide) for bench in benches]
    assert len({len(v) for v in values}) > 1  # shops of different size count differently
    expected = np.concatenate(values).mean()
    assert arms.judge_of(benches, PLAN.guide)(params) == pytest.approx(expected)


def test_fine_tuning_is_kept_only_where_the_sum_of_shops_gains(
    benches: tuple[Bench, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = {bench.shop.name: np.zeros(3, np.float32) for bench in benches}
    trained = Trained("together", start, dict.fromkeys(start, 1), 0, 1.0)
    monkeypatch.setattr(
        arms, "fits_of", lambda shops, plan: {shop.name: Counting() for shop in shops}
    )

    def judged(worth: list[float]) -> Trained:
        # After k epochs the first parameter is k.
        monkeypatch.setattr(
            arms,
            "validation_values",
            lambda bench, params, plan: np.full(2, worth[int(params[0])]),
        )
        return arms.fine_tuned(trained, benches, PLAN, 0, ticking, silent)

    better = judged([0.1, 0.3, 0.2])
    assert better.fine_tuned == 1
    assert all(params[0] == 1 for params in better.params.values())
    worse = judged([0.3, 0.1, 0.2])
    assert worse.fine_tuned == 0
    assert all(params[0] == 0 for params in worse.params.values())


def test_together_is_the_protocol_and_repeats(benches: tuple[Bench, ...]) -> None:
    fits = arms.fits_of([bench.shop for bench in benches], PLAN.guide)
    one, two = (arms.train_together(benches, fits, PLAN, 7, ticking, silent) for _ in range(2))
    assert len(one.history) == 2
    assert [set(report.parties) for report in one.history] == [{"shop0", "shop1", "shop2"}] * 2
    assert one.params["shop0"].tobytes() == two.params["shop1"].tobytes()
    other = arms.train_together(benches, fits, PLAN, 8, ticking, silent)
    assert other.params["shop0"].tobytes() != one.params["shop0"].tobytes()


def test_kept_moments_and_momentum_are_other_trainings(benches: tuple[Bench, ...]) -> None:
    fits = arms.fits_of([bench.shop for bench in benches], PLAN.guide)
    longer = replace(PLAN, rounds=3, patience=3)
    plans = (longer, replace(longer, keep_moments=True), replace(longer, server_momentum=0.9))
    losses = [
        [r.loss for r in arms.train_together(benches, fits, plan, 7, ticking, silent).history]
        for plan in plans
    ]
    plain, kept, pushed = losses
    assert plain[0] == kept[0] == pushed[0]  # nothing to keep before the first round
    assert plain[1] != kept[1]
    assert plain[1] == pushed[1]  # the first push is the first mean
    assert plain[2] != pushed[2]


def test_together_under_masks_is_together_in_the_open_bit_for_bit(
    benches: tuple[Bench, ...],
) -> None:
    fits = arms.fits_of([bench.shop for bench in benches], PLAN.guide)
    trained = {
        name: arms.train_together(
            benches, fits, replace(PLAN, aggregator=name), 0, ticking, silent
        ).history
        for name in ("open_sum", "masked_sum", "weighted_mean")
    }
    scores = {name: [report.score for report in history] for name, history in trained.items()}
    losses = {name: [report.loss for report in history] for name, history in trained.items()}
    assert scores["masked_sum"] == scores["open_sum"]
    assert losses["masked_sum"] == losses["open_sum"]
    assert losses["masked_sum"] == pytest.approx(losses["weighted_mean"], rel=1e-3)
    # Keys, shares and signatures of three shops on top of the vectors, which weigh the same.
    masked, plain = (trained[name][0].bytes_up for name in ("masked_sum", "open_sum"))
    assert 0 < masked - plain < 3 * 4000


def test_an_unknown_aggregator_and_too_few_shops_are_refused(benches: tuple[Bench, ...]) -> None:
    with pytest.raises(ConfigError, match="aggregator must be one of weighted_mean, open_sum"):
        replace(PLAN, aggregator="sum")
    fits = {bench.shop.name: Counting() for bench in benches}
    plan = replace(PLAN, aggregator="masked_sum")
    with pytest.raises(ConfigError, match="at least 3 parties, got 2"):
        arms.train_together(benches[:2], fits, plan, 0, ticking, silent)
