"""The ledger's tables in SQLite or Postgres, and how a database of any earlier version gets them.

Every write transaction holds the one row of ``ledger`` from its first statement on, so that two
can never both see the same budget: by BEGIN IMMEDIATE on SQLite, by SELECT … FOR UPDATE on
Postgres. A commit is on the disk when it returns (WAL with synchronous=FULL; synchronous_commit).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from fedguide.errors import ConfigError, LedgerError

META = MetaData()
LEDGER = Table(
    "ledger",
    META,
    # Always 1: one ledger a database, and the row that writers queue for.
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("id", String(32), nullable=False),
    Column("party", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    # Everything spent, as JSON: read and written with the head, in one row.
    Column("spent", Text, nullable=False),
)
ENTRIES = Table(
    "entries",
    META,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("account", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("round", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("kind", "account", "task", "round", name="entries_once"),
)
VERSIONS = ("0001",)
"""Every version of the tables, oldest first; each is a script in ``migrations/versions``."""

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for the others; a transaction holds the database for a few ms."""

_LOCK = 0x6665646775696465  # Postgres' advisory lock of whoever makes or changes the tables
_WRITING = "fedguide_writing"


@dataclass(frozen=True)
class Database:
    """An engine, and how it begins what writes and what only reads."""

    engine: Engine
    writer: Engine
    reader: Engine

    @property
    def is_sqlite(self) -> bool:
        """Is it a SQLite file?"""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Lets go of every connection."""
        self.engine.dispose()


def open_database(where: str) -> Database:
    """The database at a path (a SQLite file) or an address (postgresql://…).

    Raises:
        ConfigError: the address cannot be read, or its driver is not installed.
    """
    if "://" not in where:
        where = f"sqlite:///{where}"
    try:
        url = make_url(where)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigError(f"a database is sqlite or postgresql, got {url.get_backend_name()!r}")
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError):
        # The address may hold a password: it is not repeated.
        raise ConfigError(
            "a database's address must be a path or postgresql://USER@HOST/DATABASE"
        ) from None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a database in Postgres needs {error.name}", hint="pip install 'fedguide[postgres]'"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Database(engine, engine.execution_options(**{_WRITING: True}), engine)
    event.listen(engine, "connect", _prepare_postgres)
    return Database(engine, engine, engine.execution_options(isolation_level="REPEATABLE READ"))


@contextmanager
def writing(database: Database) -> Iterator[Connection]:
    """A transaction that alone may write, once it has read the ledger's row; on disk at its end.

    Raises:
        LedgerError: the database cannot be read or written; nothing was changed.
    """
    with guarded(database), database.writer.begin() as db:
        yield db


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """A transaction that only reads, and sees one moment.

    Raises:
        LedgerError: the database cannot be read.
    """
    with guarded(database), database.reader.begin() as db:
        yield db


@contextmanager
def guarded(database: Database) -> Iterator[None]:
    """Turns what a database says into an error that says so and that nothing was spent."""
    try:
        yield
    except DBAPIError as error:
        raise _explained(database, error) from None


def upgrade(db: Connection) -> bool:
    """Brings the tables to this version, in the caller's transaction; ``True`` for new ones.

    Raises:
        LedgerError: the tables are of a later version than ours, or of something else.
    """
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    found = _version(db)
    if found == VERSIONS[-1]:
        return False
    if found is not None and found not in VERSIONS:
        raise LedgerError(
            f"the ledger's tables have version {found}, this fedguide knows up to {VERSIONS[-1]}",
            hint="upgrade fedguide: pip install --upgrade fedguide",
        )
    if found is None and inspect(db).get_table_names():
        raise LedgerError(
            "the database holds other tables than a ledger's", hint="give the ledger its own"
        )
    _migrate(db)
    return found is None


def _migrate(db: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    with resources.as_file(resources.files("fedguide.privacy") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = db
        command.upgrade(config, "head")


def _version(db: Connection) -> str | None:
    if not inspect(db).has_table("alembic_version"):
        return None
    versions = Table("alembic_version", MetaData(), Column("version_num", String(32)))
    found: str | None = db.execute(select(versions.c.version_num)).scalar_one_or_none()
    return found


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions in its own, later way: `_begin_sqlite` does.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(db: Connection) -> None:
    wants = db.get_execution_options().get(_WRITING, False)
    db.exec_driver_sql("BEGIN IMMEDIATE" if wants else "BEGIN")


def _prepare_postgres(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        # A server set to answer before the disk has it would let a crash refund a charge.
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit = on")
        cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
    connection.commit()


def _explained(database: Database, error: DBAPIError) -> LedgerError:
    url = database.engine.url
    name = url.database if database.is_sqlite else f"{url.host or 'local'}/{url.database}"
    first = next(iter(str(error.orig).strip().splitlines()), "no reason given")
    if isinstance(error, OperationalError) and "lock" in first.lower():
        return LedgerError(
            f"the ledger {name} is held by another process for over {BUSY_TIMEOUT_MS / 1000:.0f} s",
            hint="nothing was spent; try again, or end the process that holds it",
        )
    return LedgerError(
        f"the ledger {name} cannot be used: {first}",
        hint="nothing was spent; fedguide doctor shows disk and rights",
    )
