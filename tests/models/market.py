"""A tiny hand-made shop for the network's tests: two tastes, red things and blue things."""

from __future__ import annotations

import numpy as np

from fedguide.values import BUY, SEARCH, VIEW, Baskets, Catalogue


def catalogue(items: int = 12) -> Catalogue:
    titles = tuple(f"{'red' if i % 2 else 'blue'} thing {i} 物品" for i in range(items))
    nothing = ("",) * items
    prices = np.full(items, 3.0, np.float32)
    return Catalogue(tuple(f"i{i}" for i in range(items)), titles, nothing, nothing, prices)


def baskets(shoppers: int = 40, visits: int = 4, items: int = 12, seed: int = 0) -> Baskets:
    """Even shoppers buy even items, odd ones odd; each visit also has a view and a search."""
    rng = np.random.default_rng(seed)
    owners, days, offsets, lines = [], [], [0], []
    for shopper in range(shoppers):
        for visit in range(visits):
            bought = 2 * rng.choice(items // 2, 2, replace=False) + shopper % 2
            rows = [(int(item), BUY, -1) for item in bought]
            rows.append((int(rng.integers(items)), VIEW, -1))
            rows.append((-1, SEARCH, shopper % 2))
            lines += sorted(rows)
            owners.append(shopper)
            days.append(10 * visit + shopper % 7)
            offsets.append(len(lines))
    item, kind, query = np.array(lines).T
    return Baskets(
        np.array(owners, np.int32),
        np.array(days, np.int32),
        np.array(offsets, np.int64),
        item.astype(np.int32),
        kind.astype(np.uint8),
        query.astype(np.int32),
        tuple(f"s{i}" for i in range(shoppers)),
        ("blue", "red 物品"),
    )
