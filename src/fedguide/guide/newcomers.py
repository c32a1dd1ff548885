"""Items that came after the release: found, compared and recommended before anything is trained.

A release is signed and stays as it is. What a shop puts in later stands behind its items: the
release's own text tower gives each a vector from its title, brand, category and price, so search,
similar items and wishes know it at once. It has no sales and no neighbours, so by its score alone
it would hardly ever be seen, and a model that never shows it never learns of it. Some places of a
slate are therefore kept for what is new and closest to the shopper's vector; how many is the
shop's to say, and it is never more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import Matrix, item_vectors
from fedguide.models.scorer import ShopModel
from fedguide.values import Catalogue

NEW = "new"
"""Source of an item that came after the release."""

NEW_SHARE = 0.1
"""The part of a slate that is kept for new items unless a shop says otherwise."""

MOST_NEW = 5_000
"""Items that are served before a release knows them; more wait for the next one."""


def places_for_new(share: float, k: int) -> int:
    """How many of k places are kept for new items; never more than the share.

    The share is meant as it is written: 0.29 of 100 are 29, though the float is a little less.
    """
    return int(Fraction(str(share)) * k)


def added_to(
    model: ShopModel, first_new: int, rows: Mapping[str, int], kept: Catalogue
) -> Catalogue:
    """The items of ``kept`` that the release does not have, in an order that only grows.

    Args:
        model: the model as it is served, with what was added before.
        first_new: how many items the release itself has.
        rows: row of each served item.
        kept: every item the shop put in.
    """
    at = {name: place for place, name in enumerate(kept.ids)}
    # What stands there keeps its row: the histories of this process name it by that.
    before = [name for name in model.catalogue.ids[first_new:] if name in at]
    later = [name for name in kept.ids if name not in rows]
    return _taken(kept, [at[name] for name in (*before, *later)[:MOST_NEW]])


def with_added(model: ShopModel, first_new: int, added: Catalogue) -> ShopModel:
    """The model of the release's items and the added ones, which nobody has bought yet."""
    count, old_neighbours = len(added.ids), (model.neighbours, model.neighbour_weights)
    neighbours, neighbour_weights = _lonely(*old_neighbours, first_new, count)
    old = _taken(model.catalogue, range(first_new))
    none = np.zeros(count, model.popularity.dtype)
    longer = replace(
        model,
        catalogue=Catalogue(
            ids=(*old.ids, *added.ids),
            titles=(*old.titles, *added.titles),
            brands=(*old.brands, *added.brands),
            categories=(*old.categories, *added.categories),
            prices=np.concatenate([old.prices, added.prices]).astype(np.float32),
        ),
        item_vectors=_behind(model.item_vectors, first_new, item_vectors(model.network, added)),
        neighbours=neighbours,
        neighbour_weights=neighbour_weights,
        popularity=np.concatenate([model.popularity[:first_new], none]),
        recent_sales=np.concatenate([model.recent_sales[:first_new], none]),
    )
    aside = model.aside
    if aside is None:
        return longer
    if aside.neighbours is not model.neighbours:
        theirs = (aside.neighbours, aside.neighbour_weights)
        neighbours, neighbour_weights = _lonely(*theirs, first_new, count)
    vectors = _behind(aside.item_vectors, first_new, item_vectors(aside.network, added))
    aside = replace(
        aside,
        item_vectors=vectors,
        neighbours=neighbours,
        neighbour_weights=neighbour_weights,
    )
    return replace(longer, aside=aside)


def _lonely(
    neighbours: NDArray[np.int32], weights: Matrix, first_new: int, count: int
) -> tuple[NDArray[np.int32], Matrix]:
    """The neighbours of the release's items, and none for the added ones."""
    width = neighbours.shape[1]
    none = np.full((count, width), -1, neighbours.dtype)
    more = np.zeros((count, width), np.float32)
    return np.concatenate([neighbours[:first_new], none]), _behind(weights, first_new, more)


def same_items(one: Catalogue, other: Catalogue) -> bool:
    """Do two catalogues say the same of the same items?"""
    texts = ("ids", "titles", "brands", "categories")
    alike = all(getattr(one, name) == getattr(other, name) for name in texts)
    return alike and bool(np.array_equal(one.prices, other.prices, equal_nan=True))


def closest_new(
    vectors: Matrix, first_new: int, shopper: Matrix, bought: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """The new items closest to a shopper's vector ``(d,)``, nearest first; none that points away.

    Args:
        vectors: float32 ``(n, d)``, the item vectors.
        first_new: rows from here on are new.
        shopper: the shopper's vector.
        bought: rows that are not wanted.
        most: how many at most.
    """
    close = vectors[first_new:] @ shopper
    close[bought[bought >= first_new] - first_new] = -np.inf
    best = np.lexsort((np.arange(len(close)), -close))[:most]
    rows: NDArray[np.int64] = best[close[best] > 0].astype(np.int64) + first_new
    return rows


def _taken(catalogue: Catalogue, rows: Sequence[int]) -> Catalogue:
    return Catalogue(
        ids=tuple(catalogue.ids[row] for row in rows),
        titles=tuple(catalogue.titles[row] for row in rows),
        brands=tuple(catalogue.brands[row] for row in rows),
        categories=tuple(catalogue.categories[row] for row in rows),
        prices=catalogue.prices[np.array(rows, np.int64)].astype(np.float32),
    )


def _behind(table: Matrix, first_new: int, more: Matrix) -> Matrix:
    return np.concatenate([table[:first_new], more])
