"""Gradient inversion: which items did a shopper buy, read off the update that was sent?

The text tower is linear up to its last step, and the shop's catalogue is public: so the update of
the hashed table is Σ features ⊗ slope of a row, a linear system with one unknown row an item. Its
least-squares solution gives every item's slope, and the slope of an item that was asked for or
stood in the history is far longer than that of one that was only a negative (after Zhu, Liu and
Han, "Deep Leakage from Gradients", 2019; for a linear layer it needs no optimisation: Geiping,
Bauermeister, Dröge and Moeller, "Inverting Gradients", 2020, proposition 3.1).

At an untrained model all negatives are alike and short; a trained one tells popular items from
others, and they hide what was asked for: on Online Retail F1 fell to 0.07 after twenty rounds.

The attacker is the strongest there is: everybody else's vector is known and subtracted, so that
what is left is the vector of one shopper, and the noise, if there is any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fedguide.models.fit import layout_of
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import shopper_slopes
from fedguide.models.text import item_features
from fedguide.privacy.guard import Guard, whole_noise
from fedguide.seeds import Root, derive
from fedguide.values import BUY, Baskets, ShopData, Vector

RIDGE = 1e-3
"""Relative to a feature's weight: two items with the same features cannot be told apart."""


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
) -> Inversion:
    """Attacks the vectors of some shoppers, bare or as a guard lets them out with all its noise.

    Raises:
        ConfigError: the guard is not of the whole tower, see ``shopper_slopes``.
    """
    bare = replace(plan, token_dropout=0.0, event_dropout=0.0, dropout=0.0, cart=0.0)
    slopes = shopper_slopes(shop.catalogue, shop.train, bare, baskets=baskets)
    few = _with_few(shop.train, slopes.shoppers, baskets)[:shoppers]
    width = plan.size
    table = int((slopes.places < plan.text.buckets * width).sum())
    active = slopes.places[:table:width] // width
    features = _matrix(shop, plan, active)
    lengths = np.linalg.norm(features @ layout_of(plan).unflatten(params)["table"][active], axis=1)
    gram = features @ features.T
    gram[np.diag_indices_from(gram)] += RIDGE * features.sum(axis=1).mean()
    factor = cho_factor(gram, overwrite_a=True)
    sold = _best_sellers(shop)
    f1, guessed, row = [], [], 0
    for some in slopes.each(params, few, 0):
        for vector in some:
            seen = vector.astype(np.float64)
            if guard is not None and root is not None:
                seen = _let_out(seen, guard, root, row)
            rows = cho_solve(factor, features @ seen[:table].reshape(-1, width))
            named = _long(np.linalg.norm(rows, axis=1) * lengths)
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


def _matrix(shop: ShopData, plan: GuidePlan, active: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each item has each active bucket, ``(n, a)``."""
    found = item_features(shop.catalogue, plan.text)
    rows, nth = np.nonzero(found >= 0)
    matrix = np.zeros((len(found), len(active)))
    np.add.at(matrix, (rows, np.searchsorted(active, found[rows, nth])), 1.0)
    return matrix


def _long(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The items above the best cut of the logarithms in two, longest first.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979.
    """
    order = np.argsort(-scores)
    logs = np.log(scores[order] + 1e-30)
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
