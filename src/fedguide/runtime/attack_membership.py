"""Membership inference: who was among the shoppers that a guide was trained on?

Carlini, Chien, Nasr, Song, Terzis and Tramèr, "Membership Inference Attacks From First Principles",
2022 (the likelihood-ratio attack, section IV, with one variance for everybody, as section VI does
with few shadow models): some baskets are easy for every model and some hard, so a shopper's loss
under the attacked model is held against what *shadow models* lose on it: trainings of the same plan
on halves that the attacker drew, so that it knows who was in those.

A shopper's loss under a model it was not in is taken to be its own difficulty, and the shop's gain
less under one that it was in; with normal errors of one size the likelihood ratio then grows with
difficulty minus loss, and the two parts are least squares over the shadows.

What the attacker has: the model that is released, all candidates' baskets, and as many trainings as
it likes. It does not see single rounds. For an honest answer members and others must be alike: half
of every shop's shoppers, drawn at random, are left out of a training, and are then asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import shopper_losses
from fedguide.seeds import seeded_root, stream
from fedguide.values import Baskets, ShopData, Vector

LEAST_SHADOWS = 2
"""With fewer, a shopper's difficulty and the gain of being in cannot be told apart."""


@dataclass(frozen=True)
class Halves:
    """A shop whose training rows hold only the members, and who they are.

    ``members`` is bool, one entry for each shopper of the shop.
    """

    whole: ShopData
    half: ShopData
    members: NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """A model and who it was trained on, shop by shop."""

    halves: Sequence[Halves]
    params: Vector


@dataclass(frozen=True)
class Membership:
    """How well members were told from others.

    Attributes:
        auc: area under the curve, 0.5 for guessing; all shops together.
        error: its standard error.
        members: how many were asked for that were in.
        others: how many that were not.
        shadows: how many models the attacker trained.
    """

    auc: float
    error: float
    members: int
    others: int
    shadows: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %."""
        return self.auc - 1.96 * self.error, self.auc + 1.96 * self.error


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


def membership(target: Trial, shadows: Sequence[Trial], plan: GuidePlan) -> Membership:
    """Attacks a model; all trials are of the same shops, in the same order.

    Raises:
        ConfigError: there are fewer than ``LEAST_SHADOWS`` shadows.
    """
    if len(shadows) < LEAST_SHADOWS:
        raise ConfigError(f"at least {LEAST_SHADOWS} shadows are needed, got {len(shadows)}")
    inside: list[NDArray[np.float64]] = []
    outside: list[NDArray[np.float64]] = []
    for number, shop in enumerate(target.halves):
        asked = shop.whole.catalogue, shop.whole.train, plan
        shoppers, losses = shopper_losses(*asked, target.params)
        known = np.stack([shopper_losses(*asked, shadow.params)[1] for shadow in shadows])
        were_in = np.stack([shadow.halves[number].members[shoppers] for shadow in shadows])
        found = scores(losses, known, were_in)
        is_in = shop.members[shoppers]
        inside.append(found[is_in])
        outside.append(found[~is_in])
    ins, outs = np.concatenate(inside), np.concatenate(outside)
    area = auc(ins, outs)
    error = auc_error(area, len(ins), len(outs))
    return Membership(area, error, len(ins), len(outs), len(shadows))


def scores(
    losses: NDArray[np.float64], known: NDArray[np.float64], were_in: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How much a shop's shoppers look like members, ``(n,)``.

    Args:
        losses: under the attacked model, ``(n,)``.
        known: under each shadow, ``(k, n)``.
        were_in: who was in each shadow, ``(k, n)``.
    """
    # Shadows differ as a whole, too: only what is a shopper's own counts.
    level = known - known.mean(axis=1, keepdims=True)
    own = level - level.mean(axis=0)
    inside = were_in.astype(np.float64)
    apart = inside - inside.mean(axis=0)
    apart -= apart.mean(axis=1, keepdims=True)
    weight = float((apart * apart).sum())
    gain = max(-float((own * apart).sum()) / weight, 0.0) if weight > 0 else 0.0
    difficulty = np.mean(level + gain * inside, axis=0)
    # The attacker knows the shop: one where everything is learnt well has no more members.
    found: NDArray[np.float64] = difficulty - losses
    found -= found.mean()
    return found


def auc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """The chance that one who was in scores above one who was not; ties count half."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, "left") + np.searchsorted(order, inside, "right")
    return float(below.mean() / (2 * len(order)))


def auc_error(area: float, inside: int, outside: int) -> float:
    """Standard error of an area over so many.

    Hanley and McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic
    (ROC) Curve", 1982, equation 2.
    """
    above, below = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area)
    spread += (inside - 1) * (above - area * area) + (outside - 1) * (below - area * area)
    return math.sqrt(max(spread, 0.0) / (inside * outside))
