"""From the network's model to what a shop serves: fitted, blended and gated on its own validation.

``alone_release`` is for a shop that trains by itself. ``shop_release`` follows ``compare`` with one
shop: the model that was trained together and one that the shop trains alone are both fine-tuned
and blended with its neighbours and sales, each slate by itself, and the shop's gate keeps the
better one for each slate. Every choice is made on validation; the figures of the card are of
test, which is touched once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.models.blend import FLOOR, Blend, fit_blend, keeps_slates, weigh
from fedguide.models.bootstrap import DRAWS
from fedguide.models.card import Metric, chosen_of
from fedguide.models.evaluate import SETTINGS, questions
from fedguide.models.metrics import measure
from fedguide.models.scorer import ShopModel
from fedguide.models.served import (
    SLATE_OF,
    Contender,
    as_kept,
    measure_all,
    released,
    vectors_of,
)
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
        chosen: ``together``, or ``alone`` where the gate kept that; by slate where they differ.
        rounds: rounds the first network was trained for.
        metrics: of the chosen model of each slate on test.
    """

    model: ShopModel
    chosen: str | Mapping[str, str]
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
    gains = {
        setting: values["together"][setting] - values["alone"][setting] for setting in SETTINGS
    }
    keeps = keeps_slates({shop.name: gains})
    kept = {s: "together" if keeps[s, shop.name] else "alone" for s in SETTINGS}
    return _around(bench, arms, blends, kept, plan, seed)


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
    blends = {("alone", setting): _blend(bench, trained, setting, plan) for setting in SETTINGS}
    kept = dict.fromkeys(SETTINGS, "alone")
    return _around(bench, {"alone": trained}, blends, kept, plan, seed)


def _around(
    bench: Bench,
    arms: Mapping[str, Trained],
    blends: Mapping[tuple[str, str], Blend],
    kept: Mapping[str, str],
    plan: TrainPlan,
    seed: int,
) -> ShopRelease:
    """What is served around the networks that the settings kept, measured on test."""
    models: dict[str, ShopModel] = {}
    contenders: dict[str, Contender] = {}
    for arm in set(kept.values()):
        network = network_of(bench, arms[arm], plan.guide)
        vectors = vectors_of(network, bench.features)
        weights = {setting: blends[arm, setting].weights for setting in SETTINGS}
        models[arm] = released(
            bench.model, bench.shop, network, vectors, weights, plan.guide.recent_days
        )
        contenders |= {
            setting: Contender(network, vectors, weights[setting])
            for setting in SETTINGS
            if kept[setting] == arm
        }
    first = arms["together" if "together" in kept.values() else "alone"]
    return ShopRelease(
        as_kept(models, kept),
        chosen_of({SLATE_OF[setting]: arm for setting, arm in kept.items()}),
        first.rounds[bench.shop.name],
        _metrics(bench, {setting: contenders[setting] for setting in SETTINGS}, plan, seed),
    )


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
        together = gone_on(together, [bench], plan, seed, clock, _quiet)
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
) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of an arm's blend on validation by setting; NaN where it asks the shopper nothing."""
    found = {}
    for setting in SETTINGS:
        stacked = network_stack(bench, setting, trained.params[bench.shop.name], plan.guide)
        scores = weigh(stacked, blends[trained.arm, setting].weights)
        found[setting] = np.full(len(bench.shop.validation), np.nan)
        found[setting][stacked.asked.rows] = measure(scores, stacked.asked.targets).ndcg10
    return found


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
