"""The hub's tables, and how a database is brought up to them: SQLite by default, or Postgres.

Every change of the tables is one revision here, applied in order through Alembic's operations when
a hub opens its database; ``alembic_version`` says which were applied. A test compares what the
revisions make with ``META``, so the two cannot drift apart. SQLite runs in WAL mode with every
commit on disk (``synchronous=FULL``); a write takes the lock when it begins, so that two of them
wait for each other instead of failing. Commits of what a hub may forget (``light``: nonces and
whatever belongs to a trip) do not wait for the disk. No process's death loses them, and a loss of
power only the last moment of them, which is less than a database restored from a backup has
forgotten: the driver asks its trip again, and every party gives the answer it has stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError

from fedguide.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from alembic.operations import Operations

CONNECTIONS = 16
"""To Postgres, of one hub process; it has as many threads to use them."""

META = MetaData()
PARTIES = Table(
    "parties",
    META,
    Column("party", String(64), primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("enrolled_s", Float, nullable=False),
    Column("seen_s", Float),
)
INVITES = Table(
    "invites",
    META,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("admit", Boolean, nullable=False),
    Column("expires_s", Float, nullable=False),
    Column("used_by", String(64)),
)
TASKS = Table(
    "tasks",
    META,
    Column("task", String(64), primary_key=True),
    Column("driver", String(64), nullable=False),
    Column("proposal", LargeBinary, nullable=False),
    Column("max_bytes", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("proposed_s", Float, nullable=False),
)
DECISIONS = Table(
    "decisions",
    META,
    Column("task", String(64), primary_key=True),
    Column("party", String(64), primary_key=True),
    Column("decision", String(16), nullable=False),
    Column("reason", String(512), nullable=False),
)
MESSAGES = Table(
    "messages",
    META,
    Column("task", String(64), primary_key=True),
    Column("trip", BigInteger, primary_key=True),
    Column("party", String(64), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("ask_sha256", LargeBinary(32), nullable=False),
    Column("deadline_s", Float, nullable=False),
    Column("reply_sha256", LargeBinary(32)),
    Column("reason", String(16), nullable=False),
    Column("detail", String(512), nullable=False),
    Index("messages_by_party", "party", "status"),
)
PAYLOADS = Table(
    "payloads",
    META,
    Column("task", String(64), primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("missing", Integer, nullable=False),
)
CHUNKS = Table(
    "chunks",
    META,
    Column("task", String(64), primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
NONCES = Table(
    "nonces",
    META,
    Column("party", String(64), primary_key=True),
    Column("task", String(64), primary_key=True),
    Column("nonce", String(32), primary_key=True),
    Column("kept_until_s", Float, nullable=False),
    Index("nonces_by_end", "kept_until_s"),
)


def _first(op: Operations) -> None:
    """Everything a hub began with."""
    op.create_table(
        "parties",
        Column("party", String(64), primary_key=True),
        Column("key", String(64), nullable=False, unique=True),
        Column("role", String(16), nullable=False),
        Column("status", String(16), nullable=False),
        Column("enrolled_s", Float, nullable=False),
        Column("seen_s", Float),
    )
    op.create_table(
        "invites",
        Column("token_hash", LargeBinary(32), primary_key=True),
        Column("party", String(64), nullable=False),
        Column("admit", Boolean, nullable=False),
        Column("expires_s", Float, nullable=False),
        Column("used_by", String(64)),
    )
    op.create_table(
        "tasks",
        Column("task", String(64), primary_key=True),
        Column("driver", String(64), nullable=False),
        Column("proposal", LargeBinary, nullable=False),
        Column("max_bytes", BigInteger, nullable=False),
        Column("status", String(16), nullable=False),
        Column("proposed_s", Float, nullable=False),
    )
    op.create_table(
        "decisions",
        Column("task", String(64), primary_key=True),
        Column("party", String(64), primary_key=True),
        Column("decision", String(16), nullable=False),
        Column("reason", String(512), nullable=False),
    )
    op.create_table(
        "messages",
        Column("task", String(64), primary_key=True),
        Column("trip", BigInteger, primary_key=True),
        Column("party", String(64), primary_key=True),
        Column("status", String(16), nullable=False),
        Column("ask_sha256", LargeBinary(32), nullable=False),
        Column("deadline_s", Float, nullable=False),
        Column("reply_sha256", LargeBinary(32)),
        Column("reason", String(16), nullable=False),
        Column("detail", String(512), nullable=False),
    )
    op.create_index("messages_by_party", "messages", ["party", "status"])
    op.create_table(
        "payloads",
        Column("task", String(64), primary_key=True),
        Column("owner", String(64), primary_key=True),
        Column("sha256", LargeBinary(32), primary_key=True),
        Column("size", BigInteger, nullable=False),
        Column("missing", Integer, nullable=False),
    )
    op.create_table(
        "chunks",
        Column("task", String(64), primary_key=True),
        Column("owner", String(64), primary_key=True),
        Column("sha256", LargeBinary(32), primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("body", LargeBinary, nullable=False),
    )
    op.create_table(
        "nonces",
        Column("party", String(64), primary_key=True),
        Column("task", String(64), primary_key=True),
        Column("nonce", String(32), primary_key=True),
        Column("kept_until_s", Float, nullable=False),
    )
    op.create_index("nonces_by_end", "nonces", ["kept_until_s"])


REVISIONS: tuple[tuple[str, Callable[[Operations], None]], ...] = (("0001", _first),)
"""Every change of the tables, oldest first; one that was released is never edited."""

# Any number that no other program of the database is likely to lock.
_MIGRATION_LOCK = int.from_bytes(hashlib.sha256(b"fedguide/hub").digest()[:7], "big")


def open_database(url: str) -> Engine:
    """Opens a hub's database and brings its tables up to date.

    Args:
        url: ``sqlite:///path/to/hub.db`` or ``postgresql://user:password@host/name``.

    Raises:
        ConfigError: it is no URL of SQLite or Postgres, or its driver is not installed.
        JournalError: the database cannot be opened, or is of a newer hub.
    """
    engine = _engine(url)
    try:
        with engine.begin() as db:
            if db.dialect.name == "postgresql":
                # Several hubs may start at once on one database.
                db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            _upgrade(db)
    except DatabaseError as error:
        engine.dispose()
        raise JournalError(
            f"the hub's database cannot be opened: {type(error.orig).__name__}",
            hint="fedguide doctor",
        ) from None
    except JournalError:
        engine.dispose()
        raise
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads, and so waits for no writer."""
    with engine.connect().execution_options(reading=True) as db:
        yield db


