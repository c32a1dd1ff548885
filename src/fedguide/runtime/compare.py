"""``eval compare``: alone, together, pooled and everything without a network, side by side.

The whole of it follows EVALUATION: parameters are fitted on train, every choice (ridge, number
of rounds, fine-tuning, blend weights, gate) is made on validation, and test is touched once, at
the end, by all models alike. A choice is one for all shops, made on the sum of their validation
shoppers, except that a shop alone ends its own training.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.models.blend import FLOOR, Blend, fit_blend, keeps_slates, over_settings, weigh
from fedguide.models.bootstrap import DRAWS
from fedguide.models.evaluate import SETTINGS, evaluate, questions
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import Fit
from fedguide.models.metrics import Metrics, measure
from fedguide.models.scorer import ShopModel, SlateWeights
from fedguide.models.served import Contender, as_kept, measure_all, released, vectors_of
from fedguide.runtime.arms import (
    ARMS,
    BARE,
    Charging,
    OnRound,
    Trained,
    TrainPlan,
    fine_tuned,
    fits_of,
    network_of,
    network_stack,
    train_alone,
    train_pooled,
    train_together,
)
from fedguide.runtime.baselines import Baselines, Bench, baselines, own_baselines
from fedguide.runtime.beside import Breath, side_by_side
from fedguide.runtime.couriers import Clock
from fedguide.runtime.private_arm import each_alone, gone_on, train_privately
from fedguide.runtime.private_rounds import Actors
from fedguide.runtime.rounds import RoundReport
from fedguide.runtime.table import MEAN, Gap, Row, gap_of, rows_of, samples_of
from fedguide.values import ShopData

Validated = Mapping[str, NDArray[np.float64]]
"""Setting to NDCG@10 of each validation shopper; NaN for those whom the setting does not ask."""

MODELS = (
    "popularity",
    "history",
    "history_recent",
    "itemknn",
    "ease",
    "nonneural",
    *ARMS,
    *(f"{arm}_net" for arm in ARMS),
)
"""Every model of the table, in order; the arms with their blend, bare networks as ``*_net``."""

PAIRS = (
    ("together", "nonneural"),
    ("together", "alone"),
    ("together", "pooled"),
    ("together", "history_recent"),
    ("together", "history"),
    ("together", "ease"),
    ("together", "itemknn"),
    ("together", "popularity"),
    ("alone", "nonneural"),
    ("pooled", "nonneural"),
    ("pooled", "alone"),
    ("together_net", "alone_net"),
    ("together_net", "pooled_net"),
    ("together_net", "ease"),
)
"""Paired differences that are reported."""


@dataclass(frozen=True)
class ComparePlan:
    """What is compared.

    Attributes:
        train: how the arms are trained.
        seeds: one whole training of every arm for each.
        draws: of the bootstrap.
        workers: arms trained at a time; the table does not depend on it.

    Raises:
        ConfigError: there is no seed, or one stands twice; no worker.
    """

    train: TrainPlan = field(default_factory=TrainPlan)
    seeds: tuple[int, ...] = (0,)
    draws: int = DRAWS
    workers: int = 2

    def __post_init__(self) -> None:
        """Checks the seeds and the workers."""
        if self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds must be different and at least 1, got {self.seeds}")


@dataclass(frozen=True)
class Step:
    """One step of progress.

    Attributes:
        stage: what is being done, for example ``together`` or ``alone shop-3``.
        done: rounds (or parts) of this stage that are done.
        most: how many there can be; training may end earlier.
        seed: which seed's training; ``None`` outside of training.
        score: validation after this round (NDCG@20), where there is one.
    """

    stage: str
    done: int
    most: int
    seed: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class Outcome:
    """One seed's training.

    Attributes:
        seed: the seed.
        trained: by arm.
        blends: (arm, setting, shop) to its blend; the same in every shop, unless every shop
            chose for itself.
        kept: (arm, setting, shop): was the arm's model kept by the shop's gate, or the one alone?
        validation: arm to mean NDCG@10 of its blend on validation, both settings averaged,
            before the gate.
        seconds: wall time of ``training`` (all arms) and ``blending``.
    """

    seed: int
    trained: Mapping[str, Trained]
    blends: Mapping[tuple[str, str, str], Blend]
    kept: Mapping[tuple[str, str, str], bool]
    validation: Mapping[str, float]
    seconds: Mapping[str, float]

    @property
    def rounds(self) -> tuple[RoundReport, ...]:
        """Every federated round, with the bytes that crossed."""
        return self.trained["together"].history

    def source(self, arm: str, setting: str, shop: str) -> str:
        """The arm whose model a shop has for a setting after its gate."""
        return arm if self.kept[arm, setting, shop] else "alone"


@dataclass(frozen=True)
class Comparison:
    """Everything a comparison found.

    Attributes:
        rows: the table.
        differences: paired differences over all shoppers.
        shop_differences: *together* against *alone* in every shop.
        outcomes: the trainings, one a seed.
        baselines: what was fitted without a network.
        cold: test shoppers without any earlier basket, by shop; not in any row.
        models: the model each shop goes on to serve: *together* after its gate, first seed.
        seconds: wall time of each stage; arms are trained side by side, so theirs overlap.
    """

    rows: tuple[Row, ...]
    differences: tuple[Gap, ...]
    shop_differences: tuple[Gap, ...]
    outcomes: tuple[Outcome, ...]
    baselines: Baselines
    cold: Mapping[str, int]
    models: Mapping[str, ShopModel]
    seconds: Mapping[str, float]

    @property
    def bytes_up(self) -> int:
        """Encoded bytes that left the shops, all rounds and seeds."""
        return sum(report.bytes_up for outcome in self.outcomes for report in outcome.rounds)

    @property
    def bytes_down(self) -> int:
        """Encoded bytes that came to the shops, all rounds and seeds."""
        return sum(report.bytes_down for outcome in self.outcomes for report in outcome.rounds)


def compare(
    shops: Sequence[ShopData],
    plan: ComparePlan,
    clock: Clock,
    on_step: Callable[[Step], None] = lambda _step: None,
    actors: Actors | None = None,
    elsewhere: Mapping[str, NDArray[np.float64]] | None = None,
    charge: Charging = lambda _task, _round: None,
) -> Comparison:
    """Trains, tunes and measures everything; the same seeds give the same table.

    With ``elsewhere``, what other shops counted of a shop's items (``common_counts``), *together*
    shares these counts, too; no other model does.

    With a private plan *together* is trained under differential privacy by ``actors``, whose
    randomness is theirs, and every choice of every model is made within a shop. ``pooled`` stays
    what it is: what nobody wants. Without one, ``charge`` is told the task and round of all that
    *together* releases, before it does.

    Raises:
        ConfigError: a private plan has no actors, or counts without noise beside it.
        DataError: fewer than two shops, two of one name, a shop without purchases to learn from,
            or not one test case.
        CutShortError: more than half of the shops failed in a round.
    """
    _check(shops)
    start_s = clock()
    private = plan.train.private is not None
    if private and actors is None:
        raise ConfigError("training under differential privacy needs the actors' randomness")
    if private and elsewhere is not None:
        raise ConfigError("counts of common products carry no noise, the training does")
    most = 3 * len(shops) if private else 6 if elsewhere else 3
    parts = iter(range(1, most + 1))

    def on_part(step: str) -> None:
        on_step(Step(f"tuning {step}", next(parts), most))

    guide, first = plan.train.guide, plan.seeds[0]
    base = (own_baselines if private else baselines)(shops, guide, first, on_part)
    joined = baselines(shops, guide, first, on_part, elsewhere).benches if elsewhere else None
    benches = dict.fromkeys(ARMS, base.benches) | ({"together": joined} if joined else {})
    tuned_s = clock()
    outcomes = tuple(
        _outcome(benches, plan.train, seed, clock, on_step, plan.workers, actors, charge)
        for seed in plan.seeds
    )
    trained_s = clock()
    answers = _answers(base, benches, outcomes, plan.train)
    on_step(Step("measuring", 1, 2))
    samples = samples_of(answers, plan.seeds[0], plan.draws)
    overall = [sample for sample in samples if sample.shop == MEAN]
    differences = [
        gap_of(sample, a, b) for sample in overall for a, b in PAIRS if {a, b} <= set(sample.values)
    ]
    by_shop = [gap_of(s, "together", "alone") for s in samples if s.shop != MEAN]
    on_step(Step("measuring", 2, 2))
    seconds = {
        "tuning without a network": tuned_s - start_s,
        **{arm: sum(outcome.trained[arm].seconds for outcome in outcomes) for arm in ARMS},
        **{
            stage: sum(outcome.seconds[stage] for outcome in outcomes)
            for stage in ("training", "blending")
        },
        "measuring": clock() - trained_s,
        "total": clock() - start_s,
    }
    return Comparison(
        tuple(rows_of(samples)),
        tuple(differences),
        tuple(by_shop),
        outcomes,
        base,
        {shop.name: shop.cold for shop in shops},
        {
            shop.name: _served(_benches_of(benches, at), outcomes[0], plan.train)
            for at, shop in enumerate(shops)
        },
        seconds,
    )


def _check(shops: Sequence[ShopData]) -> None:
    if len(shops) < 2:
        raise DataError(f"a comparison needs at least 2 shops, got {len(shops)}", hint="--shops 6")
    names = [shop.name for shop in shops]
    if len(set(names)) != len(names):
        raise DataError(f"shops must have different names, got {', '.join(names)}")
    for shop in shops:
        if not len(buying_baskets(shop.train)):
            raise DataError(
                f"{shop.name} has no purchase before the first cut to learn from",
                hint="leave the shop out, or cut later",
            )
    if not any(len(shop.test) for shop in shops):
        raise DataError(
            "no shopper buys again after the second cut, so there is nothing to measure",
            hint="import a longer period",
        )


def _benches_of(benches: Mapping[str, Sequence[Bench]], at: int) -> dict[str, Bench]:
    """One shop's bench for each arm."""
    return {arm: several[at] for arm, several in benches.items()}


