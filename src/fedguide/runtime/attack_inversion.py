"""Gradient inversion: which items did a shopper buy, read off the update that was sent?

The text tower is linear up to its last step, and the shop's catalogue is public: so the update of
the hashed table is Σ features ⊗ slope of a row, a linear system with one unknown row an item, and
its least-squares solution gives every item's slope (after Zhu, Liu and Han, "Deep Leakage from
Gradients", 2019; for a linear layer it needs no optimisation: Geiping, Bauermeister, Dröge and
Moeller, "Inverting Gradients", 2020, proposition 3.1).

What a row's slope is made of is known, too. With h_b the shopper's vector before basket b, p_b
the softmax and y_b what was bought, the slope of item i is Σ_b (p_b(i) - y_b(i)) h_b, and
Σ_b e_b(i) k_b for an item of the context. Every h_b is x_b W + start, every k_b is q_b Wᵀ, and the
update of W is Σ_b x_b ⊗ q_b: its two singular spaces and the model span all of these vectors,
however many items the softmax pushes away. Along start the slope of item i is Σ_b p_b(i) - y_b(i):
below 0 for what was bought, above for a mere negative, which hides purchases from an attack that
looks at lengths alone. Along the k_b it is 0 for all but the context.

In an untrained model start is 0, and what a first basket asked for leaves no trace. One round of
training later it does.

The attacker is the strongest there is: everybody else's vector is known and subtracted, so that
what is left is the vector of one shopper, and the noise, if there is any. It also knows which text
features the round dropped, for all shoppers alike (``models/shoppers`` counts them as public), and
nothing of what was dropped or moved to the cart for the shopper alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fedguide.errors import ConfigError
from fedguide.models.encoders import TINY
from fedguide.models.fit import layout_of
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import PARTS, ShopperSlopes, shopper_slopes
from fedguide.privacy.guard import Guard, whole_noise
from fedguide.seeds import Root, derive
from fedguide.values import BUY, Baskets, ShopData, Vector

RIDGE = 1e-6
"""Relative to a feature's weight: two items with the same features cannot be told apart."""

FLOOR = 0.01
"""Scores below this share of the largest are all alike: rounding is down there."""

RANK = 1e-4
"""Directions of the shopper layer's update that are shorter than this share of its longest, are
rounding."""

_SEED = 0  # of the round that is attacked


@dataclass(frozen=True)
class Inversion:
    """How well item sets were recovered.

    Attributes:
        f1: mean over the shoppers that were attacked, 1 for every set found whole.
        shoppers: how many.
        guessing: F1 of naming the shop's best sellers, as many as the attack named.
    """

    f1: float
    shoppers: int
    guessing: float


def inversion(
    shop: ShopData,
    plan: GuidePlan,
    params: Vector,
    *,
    guard: Guard | None = None,
    root: Root | None = None,
    shoppers: int = 30,
    baskets: int = 8,
    slopes: ShopperSlopes | None = None,
    others: float = 1.0,
) -> Inversion:
    """Attacks the vectors of some shoppers, bare or as a guard lets them out with all its noise.

    Args:
        shop: whose shoppers are attacked.
        plan: the network.
        params: the model that the vectors were made at.
        guard: ``None`` lets the vectors out bare.
        root: of the guard's noise.
        shoppers: how many are attacked, of those with at most ``baskets``.
        baskets: most of one shopper in a round, as the slopes were made.
        slopes: of the whole tower, as the run makes them: what they read besides baskets (released
            sales, own searches) is then in the vectors, and the attacker does not know it.
            ``None`` stands for slopes of baskets alone.
        others: by which the slopes' coordinates behind the table are scaled, which is public.

    Raises:
        ConfigError: the guard is not of the whole tower, see ``shopper_slopes``, or the encoder
            has no shopper layer.
    """
    if slopes is None:
        slopes = shopper_slopes(shop.catalogue, shop.train, plan, baskets=baskets)
    few = _with_few(shop.train, slopes.shoppers, baskets)[:shoppers]
    width = plan.size
    table = int((slopes.places < plan.text.buckets * width).sum())
    active = slopes.places[:table:width] // width
    features = slopes.features(_SEED).toarray().astype(np.float64)
    model = _Model.of(params, plan, features, active)
    gram = features @ features.T
    gram[np.diag_indices_from(gram)] += RIDGE * features.sum(axis=1).mean()
    factor = cho_factor(gram, overwrite_a=True)
    sold = _best_sellers(shop)
    f1, guessed, row = [], [], 0
    for some in slopes.each(params, few, _SEED):
        for vector in some:
            seen = vector.astype(np.float64)
            if guard is not None and root is not None:
                seen = _let_out(seen, guard, root, row)
            rows = cho_solve(factor, features @ seen[:table].reshape(-1, width))
            layer = _layer(seen[table:] / others, plan)
            named = _above(model.scores(rows, layer, baskets))
            true = _items_of(shop.train, int(slopes.shoppers[few[row]]), plan)
            f1.append(_f1(named, true))
            guessed.append(_f1(sold[: len(named)], true))
            row += 1
    return Inversion(float(np.mean(f1)), len(f1), float(np.mean(guessed)))


def _let_out(
    vector: NDArray[np.float64], guard: Guard, root: Root, number: int
) -> NDArray[np.float64]:
    """The vector as it leaves: clipped, with the noise of the whole sum on it."""
    norm = np.linalg.norm(vector, ord=1 if guard.noise == "laplace" else 2)
    clipped = vector * min(1.0, guard.clip / max(float(norm), 1e-30))
    own = Root(derive(root, "inversion", number))
    noise = whole_noise(guard, own, number)[: len(vector)]
    return clipped + noise * (guard.clip / guard.bound.target)


