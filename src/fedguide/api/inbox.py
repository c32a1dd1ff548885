"""Events that shops send: on disk before the answer, each once, and counted at once.

Batches that arrive while one transaction is being written wait together and are written by the
next one, so a disk that syncs a hundred times a second takes thousands of events. The line of
those who wait is bounded: whoever comes when it is full is told to come back. An event is known by
its shop and its id, which the sender chooses; sent again it changes nothing, so a sender that got
no answer (a crash, a time-out) sends the same batch until it gets one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from fedguide.api.tables import EVENTS, IGNORED, changing, looking
from fedguide.data.received import DAY_S
from fedguide.errors import OverloadedError
from fedguide.guide.engine import Guide
from fedguide.guide.fresh import Happened
from fedguide.guide.histories import holds
from fedguide.privacy.tables import Database
from fedguide.values import KINDS

MOST_WAITING = 256
"""Batches that may wait for the disk."""

Keeps = Callable[[str], bool]
"""May this shopper's events be kept at all?"""


@dataclass(frozen=True)
class Received:
    """One event as it was sent and checked; ``item`` or ``query`` is empty."""

    id: str
    shopper: str
    kind: str
    item: str
    query: str
    time_s: int
    day: int
    price: float | None = None


@dataclass(frozen=True)
class Receipt:
    """What became of a batch: ids that are new, and how many of it were not kept by right."""

    fresh: frozenset[str]
    refused: int