def _outcome(
    benches: Mapping[str, Sequence[Bench]],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_step: Callable[[Step], None],
    workers: int,
    actors: Actors | None,
    charge: Charging,
) -> Outcome:
    start_s = clock()
    trained = _trained(benches["alone"], plan, seed, clock, on_step, workers, actors, charge)
    trained_s = clock()
    blends: dict[tuple[str, str, str], Blend] = {}
    values: dict[str, dict[str, Validated]] = {}
    for number, arm in enumerate(ARMS, 1):
        for setting in SETTINGS:
            blends |= _blends(benches[arm], trained[arm], setting, plan)
        values[arm] = {b.shop.name: _validated(b, trained[arm], blends, plan) for b in benches[arm]}
        on_step(Step("blending", number, len(ARMS), seed))
    kept = {
        (arm, *place): keeps
        for arm in ARMS
        for place, keeps in _gate(values[arm], values["alone"], plan).items()
    }
    means = {}
    for arm, by_shop in values.items():
        overall = np.concatenate([over_settings(validated) for validated in by_shop.values()])
        means[arm] = float(overall.mean()) if len(overall) else float("nan")
    seconds = {"training": trained_s - start_s, "blending": clock() - trained_s}
    return Outcome(seed, trained, blends, kept, means, seconds)


