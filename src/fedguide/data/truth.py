"""How large a synthetic market is, and what is true in it: tastes, qualities, likings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TASTES = 10
"""Length d of the vectors of qualities and tastes."""

MOST_CELLS = 400_000_000
"""A shop's table of what was bought when has a cell of 4 bytes for each shopper and item."""


@dataclass(frozen=True)
class MarketPlan:
    """Sizes of a synthetic market.

    Attributes:
        shops: how many shops.
        shoppers: of each shop.
        items: of each shop.
        days: length of the recorded time.
        visits: of a shopper on average over that time.
        seed: everything random follows from it.

    Raises:
        ConfigError: a size is too small to make a market of, or too large to hold.
    """

    shops: int = 4
    shoppers: int = 300
    items: int = 300
    days: int = 180
    visits: float = 5.0
    seed: int = 7

    def __post_init__(self) -> None:
        """Checks the sizes."""
        limits = {
            "shops": (1, 1000),
            "shoppers": (1, 1_000_000),
            "items": (10, 1_000_000),
            "days": (10, 3650),
            "visits": (1, self.days),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be in [{low}, {high}], got {getattr(self, name)}")
        if self.shoppers * self.items > MOST_CELLS:
            raise ConfigError(
                f"shoppers times items must be at most {MOST_CELLS}, "
                f"got {self.shoppers * self.items}"
            )


@dataclass(frozen=True)
class ShopTruth:
    """What nobody knows in real life about one shop (m shoppers, n items, d qualities).

    Attributes:
        tastes: ``(m, d)`` at the start; at day t they are ``tastes + t * drifts``.
        drifts: ``(m, d)`` change of the tastes a day.
        factors: ``(n, d)`` qualities of the items.
        appeal: ``(n,)`` liking that all shoppers share (log popularity).
        levels: ``(m,)`` price level a shopper likes, in standard deviations of log price.
        priciness: ``(n,)`` log price within its kind, in standard deviations.
        kinds: int ``(n,)``, row of ``PRODUCT_KINDS``.
        launches: int ``(n,)``, first day on sale.
        activity: ``(m,)`` log of the rate of visits against the average.
        chinese: bool ``(m,)``, does the shopper search in Chinese?
    """

    tastes: Floats
    drifts: Floats
    factors: Floats
    appeal: Floats
    levels: Floats
    priciness: Floats
    kinds: Ints
    launches: Ints
    activity: Floats
    chinese: NDArray[np.bool_]

    def relevance(self, day: float, shoppers: Ints | None = None) -> Floats:
        """True liking of every item on a day, ``(m, n)``: no chance, no season, no repurchase."""
        rows = np.arange(len(self.tastes)) if shoppers is None else shoppers
        tastes = self.tastes[rows] + day * self.drifts[rows]
        distance = self.levels[rows, None] - self.priciness[None, :]
        return tastes @ self.factors.T + self.appeal - 0.25 * distance**2


def draw_truth(
    plan: MarketPlan, factors: Floats, priciness: Floats, kinds: Ints, rng: np.random.Generator
) -> ShopTruth:
    """Shoppers for the given items: ``factors (n, d)``, ``priciness (n,)``, ``kinds (n,)``."""
    people, count = plan.shoppers, plan.items
    tastes = 0.4 * rng.normal(size=TASTES) + rng.normal(size=(people, TASTES))
    drifts = 0.5 * rng.normal(size=(people, TASTES)) / plan.days
    ranks = rng.permutation(count) + 1.0
    appeal = -0.6 * np.log(ranks)
    late = rng.random(count) < 0.15
    launches = np.where(late, rng.integers(0, plan.days, count), 0)
    return ShopTruth(
        tastes=tastes,
        drifts=drifts,
        factors=factors,
        appeal=appeal - appeal.mean(),
        levels=0.8 * rng.normal(size=people),
        priciness=priciness,
        kinds=kinds,
        launches=launches.astype(np.int64),
        activity=0.6 * rng.normal(size=people) - 0.18,
        chinese=rng.random(people) < 0.7,
    )
