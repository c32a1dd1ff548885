"""Attacks on the guide at its real size: is the ε that is claimed the ε that is there?

Canaries go through the guard as it runs, honest and with five planted bugs; members and items are
asked for with and without noise. Online Retail in six shops where its file is there, else the
synthetic market. The peer is jax-privacy's ``CanaryScoreAuditor``, whose Clopper-Pearson bound
stands in the same table.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from fedguide.data.importers import import_data
from fedguide.data.shops import cut
from fedguide.data.split import split
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.horizontal import private_fit, private_packing
from fedguide.models.fit import first_params
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import trained_slices
from fedguide.privacy import guard as guards
from fedguide.runtime.arms import TrainPlan
from fedguide.runtime.attack_canary import TOLERANCE, Leak, canary_leak
from fedguide.runtime.attack_inversion import Inversion
from fedguide.runtime.attack_membership import Membership, membership
from fedguide.runtime.attack_test import AUC_WITH, AUC_WITHOUT, F1_WITHOUT, inverted, trial
from fedguide.runtime.private_rounds import PrivatePlan, guard_of, seeded_actors, slopes_of
from fedguide.seeds import seeded_root
from fedguide.values import ShopData
from report import Bar, at_least, at_most, data_folder, finish, parser, show

SHOPS, SEED = 6, 0
PARTS = ("attacks", "canaries")


def shops_of(small: bool) -> tuple[str, list[ShopData]]:
    """The data set's name and its shops."""
    folder = data_folder()
    if small or folder is None:
        return "synthetic market", list(split(market(MarketPlan()).shops))
    (data,) = import_data(folder / "online_retail" / "online_retail.parquet")
    return "Online Retail", list(split(cut([data], SHOPS, "dirichlet:2", SEED)))


def scaled(factor: float) -> Callable[..., Any]:
    """Central noise of that factor times what it should be."""

    def noise(guard: Any, root: Any, number: int) -> Any:
        return np.rint(factor * guards.central_noise(guard, root, number)).astype(np.int64)

    return noise


def unclipped(vectors: Any, clip: float, bound: Any, seed: int) -> Any:
    """A hundred times too long a clip, in the units of the right one."""
    found = HONEST_SUM(vectors, 100 * clip, bound, seed)
    return replace(found, units=100 * found.units)


def repeated(guard: Any, _root: Any, _number: int) -> Any:
    """The same noise every time."""
    return guards.central_noise(guard, seeded_root(9), 0)


HONEST_SUM = private_fit.clipped_sum
BUGS: dict[str, tuple[Any, str, Any]] = {
    "noise halved": (private_packing, "central_noise", scaled(0.5)),
    "no clip": (private_fit, "clipped_sum", unclipped),
    "noise / sqrt(10)": (private_packing, "central_noise", scaled(1 / math.sqrt(10))),
    "no noise": (private_packing, "central_noise", scaled(0.0)),
    "same noise twice": (private_packing, "central_noise", repeated),
}


@contextmanager
def planted(bug: str | None) -> Iterator[None]:
    """The product with that bug in it."""
    if bug is None:
        yield
        return
    with patch.object(*BUGS[bug]):
        yield


def leaks(
    shops: Sequence[ShopData], plan: GuidePlan, private: PrivatePlan, canaries: int
) -> dict[str, Leak]:
    """The canaries through the honest guard and through every broken one."""
    guard = guard_of(private, plan, len(shops))
    slopes = slopes_of(shops, plan, private)
    params, trained = first_params(plan, SEED), trained_slices(plan, private.part)
    found = {}
    for bug in (None, *BUGS):
        with planted(bug):
            found[bug or "honest"] = canary_leak(
                slopes,
                guard,
                trained,
                params,
                seeded_actors(SEED),
                delta=private.delta,
                canaries=canaries,
            )
        print(f"  canaries: {bug or 'honest'}", flush=True)
    return found


def leak_row(name: str, leak: Leak) -> tuple[object, ...]:
    """One line of the table."""
    return (
        name,
        f"{leak.claimed:.3g}",
        f"{leak.estimate:.3g}",
        f"{leak.estimate / leak.claimed:.2f}",
        f"{leak.least:.3g}",
        "-" if leak.fresh is None else f"{leak.fresh:.3f}",
        "flagged" if leak.flags else "passes",
    )