def _trained(
    benches: Sequence[Bench],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_step: Callable[[Step], None],
    workers: int,
    actors: Actors | None,
    charge: Charging,
) -> dict[str, Trained]:
    """Every arm, trained and gone on with, side by side; told of one at a time."""
    fits = fits_of([bench.shop for bench in benches], plan.guide)
    telling = threading.Lock()

    def arm(name: str, breathe: Breath) -> Trained:
        def on_round(stage: str, number: int, score: float | None) -> None:
            breathe()
            with telling:
                on_step(Step(stage, number, _most(plan, stage), seed, score))

        if plan.private is not None and actors is not None:
            return _private_arm(name, benches, fits, plan, seed, actors, clock, on_round)
        if name == "pooled":
            made = train_pooled(benches, plan, seed, clock, on_round)
        elif name == "together":
            made = train_together(benches, fits, plan, seed, clock, on_round, charge=charge)
        else:
            made = train_alone(benches, fits, plan, seed, clock, on_round)
        return fine_tuned(made, benches, plan, seed, clock, on_round)

    found = side_by_side([partial(arm, name) for name in ARMS], workers)
    return {trained.arm: trained for trained in found}


def _most(plan: TrainPlan, stage: str) -> int:
    """How many rounds a stage of training can have."""
    if stage.endswith("fine-tune"):
        return plan.fine_tune_rounds
    if stage == "together" and plan.private is not None:
        return plan.private.rounds
    return plan.rounds


