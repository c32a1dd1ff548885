"""The job of ``shops.py`` without Flower: the shops, and federated averaging over any courier.

Each shop has rows of a least-squares problem drawn from its own name, so that the result can be
checked; a real shop puts its own fit there (``horizontal/fitting.py``), and its own identity key.
"""

from dataclasses import dataclass

import numpy as np

from fedguide.codec import Limits
from fedguide.horizontal.names import AGGREGATORS, ALGORITHMS
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.sides import Job
from fedguide.protocol import run
from fedguide.runtime.couriers import Party
from fedguide.seeds import seeded_root, stream
from fedguide.values import PartyId

SIZE = 4
SHOPS = {PartyId("shop-a"): 30, PartyId("shop-b"): 12, PartyId("shop-c"): 55}
LIMITS = Limits(100_000, {"p": SIZE})


def job_of(task):
    """What the aggregator is built for. A root that all know is for examples alone."""
    return Job(task, tuple(SHOPS), SIZE, seeded_root(4))


@dataclass(frozen=True)
class Fitted:
    """What a shop's own training gives back."""

    params: np.ndarray
    optimizer_state: np.ndarray
    examples: int
    loss: float


def shop(name, task, aggregator):
    """One shop: least squares by SGD over its own rows."""
    draws = stream(seeded_root(2), "data", name)
    x = draws.normal(size=(SHOPS[name], SIZE)).astype(np.float32)
    y = x @ np.ones(SIZE, np.float32) + draws.normal(size=SHOPS[name]).astype(np.float32)

    def fit(params, _moments, seed):
        loss = float(np.mean((x @ params - y) ** 2))
        for row in np.random.default_rng(seed).permutation(len(x)):
            params = params - np.float32(0.01) * x[row] * (x[row] @ params - y[row])
        return Fitted(params, np.zeros(0, np.float32), len(x), loss)

    def roots(task_, number):
        return seeded_root(3, name, task_, number)

    return Party(PartyEnv(task, roots, aggregator, len(x), fit), answer, PartyState)


def train(courier, task, rounds, aggregator):
    """Federated averaging over a courier: any courier."""
    sides = AGGREGATORS[aggregator](job_of(task))
    algorithm = ALGORITHMS["fedavg"](sides.coordinator)
    state = algorithm.init(np.zeros(SIZE, np.float32))
    drawn = seeded_root(0)

    def all_rounds():
        now = state
        for _ in range(rounds):
            now = yield from algorithm.next_round(now, list(SHOPS), drawn)
        return now

    return run(all_rounds(), courier)
