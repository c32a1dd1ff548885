"""Small shops written down by hand, and random ones for properties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fedguide.values import BUY, Baskets, Cases, Catalogue, ShopData

Visit = tuple[int, int, Sequence[int | tuple[int, int]]]
"""(shopper, day, lines); a line is a bought item, or (item, kind)."""


def catalogue(items: int) -> Catalogue:
    nothing = ("",) * items
    return Catalogue(
        tuple(f"i{i}" for i in range(items)),
        tuple(f"thing {i} 物品" for i in range(items)),
        nothing,
        nothing,
        np.full(items, 2.0, np.float32),
    )


def diary(visits: Iterable[Visit]) -> Baskets:
    owners, days, offsets, lines = [], [], [0], []
    for shopper, day, basket in sorted(visits, key=lambda v: v[:2]):
        pairs = {line if isinstance(line, tuple) else (line, BUY) for line in basket}
        lines += sorted(pairs)
        owners.append(shopper)
        days.append(day)
        offsets.append(len(lines))
    item = np.array([i for i, _ in lines], np.int32)
    return Baskets(
        np.array(owners, np.int32),
        np.array(days, np.int32),
        np.array(offsets, np.int64),
        item,
        np.array([k for _, k in lines], np.uint8),
        np.full(len(lines), -1, np.int32),
        tuple(f"s{i}" for i in range(max(owners, default=-1) + 1)),
    )


def cases(baskets: Baskets, targets: Sequence[int]) -> Cases:
    rows = np.array(targets, np.int64)
    starts = np.searchsorted(baskets.shoppers, baskets.shoppers[rows]).astype(np.int64)
    return Cases(baskets, rows, starts)


def before(baskets: Baskets, day: int) -> Baskets:
    keep = baskets.days < day
    lines = np.repeat(keep, np.diff(baskets.offsets))
    sizes = np.diff(baskets.offsets)[keep]
    return Baskets(
        baskets.shoppers[keep],
        baskets.days[keep],
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        baskets.items[lines],
        baskets.kinds[lines],
        baskets.queries[lines],
        baskets.shopper_ids,
        baskets.query_texts,
    )


def first_after(baskets: Baskets, day: int) -> Cases:
    """The first basket from ``day`` on of everybody with an earlier one."""
    rows = np.flatnonzero(baskets.days >= day)
    _, first = np.unique(baskets.shoppers[rows], return_index=True)
    found = cases(baskets, rows[first].tolist())
    warm = found.starts < found.targets
    return Cases(baskets, found.targets[warm], found.starts[warm])


def random_shop(
    name: str = "shop",
    *,
    seed: int = 0,
    shoppers: int = 40,
    items: int = 30,
    first: int = 60,
    second: int = 80,
) -> ShopData:
    """Shoppers with one of three tastes over 100 days; every visit buys what fits the taste."""
    rng = np.random.default_rng(seed)
    visits: list[Visit] = []
    for shopper in range(shoppers):
        liked = np.flatnonzero(np.arange(items) % 3 == shopper % 3)
        days = np.sort(rng.choice(100, 6, replace=False)).tolist()
        visits += [(shopper, day, rng.choice(liked, 3, replace=False).tolist()) for day in days]
    whole = diary(visits)
    known = before(whole, second)
    return ShopData(
        name,
        catalogue(items),
        before(whole, first),
        first_after(known, first),
        first_after(whole, second),
        cold=0,
    )
