"""Cross-device training: every shopper is a client of its own, with its own history and no more.

The clients begin with a model that shops have trained (warm start) and train its **adapter** alone:
all parameters behind the text tower, from the shopper's layer on. The tower is public by then, sent
once; what crosses in a round is the adapter, some tens of kilobytes there and back. A shopper's
vector is computed on the client from its own history and never leaves. A client's round is one
step down the slope of its own mean loss over at most ``baskets`` of its baskets (McMahan et al.,
"Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1 with
one local batch). Sales, which are other shoppers, are not in its loss.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.models.fit import Fitted
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import ShopperSlopes, shopper_slopes
from fedguide.runtime.couriers import Party
from fedguide.runtime.simulator import MadeWhenAsked, Together
from fedguide.seeds import Root, derive, seeded_root
from fedguide.values import PartyId, ShopData, Vector

KEPT_PARTIES = 1 << 14
"""Parties that are remembered; more than a cohort, so that a trip makes each only once."""


@dataclass(frozen=True)
class Devices:
    """The shoppers of one shop as clients.

    Attributes:
        names: of the clients, sorted.
        first: the adapter they begin with, shape ``(a,)``.
        examples: of each client, shape ``(n,)``: the baskets it trains on.
        together: the fit of many of them.
        warm: the model they begin with, shape ``(p,)``.
        places: where the adapter lies in it, shape ``(a,)``.
    """

    names: tuple[PartyId, ...]
    first: Vector
    examples: NDArray[np.int64]
    together: Together
    warm: Vector
    places: NDArray[np.int64]

    def whole(self, adapter: Vector) -> Vector:
        """The model with this adapter, shape ``(p,)``."""
        params = self.warm.copy()
        params[self.places] = adapter
        return params

    def examples_of(self, name: PartyId) -> int:
        """How many examples a client has."""
        return int(self.examples[_row(name)])


def devices(
    shop: ShopData, warm: Vector, plan: GuidePlan, *, rate: float, clip: float, baskets: int = 4
) -> Devices:
    """Makes a client of every shopper of a shop that has something to learn from.

    Args:
        shop: whose shoppers.
        warm: a trained model, shape ``(p,)``.
        plan: its network.
        rate: length of a client's step, times the slope.
        clip: the longest slope, in L2: who has an odd basket moves the model no farther.
        baskets: most baskets of one client in a round.

    Raises:
        ConfigError: a number is out of its range.
        DataError: nothing was ever bought.
    """
    for name, value in (("rate", rate), ("clip", clip)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be finite and above 0, got {value}")
    slopes = shopper_slopes(shop.catalogue, shop.train, plan, "head", baskets=baskets)
    count = len(slopes.shoppers)
    per_shopper = np.bincount(shop.train.shoppers, minlength=int(slopes.shoppers.max()) + 1)
    examples = np.clip(per_shopper[slopes.shoppers], 1, baskets).astype(np.int64)
    names = tuple(PartyId(f"client-{row:07d}") for row in range(count))

    def together(adapter: Vector, some: Sequence[PartyId], _seeds: Sequence[int]) -> list[Fitted]:
        rows = np.array([_row(name) for name in some])
        params = warm.copy()
        params[slopes.places] = adapter
        return _fits(slopes, params, adapter, rows, examples, rate, clip)

    return Devices(names, warm[slopes.places], examples, together, warm, slopes.places)


def parties_of(made: Devices, aggregator: Aggregator, seed: int) -> Mapping[PartyId, Party]:
    """The clients as parties, made when they are asked."""
    base = lru_cache(2)(partial(seeded_root, seed))  # of a round: the same for all clients

    def party(name: PartyId) -> Party:
        def roots(task: str, number: int) -> Root:
            return Root(derive(base(task, number), name))

        def fit(adapter: Vector, _moments: Vector | None, local_seed: int) -> Fitted:
            return made.together(adapter, [name], [local_seed])[0]  # type: ignore[return-value]  # as ``together`` above

        env = PartyEnv("devices", roots, aggregator, made.examples_of(name), fit=fit)
        return Party(env, answer, PartyState)

    return MadeWhenAsked(made.names, party, KEPT_PARTIES)


def _fits(
    slopes: ShopperSlopes,
    params: Vector,
    adapter: Vector,
    rows: NDArray[np.int64],
    examples: NDArray[np.int64],
    rate: float,
    clip: float,
) -> list[Fitted]:
    """One step of each of these clients."""
    # What is dropped in a round is public and the same for all; its seed is the model of the round.
    seed = zlib.crc32(params.tobytes())
    losses = np.zeros(len(rows))
    ends: list[Vector] = []
    nothing = np.zeros(0, np.float32)
    for some in slopes.each(params, rows, seed, losses):
        lengths = np.sqrt(np.einsum("ka,ka->k", some, some, dtype=np.float64))
        factors = rate * np.minimum(1.0, clip / np.maximum(lengths, 1e-12))
        ends += list(adapter - factors[:, None].astype(np.float32) * some)
    return [
        Fitted(end, nothing, count, loss)
        for end, count, loss in zip(ends, examples[rows].tolist(), losses.tolist(), strict=True)
    ]


def _row(name: PartyId) -> int:
    """The client's row."""
    return int(name.rpartition("-")[2])
