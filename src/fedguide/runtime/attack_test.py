"""``privacy attack-test``: three attacks on a run, side by side with what it claims.

The canaries go through the guard of the run at its own model. Members are asked for in a training
of the run's plan on half of its shoppers, by an attacker who trains shadow models of the same plan.
Items are read off the vectors of single shoppers in the run's last round, at the model it ends
with. All of it at the model's real size, and all of it with the code that trained it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.sides import both
from fedguide.models.fit import first_params
from fedguide.models.shoppers import trained_slices
from fedguide.runtime.arms import TrainPlan, algorithm_of, fits_of, parties_of, trainings_of
from fedguide.runtime.attack_canary import Leak, canary_leak
from fedguide.runtime.attack_inversion import Inversion, inversion
from fedguide.runtime.attack_membership import Membership, Trial, halved, membership
from fedguide.runtime.couriers import Clock, in_process
from fedguide.runtime.private_rounds import (
    Actors,
    PrivatePlan,
    guard_of,
    run_privately,
    slopes_of,
    with_sales,
)
from fedguide.runtime.rounds import RoundsPlan, in_memory, run_rounds
from fedguide.seeds import derive, seeded_root, seeded_roots
from fedguide.values import ShopData, Vector

AUC_WITHOUT = 0.6
"""Without noise the attack must do better than this, or it finds nothing where there is much."""

AUC_WITH = 0.55
"""At ε of at most 8 it may not do better."""

F1_WITHOUT = 0.8
"""Without noise so much of a shopper's items must be found."""

BOUND_EPSILON = 8.0
"""Up to this ε ``AUC_WITH`` is held."""


