"""One shop's own events and items in a DuckDB file: append, read, read a shopper, forget one.

The file belongs to one process at a time; another gets an error that says so. Batches have ids, so
that a batch sent twice stands once. Forgetting writes a new file without the shopper and puts it
in the place of the old one: DuckDB's own DELETE only marks rows, their bytes would stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fedguide.data.contract import ABSENT, Dataset, Events, require_events, restrict
from fedguide.data.tables import column, engine, texts
from fedguide.errors import DataError, NotFoundError
from fedguide.values import Catalogue

FORMAT = 1
"""Version of the tables below; a file of another version is refused."""

TABLES = """
CREATE TABLE store.about(format INTEGER, name VARCHAR, clocked BOOLEAN, synthetic BOOLEAN);
CREATE TABLE store.withheld("column" VARCHAR PRIMARY KEY);
CREATE TABLE store.batches(batch VARCHAR PRIMARY KEY, rows BIGINT);
CREATE TABLE store.shoppers("user" VARCHAR, "group" VARCHAR);
CREATE TABLE store.items(
    item VARCHAR, title VARCHAR, brand VARCHAR, category VARCHAR, price FLOAT);
CREATE TABLE store.events(
    seq BIGINT, "user" VARCHAR, item VARCHAR, kind UTINYINT, time BIGINT, day INTEGER,
    query VARCHAR, quantity FLOAT, price FLOAT, basket VARCHAR);
"""
APPEND = """
INSERT INTO store.events
SELECT seq + (SELECT coalesce(max(seq), -1) + 1 FROM store.events), "user", nullif(item, ''), kind,
    time, day, nullif(query, ''), if(isnan(quantity), NULL, quantity),
    if(isnan(price), NULL, price), nullif(basket, '')
FROM new_events
"""
POURED = """
CREATE TABLE IF NOT EXISTS store.poured(shop VARCHAR, id VARCHAR, "user" VARCHAR)
"""
"""Ids of received events that are in: a table of its own, which older stores get when opened."""
UNKNOWN_ITEMS = """
INSERT INTO store.items SELECT * FROM new_items
WHERE item NOT IN (SELECT item FROM store.items);
"""
UNKNOWN_SHOPPERS = """
INSERT INTO store.shoppers SELECT * FROM new_shoppers
WHERE "user" NOT IN (SELECT "user" FROM store.shoppers);
"""
ITEMS = """
DELETE FROM store.items WHERE item IN (SELECT item FROM new_items);
INSERT INTO store.items SELECT * FROM new_items;
"""
SHOPPERS = """
DELETE FROM store.shoppers WHERE "user" IN (SELECT "user" FROM new_shoppers);
INSERT INTO store.shoppers SELECT * FROM new_shoppers;
"""
SELECTED = """
CREATE OR REPLACE TEMP TABLE chosen AS
SELECT * FROM store.events WHERE $1 IS NULL OR "user" = $1
"""
NUMBERS = """
CREATE OR REPLACE TEMP TABLE u AS SELECT "user" AS name, row_number() OVER (ORDER BY name) - 1 AS n
    FROM (SELECT DISTINCT "user" FROM chosen);
CREATE OR REPLACE TEMP TABLE i AS SELECT item AS name, row_number() OVER (ORDER BY name) - 1 AS n
    FROM store.items;
CREATE OR REPLACE TEMP TABLE q AS SELECT query AS name, row_number() OVER (ORDER BY name) - 1 AS n
    FROM (SELECT DISTINCT query FROM chosen WHERE query IS NOT NULL);
CREATE OR REPLACE TEMP TABLE b AS SELECT basket AS name, row_number() OVER (ORDER BY name) - 1 AS n
    FROM (SELECT DISTINCT basket FROM chosen WHERE basket IS NOT NULL);
"""
EVENTS = """
SELECT u.n AS users, coalesce(i.n, -1) AS items, kind AS kinds, time AS times, day AS days,
    coalesce(q.n, -1) AS queries, quantity AS quantities, chosen.price AS prices,
    coalesce(b.n, -1) AS baskets
FROM chosen JOIN u ON u.name = chosen."user" LEFT JOIN i ON i.name = item
    LEFT JOIN q ON q.name = query LEFT JOIN b ON b.name = basket
