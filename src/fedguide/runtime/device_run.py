"""A whole cross-device rehearsal on the synthetic market: shops warm a model up, shoppers go on.

Some small shops train the guide together; then every shopper of one large shop, which none of them
has seen, is a client that trains the adapter. Judged on the large shop's own shoppers before and
after, in discovery, on baskets no client trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fedguide.data.split import split
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.server import adam
from fedguide.models.evaluate import means, questions, some_of
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import first_params, to_network
from fedguide.models.itemknn import Neighbours
from fedguide.models.plan import GuidePlan
from fedguide.models.served import (
    Contender,
    features_of,
    measure_all,
    model_without_network,
    vectors_of,
)
from fedguide.runtime.arms import BARE, fits_of
from fedguide.runtime.couriers import Clock, Party, in_process
from fedguide.runtime.devices import devices, parties_of
from fedguide.runtime.rehearsal import Habits, VirtualClock, rehearsed
from fedguide.runtime.rounds import RoundReport, RoundsPlan, in_memory, run_rounds
from fedguide.runtime.simulator import simulated
from fedguide.seeds import Root, seeded_root, seeded_roots
from fedguide.values import PartyId, ShopData, Vector

WARM_SHOPS, WARM_SHOPPERS = 3, 300
"""The market whose other shops warm the model up."""

JUDGED_CELLS = 600_000
"""Questions times items that are judged; a large crowd needs no more to be told apart."""


@dataclass(frozen=True)
class DevicePlan:
    """What is rehearsed.

    Attributes:
        clients: shoppers of the large shop.
        cohort: clients asked in a round.
        rounds: rounds of the clients.
        warm_rounds: rounds of the shops before; 0 begins untrained.
        habits: what the clients are like.
        deadline_s: seconds of the clients' clock that a round waits.
        quorum: share of a cohort that has to answer.
        rate: the server's step (FedAdam).
        clip: longest slope of a client, in L2.
        guide: the network.
        seed: everything random follows from it.

    Raises:
        ConfigError: a number is out of its range.
    """

    clients: int
    cohort: int = 1000
    rounds: int = 20
    warm_rounds: int = 5
    habits: Habits = field(default_factory=Habits)
    deadline_s: float = 60.0
    quorum: float = 0.1
    rate: float = 1e-3
    clip: float = 1.0
    guide: GuidePlan = field(default_factory=GuidePlan)
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("clients", "cohort", "rounds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.warm_rounds < 0:
            raise ConfigError(f"warm_rounds must be at least 0, got {self.warm_rounds}")
        if not self.deadline_s > 0:
            raise ConfigError(f"deadline_s must be above 0, got {self.deadline_s}")
        if not 0 < self.quorum <= 1:
            raise ConfigError(f"quorum must be in (0, 1], got {self.quorum}")


@dataclass(frozen=True)
class DeviceRun:
    """What came of it.

    Attributes:
        clients: shoppers that had something to train on.
        history: every round; its seconds are the clients' clock's.
        before: means of the metrics of the model the clients began with, in discovery.
        after: the same of the model they ended with.
        cases: shoppers judged.
        virtual_s: seconds by the clients' clock.
        seconds: real seconds of each stage.
        adapter: numbers that cross each way for each client and round.
    """

    clients: int
    history: tuple[RoundReport, ...]
    before: dict[str, float]
    after: dict[str, float]
    cases: int
    virtual_s: float
    seconds: dict[str, float]
    adapter: int


def rehearse(
    plan: DevicePlan,
    clock: Clock,
    on_step: Callable[[str, int, int], None] = lambda _stage, _done, _most: None,
) -> DeviceRun:
    """Makes the market, warms up, and runs the clients' rounds.

    Args:
        plan: what is rehearsed.
        clock: real seconds, for the figures alone.
        on_step: told the stage, how much of it is done, and how much there is.

    Raises:
        ConfigError: the cohort is larger than the crowd.
        CutShortError: a round lost its quorum.
    """
    marks = [clock()]
    on_step("market", 0, 1)
    (shop,) = split(market(MarketPlan(1, plan.clients, seed=plan.seed)).shops)
    on_step("market", 1, 1)
    marks.append(clock())
    warm = _warmed(plan, clock, on_step)
    marks.append(clock())
    made = devices(shop, warm, plan.guide, rate=1.0, clip=plan.clip)
    aggregator, virtual = weighted_mean("uniform"), VirtualClock()
    courier = rehearsed(
        simulated(parties_of(made, aggregator, plan.seed), made.together),
        plan.habits,
        virtual,
        made.examples_of,
    )
    cohort = min(plan.cohort, len(made.names))
    waiting = Waiting(max(1, int(plan.quorum * cohort)), plan.deadline_s)
    run = run_rounds(
        fedavg(aggregator, server=adam(plan.rate), waiting=waiting),
        made.first,
        made.names,
        courier,
        RoundsPlan(plan.rounds, None, cohort),
        durable=in_memory("devices", seeded_roots(plan.seed), virtual, 2 * len(made.first) + 1),
        on_round=lambda report: on_step("clients", report.round, plan.rounds),
    )
    marks.append(clock())
    before, after, cases = _judged(shop, plan, warm, made.whole(run.best_params))
    marks.append(clock())
    stages = ("market", "warm-up", "clients", "judging")
    seconds = {stage: marks[at + 1] - marks[at] for at, stage in enumerate(stages)}
    return DeviceRun(
        len(made.names), run.history, before, after, cases, virtual(), seconds, len(made.first)
    )


def _warmed(plan: DevicePlan, clock: Clock, on_step: Callable[[str, int, int], None]) -> Vector:
    """The model that the other shops trained together, shape ``(p,)``."""
    first = first_params(plan.guide, plan.seed)
    if plan.warm_rounds == 0:
        return first
    # The first shop of any market of this seed is a smaller copy of the large one: left out.
    shops = split(market(MarketPlan(WARM_SHOPS, WARM_SHOPPERS, seed=plan.seed)).shops)[1:]
    fits, aggregator = fits_of(shops, plan.guide), weighted_mean()

    def party(shop: ShopData) -> Party:
        def roots(task: str, number: int) -> Root:
            return seeded_root(plan.seed, shop.name, task, number)

        count = len(buying_baskets(shop.train))
        env = PartyEnv("warm", roots, aggregator, count, fit=fits[shop.name])
        return Party(env, answer, PartyState)

    parties = {PartyId(shop.name): party(shop) for shop in shops}
    run = run_rounds(
        fedavg(aggregator),
        first,
        tuple(parties),
        in_process(parties, clock),
        RoundsPlan(plan.warm_rounds, None),
        durable=in_memory("warm", seeded_roots(plan.seed), clock, 2 * len(first) + 1),
        on_round=lambda report: on_step("warm-up", report.round, plan.warm_rounds),
    )
    return run.best_params


def _judged(
    shop: ShopData, plan: DevicePlan, before: Vector, after: Vector
) -> tuple[dict[str, float], dict[str, float], int]:
    """Means of the metrics in discovery of the bare network with both, and the shoppers judged."""
    n, guide = len(shop.catalogue), plan.guide
    nobody = Neighbours(np.zeros((n, 1), np.int32), np.zeros((n, 1), np.float32))
    model = model_without_network(shop, nobody, 30.0, guide)
    drawn = np.random.default_rng([plan.seed, 1])
    asked = some_of(questions(shop.test, n, "discovery"), JUDGED_CELLS, drawn)
    features = features_of(shop, guide.text)
    contenders = {}
    for name, params in (("before", before), ("after", after)):
        network = to_network(params, guide)
        contenders[name] = Contender(network, vectors_of(network, features), BARE)
    found = measure_all(model, shop, asked, contenders, guide.recent_days)
    return means(found["before"]), means(found["after"]), len(asked)
