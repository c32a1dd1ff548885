"""What serving keeps between two starts: API keys, events, items, wishes of shoppers.

SQLite, or Postgres by URL. A commit is on the disk when it returns; what is deleted is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.exc import DBAPIError

from fedguide.errors import RunError
from fedguide.privacy.tables import Database, open_database

META = MetaData()
KEYS = Table(
    "keys",
    META,
    Column("id", String(16), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("made_s", BigInteger, nullable=False),
    Column("revoked_s", BigInteger),
)
EVENTS = Table(
    "events",
    META,
    # BigInteger alone would not count up by itself on SQLite.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("shop", String(200), nullable=False),
    Column("id", String(64), nullable=False),
    Column("shopper", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("item", String(200), nullable=False),
    Column("query", String(200), nullable=False),
    Column("time_s", BigInteger, nullable=False),
    # The day of the guide when it was accepted, in the unit of the shop's histories.
    Column("day", Integer, nullable=False),
    Column("price", Float),
    UniqueConstraint("shop", "id", name="events_once"),
    Index("events_by_shopper", "shop", "shopper"),
)
IGNORED = Table(
    "ignored",
    META,
    Column("shop", String(200), primary_key=True),
    Column("shopper", String(200), primary_key=True),
    Column("item", String(200), primary_key=True),
)

ITEMS = Table(
    "items",
    META,
    Column("shop", String(200), primary_key=True),
    Column("item", String(200), primary_key=True),
    Column("title", String(500), nullable=False),
    Column("category", String(200), nullable=False),
    Column("brand", String(200), nullable=False),
    Column("price", Float(53)),
    # A JSON object of texts.
    Column("attributes", Text, nullable=False),
)


def open_service(where: str) -> Database:
    """The database at a path (a SQLite file) or postgresql:// address, with its tables.

    Raises:
        ConfigError: the address cannot be read, or its driver is not installed.
        RunError: the database cannot be used.
    """
    database = open_database(where)
    if database.is_sqlite:
        event.listen(database.engine, "connect", _overwriting)
    try:
        with changing(database) as db:
            META.create_all(db)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def changing(database: Database) -> Iterator[Connection]:
    """A transaction that may write; on disk at its end.

    Raises:
        RunError: the database cannot be read or written; nothing was changed.
    """
    try:
        with database.writer.begin() as db:
            yield db
    except DBAPIError as error:
        raise _unusable(error) from None


@contextmanager
def looking(database: Database) -> Iterator[Connection]:
    """A transaction that only reads.

    Raises:
        RunError: the database cannot be read.
    """
    try:
        with database.reader.begin() as db:
            yield db
    except DBAPIError as error:
        raise _unusable(error) from None


def _overwriting(connection: object, _record: object) -> None:
    connection.execute("PRAGMA secure_delete=ON")  # type: ignore[attr-defined]  # a sqlite3 one


def _unusable(error: DBAPIError) -> RunError:
    # The statement's values may be a person's data: only the kind of failure is told.
    return RunError(
        f"the serving database cannot be used: {type(error.orig).__name__}",
        hint="disk and rights of [serve] database: fedguide doctor",
    )
