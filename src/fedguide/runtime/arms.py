"""The three ways to train that are compared: alone, together, pooled.

All start from the same parameters, take the same local fit, are judged after every round on the
same validation questions, stop by the same patience, and are fine-tuned alike. *together* is the
real thing: the horizontal algorithm through the durable driver, every message counted in bytes.
*alone* takes at least ``LEAST_STEPS`` steps between two looks at validation, so that a shop
with two batches an epoch is not stopped before it has begun. *pooled* holds every shop's rows,
which is what nobody wants; it is there to show what federation costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.horizontal.choice import Around, read_choice
from fedguide.horizontal.compatible import check_together
from fedguide.horizontal.compression import Compression, read_compression
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.names import AGGREGATORS
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.sides import Job, Sides
from fedguide.models.blend import DEPTH, Stack, weigh
from fedguide.models.encoders import Network
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import (
    Fit,
    Fitted,
    common_shapes,
    first_params,
    make_fit,
    make_pooled_fit,
    to_network,
    train_rounds,
)
from fedguide.models.metrics import ndcg_at
from fedguide.models.plan import GuidePlan
from fedguide.models.scorer import SlateWeights
from fedguide.models.served import vectors_of, with_network
from fedguide.protocol import State
from fedguide.runtime.baselines import Bench
from fedguide.runtime.charged import charged
from fedguide.runtime.couriers import Clock, Party, in_process
from fedguide.runtime.private_rounds import PrivatePlan
from fedguide.runtime.rounds import RoundReport, RoundsPlan, in_memory, run_rounds
from fedguide.runtime.shop_training import Training, crossing, own_model, training_of
from fedguide.seeds import Root, derive, seeded_root, seeded_roots
from fedguide.values import PartyId, ShopData, Vector

ARMS = ("alone", "together", "pooled")
"""The ways to train, in the order in which tables show them."""

LEAST_STEPS = 16
"""Fewest optimiser steps of a shop alone between two looks at its validation."""

BARE = SlateWeights(network=1.0)
"""The weights of the network by itself."""


@dataclass(frozen=True)
class TrainPlan:
    """How every arm is trained.

    Attributes:
        guide: the network and its local fit.
        rounds: most rounds (alone and pooled: epochs).
        patience: rounds without a better validation before the end.
        server_momentum: of the federated coordinator; 0 is plain averaging.
        keep_moments: parties keep their optimiser's moments from round to round.
        fine_tune_rounds: most local epochs after training, at ``fine_tune_rate``; the number
            that is best on the sum of all shops' validation is taken, 0 included.
        fine_tune_rate: AdamW's learning rate while fine-tuning, and of a shop that goes on by
            itself after private rounds.
        private: *together* is trained under differential privacy, and every choice is made
            within a shop; ``None`` without.
        aggregator: name of what makes the mean of the shops' updates.
        max_norm: longest update, in L2, where the aggregator bounds updates.
        algorithm: of *together*, ``NAME`` or ``NAME:NUMBER`` (``choice.OFFERS``).
        compress: how *together* sends less (``compression.COMPRESSIONS``).

    Raises:
        ConfigError: a number is out of range.
    """

    guide: GuidePlan = field(default_factory=GuidePlan)
    rounds: int = 60
    patience: int = 12
    server_momentum: float = 0.0
    keep_moments: bool = False
    fine_tune_rounds: int = 3
    fine_tune_rate: float = 3e-4
    private: PrivatePlan | None = None
    aggregator: str = "weighted_mean"
    max_norm: float = 100.0
    algorithm: str = "fedavg"
    compress: str = "none"

    @property
    def gentle(self) -> GuidePlan:
        """The network and its local fit at ``fine_tune_rate``."""
        return replace(self.guide, learning_rate=self.fine_tune_rate)

    def __post_init__(self) -> None:
        """Checks the ranges that no other plan checks."""
        for name in ("rounds", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.fine_tune_rounds < 0:
            raise ConfigError(f"fine_tune_rounds must be at least 0, got {self.fine_tune_rounds}")
        if not self.fine_tune_rate > 0:
            raise ConfigError(f"fine_tune_rate must be above 0, got {self.fine_tune_rate}")
        if self.aggregator not in AGGREGATORS:
            raise ConfigError(
                f"aggregator must be one of {', '.join(AGGREGATORS)}, got {self.aggregator!r}",
                hint="fedguide explain",
            )
        names = read_choice(self.algorithm).name, read_compression(self.compress).name
        check_together(*names, self.aggregator)
        if self.private is not None and names != ("fedavg", "none"):
            raise ConfigError(
                "differential privacy has a coordinator and a grid of its own, got "
                f"{self.algorithm} with {self.compress}",
                hint="--algorithm fedavg --compress none",
            )


@dataclass(frozen=True)
class Trained:
    """What an arm gives.

    Attributes:
        arm: one of ``ARMS``.
        params: the parameters each shop ends with, by shop.
        rounds: the best round, by shop.
        fine_tuned: local epochs of fine-tuning that were kept.
        seconds: for training, judging included.
        history: every round of *together*; empty for the others.
        shared: the model the shops shared before each went on by itself; ``None`` for the others.
    """

    arm: str
    params: Mapping[str, Vector]
    rounds: Mapping[str, int]
    fine_tuned: int
    seconds: float
    history: tuple[RoundReport, ...] = ()
    shared: Vector | None = None


Charging = Callable[[str, int], None]
"""Told a task and its round before anybody is asked; raises where it may not run."""

OnRound = Callable[[str, int, float | None], None]
"""Told the arm (or arm and shop), the round just done and its validation score, if it has one."""


def network_stack(bench: Bench, setting: str, params: Vector, plan: GuidePlan) -> Stack:
    """A shop's validation questions with the components of the network of these parameters."""
    network = to_network(params, plan)
    return with_network(bench.validation[setting], network, vectors_of(network, bench.features))