@contextmanager
def writing(engine: Engine, *, light: bool = False) -> Iterator[Connection]:
    """A transaction; ``light`` ones do not wait for the disk."""
    with engine.execution_options(light=light).begin() as db:
        yield db


def _engine(url: str) -> Engine:
    try:
        where = make_url(url)
        dialect = where.get_backend_name()
        if dialect not in ("sqlite", "postgresql"):
            raise ConfigError(f"the hub's database must be SQLite or Postgres, got {dialect}")
        if where.drivername == "postgresql":
            where = where.set(drivername="postgresql+psycopg")
        if dialect == "sqlite":
            engine = create_engine(where)
        else:
            # Kept open, and never more: one beside the pool would be made and closed each time.
            engine = create_engine(where, pool_pre_ping=True, pool_size=CONNECTIONS, max_overflow=0)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"this database needs {error.name}, which is not installed",
            hint="pip install 'fedguide[postgres]'",
        ) from error
    except (ArgumentError, NoSuchModuleError):
        # The URL may hold a password, so it is not repeated.
        raise ConfigError(
            "the hub's database is no URL that can be read", hint="sqlite:///hub.db"
        ) from None
    if dialect == "sqlite":
        _prepare_sqlite(engine)
    else:
        _prepare_postgres(engine)
    return engine


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        # The module's own transactions would begin late, and a late writer cannot wait.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(db: Connection) -> None:
        options = db.get_execution_options()
        if options.get("reading", False):
            db.exec_driver_sql("BEGIN")
            return
        level = "NORMAL" if options.get("light", False) else "FULL"
        db.exec_driver_sql(f"PRAGMA synchronous={level}")
        db.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_postgres(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def _begun(db: Connection) -> None:
        if db.get_execution_options().get("light", False):
            db.exec_driver_sql("SET LOCAL synchronous_commit = off")


def _upgrade(db: Connection) -> None:
    names = [name for name, _ in REVISIONS]
    current = _revision(db)
    if current is not None and current not in names:
        raise JournalError(
            f"the hub's database is of revision {current}, this version knows up to {names[-1]}",
            hint="pip install --upgrade fedguide",
        )
    open_revisions = REVISIONS[0 if current is None else names.index(current) + 1 :]
    if not open_revisions:
        return
    # Nearly every start finds its tables as they should be, and Alembic takes long to import.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    operations = Operations(MigrationContext.configure(db))
    for name, revise in open_revisions:
        revise(operations)
        _set_revision(db, name)


_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Where Alembic looks for the revision."""


def _revision(db: Connection) -> str | None:
    if not inspect(db).has_table(_VERSION.name):
        return None
    return db.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


def _set_revision(db: Connection, name: str) -> None:
    _VERSION.create(db, checkfirst=True)
    db.execute(_VERSION.delete())
    db.execute(_VERSION.insert().values(version_num=name))