@dataclass(frozen=True)
class Attacked:
    """What the attacks found on one run.

    Attributes:
        epsilon: what the whole run claims; ∞ without noise.
        leak: of the canaries; ``None`` without noise, where nothing is claimed.
        membership: of membership inference on a twin of the run.
        inversion: of single shoppers' vectors; ``None`` where the table was not trained.
    """

    epsilon: float
    leak: Leak | None
    membership: Membership
    inversion: Inversion | None

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the run, or, without noise, against the attacks themselves.

        An area is held against its bound with four times its error (a false alarm in 30,000 runs):
        with few shoppers it says little.
        """
        found = list(self.leak.flags) if self.leak is not None else []
        area, error = self.membership.auc, 4 * self.membership.error
        if math.isinf(self.epsilon):
            if area + error <= AUC_WITHOUT:
                found.append(f"membership AUC {area:.3f} without noise, > {AUC_WITHOUT} wanted")
            if self.inversion is not None and self.inversion.f1 < F1_WITHOUT:
                found.append(f"inversion F1 {self.inversion.f1:.3f}, >= {F1_WITHOUT} wanted")
        elif self.epsilon <= BOUND_EPSILON and area - error > AUC_WITH:
            found.append(f"membership AUC {area:.3f} > {AUC_WITH} at ε {self.epsilon:.3g}")
        return tuple(found)


def attack_test(
    shops: Sequence[ShopData],
    plan: TrainPlan,
    shared: Vector,
    claimed: float,
    actors: Actors,
    clock: Clock,
    *,
    rounds: int,
    run_seed: int = 0,
    seed: int = 0,
    canaries: int = 200,
    shadows: int = 2,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Attacked:
    """Attacks a finished run.

    Args:
        shops: as the run had them.
        plan: the run's.
        shared: the model the run's shops shared in the end.
        claimed: the ε the run claims for all its rounds.
        actors: randomness of the rounds that are run for the attacks; nothing is released.
        clock: seconds.
        rounds: that the run took; its twin takes as many.
        run_seed: that of the run's first parameters.
        seed: of canaries and halves.
        canaries: see ``canary_leak``.
        shadows: models that the membership attack trains beside the twin.
        on_step: told each attack when it begins.

    Raises:
        ConfigError: there are too few canaries or shadows.
    """
    leak = None
    private = plan.private
    if private is not None and private.noise != "none":
        on_step("canaries")
        leak = _leak(shops, plan, private, shared, actors, seed, canaries)
    on_step("membership")
    start = first_params(plan.guide, run_seed)
    trials = [
        trial(shops, plan, start, actors, clock, rounds, seed, number)
        for number in range(shadows + 1)
    ]
    members = membership(trials[0], trials[1:], plan.guide)
    found = None
    if private is None or private.part == "tower":
        on_step("inversion")
        found = inverted(shops, plan, shared, actors)
    return Attacked(math.inf if leak is None else claimed, leak, members, found)


def inverted(
    shops: Sequence[ShopData], plan: TrainPlan, shared: Vector, actors: Actors
) -> Inversion:
    """Single shoppers' vectors as the run makes them and lets them out, attacked.

    They are of the shop with the smallest catalogue: the attack solves a system as large as it.
    """
    smallest = min(shops, key=lambda shop: len(shop.catalogue))
    private = plan.private
    if private is None:
        return inversion(smallest, plan.guide, shared)
    root = actors.roots("inversion")("audit", 0)
    slopes = slopes_of([smallest], plan.guide, private)[smallest.name]
    if private.sales:
        slopes = with_sales(slopes, private.sales_multiplier, lambda: root)
    return inversion(
        smallest,
        plan.guide,
        shared,
        guard=guard_of(private, plan.guide, len(shops)),
        root=root,
        baskets=private.baskets,
        slopes=slopes,
        others=private.others,
    )


def trial(
    shops: Sequence[ShopData],
    plan: TrainPlan,
    start: Vector,
    actors: Actors,
    clock: Clock,
    rounds: int,
    seed: int,
    number: int,
) -> Trial:
    """One training of a membership attack: number 0 is attacked, the others are its shadows."""
    own = int.from_bytes(derive(seeded_root(seed), "trial", number, size=4), "big") >> 1
    halves = halved(shops, own)
    whole = [half.half for half in halves]
    task = f"twin-{number}"  # of its own: no two trainings share a draw
    return Trial(halves, twin(whole, plan, start, actors, clock, rounds, own, task))


def _leak(
    shops: Sequence[ShopData],
    plan: TrainPlan,
    private: PrivatePlan,
    shared: Vector,
    actors: Actors,
    seed: int,
    canaries: int,
) -> Leak:
    """The canaries through the run's own guard; a fixed clip, as the run began with.

    Of correlated noise one round is attacked, with the first round's noise; how rounds hang
    together is not.
    """
    guard = guard_of(replace(private, adaptive=False), plan.guide, len(shops))
    if guard.strategy is not None:
        multiplier = guard.scale / guard.units
        guard = replace(guard, strategy=None, cycle=1, multiplier=multiplier)
    return canary_leak(
        slopes_of(shops, plan.guide, private),
        guard,
        trained_slices(plan.guide, private.part),
        shared,
        actors,
        delta=private.delta,
        canaries=canaries,
        seed=seed,
    )


def twin(
    halves: Sequence[ShopData],
    plan: TrainPlan,
    start: Vector,
    actors: Actors,
    clock: Clock,
    rounds: int,
    seed: int,
    task: str,
) -> Vector:
    """A training of the same plan and length on half of the shoppers."""
    if plan.private is not None:
        # The multiplier has to be the run's, which its own number of rounds gives.
        private = replace(plan.private, shoppers=max(1, plan.private.shoppers // 2))
        slopes = slopes_of(halves, plan.guide, private)
        return run_privately(slopes, plan.guide, private, start, task, actors, clock).best_params
    trainings = trainings_of(halves, fits_of(halves, plan.guide), plan, start)
    parties = parties_of(halves, trainings, both(weighted_mean()), task, seed)
    run = run_rounds(
        algorithm_of(plan, weighted_mean()),
        start,
        tuple(parties),
        in_process(parties, clock),
        RoundsPlan(rounds, None),
        durable=in_memory(task, seeded_roots(seed), clock, 2 * start.size + 1),
    )
    return run.best_params
