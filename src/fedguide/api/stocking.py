"""``POST /items``: batches of a shop's items, put in or changed by id, on disk before the answer.

An item that the served release does not know is found, compared and recommended from the next
answer on, as new (``guide.newcomers``); one that it knows changes with the next release, because a
release is signed and stays as it is. All come into the shop's store with ``fedguide data pour``.
Attributes are kept beside them; a release reads title, brand, category and price.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import FastAPI
from sqlalchemy import Connection, delete, select
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api.asking import decoded
from fedguide.api.keys import KeyBook
from fedguide.api.operation import SHOP_PARAMETER, Operation, add_operation, json_of
from fedguide.api.tables import ITEMS, changing, looking
from fedguide.errors import ConfigError, OverloadedError
from fedguide.guide.engine import Guide, with_new_items
from fedguide.privacy.tables import Database
from fedguide.values import Catalogue

MOST_ITEMS = 1000
"""Items of one batch."""

MOST_WAITING = 16
"""Batches that may wait for the disk."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Text = Annotated[str, msgspec.Meta(max_length=200)]
_Title = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Price = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Attribute = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Attributes = Annotated[dict[_Attribute, _Text], msgspec.Meta(max_length=32)]


class SentItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One item; what is left out is empty, also where it was something before.

    ``category`` is a path with ``/`` between its levels.
    """

    item_id: _Name
    title: _Title
    category: _Text = ""
    brand: _Text = ""
    price: _Price | None = None
    attributes: _Attributes = {}


class ItemBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /items``."""

    items: Annotated[tuple[SentItem, ...], msgspec.Meta(min_length=1, max_length=MOST_ITEMS)]


class ItemsTaken(msgspec.Struct, frozen=True):
    """Answer of ``POST /items``: all of the batch is on disk.

    Attributes:
        shop: whose items they are.
        added: items that are new here.
        changed: items that were here and are different now.
        same: items that were here just so.
        live: items of the batch that the release does not know; the next answer knows them.
        served: when answers know what is different of the others; always ``next-release``.
    """

    shop: str
    added: int
    changed: int
    same: int
    live: int
    served: str = "next-release"


STOCKING_SHAPES = (ItemBatch, ItemsTaken)

STOCK = Operation(
    "items",
    "POST",
    "/api/v1/items",
    "A batch of items, put in or changed by id; the next answer knows what is new",
    "ItemsTaken",
    {"shop": "shop-1", "added": 1, "changed": 0, "same": 0, "live": 1, "served": "next-release"},
    (SHOP_PARAMETER,),
    "ItemBatch",
    {"items": [{"item_id": "sku-0001", "title": "Red mug", "category": "home/mugs", "price": 3.5}]},
)


@dataclass(frozen=True)
class Counts:
    """How many items of a batch were new, different, or there just so."""

    added: int
    changed: int
    same: int


def put_items(database: Database, shop: str, batch: Sequence[SentItem]) -> Counts:
    """Puts items in by id, in one transaction.

    Raises:
        RunError: the database cannot be written; nothing was changed.
    """
    with changing(database) as db:
        wanted = {item.item_id: _row(shop, item) for item in batch}
        before = _rows(db, shop, list(wanted))
        new = [row for name, row in wanted.items() if name not in before]
        other = [row for name, row in wanted.items() if before.get(name, row) != row]
        for row in other:
            db.execute(delete(ITEMS).where(ITEMS.c.shop == shop, ITEMS.c.item == row["item"]))
        if new or other:
            db.execute(ITEMS.insert(), new + other)
    return Counts(len(new), len(other), len(wanted) - len(new) - len(other))


def kept_items(database: Database, shop: str) -> Catalogue:
    """Every item a shop sent, by id.

    Raises:
        RunError: the database cannot be read.
    """
    with looking(database) as db:
        rows = sorted(_rows(db, shop).values(), key=lambda row: str(row["item"]))
    return _catalogue(rows)


def with_stock(database: Database, guide: Guide) -> Guide:
    """The guide with the items that its shop put in after the release.

    Raises:
        RunError: the database cannot be read.
    """
    with looking(database) as db:
        names = db.execute(
            select(ITEMS.c.item).where(ITEMS.c.shop == guide.shop).order_by(ITEMS.c.item)
        ).scalars()
        later = [name for name in names if guide.rows.get(name, guide.first_new) >= guide.first_new]
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(later), MOST_ITEMS):
            found |= _rows(db, guide.shop, later[start : start + MOST_ITEMS])
    return with_new_items(guide, _catalogue([found[name] for name in later]))


def _catalogue(rows: Sequence[dict[str, Any]]) -> Catalogue:
    return Catalogue(
        ids=tuple(row["item"] for row in rows),
        titles=tuple(row["title"] for row in rows),
        brands=tuple(row["brand"] for row in rows),
        categories=tuple(row["category"] for row in rows),
        prices=np.array([math.nan if r["price"] is None else r["price"] for r in rows], np.float32),
    )


def add_stocking(
    app: FastAPI,
    keys: KeyBook,
    database: Database,
    guides: MutableMapping[str, Guide],
    guide_of: Callable[[str], Guide],
) -> None:
    """Adds the route; ``guide_of`` gives the guide of a shop's name, and ``guides`` is renewed."""
    waiting, one_at_a_time = [0], asyncio.Lock()

    async def items(request: Request) -> Response:
        shop = guide_of(request.query_params.get("shop", "")).shop
        batch = decoded(await request.body(), ItemBatch).items
        if len({item.item_id for item in batch}) < len(batch):
            raise ConfigError("an item_id stands twice in the batch, each may stand once")
        if waiting[0] >= MOST_WAITING:
            raise OverloadedError(
                f"at most {MOST_WAITING} batches of items may wait", hint="try again in a second"
            )
        waiting[0] += 1
        try:
            async with one_at_a_time:
                done = await asyncio.to_thread(put_items, database, shop, batch)
                before = guides[shop]
                after = await asyncio.to_thread(_renewed, database, before)
                if guides[shop] is before:  # else another release was promoted meanwhile
                    guides[shop] = after
        finally:
            waiting[0] -= 1
        guide = guides[shop]
        live = sum(guide.rows.get(item.item_id, -1) >= guide.first_new for item in batch)
        return json_of(ItemsTaken(shop, done.added, done.changed, done.same, live))

    add_operation(app, STOCK, keys, items)


def _renewed(database: Database, guide: Guide) -> Guide:
    after = with_stock(database, guide)
    if after is not guide:
        after.words()  # here, beside the answers; the first wish would wait for it
    return after


def _rows(
    db: Connection, shop: str, names: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    wanted = select(ITEMS).where(ITEMS.c.shop == shop)
    if names is not None:
        wanted = wanted.where(ITEMS.c.item.in_(names))
    rows = db.execute(wanted).mappings()
    return {row["item"]: dict(row) for row in rows}


def _row(shop: str, item: SentItem) -> dict[str, Any]:
    return {
        "shop": shop,
        "item": item.item_id,
        "title": item.title,
        "category": item.category,
        "brand": item.brand,
        "price": item.price,
        "attributes": json.dumps(item.attributes, sort_keys=True, ensure_ascii=False),
    }