class Inbox:
    """Takes batches of events for some shops; use it on one event loop.

    Args:
        database: where they are kept.
        guides: the served shops, which see an event once it is on disk.
        keeps: shoppers who were erased are not kept again.
        most: batches that may wait.
    """

    def __init__(
        self,
        database: Database,
        guides: Mapping[str, Guide],
        keeps: Keeps,
        most: int = MOST_WAITING,
    ) -> None:
        self.database = database
        self._guides, self._keeps, self._most = guides, keeps, most
        self._waiting: list[tuple[Guide, Sequence[Received], asyncio.Future[frozenset[str]]]] = []
        self._writer: asyncio.Task[None] | None = None

    def reload(self, only: str | None = None) -> int:
        """Puts everything kept into the guides (or one shop's) that were just opened.

        What was poured into the store since, and is in the histories so, is not counted twice.
        Gives how many events that were.
        """
        count, guides = 0, {k: v for k, v in self._guides.items() if only in (None, k)}
        with looking(self.database) as db:
            for row in db.execute(select(EVENTS).order_by(EVENTS.c.seq)):
                if row.shop in guides and self._keeps(row.shopper):
                    event, guide = _received(row), guides[row.shop]
                    if _in_histories(guide, event):
                        continue
                    self._count_in(guide, event)
                    count += 1
            for shop, shopper in db.execute(
                select(IGNORED.c.shop, IGNORED.c.shopper).distinct()
            ).all():
                if shop in guides:
                    self._ignore(db, shop, shopper)
        return count

    async def take(self, guide: Guide, batch: Sequence[Received]) -> Receipt:
        """Writes a batch; when this returns it is on disk and the next answer knows of it.

        Raises:
            OverloadedError: too many batches wait already; nothing of this one was written.
            RunError: the database cannot be written; the same batch may be sent again.
        """
        kept = [event for event in batch if self._keeps(event.shopper)]
        # Twice in one batch: the first counts.
        once = list({event.id: event for event in reversed(kept)}.values())[::-1]
        if len(self._waiting) >= self._most:
            raise OverloadedError(
                f"at most {self._most} batches of events may wait", hint="try again in a second"
            )
        written: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self._waiting.append((guide, once, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        # A sender that goes away does not undo what others wait for.
        fresh = await asyncio.shield(written)
        return Receipt(fresh, len(batch) - len(kept))

    def ignored(self, shop: str, shopper: str) -> list[str]:
        """Items a shopper does not want to be reckoned with."""
        with looking(self.database) as db:
            return _ignored_items(db, shop, shopper)

    def set_ignored(self, shop: str, shopper: str, items: Sequence[str]) -> None:
        """Replaces them, and counts at the next answer."""
        whose = {"shop": shop, "shopper": shopper}
        with changing(self.database) as db:
            db.execute(delete(IGNORED).where(IGNORED.c.shop == shop, IGNORED.c.shopper == shopper))
            for item in dict.fromkeys(items):
                db.execute(IGNORED.insert().values(**whose, item=item))
            self._ignore(db, shop, shopper)

    def received(self, shop: str, shopper: str) -> list[Received]:
        """Everything that was received of a shopper, oldest first."""
        whose = EVENTS.c.shop == shop, EVENTS.c.shopper == shopper
        with looking(self.database) as db:
            return [
                _received(row)
                for row in db.execute(select(EVENTS).where(*whose).order_by(EVENTS.c.seq))
            ]

    def received_by(self, shop: str) -> Iterator[Received]:
        """Everything that a shop received, oldest first."""
        with looking(self.database) as db:
            rows = db.execute(select(EVENTS).where(EVENTS.c.shop == shop).order_by(EVENTS.c.seq))
            yield from map(_received, rows)

    def everywhere(self, shopper: str) -> list[dict[str, Any]]:
        """Everything that was received of a shopper in any shop, as JSON."""
        with looking(self.database) as db:
            rows = db.execute(
                select(EVENTS).where(EVENTS.c.shopper == shopper).order_by(EVENTS.c.seq)
            ).mappings()
            return [{k: v for k, v in row.items() if v not in (None, "", shopper)} for row in rows]

    def forget(self, shopper: str) -> int:
        """Removes a shopper from every shop, also from the bytes; gives how many events."""
        with changing(self.database) as db:
            gone = db.execute(delete(EVENTS).where(EVENTS.c.shopper == shopper)).rowcount
            db.execute(delete(IGNORED).where(IGNORED.c.shopper == shopper))
        if self.database.is_sqlite:
            # The write-ahead log still has the old pages until it is emptied.
            with self.database.engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            ) as db:
                db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        for guide in self._guides.values():
            guide.histories.fresh.forget(shopper)
        return int(gone)

    async def _write_all(self) -> None:
        while self._waiting:
            batches, self._waiting = self._waiting, []
            try:
                sent = [(guide.shop, batch) for guide, batch, _ in batches]
                fresh = await asyncio.to_thread(self._write, sent)
            except Exception as error:  # noqa: BLE001 - every sender is told
                for _, _, written in batches:
                    if not written.done():
                        written.set_exception(error)
                        written.exception()  # a sender that has gone leaves it unread
                continue
            for (sent_to, batch, written), ids in zip(batches, fresh, strict=True):
                # Another one may be served by now, which knows more items.
                guide = self._guides.get(sent_to.shop, sent_to)
                for event in batch:
                    if event.id in ids:
                        self._count_in(guide, event)
                if not written.done():
                    written.set_result(ids)

    def _write(self, batches: Sequence[tuple[str, Sequence[Received]]]) -> list[frozenset[str]]:
        """One transaction for all; gives the new ids of each batch."""
        sent: dict[str, dict[str, Received]] = {}
        for shop, batch in batches:
            by_id = sent.setdefault(shop, {})
            for event in batch:
                by_id.setdefault(event.id, event)  # of two that came together the first counts
        with changing(self.database) as db:
            fresh = {shop: _insert(db, shop, list(once.values())) for shop, once in sent.items()}
        told = []
        for shop, batch in batches:
            # Whoever sent it first is told that it is new.
            ids = fresh[shop] & {event.id for event in batch}
            fresh[shop] -= ids
            told.append(ids)
        return told

    def _count_in(self, guide: Guide, event: Received) -> None:
        row = guide.rows.get(event.item, -1)
        # An item that came after the release: kept for the next training, unknown to this one.
        if event.item and row < 0:
            return
        happened = Happened(row, KINDS.index(event.kind), event.day, event.query or None)
        guide.histories.fresh.add(event.shopper, happened)

    def _ignore(self, db: Connection, shop: str, shopper: str) -> None:
        guide = self._guides[shop]
        items = _ignored_items(db, shop, shopper)
        rows = [guide.rows[item] for item in items if item in guide.rows]
        guide.histories.fresh.ignore(shopper, rows)


def _in_histories(guide: Guide, event: Received) -> bool:
    """Does the store hold it? It keeps a shopper's events by item, kind and day, each once."""
    row = guide.rows.get(event.item, -1)
    day, kind = event.time_s // DAY_S, KINDS.index(event.kind)
    return holds(guide.histories, event.shopper, Happened(row, kind, day, event.query or None))


def _insert(db: Connection, shop: str, batch: Sequence[Received]) -> frozenset[str]:
    if not batch:
        return frozenset()
    dialect: Any = postgresql if db.dialect.name == "postgresql" else sqlite
    # Rows apart from the statement: it is compiled once, whatever the size of a batch.
    new = dialect.insert(EVENTS).on_conflict_do_nothing().returning(EVENTS.c.id)
    return frozenset(db.execute(new, [_row(shop, event) for event in batch]).scalars())


def _row(shop: str, event: Received) -> dict[str, Any]:
    return {"shop": shop} | {name: getattr(event, name) for name in event.__dataclass_fields__}


def _received(row: Any) -> Received:
    return Received(
        row.id, row.shopper, row.kind, row.item, row.query, row.time_s, row.day, row.price
    )


def _ignored_items(db: Connection, shop: str, shopper: str) -> list[str]:
    whose = IGNORED.c.shop == shop, IGNORED.c.shopper == shopper
    return list(db.execute(select(IGNORED.c.item).where(*whose).order_by(IGNORED.c.item)).scalars())
