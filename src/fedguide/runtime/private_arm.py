"""*together* under differential privacy, and what every shop makes of it within its own walls.

Across shops nothing is chosen: a choice on the sum of all shops' validation is a release, and
this one would not be paid for. So every shop goes on training by itself from the shared model,
gently, for as long as its own validation gains, and fits its own blend and its own gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fedguide.errors import ConfigError
from fedguide.models.fit import Fit, first_params, train_rounds
from fedguide.runtime.arms import (
    OnRound,
    Trained,
    TrainPlan,
    can_judge,
    fits_of,
    judge_of,
    lengthened,
    round_seeds,
    train_alone,
)
from fedguide.runtime.baselines import Bench
from fedguide.runtime.couriers import Clock
from fedguide.runtime.private_rounds import Actors, run_privately, slopes_of


def train_privately(
    benches: Sequence[Bench],
    plan: TrainPlan,
    seed: int,
    actors: Actors,
    clock: Clock,
    on_round: OnRound,
) -> Trained:
    """The shared rounds; every shop ends with the model of the last one.

    Raises:
        ConfigError: the plan is not private.
        CutShortError: more than half of the shops failed in a round, or refused.
    """
    private = plan.private
    if private is None:
        raise ConfigError("a plan without noise is trained by train_together")
    start_s = clock()
    shops = [bench.shop for bench in benches]
    run = run_privately(
        slopes_of(shops, plan.guide, private),
        plan.guide,
        private,
        first_params(plan.guide, seed),
        f"together-{seed}",
        actors,
        clock,
        on_round=lambda report: on_round("together", report.round, None),
    )
    names = [shop.name for shop in shops]
    return Trained(
        "together",
        dict.fromkeys(names, run.best_params),
        dict.fromkeys(names, run.best_round),
        0,
        clock() - start_s,
        run.history,
        run.best_params,
    )


def gone_on(
    trained: Trained,
    benches: Sequence[Bench],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_round: OnRound,
) -> Trained:
    """Every shop trains on by itself from the shared model, at ``plan.fine_tune_rate``.

    A shop keeps the shared model as it is if no round of its own is better on its validation, or
    if it has no validation. The rate of a training from the start gained less.
    """
    start_s = clock()
    fits = fits_of([bench.shop for bench in benches], plan.gentle)
    params = dict(trained.params)
    most = 0
    for bench in benches:
        name = bench.shop.name
        if not can_judge([bench]):
            continue
        own = train_rounds(
            lengthened(fits[name], bench.shop, plan.guide),
            params[name],
            judge_of([bench], plan.guide),
            round_seeds(seed, trained.arm, "on", name),
            rounds=plan.rounds,
            patience=plan.patience,
            start_counts=True,
            on_round=lambda n, score, at=f"on {name}": on_round(at, n, score),  # type: ignore[misc]  # a default binds the loop's name
        )
        params[name], most = own.params, max(most, own.round)
    return replace(
        trained, params=params, fine_tuned=most, seconds=trained.seconds + clock() - start_s
    )


def each_alone(
    benches: Sequence[Bench],
    fits: Mapping[str, Fit],
    plan: TrainPlan,
    seed: int,
    clock: Clock,
    on_round: OnRound,
) -> Trained:
    """Every shop by itself, without even the number of rounds of the others."""
    parts = [train_alone([bench], fits, plan, seed, clock, on_round) for bench in benches]
    return Trained(
        "alone",
        {name: params for part in parts for name, params in part.params.items()},
        {name: rounds for part in parts for name, rounds in part.rounds.items()},
        0,
        sum(part.seconds for part in parts),
    )