def attacked(
    shops: Sequence[ShopData], plan: GuidePlan, private: PrivatePlan, options: argparse.Namespace
) -> tuple[dict[str, Membership], dict[str, Inversion]]:
    """Membership and inversion, without noise and with it."""
    start = first_params(plan, SEED)
    members: dict[str, Membership] = {}
    items: dict[str, Inversion] = {}
    for label, dp in (("dp: none", None), (f"ε = {options.epsilon:g}", private)):
        rounds = options.bare_rounds if dp is None else options.rounds
        plans = TrainPlan(plan, private=dp)
        actors = seeded_actors(SEED)
        trials = []
        for number in range(options.shadows + 1):
            told = (shops, plans, start, actors, time.monotonic, rounds, SEED, number)
            trials.append(trial(*told))
            print(f"  {label}: training {number} of {options.shadows}", flush=True)
        members[label] = membership(trials[0], trials[1:], plan)
        items[label] = inverted(shops, plans, trials[0].params, actors)
        print(f"  {label}: AUC {members[label].auc:.3f}, F1 {items[label].f1:.3f}", flush=True)
    return members, items


def main(options: argparse.Namespace) -> None:
    """Attacks, prints, writes."""
    start = time.perf_counter()
    name, shops = shops_of(options.small)
    plan = GuidePlan()
    shoppers = sum(len(shop.train.shopper_ids) for shop in shops)
    private = PrivatePlan(
        epsilon=options.epsilon,
        shoppers=round(shoppers, -2),
        sampling=options.sampling,
        rounds=options.rounds,
        clip=options.clip,
        learning_rate=options.rate,
        sales=options.sales,
        searches=options.searches,
        others=options.others,
    )
    bars: list[Bar] = []
    data: dict[str, Any] = {"data": name, "plan": vars(options) | {"json": None}}
    if "attacks" in options.parts:
        members, items = attacked(shops, plan, private, options)
        show(
            f"Membership inference and inversion of single shoppers' vectors, {name}",
            ("training", "AUC", "95 %", "asked for", "item F1", "guessing F1", "shoppers attacked"),
            [
                (
                    label,
                    f"{members[label].auc:.3f}",
                    "{:.3f} to {:.3f}".format(*members[label].interval),
                    members[label].members + members[label].others,
                    f"{items[label].f1:.3f}",
                    f"{items[label].guessing:.3f}",
                    items[label].shoppers,
                )
                for label in members
            ],
        )
        bare, noised = members
        bars += [
            at_least("membership AUC without noise", members[bare].auc, AUC_WITHOUT),
            at_most(f"membership AUC at {noised}", members[noised].auc, AUC_WITH),
            at_least("inversion F1 without noise", items[bare].f1, F1_WITHOUT),
        ]
        data |= {"membership": {k: vars(v) for k, v in members.items()}}
        data |= {"inversion": {k: vars(v) for k, v in items.items()}}
    if "canaries" in options.parts:
        found = leaks(shops, plan, private, options.canaries)
        show(
            f"Canaries through the guard, {name}, {len(shops)} shops, "
            f"{guard_of(private, plan, len(shops)).size:,} coordinates, "
            f"{options.canaries} canaries",
            ("guard", "claimed", "estimate", "ratio", "CP bound", "freshness", "gate"),
            [leak_row(bug, leak) for bug, leak in found.items()],
        )
        honest = found["honest"]
        bars += [
            at_most("honest estimate / claimed", honest.estimate / honest.claimed, TOLERANCE),
            at_least("planted bugs flagged", sum(bool(found[b].flags) for b in BUGS), len(BUGS)),
        ]
        data["leaks"] = {k: {**vars(v), "flags": v.flags} for k, v in found.items()}
    data["seconds"] = round(time.perf_counter() - start, 1)
    finish("audit", bars, data, options.json)


if __name__ == "__main__":
    made = parser(__doc__)
    made.add_argument("--small", action="store_true", help="the synthetic market of the demo")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--epsilon", type=float, default=8.0)
    made.add_argument("--sampling", type=float, default=0.1)
    made.add_argument("--rounds", type=int, default=20)
    made.add_argument("--bare-rounds", type=int, default=40, help="of the twin without noise")
    made.add_argument("--clip", type=float, default=2.0)
    made.add_argument("--rate", type=float, default=0.01)
    made.add_argument("--sales", type=float, default=0.0, help="share of ε for the sales")
    made.add_argument("--searches", type=int, default=0, help="most that a shopper's loss reads")
    made.add_argument("--others", type=float, default=1.0, help="scale of all but the table")
    made.add_argument("--shadows", type=int, default=4, help="of the membership attack")
    made.add_argument("--canaries", type=int, default=200)
    main(made.parse_args())
