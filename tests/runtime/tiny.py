"""A tiny market: three shops with catalogues of their own whose titles share words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fedguide.data.contract import Dataset, Events
from fedguide.data.split import split_by_time
from fedguide.models.blend import Blend
from fedguide.models.plan import GuidePlan
from fedguide.models.scorer import SlateWeights
from fedguide.models.text import TextSpec
from fedguide.runtime.arms import TrainPlan
from fedguide.runtime.compare import ComparePlan
from fedguide.values import BUY, Catalogue, ShopData

COLOURS = ("red", "blue", "green", "black")
THINGS = ("cup", "lamp", "box", "bag", "pen", "hat", "clock", "towel")
DAYS = 60

GUIDE = GuidePlan(text=TextSpec(buckets=256), size=8, events=30, lines=8, batch=16)
PLAN = ComparePlan(
    TrainPlan(replace(GUIDE, learning_rate=0.02), rounds=3, patience=3, fine_tune_rounds=1),
    seeds=(1, 2),
    draws=200,
)

Change = Callable[[Events], Events]


def dataset(number: int, shoppers: int = 30, seed: int = 0) -> Dataset:
    """A shopper likes one colour, whatever the thing."""
    rng = np.random.default_rng((seed, number))
    n = 24
    colours = rng.integers(len(COLOURS), size=n)
    titles = tuple(f"{COLOURS[c]} {rng.choice(THINGS)} {i}" for i, c in enumerate(colours))
    rows = []
    for shopper in range(shoppers):
        chance = np.where(colours == shopper % len(COLOURS), 10.0, 1.0)
        for day in np.sort(rng.choice(DAYS, 6, replace=False)).tolist():
            taken = rng.choice(n, 3, replace=False, p=chance / chance.sum())
            rows += [(shopper, day, item) for item in taken.tolist()]
    users, days, items = np.array(rows).T
    e = len(rows)
    events = Events(
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        kinds=np.full(e, BUY, np.uint8),
        times=days.astype(np.int64) * 86_400,
        days=days.astype(np.int32),
        queries=np.full(e, -1, np.int32),
        quantities=np.ones(e, np.float32),
        prices=np.full(e, 2.0, np.float32),
        baskets=np.full(e, -1, np.int32),
        user_ids=tuple(f"u{i}" for i in range(shoppers)),
        groups=("",) * shoppers,
    )
    catalogue = Catalogue(
        tuple(f"shop{number}-{i}" for i in range(n)),
        titles,
        ("",) * n,
        ("",) * n,
        np.full(n, 2.0, np.float32),
    )
    return Dataset(f"shop{number}", events, catalogue)


def shops(change: Change = lambda events: events, count: int = 3) -> tuple[ShopData, ...]:
    """The shops, cut in time, after every shop's events were changed."""
    made = [dataset(number) for number in range(count)]
    return split_by_time([replace(one, events=change(one.events)) for one in made], 0.6, 0.15)


def speaking() -> Callable[..., Blend]:
    """In place of ``fit_blend``: weights that differ, each with some for the network."""
    counts = itertools.count(1)

    def fit(*_stacks: object, **_options: object) -> Blend:
        return Blend(SlateWeights(network=1.0, neighbours=0.1 * next(counts), recent=0.1), 0.0)

    return fit
