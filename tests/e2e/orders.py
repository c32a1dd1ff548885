"""Writes the shop of the README's first steps: 50,000 events of 3,000 shoppers and 600 items.

python -m tests.e2e.orders orders.csv
"""

from __future__ import annotations

import csv
import datetime
import sys
from pathlib import Path

import numpy as np

EVENTS, SHOPPERS, SEED = 50_000, 3_000, 7
_LOOKS = ("red", "blue", "green", "small", "large", "wooden", "steel", "paper", "glass", "vintage")
_THINGS = (
    "mug", "teapot", "plate", "lantern", "cushion", "candle", "notebook", "basket", "clock", "scarf"
)  # fmt: skip
_KITCHEN = 3
_SERIES = 6
_START = datetime.datetime(2025, 1, 1)
_MINUTES = 240 * 24 * 60


def write_orders(path: Path, events: int = EVENTS, shoppers: int = SHOPPERS) -> None:
    """A CSV whose shoppers like two kinds of thing each; the same every time."""
    rng = np.random.default_rng(SEED)
    items = []
    for thing, name in enumerate(_THINGS):
        category = "Kitchen" if thing < _KITCHEN else "Home"
        for look in _LOOKS:
            for series in range(1, _SERIES + 1):
                price = round(float(rng.uniform(3, 80)), 2)
                items.append((f"SKU-{len(items):04d}", f"{look} {name} {series}", category, price))
    tastes = rng.integers(0, len(_THINGS), (shoppers, 2))
    rows = []
    for shopper in rng.integers(0, shoppers, events).tolist():
        likes = rng.random() < 0.7
        thing = tastes[shopper][rng.integers(2)] if likes else rng.integers(len(_THINGS))
        each = len(_LOOKS) * _SERIES
        item, title, category, price = items[int(thing) * each + int(rng.integers(each))]
        time = _START + datetime.timedelta(minutes=int(rng.integers(_MINUTES)))
        kind = ("view", "view", "cart", "buy")[rng.integers(4)]
        rows.append((f"C{shopper:05d}", item, kind, time.isoformat(), title, category, price, 1))
    rows.sort(key=lambda row: row[3])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        heads = ("user_id", "item_id", "kind", "time", "title", "category", "price", "quantity")
        writer.writerow(heads)
        writer.writerows(rows)


if __name__ == "__main__":
    write_orders(Path(sys.argv[1]))
