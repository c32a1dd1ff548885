"""The synthetic market: shops with catalogues of their own, shoppers with tastes that are known.

It stands in for real data where there are none (the demo, tests), and lets a test ask what real
data cannot answer, because the truth is returned with it. What is assumed:

* A product's qualities are the sum of its kind's, its features', its brand's and a part of its
  own that no text tells. Shops sell different products made of the same kinds and features, so
  what one shop learns about words can serve another, and what it learns about an id cannot.
* A shopper likes products near their taste and near their price level; tastes drift with time.
* Popularity follows a power law within a shop; some products appear late; seasons favour kinds.
* Visits are random in time. On a visit a shopper may search, looks at some products, puts some in
  the cart and buys some. What is used up is bought again after about its cycle; what lasts is
  hardly ever bought twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedguide.data.contract import Dataset, require_events
from fedguide.data.diary import Diary
from fedguide.data.goods import Nature, draw_goods, draw_nature
from fedguide.data.truth import MarketPlan, ShopTruth, draw_truth


@dataclass(frozen=True)
class Market:
    """The synthetic market: what each shop sees, and the truth behind it."""

    plan: MarketPlan
    shops: tuple[Dataset, ...]
    truths: tuple[ShopTruth, ...]


def market(plan: MarketPlan) -> Market:
    """The market of that plan; the same plan gives the same market."""
    nature_rng, *rngs = _streams(plan.seed, plan.shops + 1)
    nature = draw_nature(nature_rng)
    built = [_shop(plan, nature, number, rng) for number, rng in enumerate(rngs)]
    return Market(plan, tuple(shop for shop, _ in built), tuple(truth for _, truth in built))


def _streams(seed: int, count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(count)]


def _shop(
    plan: MarketPlan, nature: Nature, number: int, rng: np.random.Generator
) -> tuple[Dataset, ShopTruth]:
    name = f"shop{number + 1}"
    goods, factors, priciness, kinds = draw_goods(plan.items, name, nature, rng)
    truth = draw_truth(plan, factors, priciness, kinds, rng)
    events = Diary(plan, truth, goods, rng).write(name)
    dataset = Dataset(name=name, events=events, catalogue=goods.catalogue, synthetic=True)
    return require_events(dataset), truth
