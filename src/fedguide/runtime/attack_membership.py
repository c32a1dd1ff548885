"""Membership inference: who was among the shoppers that a guide was trained on?

Yeom, Giacomelli, Fredrikson and Jha, "Privacy Risk in Machine Learning: Analyzing the Connection
to Overfitting", 2018, section 3.2: who was trained on has the smaller loss. The loss is compared
with that under the untrained model, since some baskets are easy for every model (Watson, Guo,
Cormode and Sablayrolles, "On the Importance of Difficulty Calibration in Membership Inference
Attacks", 2022). For an honest answer members and others must be alike: half of every shop's
shoppers, drawn at random, are left out of a training of the same plan, and are then asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import shopper_losses
from fedguide.seeds import seeded_root, stream
from fedguide.values import Baskets, ShopData, Vector


@dataclass(frozen=True)
class Halves:
    """A shop whose training rows hold only the members, and who they are.

    ``members`` is bool, one entry for each shopper of the shop.
    """

    whole: ShopData
    half: ShopData
    members: NDArray[np.bool_]


def halved(shops: Sequence[ShopData], seed: int) -> list[Halves]:
    """Every shop with a random half of its shoppers taken out of its training rows."""
    made = []
    for shop in shops:
        draws = stream(seeded_root(seed), "members", shop.name)
        members = draws.permutation(len(shop.train.shopper_ids)) % 2 == 0
        made.append(Halves(shop, replace(shop, train=only(shop.train, members)), members))
    return made


def only(train: Baskets, members: NDArray[np.bool_]) -> Baskets:
    """The baskets of these shoppers alone; everybody keeps their number."""
    kept = members[train.shoppers]
    sizes = np.diff(train.offsets)
    lines = np.repeat(kept, sizes)
    return replace(
        train,
        shoppers=train.shoppers[kept],
        days=train.days[kept],
        offsets=np.concatenate([[0], np.cumsum(sizes[kept])]).astype(np.int64),
        items=train.items[lines],
        kinds=train.kinds[lines],
        queries=train.queries[lines],
    )


def membership_auc(
    halves: Sequence[Halves], params: Mapping[str, Vector], start: Vector, plan: GuidePlan
) -> float:
    """Area under the curve of the attack on a model, 0.5 for guessing; all shops together.

    ``params`` are each shop's model, trained on its half; ``start`` is the untrained one.
    """
    inside: list[NDArray[np.float64]] = []
    outside: list[NDArray[np.float64]] = []
    for shop in halves:
        shoppers, before = shopper_losses(shop.whole.catalogue, shop.whole.train, plan, start)
        _, after = shopper_losses(
            shop.whole.catalogue, shop.whole.train, plan, params[shop.whole.name]
        )
        gained = before - after
        # The attacker knows the shop: a shop where everything is learnt well has no more members.
        gained -= gained.mean()
        inside.append(gained[shop.members[shoppers]])
        outside.append(gained[~shop.members[shoppers]])
    return auc(np.concatenate(inside), np.concatenate(outside))


def auc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """The chance that one who was in scores above one who was not; ties count half."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, "left") + np.searchsorted(order, inside, "right")
    return float(below.mean() / (2 * len(order)))
