"""Values that cross rooms: names, flat vectors, catalogues, baskets, cases.

All arrays are read-only by convention: a function that changes one makes a copy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import WrongShapeError

PartyId = NewType("PartyId", str)
"""Names one party of a federation (a shop, a partner)."""

Vector = NDArray[np.float32]
"""A flat vector of model parameters, shape ``(p,)``, as it crosses the wire."""

KINDS = ("view", "cart", "buy", "search", "ad_view", "ad_click")
"""Kinds of event; an event's kind is stored as an index into this table (uint8)."""

VIEW, CART, BUY, SEARCH, AD_VIEW, AD_CLICK = range(len(KINDS))


@dataclass(frozen=True)
class Layout:
    """Where each named array lies in a flat parameter vector, in this order."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Length ``p`` of the flat vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    def flatten(self, arrays: Mapping[str, NDArray[np.float32]]) -> Vector:
        """The named arrays as one vector of shape ``(p,)``.

        Raises:
            WrongShapeError: an array is missing, unknown, or of another shape.
        """
        if set(arrays) != set(self.names):
            raise WrongShapeError(f"layout has {sorted(self.names)}, got {sorted(arrays)}")
        for name, shape in zip(self.names, self.shapes, strict=True):
            if tuple(arrays[name].shape) != shape:
                raise WrongShapeError(f"{name} must have shape {shape}, got {arrays[name].shape}")
        parts = [np.asarray(arrays[name], np.float32).ravel() for name in self.names]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def unflatten(self, vector: Vector) -> dict[str, NDArray[np.float32]]:
        """The named arrays in ``vector``, as views into it.

        Raises:
            WrongShapeError: ``vector`` does not have shape ``(p,)``.
        """
        if vector.shape != (self.size,):
            raise WrongShapeError(f"vector must have shape ({self.size},), got {vector.shape}")
        arrays, start = {}, 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            end = start + math.prod(shape)
            arrays[name] = vector[start:end].reshape(shape)
            start = end
        return arrays


@dataclass(frozen=True)
class Catalogue:
    """One shop's items; row ``i`` of every field is item ``i`` (n items).

    ``titles`` may hold Chinese, English or both; an absent text is ``""``; an absent price is
    NaN. ``categories`` are paths with ``/`` between levels.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    brands: tuple[str, ...]
    categories: tuple[str, ...]
    prices: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of items n."""
        return len(self.ids)


@dataclass(frozen=True)
class Baskets:
    """One shop's baskets, sorted by shopper, then day; a basket is one shopper on one day.

    Basket ``j`` holds lines ``offsets[j]:offsets[j + 1]``. Within a basket a pair
    (item, kind) stands once, sorted by item, so that the order of lines cannot be known.

    Attributes:
        shoppers: int32 ``(b,)``, index into ``shopper_ids``.
        days: int32 ``(b,)``, days since 1970-01-01 (or the position, for data without times).
        offsets: int64 ``(b + 1,)``.
        items: int32 ``(lines,)``, row of the shop's catalogue; -1 for a search.
        kinds: uint8 ``(lines,)``, index into ``KINDS``.
        queries: int32 ``(lines,)``, index into ``query_texts``; -1 where not a search.
        shopper_ids: the shop's own names of its shoppers; they never leave the shop.
        query_texts: the searched texts, each once.
    """

    shoppers: NDArray[np.int32]
    days: NDArray[np.int32]
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    queries: NDArray[np.int32]
    shopper_ids: tuple[str, ...]
    query_texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of baskets b."""
        return len(self.shoppers)


@dataclass(frozen=True)
class Cases:
    """Shoppers to be judged on: each a row of a ``Baskets`` and what came before it.

    Case ``c`` asks to predict the **bought** items of basket ``targets[c]`` of ``baskets``
    from all earlier baskets of the same shopper (rows ``starts[c]:targets[c]``).

    Attributes:
        baskets: all baskets of the shop, before and after the cut.
        targets: int64 ``(c,)``, the basket to predict.
        starts: int64 ``(c,)``, the shopper's first basket; ``starts < targets``.
    """

    baskets: Baskets
    targets: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.targets)


@dataclass(frozen=True)
class ShopData:
    """One shop, cut for an honest comparison.

    ``train`` holds only baskets before the first cut; models are fitted on nothing else.
    ``validation`` is for every choice, ``test`` for the table and nothing else. ``cold`` counts
    test shoppers without any earlier basket (not in ``test``).
    """

    name: str
    catalogue: Catalogue
    train: Baskets
    validation: Cases
    test: Cases
    cold: int