def _private_arm(
    name: str,
    benches: Sequence[Bench],
    fits: Mapping[str, Fit],
    plan: TrainPlan,
    seed: int,
    actors: Actors,
    clock: Clock,
    on_round: OnRound,
) -> Trained:
    """One arm where *together* is private: nothing is chosen across shops."""
    if name == "together":
        shared = train_privately(benches, plan, seed, actors, clock, on_round)
        return gone_on(shared, benches, plan, seed, clock, on_round)
    if name == "alone":
        return each_alone(benches, fits, plan, seed, clock, on_round)
    return train_pooled(benches, plan, seed, clock, on_round)


def _blends(
    benches: Sequence[Bench], trained: Trained, setting: str, plan: TrainPlan
) -> dict[tuple[str, str, str], Blend]:
    """The blend of each shop: one for all, or where training was private its own."""
    stacks = {
        bench.shop.name: network_stack(bench, setting, trained.params[bench.shop.name], plan.guide)
        for bench in benches
    }
    floor = FLOOR if setting == "discovery" else 0.0
    if plan.private is not None:
        found = {name: fit_blend([st], floor=floor) for name, st in stacks.items()}
    else:
        found = dict.fromkeys(stacks, fit_blend([*stacks.values()], floor=floor))
    return {(trained.arm, setting, name): blend for name, blend in found.items()}


def _validated(
    bench: Bench,
    trained: Trained,
    blends: Mapping[tuple[str, str, str], Blend],
    plan: TrainPlan,
) -> Validated:
    """NDCG@10 of an arm's blend on validation.

    Of every validation shopper, also where fewer were enough for the other choices: the smallest
    loss that a shop with many shoppers can tell is one that its gate should see.
    """
    found = {}
    for setting in SETTINGS:
        asked = questions(bench.shop.validation, len(bench.shop.catalogue), setting)
        weights = blends[trained.arm, setting, bench.shop.name].weights
        if len(asked) == len(bench.validation[setting].asked):
            st = network_stack(bench, setting, trained.params[bench.shop.name], plan.guide)
            metrics = measure(weigh(st, weights), asked.targets)
        else:
            network = network_of(bench, trained, plan.guide)
            one = Contender(network, vectors_of(network, bench.features), weights)
            several = measure_all(
                bench.model,
                bench.shop,
                asked,
                {trained.arm: one},
                plan.guide.recent_days,
                one_vote=plan.guide.one_vote,
            )
            metrics = several[trained.arm]
        found[setting] = np.full(len(bench.shop.validation), np.nan)
        found[setting][asked.rows] = metrics.ndcg10
    return found


def _gate(
    values: Mapping[str, Validated], alone: Mapping[str, Validated], plan: TrainPlan
) -> dict[tuple[str, str], bool]:
    """(setting, shop): does it keep the arm's model? Private training: each asks only its own."""
    gains = {
        shop: {setting: mine[setting] - alone[shop][setting] for setting in SETTINGS}
        for shop, mine in values.items()
    }
    if plan.private is None:
        return keeps_slates(gains)
    kept: dict[tuple[str, str], bool] = {}
    for shop, gain in gains.items():
        kept |= keeps_slates({shop: gain})
    return kept


