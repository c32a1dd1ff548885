"""*together* under differential privacy: shoppers' clipped slopes, summed, noised, averaged.

The same protocol, driver and messages as without. What differs is what differential privacy asks
for: one clipped vector a shopper a round, no moments kept, no figure handed in, a public number of
rounds and a public divisor, and no choice on anybody's validation: the last round is the model.
What a shop does afterwards with its own rows (more training, blend, gate) stays inside the shop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.masked_job import masked_sides
from fedguide.horizontal.messages import Question
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.private_fit import guarded_fit
from fedguide.horizontal.private_packing import private_packing
from fedguide.horizontal.private_server import adapting
from fedguide.horizontal.server import ServerOptimizer, adam
from fedguide.horizontal.sides import Job, Sides, both
from fedguide.horizontal.summed import Packing, open_sum, summed
from fedguide.models.fit import common_shapes
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import (
    MOST_SEARCHES,
    PARTS,
    ShopperSlopes,
    check_others,
    knowing,
    shopper_slopes,
    trained_scales,
    trained_slices,
)
from fedguide.privacy.accounting import Price, noise_multiplier_for, price_of
from fedguide.privacy.correlated import Strategy, banded, independent
from fedguide.privacy.events import Event, Placement, Unit
from fedguide.privacy.guard import Adaptive, Guard, Noise
from fedguide.privacy.sales import released_sales, sales_event
from fedguide.runtime.couriers import Clock, Party, in_process
from fedguide.runtime.rounds import RoundReport, RoundsPlan, Run, in_memory, run_rounds
from fedguide.seeds import Entropy, Root, Roots, fresh_root, seeded_root
from fedguide.values import PartyId, ShopData, Vector

Permit: TypeAlias = Callable[[Question], None]
"""A party's own judge and ledger; see ``PartyEnv.permit``."""


@dataclass(frozen=True)
class Actors:
    """What the actors of a private task keep to themselves.

    Attributes:
        roots: each actor's own roots, by its name; ``""`` is the coordinator. Asked again for the
            same task and round they are the same.
        permits: each party's own judge and ledger, by its name; a party without one takes part
            in everything.
    """

    roots: Callable[[str], Roots]
    permits: Mapping[str, Permit] = field(default_factory=dict)


def fresh_actors(entropy: Entropy, permits: Mapping[str, Permit]) -> Actors:
    """Actors that draw every root anew, with ``os.urandom`` as ``entropy`` outside of tests."""
    known: dict[tuple[str, str, int], Root] = {}

    def roots(actor: str) -> Roots:
        def root(task: str, round_number: int) -> Root:
            key = (actor, task, round_number)
            if key not in known:
                known[key] = fresh_root(entropy)
            return known[key]

        return root

    return Actors(roots, permits)


def seeded_actors(seed: int) -> Actors:
    """Actors whose noise anybody can compute: for tests and benchmarks, NOT private."""
    return Actors(
        lambda actor: lambda task, number: seeded_root(seed, "actor", actor, task, number)
    )


