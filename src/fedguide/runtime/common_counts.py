"""What shoppers of several shops have bought together, counted over products that shops share.

Shops that have matched their catalogues (``matching``) know which of their own items others sell.
Each counts, for every two common products, how many of its shoppers had both (X'X, the only thing
EASE needs of the data); one round of federated averaging with the house's aggregator adds these
tables up, under masks if the aggregator masks; and each shop takes its own counts off. What is left
is the other shops' evidence about its own items.

Threat model: semi-honest shops and coordinator. Under ``masked_sum`` the coordinator sees the sum
alone. A shop learns, of two products, in how many shoppers of *all other* shops they met. Pairs
that fewer than ``least`` shops sell are not counted, because between two shops the rest of the sum
is the other's own table. The counts carry no noise: this is not differential privacy, and a count
of one says that there is somebody. So it is off unless it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, OversizedError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fitting import Fit
from fedguide.horizontal.names import AGGREGATORS
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.sides import Job
from fedguide.models.ease import gram
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import Root, Roots, seeded_root
from fedguide.values import PartyId, ShopData, Vector

LEAST = 3
"""Fewest shops that sell both products of a pair: with two, each would see the other's table."""

LONGEST = float(1 << 20)
"""The longest table in L2, agreed beforehand: it sets the grid of a masked sum."""

Rows = NDArray[np.int64]
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class _Summed:
    """What a local fit gives (``fitting.Fitted``): the shop's table, as a change of nothing."""

    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float


def common_counts(
    shops: Sequence[ShopData],
    tables: Mapping[str, Rows],
    seed: int,
    *,
    aggregator: str = "masked_sum",
    least: int = LEAST,
) -> dict[str, Counts]:
    """By shop, how often its items met in the other shops' shoppers, shape ``(n, n)``.

    Args:
        shops: their train rows are counted, no others.
        tables: by shop, the product of each of its items, -1 for none, shape ``(n,)``.
        seed: of the simulated round.
        aggregator: makes the sum (``names.AGGREGATORS``).
        least: fewest shops that sell both products of a pair.

    Raises:
        ConfigError: ``least`` is below 3, or no product is sold by so many shops.
        OversizedError: a table is longer than ``LONGEST``.
        QuorumLost: too few shops answered.
    """
    if least < LEAST:
        raise ConfigError(f"least must be at least {LEAST}, got {least}")
    names = tuple(sorted(PartyId(shop.name) for shop in shops))
    sold = _sold(names, tables)
    shared = np.flatnonzero(sold.sum(axis=0) >= least)
    if not len(shared):
        raise ConfigError(f"no product is sold by {least} shops")
    upper = np.triu_indices(len(shared))
    there = sold[:, shared].astype(np.float64)
    allowed = (there.T @ there)[upper] >= least
    own = {shop.name: _own(shop, tables[shop.name], shared, upper, allowed) for shop in shops}
    total = _summed({PartyId(name): table for name, table in own.items()}, aggregator, seed)
    return {
        shop.name: _spread(_whole(total - own[shop.name]), shop, tables[shop.name], shared, upper)
        for shop in shops
    }


def _sold(names: Sequence[PartyId], tables: Mapping[str, Rows]) -> NDArray[np.bool_]:
    """Which shop sells which product, shape ``(shops, products)``."""
    products = 1 + max(int(tables[name].max(initial=-1)) for name in names)
    sold = np.zeros((len(names), products), np.bool_)
    for at, name in enumerate(names):
        rows = tables[name]
        sold[at, rows[rows >= 0]] = True
    return sold


def _places(table: Rows, shared: Rows) -> tuple[Rows, Rows]:
    """The shop's items that are shared, and their places among the shared products."""
    places = np.searchsorted(shared, table)
    places = np.minimum(places, len(shared) - 1)
    items = np.flatnonzero((table >= 0) & (shared[places] == table))
    return items, places[items]


def _own(
    shop: ShopData,
    table: Rows,
    shared: Rows,
    upper: tuple[Rows, Rows],
    allowed: NDArray[np.bool_],
) -> Vector:
    """The shop's counts of the shared products: the upper triangle, row by row."""
    items, places = _places(table, shared)
    counts = np.zeros((len(shared), len(shared)), np.float32)
    counts[np.ix_(places, places)] = gram(shop.train, len(shop.catalogue))[np.ix_(items, items)]
    vector: Vector = np.where(allowed, counts[upper], np.float32(0))
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if length > LONGEST:
        raise OversizedError(f"{shop.name}: a table of length {length:g}, at most {LONGEST:g}")
    return vector


def _spread(
    others: Counts, shop: ShopData, table: Rows, shared: Rows, upper: tuple[Rows, Rows]
) -> Counts:
    """The other shops' counts by the shop's own items."""
    square = np.zeros((len(shared), len(shared)))
    square[upper] = others
    square = np.maximum(square, square.T)
    items, places = _places(table, shared)
    spread = np.zeros((len(shop.catalogue), len(shop.catalogue)))
    spread[np.ix_(items, items)] = square[np.ix_(places, places)]
    return spread


def _whole(others: Counts) -> Counts:
    """Without the rounding of the grid: a difference of nothing is nothing."""
    return np.where(others < 0.03, 0.0, others)


def _summed(own: Mapping[PartyId, Vector], aggregator: str, seed: int) -> Counts:
    """The tables added up in one round over the real protocol; never below 0."""
    names = tuple(sorted(own))
    size = len(own[names[0]])
    job = Job(
        "common counts",
        names,
        size,
        seeded_root(seed, "identities"),
        max_norm=LONGEST,
        weighting="uniform",
    )
    sides = AGGREGATORS[aggregator](job)

    def fit(name: PartyId) -> Fit:
        nothing = np.zeros(0, np.float32)
        return lambda params, _state, _seed: _Summed(params + own[name], nothing, 1, 0.0)

    def roots(name: PartyId) -> Roots:
        def root(task: str, number: int) -> Root:
            return seeded_root(seed, name, task, number)

        return root

    parties = {
        name: Party(
            PartyEnv("common counts", roots(name), sides.party(name), 1, fit=fit(name)),
            answer,
            PartyState,
        )
        for name in names
    }
    algorithm = fedavg(sides.coordinator)
    step = algorithm.next_round(
        algorithm.init(np.zeros(size, np.float32)), names, seeded_root(seed, "sum")
    )
    state = run(step, in_process(parties, time.monotonic))
    answered = len(state.report.parties) if state.report else 0
    return np.maximum(state.params.astype(np.float64) * answered, 0.0)
