"""From the network's model to what a shop serves: fitted, blended and gated on its own validation.

``alone_release`` is for a shop that trains by itself. ``shop_release`` follows ``compare`` with one
shop: the model that was trained together and one that the shop
trains alone are both fine-tuned and blended with its neighbours and sales, each slate by itself,
and the shop's gate keeps the better one. Every choice is made on validation; the figures of the
card are of test, which is touched once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.models.blend import FLOOR, Blend, fit_blend, keeps_together, weigh
from fedguide.models.bootstrap import DRAWS
from fedguide.models.card import Metric
from fedguide.models.evaluate import SETTINGS, questions
from fedguide.models.metrics import measure
from fedguide.models.scorer import ShopModel
from fedguide.models.served import Contender, measure_all, released, vectors_of
from fedguide.runtime.arms import (
    OnRound,
    Trained,
    TrainPlan,
    fine_tuned,
    fits_of,
    network_of,
    network_stack,
    train_alone,
)
from fedguide.runtime.baselines import Bench, baselines
from fedguide.runtime.couriers import Clock
from fedguide.runtime.private_arm import gone_on
from fedguide.runtime.table import rows_of, samples_of
from fedguide.values import ShopData, Vector

ARMS = ("together", "alone")


@dataclass(frozen=True)
class ShopRelease:
    """What a shop goes on to serve.

    Attributes:
        model: the whole model.
        chosen: ``together``, or ``alone`` where the gate kept that.
        rounds: rounds the network was trained for.
        metrics: of the chosen model on test.
    """

    model: ShopModel
    chosen: str
    rounds: int
    metrics: tuple[Metric, ...]


def shop_release(
    shop: ShopData,
    params: Vector,
    round_number: int,
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    *,
    noised: bool = False,
) -> ShopRelease:
    """The shop's model around the parameters that were trained together.

    Args:
        shop: its rows, cut in time.
        params: of the network, shape ``(p,)``.
        round_number: the round they are of.
        plan: how the model alone is trained, and both are fine-tuned.
        seed: of what is not secret.
        clock: seconds.
        noised: the parameters were trained under noise: the shop trains on from them by itself,
            as long as its own validation gains.
    """
    bench = baselines([shop], plan.guide, seed).benches[0]
    arms = _arms(bench, params, round_number, plan, seed, clock, noised=noised)
    blends = {
        (arm, setting): _blend(bench, trained, setting, plan)
        for arm, trained in arms.items()
        for setting in SETTINGS
    }
    values = {arm: _validated(bench, trained, blends, plan) for arm, trained in arms.items()}
    kept = keeps_together({shop.name: values["together"] - values["alone"]})[shop.name]
    chosen = "together" if kept else "alone"
    return _around(bench, arms[chosen], {s: blends[chosen, s] for s in SETTINGS}, plan, seed)


def alone_release(
    shop: ShopData, plan: TrainPlan, seed: int, clock: Clock, on_round: OnRound
) -> ShopRelease:
    """The model of a shop that trains by itself, with nobody: nothing leaves.

    Args:
        shop: its rows, cut in time.
        plan: how it is trained and fine-tuned.
        seed: of what is not secret.
        clock: seconds.
        on_round: is told each round with its validation, where there is one.
    """
    bench = baselines([shop], plan.guide, seed).benches[0]
    fits = fits_of([bench.shop], plan.guide)
    trained = train_alone([bench], fits, plan, seed, clock, on_round)
    trained = fine_tuned(trained, [bench], plan, seed, clock, on_round)
    blends = {setting: _blend(bench, trained, setting, plan) for setting in SETTINGS}
    return _around(bench, trained, blends, plan, seed)


def _around(
    bench: Bench, trained: Trained, blends: Mapping[str, Blend], plan: TrainPlan, seed: int
) -> ShopRelease:
    """What is served around a trained network, measured on test."""
    network = network_of(bench, trained, plan.guide)
    weights = {setting: blends[setting].weights for setting in SETTINGS}
    vectors = vectors_of(network, bench.features)
    model = released(bench.model, bench.shop, network, vectors, weights, plan.guide.recent_days)
    contenders = {setting: Contender(network, vectors, weights[setting]) for setting in SETTINGS}
    metrics = _metrics(bench, contenders, plan, seed)
    return ShopRelease(model, trained.arm, trained.rounds[bench.shop.name], metrics)


def _arms(
    bench: Bench,
    params: Vector,
    round_number: int,
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    *,
    noised: bool,
) -> dict[str, Trained]:
    """Both models, fine-tuned."""
    name = bench.shop.name
    together = Trained("together", {name: params}, {name: round_number}, 0, 0.0)
    fits = fits_of([bench.shop], plan.guide)
    alone = train_alone([bench], fits, plan, seed, clock, _quiet)
    if noised:
        together = gone_on(together, [bench], fits, plan, seed, clock, _quiet)
    else:
        together = fine_tuned(together, [bench], plan, seed, clock, _quiet)
    return {
        "together": together,
        "alone": fine_tuned(alone, [bench], plan, seed, clock, _quiet),
    }


def _blend(bench: Bench, trained: Trained, setting: str, plan: TrainPlan) -> Blend:
    stacked = network_stack(bench, setting, trained.params[bench.shop.name], plan.guide)
    return fit_blend([stacked], floor=FLOOR if setting == "discovery" else 0.0)


def _validated(
    bench: Bench, trained: Trained, blends: Mapping[tuple[str, str], Blend], plan: TrainPlan
) -> NDArray[np.float64]:
    """NDCG@10 of an arm's blend on validation: a shopper's mean over both settings."""
    total: dict[int, list[float]] = {}
    for setting in SETTINGS:
        stacked = network_stack(bench, setting, trained.params[bench.shop.name], plan.guide)
        scores = weigh(stacked, blends[trained.arm, setting].weights)
        figures = measure(scores, stacked.asked.targets).ndcg10.tolist()
        for row, value in zip(stacked.asked.rows.tolist(), figures, strict=True):
            total.setdefault(row, []).append(value)
    return np.array([np.mean(several) for _, several in sorted(total.items())], np.float64)


def _metrics(
    bench: Bench, contenders: Mapping[str, Contender], plan: TrainPlan, seed: int
) -> tuple[Metric, ...]:
    """NDCG@10 of each slate on test with its interval; none where there is no test case."""
    found = {}
    for setting, contender in contenders.items():
        asked = questions(bench.shop.test, len(bench.shop.catalogue), setting)
        if len(asked):
            measured = measure_all(
                bench.model, bench.shop, asked, {"served": contender}, plan.guide.recent_days
            )
            found["served", setting] = {bench.shop.name: [measured["served"]]}
    if not found:
        return ()
    rows = rows_of(samples_of(found, seed, DRAWS))
    return tuple(
        Metric("NDCG@10", row.setting, row.ndcg10, row.low, row.high, row.cases)
        for row in rows
        if row.shop == bench.shop.name and row.cases
    )


def _quiet(_arm: str, _number: int, _score: float | None) -> None:
    """Nobody watches."""
