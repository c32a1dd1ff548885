"""What a shopper's clip is spent on, and what noise a plan has over all of its rounds.

Twelve shops of the synthetic market of ``privacy_utility``. A clipped slope has one length; the
first table says which arrays of the network take what share of its square, and how long the mean
of all clipped slopes is in them: at the first parameters, and after twelve rounds without noise.
The second says what plans of one ε cost: the noise of the sum of all rounds over what one shopper
may add to it, by how often a shopper is in. With ``--others`` 24 shops train at ε = 8 with as much
noise in a mean as 120 shops would have, once for each scale of all but the text table, and the
third table is the loss of the shared models on the shoppers of eight shops that did not train.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fedguide.models.fit import first_params, layout_of
from fedguide.models.shoppers import ShopperSlopes, shopper_losses
from fedguide.privacy.correlated import Participation, prefix_error, sensitivity
from fedguide.runtime.private_rounds import (
    PrivatePlan,
    guard_of,
    run_privately,
    seeded_actors,
    slopes_of,
    spent,
    with_sales,
)
from fedguide.seeds import seeded_root
from fedguide.values import Vector
from privacy_utility import CYCLE, NARROW, POPULATIONS, SEED, market_shops
from report import finish, parser, show

X100 = POPULATIONS["x100"]
PLAN = PrivatePlan(
    shoppers=120_000,
    clip=X100.clip,
    sampling=X100.sampling,
    rounds=X100.rounds,
    baskets=X100.baskets,
    learning_rate=X100.rate,
    sales=X100.sales,
    searches=X100.searches,
)

PLANS = {
    "a twentieth, 100 rounds": {"sampling": 0.05, "rounds": 100},
    "a tenth, 100 rounds": {"sampling": 0.1, "rounds": 100},
    "a quarter, 40 rounds": {"sampling": 0.25, "rounds": 40},
    "half, 20 rounds": {"sampling": 0.5, "rounds": 20},
    "half, 40 rounds": {"sampling": 0.5, "rounds": 40},
    "all, 10 rounds": {"sampling": 1.0, "rounds": 10},
    "all, 20 rounds": {"sampling": 1.0, "rounds": 20},
    f"cycle {CYCLE}, {CYCLE} bands, 50 rounds": {
        "sampling": 1.0,
        "rounds": 50,
        "cycle": CYCLE,
        "bands": CYCLE,
    },
}

TRAINING, UNSEEN, MEANT = 24, 8, 120
"""Shops that train with ``--others``, that are asked, and whose noise is meant."""


class Fewer(PrivatePlan):
    """A plan whose noise in a mean is that of ``MEANT`` shops, among ``TRAINING``."""

    @property
    def multiplier(self) -> float:
        """As much less noise as there are fewer shoppers: NOT private."""
        return super().multiplier * TRAINING / MEANT


def losses(others: Sequence[float], seed: int) -> list[tuple[str, str, str]]:
    """By scale: mean loss on unseen shops, and its difference to the first with its error."""
    shops = market_shops(TRAINING + UNSEEN, seed)
    start, found, lines = first_params(NARROW, SEED), [], []
    for scale in others:
        private = Fewer(**{**vars(PLAN), "others": scale, "shoppers": 1000 * TRAINING})
        run = run_privately(
            slopes_of(shops[:TRAINING], NARROW, private),
            NARROW,
            private,
            start,
            "task",
            seeded_actors(SEED),
            lambda: 0.0,
        )
        asked = [
            shopper_losses(shop.catalogue, shop.train, NARROW, run.best_params)[1]
            for shop in shops[TRAINING:]
        ]
        found.append(np.concatenate(asked))
        gap = found[-1] - found[0]
        error = gap.std() / math.sqrt(len(gap))
        lines.append((f"{scale:g}", f"{found[-1].mean():.4f}", f"{gap.mean():+.4f} ± {error:.4f}"))
    return lines


def shares(
    slopes: ShopperSlopes, params: Vector, clip: float
) -> tuple[dict[str, tuple[float, float]], float]:
    """By array: mean share of a slope's square, and length of the clipped mean over the clip.

    Then the median length of a slope; who has no slope at all counts nowhere.
    """
    layout = layout_of(NARROW)
    ends = np.cumsum([math.prod(shape) for shape in layout.shapes]).tolist()
    mean, squares, norms = np.zeros(layout.size), np.zeros(len(ends)), []
    for some in slopes.each(params, np.arange(len(slopes.shoppers)), SEED):
        for vector in some:
            length = float(np.linalg.norm(vector))
            if length > 0:
                whole = np.zeros(layout.size, np.float32)
                whole[slopes.places] = vector
                mean += whole * min(1.0, clip / length)
                parts = np.split(whole, ends[:-1])
                squares += [float(part @ part) / length**2 for part in parts]
                norms.append(length)
    count = len(norms)
    lengths = [float(np.linalg.norm(part)) for part in np.split(mean, ends[:-1])]
    by_array = {
        name: (square / count, length / (count * clip))
        for name, square, length in zip(layout.names, squares, lengths, strict=True)
    }
    return by_array, float(np.median(norms))


def noise_per_turn(private: PrivatePlan) -> float:
    """Deviation of the sum of all rounds, in clips, over the times a shopper is in one."""
    if private.strategy is None:
        turns = private.sampling * private.rounds
        return private.multiplier * math.sqrt(private.rounds) / turns
    turns = private.rounds / private.cycle
    moved = sensitivity(private.strategy, Participation(private.cycle, math.ceil(turns)))
    return private.multiplier * moved * float(prefix_error(private.strategy)[-1]) / turns


def main(options: argparse.Namespace) -> None:
    """Measures one shop's slopes, prices the plans, prints both."""
    shops = market_shops(12, options.market)
    slopes = slopes_of(shops, NARROW, PLAN)
    bare = replace(PLAN, noise="none", epsilon=math.inf, shoppers=12_000, sampling=1.0, rounds=12)
    start, actors = first_params(NARROW, SEED), seeded_actors(SEED)
    run = run_privately(slopes, NARROW, bare, start, "task", actors, lambda: 0.0)
    one = with_sales(slopes[shops[0].name], PLAN.sales_multiplier, lambda: seeded_root(SEED))
    (first, before), (after, later) = (
        shares(one, params, PLAN.clip) for params in (start, run.best_params)
    )
    lines: list[Any] = [
        (name, *(f"{x:.3f}" for x in (*first[name], *after[name]))) for name in first
    ]
    show(
        "One shop's shoppers: share of a slope's square, and length of the clipped mean in clips",
        ("array", "share, first", "mean, first", "share, trained", "mean, trained"),
        lines,
    )
    print(f"median length of a slope: {before:.2f}, trained {later:.2f}; clip {PLAN.clip:g}")
    plans = {name: replace(PLAN, **change) for name, change in PLANS.items()}  # type: ignore[arg-type]  # numbers of its fields
    prices = {name: spent(p, guard_of(p, NARROW, 120)) for name, p in plans.items()}
    show(
        "Plans of ε = 8 for 120,000 shoppers, a quarter of it for sales",
        ("in a round", "a shopper's turns", "ε, insider", "noise a turn"),
        [
            (
                name,
                f"{p.sampling * p.rounds / p.cycle:g}",
                f"{prices[name].epsilon_insider:.1f}",
                f"{noise_per_turn(p):.3f}",
            )
            for name, p in plans.items()
        ],
    )
    if options.others:
        show(
            f"Trained at ε = 8 by {TRAINING} shops with the noise of {MEANT}: {UNSEEN} other shops",
            ("all but the table times", "loss", "difference to the first"),
            losses(options.others, options.market),
        )
    finish("clip_shares", [], {"first": first, "trained": after}, options.json)


if __name__ == "__main__":
    made = parser(__doc__)
    made.add_argument("--market", type=int, default=101, help="seed of the market")
    made.add_argument("--others", nargs="*", type=float, default=[], help="scales to train with")
    main(made.parse_args())