@dataclass(frozen=True)
class PrivatePlan:
    """How *together* is trained under differential privacy.

    Attributes:
        noise: ``"gaussian"``, ``"laplace"``, or ``"none"`` (clipped, ε = ∞).
        epsilon: the target over all rounds, against who does not know the cohorts; ∞ for
            ``"none"``.
        delta: of a Gaussian; a Laplace has none.
        shoppers: about how many shoppers all shops have together: a public figure, of which the
            divisor is made. Wrong figures make steps shorter or longer, nothing else.
        clip: the clipping norm; the first one where it is adaptive.
        adaptive: the clipping norm follows the median of the shoppers' norms.
        placement: who adds the noise.
        absent: under distributed noise, shops whose share may be missing.
        sampling: the probability with which a shopper is in a round.
        unit: whose presence is hidden.
        rounds: how many, all of them.
        part: ``"tower"`` trains everything, ``"head"`` leaves the text projection random.
        baskets: most baskets of one shopper in one round.
        learning_rate: of the coordinator's Adam, the step of a coordinate.
        cycle: a shopper is in every so many rounds, instead of being sampled.
        bands: of noise that is correlated over the rounds; 1 is a fresh draw each round.
        masked: shops' vectors are added up under masks, so that nobody sees one.
        sales: share of ε for every shop's own sales, released once and known to every loss; 0
            leaves sales out of the loss.
        searches: most different texts a shopper searched for that its own loss reads; 0 leaves
            searches out.
        others: what the coordinates behind the text table are multiplied by before a vector is
            clipped, and divided by after the noise; below 1 the table has more of the clip.

    Raises:
        ConfigError: a field is out of its range, or two do not fit together.
    """

    noise: Noise = "gaussian"
    epsilon: float = 8.0
    delta: float = 1e-6
    shoppers: int = 1000
    clip: float = 1.0
    adaptive: bool = False
    placement: Placement = "central"
    absent: int = 0
    sampling: float = 1.0
    unit: Unit = "shopper"
    rounds: int = 20
    part: str = "tower"
    baskets: int = 4
    learning_rate: float = 0.01
    cycle: int = 1
    bands: int = 1
    masked: bool = False
    sales: float = 0.0
    searches: int = 0
    others: float = 1.0

    def __post_init__(self) -> None:
        """Checks what the guard does not."""
        if not self.epsilon > 0 or math.isinf(self.epsilon) != (self.noise == "none"):
            raise ConfigError(
                f"epsilon must be above 0, and infinite for noise none alone, got {self.epsilon} "
                f"for {self.noise}"
            )
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta must be in (0, 1), got {self.delta}")
        for name in ("shoppers", "rounds", "baskets", "cycle", "bands"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.part not in PARTS:
            raise ConfigError(f"part must be one of {sorted(PARTS)}, got {self.part!r}")
        check_others(self.others, self.part)
        if not 0 <= self.searches <= MOST_SEARCHES:
            raise ConfigError(f"searches must be in [0, {MOST_SEARCHES}], got {self.searches}")
        if not 0 <= self.sales < 1:
            raise ConfigError(f"sales must be a share of ε in [0, 1), got {self.sales}")
        if self.sales and (self.noise == "laplace" or self.unit == "shop"):
            raise ConfigError(
                "sales are released with Gaussian noise that hides a shopper, got "
                f"{self.noise} for a {self.unit}",
                hint="[dp] sales = 0",
            )

    @property
    def is_one(self) -> bool:
        """Are all rounds one mechanism, over a known schedule?"""
        return self.cycle > 1 or self.bands > 1

    @property
    def strategy(self) -> Strategy | None:
        """The public matrix of the noise; ``None`` where every round is a mechanism of its own."""
        if not self.is_one:
            return None
        if self.bands == 1:
            return independent(self.rounds)
        return banded(self.rounds, self.bands)

    @property
    def multiplier(self) -> float:
        """Noise over sensitivity that keeps all rounds within ``epsilon``."""
        if self.noise == "none":
            return 0.0
        if self.noise == "laplace":
            return self.rounds / self.epsilon  # basic composition of pure ε
        beside = self.sales_multiplier if self.sales else math.inf
        rounds = 1 if self.is_one else self.rounds
        return noise_multiplier_for(self.epsilon, self.delta, rounds, self.sampling, beside)

    @property
    def sales_multiplier(self) -> float:
        """Noise of the table of sales over the length of a shopper's row."""
        if self.noise == "none" or not self.sales:
            return 0.0
        return noise_multiplier_for(self.sales * self.epsilon, self.delta, 1)

    def before(self, task: str) -> tuple[Event, ...]:
        """What is released once, before the rounds."""
        return (sales_event(task, self.sales_multiplier),) if self.sales else ()


def guard_of(private: PrivatePlan, plan: GuidePlan, shops: int) -> Guard:
    """The guard of so many shops.

    Raises:
        ConfigError: the plan does not make a guard; see ``Guard``.
    """
    trained = trained_slices(plan, private.part)
    size = sum(part.stop - part.start for part in trained) + private.adaptive
    population = shops if private.unit == "shop" else private.shoppers
    return Guard(
        private.noise,
        private.multiplier,
        private.clip,
        size,
        max(1, round(private.sampling * population / private.cycle)),
        shops,
        private.placement,
        private.absent,
        private.sampling,
        private.unit,
        Adaptive() if private.adaptive else None,
        private.cycle,
        private.strategy,
    )


def spent(private: PrivatePlan, guard: Guard) -> Price:
    """The ε of the whole task for both adversaries."""
    delta = 0.0 if private.noise == "laplace" else private.delta
    rounds = [guard.event("task")] * guard.charges(private.rounds)
    return price_of([*private.before("task"), *rounds], delta)


def slopes_of(
    shops: Sequence[ShopData], plan: GuidePlan, private: PrivatePlan
) -> dict[str, ShopperSlopes]:
    """Every shop's slopes, padded alike, so that one compiled step serves all."""
    shapes = replace(common_shapes(shops, plan), queries=0)
    return {
        shop.name: shopper_slopes(
            shop.catalogue,
            shop.train,
            plan,
            private.part,
            baskets=private.baskets,
            searches=private.searches,
            others=private.others,
            shapes=shapes,
        )
        for shop in shops
    }


def with_sales(slopes: ShopperSlopes, multiplier: float, root: Callable[[], Root]) -> ShopperSlopes:
    """The slopes with the shop's sales in every loss, noised when the first of them is computed.

    ``root`` gives the shop's own root of the task's first round, the same however often it is
    asked: a shop that was killed goes on with the same table, which it has paid for.
    """
    return knowing(slopes, lambda: released_sales(slopes.bought, slopes.items, multiplier, root()))


def run_privately(
    slopes: Mapping[str, ShopperSlopes],
    plan: GuidePlan,
    private: PrivatePlan,
    params: Vector,
    task: str,
    actors: Actors,
    clock: Clock,
    *,
    on_round: Callable[[RoundReport], None] = lambda _report: None,
) -> Run:
    """All rounds of the task; the run's model is the last one, without the clipping norm.

    Raises:
        CutShortError: too few shops answered in a round.
        ConfigError: the plan does not make a guard.
    """
    guard = guard_of(private, plan, len(slopes))
    trained = trained_slices(plan, private.part)
    scales = trained_scales(plan, private.part, private.others)
    server: ServerOptimizer = adam(private.learning_rate)
    start = params
    if guard.adaptive is not None:
        server = adapting(server, guard)
        trained = (*trained, slice(len(params), len(params) + 1))
        scales = (*scales, 1.0)
        start = np.append(params, np.float32(math.log(private.clip)))
    own = actors.roots("noise")  # of its own: the driver's are labelled for one round each
    packing = private_packing(guard, trained, lambda number: own(task, number), scales)
    names = tuple(sorted(PartyId(name) for name in slopes))
    sides = _sides(private, packing, guard, task, names, actors)
    parties = {}
    if private.sales:
        slopes = {
            name: with_sales(one, private.sales_multiplier, _first_root(actors, name, task))
            for name, one in slopes.items()
        }
    for name, one in slopes.items():
        env = PartyEnv(
            task,
            actors.roots(name),
            sides.party(PartyId(name)),
            examples=len(one.shoppers),
            guarded=guarded_fit(one, guard, trained),
            permit=actors.permits.get(name),
        )
        parties[PartyId(name)] = Party(env, answer, PartyState)
    quorum = guard.parties - guard.absent if guard.placement == "distributed" else None
    run = run_rounds(
        fedavg(sides.coordinator, server=server, waiting=Waiting(quorum)),
        start,
        tuple(parties),
        in_process(parties, clock),
        RoundsPlan(private.rounds, None),
        durable=in_memory(task, actors.roots(""), clock, start.size),
        on_round=on_round,
    )
    return Run(run.best_params[: len(params)], run.best_round, run.history)


def _first_root(actors: Actors, name: str, task: str) -> Callable[[], Root]:
    """What gives the actor's own root of the task's first round."""
    return lambda: actors.roots(name)(task, 0)


def _sides(
    private: PrivatePlan,
    packing: Packing,
    guard: Guard,
    task: str,
    names: tuple[PartyId, ...],
    actors: Actors,
) -> Sides:
    """How the shops' vectors are added up."""
    if not private.masked:
        return both(summed(packing, open_sum()))
    # A job's vectors are two longer than its updates: a weight and a loss, which a guard has not.
    root = actors.roots("identities")(task, 0)
    return masked_sides(Job(task, names, guard.size - 2, root, max_norm=guard.clip), packing)