def validation_values(bench: Bench, params: Vector, plan: GuidePlan) -> NDArray[np.float64]:
    """NDCG@20 of the bare network for each of a shop's discovery questions on validation.

    A shop without any discovery question is judged on all items instead; empty if it has no
    validation case at all.
    """
    setting = "discovery" if len(bench.validation["discovery"].asked) else "all"
    st = network_stack(bench, setting, params, plan)
    return ndcg_at(weigh(st, BARE), st.asked.targets, DEPTH)


def judge_of(benches: Sequence[Bench], plan: GuidePlan) -> Callable[[Vector], float]:
    """Mean over the validation shoppers of these shops; only a sum and a count leave a shop."""

    def judge(params: Vector) -> float:
        values = [validation_values(bench, params, plan) for bench in benches]
        count = sum(map(len, values))
        return float(sum(v.sum() for v in values)) / count if count else 0.0

    return judge


def can_judge(benches: Sequence[Bench]) -> bool:
    """Is there any validation question?"""
    return any(len(bench.validation["all"].asked) for bench in benches)


def fits_of(shops: Sequence[ShopData], plan: GuidePlan) -> dict[str, Fit]:
    """Every shop's own fit, padded alike, so that one compiled step serves all."""
    shapes = common_shapes(shops, plan)
    return {shop.name: make_fit(shop.catalogue, shop.train, plan, shapes) for shop in shops}