def _with_few(train: Baskets, shoppers: NDArray[np.int64], baskets: int) -> NDArray[np.int64]:
    """Places in ``shoppers`` of those all of whose baskets are in one round."""
    counts = np.bincount(train.shoppers, minlength=len(train.shopper_ids))[shoppers]
    return np.flatnonzero(counts <= baskets)


@dataclass(frozen=True)
class _Model:
    """What the attacker knows of the model; every array in double precision.

    Attributes:
        item: the linear layer behind the table, ``(d, d)``.
        units: direction of each item's vector, ``(n, d)``.
        lengths: what a row's slope is multiplied by to be that of the vector itself, ``(n, 1)``.
        shopper: W, ``(d, d)``.
        start: the vector of a shopper without a context, ``(d,)``.
    """

    item: NDArray[np.float64]
    units: NDArray[np.float64]
    lengths: NDArray[np.float64]
    shopper: NDArray[np.float64]
    start: NDArray[np.float64]

    @staticmethod
    def of(
        params: Vector, plan: GuidePlan, features: NDArray[np.float64], active: NDArray[np.int64]
    ) -> _Model:
        """The model over one shop's catalogue."""
        arrays = layout_of(plan).unflatten(params)
        item, shopper, start = (arrays[n].astype(np.float64) for n in ("item", "shopper", "start"))
        mixed = features @ arrays["table"][active].astype(np.float64) @ item
        lengths = np.sqrt((mixed * mixed).sum(axis=1, keepdims=True) + TINY)
        scale = math.exp(float(arrays["temperature"][0]))
        return _Model(item, mixed / lengths, lengths / scale, shopper, start)

    def scores(
        self, rows: NDArray[np.float64], layer: NDArray[np.float64], most: int
    ) -> NDArray[np.float64]:
        """How surely each item was touched, ``(n,)``, 1 for the surest.

        Args:
            rows: slope of each item's sum of features, before the linear layer, ``(n, d)``.
            layer: slope of W.
            most: baskets that the update can hold.
        """
        slopes = np.linalg.solve(self.item, rows.T).T * self.lengths
        left, lengths, right = np.linalg.svd(layer)
        rank = min(int((lengths > RANK * max(lengths[0], 1e-30)).sum()), most)
        before, behind = left[:, :rank].T @ self.shopper, right[:rank] @ self.shopper.T
        # An orthogonal basis, in which what belongs to the context alone comes last.
        has_start = int(np.linalg.norm(self.start) > 0)
        basis, mixing = np.linalg.qr(
            np.concatenate([before, self.start[None, :][:has_start], behind]).T
        )
        # A slope has no part along its own item's vector, whose length is fixed.
        own = self.units @ basis
        found = slopes @ basis
        free = np.maximum(1 - (own * own).sum(axis=1, keepdims=True), 1e-12)
        found += own * ((own * found).sum(axis=1, keepdims=True) / free)
        context = found[:, rank + has_start :]
        bought = np.zeros(len(rows))
        if has_start:
            shares = np.linalg.lstsq(
                mixing[rank + has_start :, rank + has_start :], context.T, rcond=None
            )[0]
            along = found[:, rank] - mixing[rank, rank + has_start :] @ shares
            bought = -along / mixing[rank, rank]
        return np.maximum(_relative(bought), _relative(np.linalg.norm(context, axis=1)))


def _relative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is above 0 over the largest."""
    above = np.maximum(values, 0.0)
    return above / max(float(above.max(initial=0.0)), 1e-30)


def _layer(rest: NDArray[np.float64], plan: GuidePlan) -> NDArray[np.float64]:
    """The part of a tower's vector, behind its table, that is the shopper layer's."""
    layout, at = layout_of(plan), 0
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        if name == "shopper":
            return rest[at : at + math.prod(shape)].reshape(shape)
        if name not in PARTS["tower"] | {"table"}:
            at += math.prod(shape)
    raise ConfigError(f"the encoder {plan.encoder} has no shopper layer to attack")


def _above(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The items above the best cut of the logarithms in two, surest first.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979.
    """
    order = np.argsort(-scores, kind="stable")
    logs = np.log(scores[order] + FLOOR)
    counts = np.arange(1, len(logs))
    sums = np.cumsum(logs)[:-1]
    upper, lower = sums / counts, (logs.sum() - sums) / (len(logs) - counts)
    between = counts * (len(logs) - counts) * (upper - lower) ** 2
    return order[: int(counts[np.argmax(between)])]


def _items_of(train: Baskets, shopper: int, plan: GuidePlan) -> set[int]:
    """The items in the shopper's last events, which all its examples are made of."""
    owner = np.repeat(train.shoppers, np.diff(train.offsets))
    items = train.items[(owner == shopper) & (train.items >= 0)]
    return set(items[-plan.events :].tolist())


def _best_sellers(shop: ShopData) -> NDArray[np.int64]:
    bought = shop.train.items[shop.train.kinds == BUY]
    return np.argsort(-np.bincount(bought, minlength=len(shop.catalogue)), kind="stable")


def _f1(named: NDArray[np.int64], true: set[int]) -> float:
    """2 · hits over the sizes of both sets."""
    hits = len(true.intersection(named.tolist()))
    return 2 * hits / (len(named) + len(true)) if len(named) + len(true) else 0.0