ORDER BY u.n, time, seq
"""
GROUPS = """
SELECT u.name AS name, shoppers."group" AS "group"
FROM u LEFT JOIN store.shoppers AS shoppers ON shoppers."user" = u.name ORDER BY u.n
"""
CATALOGUE = """
SELECT item AS ids, title AS titles, brand AS brands, category AS categories, price AS prices
FROM store.items ORDER BY item
"""
KEEP_OTHERS = """
INSERT INTO fresh.about SELECT * FROM store.about;
INSERT INTO fresh.withheld SELECT * FROM store.withheld;
INSERT INTO fresh.batches SELECT * FROM store.batches;
INSERT INTO fresh.items SELECT * FROM store.items ORDER BY item;
"""


class Store:
    """An open store; close it, or use it in a ``with`` block.

    Raises:
        NotFoundError: there is no store and ``create`` was not asked for.
        DataError: not a store, of another version, or open in another process.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if not path.exists() and not create:
            raise NotFoundError(f"no store at {path}", hint="fedguide data import FILE")
        if not path.parent.is_dir():
            raise NotFoundError(f"no folder {path.parent} to keep a store in", hint="mkdir -p")
        self.path = path
        self._engine = engine()
        self._connection: Any = self._engine.__enter__()
        try:
            _attach(self._connection, path, "store")
            _require_format(self._connection, path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        """The store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the store."""
        self.close()

    def close(self) -> None:
        """Writes everything out and lets other processes in."""
        self._engine.__exit__(None, None, None)

    def append(self, batch: str, dataset: Dataset) -> int:
        """Adds a batch of events and their items; gives the number of events added.

        A batch whose id is there already adds nothing. An item that is there already gets its
        new title and price.

        Raises:
            DataError: the batch has times and the store has none, or the reverse.
        """
        require_events(dataset)
        run = self._connection
        if run.execute("SELECT 1 FROM store.batches WHERE batch = $1", [batch]).fetchall():
            return 0
        about = run.execute("SELECT clocked FROM store.about").fetchall()
        if about and about[0][0] != dataset.clocked:
            raise DataError(
                f"{self.path} holds events {'with' if about[0][0] else 'without'} times and "
                f"batch {batch!r} has events {'with' if dataset.clocked else 'without'}",
                hint="keep them in two stores",
            )
        with _transaction(run):
            if not about:
                facts = [FORMAT, dataset.name, dataset.clocked, dataset.synthetic]
                run.execute("INSERT INTO store.about VALUES ($1, $2, $3, $4)", facts)
            for name in dataset.withheld:
                run.execute("INSERT OR IGNORE INTO store.withheld VALUES ($1)", [name])
            _insert(run, dataset)
            facts = [batch, len(dataset.events)]
            run.execute("INSERT INTO store.batches VALUES ($1, $2)", facts)
        return len(dataset.events)

    def pour(self, shop: str, ids: Sequence[str], dataset: Dataset) -> int:
        """Adds received events, each id of a shop once; gives the number of events added.

        ``ids`` names the events of ``dataset`` in their order. Items and shoppers that the store
        knows stay as they are: an event tells nothing of them.

        Raises:
            DataError: the store is empty, or its events have no times.
        """
        run = self._connection
        about = run.execute("SELECT clocked FROM store.about").fetchall()
        if not about or not about[0][0]:
            what = "holds events without times" if about else "is empty"
            raise DataError(
                f"{self.path} {what}, received events need a store with times",
                hint="fedguide data import FILE",
            )
        query = "SELECT id FROM store.poured WHERE shop = $1"
        known = {row[0] for row in run.execute(query, [shop]).fetchall()}
        rows = [row for row, name in enumerate(ids) if name not in known]
        if not rows:
            return 0
        new = restrict(dataset, np.array(rows, np.int64), dataset.name)
        require_events(new)
        marks = {
            "shop": _objects((shop,) * len(rows)),
            "id": _objects(tuple(ids[row] for row in rows)),
            "user": _spell(new.events.users, new.events.user_ids),
        }
        with _transaction(run):
            _insert(run, new, UNKNOWN_ITEMS, UNKNOWN_SHOPPERS)
            with _registered(run, "new_poured", marks):
                run.execute("INSERT INTO store.poured SELECT * FROM new_poured")
        return len(rows)

    def put_items(self, items: Catalogue) -> None:
        """Adds items without events, or gives those that are there their new title and price."""
        with _transaction(self._connection):
            _insert_items(self._connection, items, ITEMS)

    @property
    def name(self) -> str:
        """The shop's name; empty where nothing is in the store yet."""
        about = self._connection.execute("SELECT name FROM store.about").fetchall()
        return str(about[0][0]) if about else ""

    def read(self) -> Dataset:
        """Everything in the store.

        Raises:
            DataError: the store is empty.
        """
        return self._read(None)

    def read_shopper(self, shopper: str) -> Dataset:
        """One shopper's events, with the whole catalogue.

        Raises:
            NotFoundError: the store knows no such shopper.
        """
        if not self.knows(shopper):
            raise NotFoundError(
                "the store has no events of this shopper", hint="fedguide data profile"
            )
        return self._read(shopper)

    def knows(self, shopper: str) -> bool:
        """Does the store hold any event of this shopper?"""
        query = 'SELECT 1 FROM store.events WHERE "user" = $1 LIMIT 1'
        return bool(self._connection.execute(query, [shopper]).fetchall())

    def forget(self, shopper: str) -> int:
        """Removes a shopper for good and gives the number of events removed.

        The file is written anew, so that neither the shopper's id nor anything only they searched
        for is in its bytes any more; needs room on the disk for a second file.
        """
        run = self._connection
        query = 'SELECT count(*) FROM store.events WHERE "user" = $1'
        gone = int(run.execute(query, [shopper]).fetchall()[0][0])
        if gone == 0:
            return 0
        fresh = self.path.with_name(self.path.name + ".rewriting")
        fresh.unlink(missing_ok=True)
        try:
            _attach(run, fresh, "fresh")
            run.execute((TABLES + POURED).replace("store.", "fresh."))
            run.execute(KEEP_OTHERS)
            for table in KEPT_ROWS:
                run.execute(table, [shopper])
            run.execute("DROP TABLE IF EXISTS chosen; DROP TABLE IF EXISTS u")
            run.execute("CHECKPOINT fresh")
            run.execute("DETACH fresh")
            run.execute("DETACH store")
            fresh.replace(self.path)
            self.path.with_name(self.path.name + ".wal").unlink(missing_ok=True)
        finally:
            run.execute("DETACH DATABASE IF EXISTS fresh")
            fresh.unlink(missing_ok=True)
        _attach(run, self.path, "store")
        return gone

    def _read(self, shopper: str | None) -> Dataset:
        run = self._connection
        about = run.execute("SELECT name, clocked, synthetic FROM store.about").fetchall()
        if not about:
            raise DataError(f"{self.path} is empty", hint="fedguide data import FILE")
        run.execute(SELECTED, [shopper])
        run.execute(NUMBERS)
        withheld = run.execute('SELECT "column" FROM store.withheld ORDER BY ALL').fetchall()
        (name, clocked, synthetic) = about[0]
        return require_events(
            Dataset(
                name=name,
                events=_events(run),
                catalogue=_catalogue(run),
                clocked=clocked,
                withheld=tuple(row[0] for row in withheld),
                synthetic=synthetic,
            )
        )


KEPT_ROWS = (
    'INSERT INTO fresh.shoppers SELECT * FROM store.shoppers WHERE "user" <> $1 ORDER BY "user"',
    'INSERT INTO fresh.events SELECT * FROM store.events WHERE "user" <> $1 ORDER BY seq',
    'INSERT INTO fresh.poured SELECT * FROM store.poured WHERE "user" <> $1',
)


def write_store(path: Path, dataset: Dataset, batch: str = "first") -> None:
    """A store with this data set in it.

    Raises:
        DataError: there is a store already that holds a batch of this id.
    """
    with Store(path, create=True) as store:
        if store.append(batch, dataset) == 0:
            raise DataError(f"{path} already holds batch {batch!r}", hint="choose another file")


def read_store(path: Path) -> Dataset:
    """Everything in the store at ``path``.

    Raises:
        NotFoundError, DataError: see ``Store``.
    """
    with Store(path) as store:
        return store.read()


def _attach(run: Any, path: Path, name: str) -> None:
    import duckdb

    try:
        run.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS {name}")
    except duckdb.Error as error:
        holder = re.search(r"PID (\d+)", str(error))
        if "lock" in str(error).lower():
            by = f"process {holder.group(1)}" if holder else "another process"
            raise DataError(
                f"{path} is in use by {by}", hint="stop it first: a store serves one process"
            ) from None
        raise DataError(f"{path} is not a store", hint="fedguide data import FILE") from None


def _require_format(run: Any, path: Path) -> None:
    """Makes the tables of a new file; refuses a file of another kind or version."""
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'store'"
    tables = {row[0] for row in run.execute(query).fetchall()}
    if not tables:
        run.execute(TABLES + POURED)
        return
    if "about" not in tables:
        raise DataError(f"{path} is a DuckDB file but not a store", hint="choose another file")
    about = run.execute("SELECT format FROM store.about").fetchall()
    if about and about[0][0] != FORMAT:
        raise DataError(f"{path} has format {about[0][0]}, this version reads {FORMAT}")
    run.execute(POURED)


@contextmanager
def _transaction(run: Any) -> Iterator[None]:
    run.execute("BEGIN")
    try:
        yield
    except BaseException:
        run.execute("ROLLBACK")
        raise
    run.execute("COMMIT")


def _insert(
    run: Any, dataset: Dataset, into_items: str = ITEMS, into_shoppers: str = SHOPPERS
) -> None:
    events, items = dataset.events, dataset.catalogue
    with _registered(
        run,
        "new_events",
        {
            "seq": np.arange(len(events)),
            "user": _spell(events.users, events.user_ids),
            "item": _spell(events.items, items.ids),
            "kind": events.kinds,
            "time": events.times,
            "day": events.days,
            "query": _spell(events.queries, events.query_texts),
            "quantity": events.quantities,
            "price": events.prices,
            "basket": _spell(events.baskets, events.basket_ids),
        },
    ):
        run.execute(APPEND)
    _insert_items(run, items, into_items)
    people = {"user": _objects(events.user_ids), "group": _objects(events.groups)}
    with _registered(run, "new_shoppers", people):
        run.execute(into_shoppers)


def _insert_items(run: Any, items: Catalogue, into: str) -> None:
    listed = {
        "item": _objects(items.ids),
        "title": _objects(items.titles),
        "brand": _objects(items.brands),
        "category": _objects(items.categories),
        "price": items.prices,
    }
    with _registered(run, "new_items", listed):
        run.execute(into)


@contextmanager
def _registered(run: Any, name: str, table: dict[str, Any]) -> Iterator[None]:
    run.register(name, table)
    try:
        yield
    finally:
        run.unregister(name)


def _objects(names: tuple[str, ...]) -> Any:
    """Texts as DuckDB takes them: an array of objects."""
    array = np.empty(len(names), object)
    array[:] = names
    return array


def _spell(codes: Any, names: tuple[str, ...]) -> Any:
    """The text of each code, ``""`` for an absent one."""
    # ABSENT is -1: it picks the last text.
    return _objects((*names, ""))[codes]


def _events(run: Any) -> Events:
    table = run.execute(EVENTS).fetchnumpy()
    people = run.execute(GROUPS).fetchnumpy()
    return Events(
        users=column(table, "users", ABSENT, np.int32),
        items=column(table, "items", ABSENT, np.int32),
        kinds=column(table, "kinds", 0, np.uint8),
        times=column(table, "times", 0, np.int64),
        days=column(table, "days", 0, np.int32),
        queries=column(table, "queries", ABSENT, np.int32),
        quantities=column(table, "quantities", np.nan, np.float32),
        prices=column(table, "prices", np.nan, np.float32),
        baskets=column(table, "baskets", ABSENT, np.int32),
        user_ids=texts(people, "name"),
        groups=texts(people, "group"),
        query_texts=texts(run.execute("SELECT name FROM q ORDER BY n").fetchnumpy(), "name"),
        basket_ids=texts(run.execute("SELECT name FROM b ORDER BY n").fetchnumpy(), "name"),
    )


def _catalogue(run: Any) -> Catalogue:
    table = run.execute(CATALOGUE).fetchnumpy()
    return Catalogue(
        ids=texts(table, "ids"),
        titles=texts(table, "titles"),
        brands=texts(table, "brands"),
        categories=texts(table, "categories"),
        prices=column(table, "prices", np.nan, np.float32),
    )