def even_work(fit: Fit, shop: ShopData, plan: GuidePlan) -> Fit:
    """The shop's fit, repeated until it has taken about ``plan.steps`` steps, as larger shops do.

    A rule that compares updates takes a shop that trains ten times as long for an outlier.
    """
    steps = min(-(-len(buying_baskets(shop.train)) // plan.batch), plan.steps)
    return _repeated(fit, max(round(plan.steps / max(steps, 1)), 1))


def train_together(
    benches: Sequence[Bench],
    fits: Mapping[str, Fit],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_round: OnRound,
    seen: Callable[[Vector], None] = lambda _shared: None,
    charge: Charging = lambda _task, _round: None,
) -> Trained:
    """Training together over the real protocol, in one process.

    ``seen`` is shown the shared model of every round that is judged; ``charge`` is told the task
    and each round before anybody is asked.

    Raises:
        CutShortError: more than half of the shops failed in a round.
        ConfigError: there are too few shops for the aggregator.
    """
    task = f"together-{seed}"
    start_s = clock()
    whole, offer = first_params(plan.guide, seed), read_choice(plan.algorithm).offer
    params = crossing(plan.guide, offer, whole)
    shops = [bench.shop for bench in benches]
    trainings = trainings_of(shops, fits, plan, whole)
    compression = read_compression(plan.compress)
    names = tuple(sorted(PartyId(shop.name) for shop in shops))
    job = Job(
        task,
        names,
        compression.size(offer.size(params.size)),
        seeded_root(seed, "identities"),
        figures=offer.figures,
        max_norm=plan.max_norm,
    )
    sides = AGGREGATORS[plan.aggregator](job).through(compression.up)
    parties = {
        name: squeezed(party, compression)
        for name, party in parties_of(shops, trainings, sides, task, seed).items()
    }
    states: dict[PartyId, State] = {}

    def models(shared: Vector) -> dict[str, Vector]:
        return {
            name: own_model(states.get(PartyId(name)), shared, training.personal)
            for name, training in trainings.items()
        }

    best: dict[str, Vector] = {}
    best_score = -np.inf

    def judge(shared: Vector) -> float:
        # What a party keeps is of the round just done: the best is written down while it is there.
        nonlocal best, best_score
        seen(shared)
        mine = models(shared)
        score = _score(benches, mine, plan.guide)
        if score > best_score:
            best, best_score = mine, score
        return score

    judges = can_judge(benches)
    run = run_rounds(
        charged(
            compression.down(algorithm_of(plan, sides.coordinator)),
            lambda number: charge(task, number),
        ),
        params,
        tuple(parties),
        in_process(parties, clock, states),
        RoundsPlan(plan.rounds, plan.patience),
        durable=in_memory(task, seeded_roots(seed), clock, 2 * params.size + 1),
        judge=judge if judges else None,
        on_round=lambda report: on_round("together", report.round, report.score),
    )
    return Trained(
        "together",
        best if judges else models(run.best_params),
        dict.fromkeys([shop.name for shop in shops], run.best_round),
        0,
        clock() - start_s,
        run.history,
        run.best_params if params.size == whole.size else None,
    )


def squeezed(party: Party, compression: Compression) -> Party:
    """The party, for a model that comes as differences."""
    half, initial = compression.party(party.answer, party.initial)
    return replace(party, answer=half, initial=initial)


def trainings_of(
    shops: Sequence[ShopData], fits: Mapping[str, Fit], plan: TrainPlan, first: Vector
) -> dict[str, Training]:
    """What every shop trains with in the plan's algorithm, compiled once for all."""
    offer, shapes = read_choice(plan.algorithm).offer, common_shapes(shops, plan.guide)
    return {
        shop.name: training_of(shop, plan.guide, offer, first, shapes, fits[shop.name])
        for shop in shops
    }


def parties_of(
    shops: Sequence[ShopData],
    trainings: Mapping[str, Training],
    sides: Sides,
    task: str,
    seed: int,
) -> dict[PartyId, Party]:
    """Every shop as a party of a simulation."""
    return {
        PartyId(shop.name): Party(
            PartyEnv(
                task,
                _roots_of(seed, shop.name),
                sides.party(PartyId(shop.name)),
                examples=len(buying_baskets(shop.train)),
                fit=trainings[shop.name].fit,
                gradient=trainings[shop.name].gradient,
                steered=trainings[shop.name].steered,
                personal=trainings[shop.name].personal,
            ),
            answer,
            PartyState,
        )
        for shop in shops
    }


def algorithm_of(plan: TrainPlan, aggregator: Aggregator) -> Algorithm[ServerState]:
    """The algorithm of *together*."""
    around = Around(aggregator, plan.keep_moments, plan.server_momentum, plan.guide.learning_rate)
    return read_choice(plan.algorithm).build(around)


def train_alone(
    benches: Sequence[Bench],
    fits: Mapping[str, Fit],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_round: OnRound,
) -> Trained:
    """Every shop by itself. A shop without validation takes the others' median of rounds."""
    start_s = clock()
    params: dict[str, Vector] = {}
    rounds: dict[str, int] = {}
    for bench in sorted(benches, key=lambda b: not can_judge([b])):
        name = bench.shop.name
        judged = can_judge([bench])
        most = plan.rounds if judged or not rounds else round(float(np.median([*rounds.values()])))
        trained = train_rounds(
            lengthened(fits[name], bench.shop, plan.guide),
            first_params(plan.guide, seed),
            judge_of([bench], plan.guide) if judged else _latest(),
            round_seeds(seed, "alone", name),
            rounds=most,
            patience=plan.patience,
            on_round=lambda n, score, at=f"alone {name}": on_round(at, n, score),  # type: ignore[misc]  # a default binds the loop's name
        )
        params[name], rounds[name] = trained.params, trained.round
    return Trained("alone", params, rounds, 0, clock() - start_s)


def train_pooled(
    benches: Sequence[Bench], plan: TrainPlan, seed: int, clock: Clock, on_round: OnRound
) -> Trained:
    """One party with the rows of all shops."""
    start_s = clock()
    trained = train_rounds(
        make_pooled_fit([bench.shop for bench in benches], plan.guide),
        first_params(plan.guide, seed),
        judge_of(benches, plan.guide) if can_judge(benches) else _latest(),
        round_seeds(seed, "pooled"),
        rounds=plan.rounds,
        patience=plan.patience,
        on_round=lambda number, score: on_round("pooled", number, score),
    )
    names = [bench.shop.name for bench in benches]
    return Trained(
        "pooled",
        dict.fromkeys(names, trained.params),
        dict.fromkeys(names, trained.round),
        0,
        clock() - start_s,
    )


def fine_tuned(
    trained: Trained,
    benches: Sequence[Bench],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_round: OnRound,
) -> Trained:
    """Some more epochs of every shop by itself, gently, from what the arm gave it.

    How many is one choice for all shops, on the sum of their validation: twenty shoppers of one
    shop cannot make it.
    """
    if not plan.fine_tune_rounds or not can_judge(benches):
        return trained
    start_s = clock()
    fits = fits_of([bench.shop for bench in benches], plan.gentle)
    params = dict(trained.params)
    moments: dict[str, Vector | None] = dict.fromkeys(params)
    best, kept = params, 0
    best_score = _score(benches, params, plan.guide)
    for number in range(1, plan.fine_tune_rounds + 1):
        fitted = {
            name: fits[name](
                params[name], moments[name], round_seeds(seed, trained.arm, name)(-number)
            )
            for name in params
        }
        params = {name: one.params for name, one in fitted.items()}
        moments = {name: one.optimizer_state for name, one in fitted.items()}
        score = _score(benches, params, plan.guide)
        on_round(f"{trained.arm} fine-tune", number, score)
        if score > best_score:
            best, best_score, kept = params, score, number
    return replace(
        trained, params=best, fine_tuned=kept, seconds=trained.seconds + clock() - start_s
    )


def network_of(bench: Bench, trained: Trained, plan: GuidePlan) -> Network:
    """The network a shop ends with."""
    return to_network(trained.params[bench.shop.name], plan)


def _score(benches: Sequence[Bench], params: Mapping[str, Vector], plan: GuidePlan) -> float:
    values = [validation_values(bench, params[bench.shop.name], plan) for bench in benches]
    return float(np.concatenate(values).mean())


def lengthened(fit: Fit, shop: ShopData, plan: GuidePlan) -> Fit:
    """The fit, repeated until it has taken ``LEAST_STEPS`` steps."""
    steps = -(-len(buying_baskets(shop.train)) // plan.batch)
    return _repeated(fit, -(-LEAST_STEPS // max(steps, 1)))


def _repeated(fit: Fit, passes: int) -> Fit:
    """The fit so many times over, going on with its own moments."""

    def run(params: Vector, optimizer_state: Vector | None, seed: int) -> Fitted:
        fitted = fit(params, optimizer_state, seed)
        for more in range(1, passes):
            fitted = fit(fitted.params, fitted.optimizer_state, (seed + more) % (1 << 31))
        return fitted

    return run


def _latest() -> Callable[[Vector], float]:
    """A judge for who has no validation: the latest round is the best."""
    count = itertools.count(1)
    return lambda _params: float(next(count))


def _roots_of(seed: int, name: str) -> Callable[[str, int], Root]:
    return lambda task, number: seeded_root(seed, name, task, number)


def round_seeds(seed: int, *labels: str) -> Callable[[int], int]:
    """The seed of each round's fit; independent for every label."""
    root = seeded_root(seed, *labels)
    return lambda number: int.from_bytes(derive(root, number, size=4), "big") >> 1
