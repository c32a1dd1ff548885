"""Items that are wanted together: the neighbour lists a shop keeps for itself, and ItemKNN.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", 2001: cosine
between the columns of the shopper x item matrix. Deviation: the cosine is shrunk towards zero
for items seen by few (Koren and Bell, "Advances in Collaborative Filtering", 2011, section 5.1).
Nothing here leaves the shop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedguide.errors import ConfigError
from fedguide.models.evaluate import Scorer, lines_between
from fedguide.models.scorer import SPEAKS
from fedguide.values import Baskets, Cases

KEEP = 100
"""Neighbours of an item in a release. Measured to cost nothing: EASE on Online Retail (ridge 100)
reaches a discovery NDCG@10 of .0854 with 100 neighbours and with all 2,000 to 3,000."""

BLOCK = 1024
"""Rows of the item x item matrix made at a time."""


@dataclass(frozen=True)
class Neighbours:
    """Row j lists the items that item j speaks for, strongest first.

    Attributes:
        items: int32 ``(n, k)``, -1 where there is none.
        weights: float32 ``(n, k)``, how much; 0 where there is none.
    """

    items: NDArray[np.int32]
    weights: NDArray[np.float32]


def shopper_items(train: Baskets, items: int) -> sparse.csr_array:
    """How loudly each shopper's loudest event speaks for each item, shape ``(shoppers, items)``.

    1 for a bought item, less for one that was only put into the cart or looked at.
    """
    line_shoppers = np.repeat(train.shoppers, np.diff(train.offsets))
    keep = (train.items >= 0) & (SPEAKS[train.kinds] > 0)
    _, shopper = np.unique(line_shoppers[keep], return_inverse=True)
    return loudest(shopper, train.items[keep], SPEAKS[train.kinds[keep]], items)


def loudest(
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    values: NDArray[np.float32],
    items: int,
    count: int | None = None,
) -> sparse.csr_array:
    """A sparse ``(count, items)`` matrix of the largest value given for each place."""
    order = np.lexsort((-values, columns, rows))
    row, column, value = rows[order], columns[order], values[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    height = int(rows.max(initial=-1)) + 1 if count is None else count
    places = (row[first], column[first])
    return sparse.csr_array((value[first], places), shape=(height, items), dtype=np.float32)


def strongest(
    block: NDArray[np.float32], keep: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``keep`` entries of largest size in each row, largest first: items and weights."""
    keep = min(keep, block.shape[1])
    size = np.abs(block)
    if keep < block.shape[1]:
        chosen = np.argpartition(-size, keep - 1, axis=1)[:, :keep] if keep else np.zeros((0, 0))
    else:
        chosen = np.broadcast_to(np.arange(keep), block.shape)
    chosen = chosen.astype(np.int64)
    order = np.lexsort((chosen, -np.take_along_axis(size, chosen, axis=1)), axis=1)
    chosen = np.take_along_axis(chosen, order, axis=1)
    weights = np.take_along_axis(block, chosen, axis=1)
    return np.where(weights == 0, -1, chosen).astype(np.int32), weights.astype(np.float32)


def itemknn(train: Baskets, items: int, *, shrink: float = 10.0, keep: int = KEEP) -> Neighbours:
    """The ``keep`` nearest neighbours of every item by shrunk cosine.

    Raises:
        ConfigError: ``shrink`` is negative or ``keep`` below 1.
    """
    if shrink < 0:
        raise ConfigError(f"shrink must be at least 0, got {shrink}")
    if keep < 1:
        raise ConfigError(f"keep must be at least 1, got {keep}")
    X = shopper_items(train, items)
    length = np.sqrt(np.asarray(X.multiply(X).sum(axis=0), np.float32)).reshape(items)
    columns = X.T.tocsr()
    parts = []
    for start in range(0, items, BLOCK):
        stop = min(start + BLOCK, items)
        block = np.asarray((columns[start:stop] @ X).toarray(), np.float32)
        block /= np.maximum(np.outer(length[start:stop], length) + np.float32(shrink), 1e-9)
        block[np.arange(stop - start), np.arange(start, stop)] = 0
        parts.append(strongest(block, keep))
    if not parts:
        return Neighbours(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32))
    return Neighbours(
        np.concatenate([items for items, _ in parts]),
        np.concatenate([weights for _, weights in parts]),
    )


def faded_history(cases: Cases, items: int, fade_days: float) -> sparse.csr_array:
    """How loudly each item of each case's history speaks, shape ``(c, items)``.

    An item speaks once, with its loudest event; an event ``fade_days`` old speaks 1/e as loudly.
    """
    baskets = cases.baskets
    owner, line = lines_between(baskets, cases.starts, cases.targets)
    keep = baskets.items[line] >= 0
    owner, line = owner[keep], line[keep]
    days = np.repeat(baskets.days, np.diff(baskets.offsets))
    ages = baskets.days[cases.targets][owner] - days[line]
    loud = SPEAKS[baskets.kinds[line]] * np.exp(ages / np.float32(-fade_days))
    return loudest(owner, baskets.items[line], loud.astype(np.float32), items, len(cases))


def by_neighbours(neighbours: Neighbours, fade_days: float) -> Scorer:
    """Scores by the history's neighbours: Σ loudness of item j x weight of j for the item.

    The same sum as the component ``neighbours`` of ``scorer``.
    """
    n = len(neighbours.items)
    speaker, place = np.nonzero(neighbours.items >= 0)
    heard = neighbours.items[speaker, place]
    weights = sparse.csr_array(
        (neighbours.weights[speaker, place], (speaker, heard)), shape=(n, n), dtype=np.float32
    )

    def scorer(cases: Cases) -> NDArray[np.float32]:
        history = faded_history(cases, n, fade_days)
        return np.asarray((history @ weights).toarray(), np.float32)

    return scorer