def _answers(
    base: Baselines,
    benches: Mapping[str, Sequence[Bench]],
    outcomes: Sequence[Outcome],
    plan: TrainPlan,
) -> dict[tuple[str, str], dict[str, list[Metrics]]]:
    """Every model's metrics on test, in the order of ``MODELS``."""
    found: dict[tuple[str, str], dict[str, list[Metrics]]] = {}
    for setting in SETTINGS:
        for at, bench in enumerate(base.benches):
            name = bench.shop.name
            mine = _benches_of(benches, at)
            asked = questions(bench.shop.test, len(bench.shop.catalogue), setting)
            for (model, of), scorers in base.scorers.items():
                if of == setting:
                    found.setdefault((model, setting), {})[name] = [evaluate(scorers[name], asked)]
            contenders = _contenders(base, bench, setting, outcomes, plan)
            flat = {(m, i): c for m, several in contenders.items() for i, c in enumerate(several)}
            measured: dict[tuple[str, int], Metrics] = {}
            for whose in {id(one): one for one in (bench, *mine.values())}.values():
                theirs = {
                    key: contender
                    for key, contender in flat.items()
                    if mine.get(_source(key, outcomes, setting, name), bench) is whose
                }
                if theirs:
                    measured |= measure_all(
                        whose.model,
                        whose.shop,
                        asked,
                        theirs,
                        plan.guide.recent_days,
                        one_vote=plan.guide.one_vote,
                    )
            for model, several in contenders.items():
                metrics = [measured[model, i] for i in range(len(several))]
                found.setdefault((model, setting), {})[name] = metrics
    return {
        (model, setting): found[model, setting]
        for setting in SETTINGS
        for model in MODELS
        if (model, setting) in found
    }


def _source(key: tuple[str, int], outcomes: Sequence[Outcome], setting: str, shop: str) -> str:
    """The arm whose bench a contender is measured on; a bare network's does not matter."""
    model, number = key
    return outcomes[number].source(model, setting, shop) if model in ARMS else model


def _contenders(
    base: Baselines, bench: Bench, setting: str, outcomes: Sequence[Outcome], plan: TrainPlan
) -> dict[str, list[Contender]]:
    """The models of one shop that are weights over components, one for each seed."""
    silent = (bench.model.network, bench.model.item_vectors)
    contenders = {
        model: [Contender(*silent, base.weights(model, setting, bench.shop.name))]
        for model in ("nonneural", "history_recent")
    }
    for outcome in outcomes:
        for arm in ARMS:
            source = outcome.source(arm, setting, bench.shop.name)
            blended = outcome.blends[source, setting, bench.shop.name].weights
            contenders.setdefault(arm, []).append(_contender(bench, outcome, source, blended, plan))
            contenders.setdefault(f"{arm}_net", []).append(
                _contender(bench, outcome, arm, BARE, plan)
            )
    return contenders


def _contender(
    bench: Bench, outcome: Outcome, arm: str, weights: SlateWeights, plan: TrainPlan
) -> Contender:
    network = network_of(bench, outcome.trained[arm], plan.guide)
    return Contender(network, vectors_of(network, bench.features), weights)


def _served(benches: Mapping[str, Bench], outcome: Outcome, plan: TrainPlan) -> ShopModel:
    name = benches["together"].shop.name
    kept = {setting: outcome.source("together", setting, name) for setting in SETTINGS}
    models = {
        source: _released(benches[source], outcome, source, plan) for source in set(kept.values())
    }
    return as_kept(models, kept)


def _released(bench: Bench, outcome: Outcome, source: str, plan: TrainPlan) -> ShopModel:
    network = network_of(bench, outcome.trained[source], plan.guide)
    return released(
        bench.model,
        bench.shop,
        network,
        vectors_of(network, bench.features),
        {setting: outcome.blends[source, setting, bench.shop.name].weights for setting in SETTINGS},
        plan.guide.recent_days,
        one_vote=plan.guide.one_vote,
    )
