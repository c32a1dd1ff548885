"""Journal and party store in SQLite files, each transaction on disk before its call returns.

A journal's roots and a party's states and answers are sealed: somebody who gets the file without
the key learns none of the keys, masks or noise derived from a root, and nothing of a party's state
or update. What a coordinator was sent stands in its journal's trips in the open until the next
checkpoint. Whoever has the
key file as well reads everything; keep them apart where that matters.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, IntegrityError

from fedguide.codec import encode
from fedguide.errors import ConfigError, JournalError
from fedguide.runtime.journal import Checkpoint, Trip, taken, trip_from
from fedguide.runtime.party_store import Answered
from fedguide.seeds import Entropy, Root
from fedguide.values import PartyId

KEY_BYTES = 64  # AES-256-SIV takes two keys of 32 bytes

_META = MetaData()
_CHECKPOINTS = Table(
    "checkpoints",
    _META,
    Column("task", String, primary_key=True),
    Column("round", Integer, nullable=False),
    Column("trip", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
_ROOTS = Table(
    "roots",
    _META,
    Column("task", String, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)
_TRIPS = Table(
    "trips",
    _META,
    Column("task", String, primary_key=True),
    Column("trip", Integer, primary_key=True),
    Column("record", LargeBinary, nullable=False),
)
_PARTIES = Table(
    "party_state",
    _META,
    Column("task", String, primary_key=True),
    Column("party", String, primary_key=True),
    Column("trip", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)


def sqlite_engine(path: Path) -> Engine:
    """Opens (or makes) a SQLite file whose every transaction is on disk when it returns.

    Raises:
        JournalError: the file cannot be opened, or is not a SQLite file.
    """
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # WAL with FULL: a commit survives the loss of power, and readers do not block the writer.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    try:
        _META.create_all(engine)
    except DatabaseError as error:
        engine.dispose()
        raise JournalError(
            f"{path} cannot be opened as a journal: {error.orig}",
            hint="give another path, or make its folder",
        ) from error
    return engine


def journal_key(path: Path, entropy: Entropy) -> bytes:
    """The key that seals a journal's roots: read from its file, or drawn and written (mode 0600).

    Raises:
        JournalError: the file is there and is not a key.
    """
    if not path.exists():
        _write_key(path, entropy(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise JournalError(f"{path} has {len(key)} bytes, a journal key has {KEY_BYTES}")
    return key


def _write_key(path: Path, key: bytes) -> None:
    """Makes the whole file appear at once, or leaves the one that another process made."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(new)
    new.unlink()


class SqliteJournal:
    """A journal in an ``sqlite_engine``, its roots sealed under ``key`` (see ``journal_key``).

    Raises:
        ConfigError: ``key`` is not 64 bytes long.
    """

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._cipher = _cipher(key)

    def checkpoint(self, task: str) -> Checkpoint | None:
        """The last checkpoint, or ``None`` for a new task."""
        with self._engine.connect() as db:
            row = db.execute(select(_CHECKPOINTS).where(_CHECKPOINTS.c.task == task)).one_or_none()
        return None if row is None else Checkpoint(row.round, row.trip, row.state)

    def put_checkpoint(self, task: str, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint and forgets the trips and roots before it, all or nothing."""
        values: dict[str, Any] = {
            "round": checkpoint.round,
            "trip": checkpoint.trip,
            "state": checkpoint.state,
        }
        row = insert(_CHECKPOINTS).values(task=task, **values)
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_update(index_elements=["task"], set_=values))
            db.execute(delete(_TRIPS).where(_TRIPS.c.task == task, _TRIPS.c.trip < checkpoint.trip))
            db.execute(
                delete(_ROOTS).where(_ROOTS.c.task == task, _ROOTS.c.round < checkpoint.round)
            )

    def root(self, task: str, round_number: int) -> Root | None:
        """The root of a round, or ``None`` if none was drawn yet.

        Raises:
            JournalError: it was sealed under another key, or tampered with.
        """
        with self._engine.connect() as db:
            sealed: bytes | None = db.execute(
                select(_ROOTS.c.sealed).where(_ROOTS.c.task == task, _ROOTS.c.round == round_number)
            ).scalar_one_or_none()
        if sealed is None:
            return None
        try:
            return Root(self._cipher.decrypt(sealed, _name(task, round_number)))
        except InvalidTag as error:
            raise JournalError(
                f"the root of {task}, round {round_number} does not open with this key",
                hint="start the run with the key file it was begun with",
            ) from error

    def put_root(self, task: str, round_number: int, root: Root) -> None:
        """Keeps a root sealed, before its first use.

        Raises:
            JournalError: the round has one.
        """
        sealed = self._cipher.encrypt(root.value, _name(task, round_number))
        try:
            with self._engine.begin() as db:
                db.execute(insert(_ROOTS).values(task=task, round=round_number, sealed=sealed))
        except IntegrityError as error:
            raise taken(task, f"a root for round {round_number}") from error

    def forget(self, task: str) -> None:
        """Deletes everything of a task: it is over and will not be gone on with."""
        with self._engine.begin() as db:
            for table in (_CHECKPOINTS, _ROOTS, _TRIPS):
                db.execute(delete(table).where(table.c.task == task))

    def trips(self, task: str) -> list[Trip]:
        """The trips since the checkpoint, in order.

        Raises:
            JournalError: a record is damaged.
        """
        with self._engine.connect() as db:
            records = db.execute(
                select(_TRIPS.c.record).where(_TRIPS.c.task == task).order_by(_TRIPS.c.trip)
            ).scalars()
            return [trip_from(record) for record in records]

    def record(self, task: str, trip: Trip) -> None:
        """Keeps a trip, before its replies are used.

        Raises:
            JournalError: the trip is there already: another driver runs this task.
        """
        try:
            with self._engine.begin() as db:
                db.execute(insert(_TRIPS).values(task=task, trip=trip.trip, record=encode(trip)))
        except IntegrityError as error:
            raise taken(task, f"trip {trip.trip}") from error


class SqlitePartyStore:
    """Keeps states and answers of one task in an ``sqlite_engine``, sealed under ``key``.

    A state may hold an optimiser's moments or a protocol's secrets, and a reply is an update: who
    gets the file without the key learns neither.

    Raises:
        ConfigError: ``key`` is not 64 bytes long.
    """

    def __init__(self, engine: Engine, task: str, key: bytes) -> None:
        self._engine = engine
        self._task = task
        self._cipher = _cipher(key)

    def state(self, party: PartyId) -> bytes | None:
        """The party's state, or ``None`` before its first answer.

        Raises:
            JournalError: it was sealed under another key, or tampered with.
        """
        with self._engine.connect() as db:
            sealed: bytes | None = db.execute(
                select(_PARTIES.c.state).where(
                    _PARTIES.c.task == self._task, _PARTIES.c.party == party
                )
            ).scalar_one_or_none()
        return None if sealed is None else self._opened(sealed, party, b"state")

    def last_answer(self, party: PartyId) -> Answered | None:
        """The party's last answer, or ``None`` before its first.

        Raises:
            JournalError: it was sealed under another key, or tampered with.
        """
        with self._engine.connect() as db:
            row = db.execute(
                select(_PARTIES.c.trip, _PARTIES.c.digest, _PARTIES.c.reply).where(
                    _PARTIES.c.task == self._task, _PARTIES.c.party == party
                )
            ).one_or_none()
        if row is None:
            return None
        return Answered(row.trip, row.digest, self._opened(row.reply, party, b"reply"))

    def put(self, party: PartyId, answered: Answered, state: bytes) -> None:
        """Keeps both in one transaction; they replace what was there."""
        values = {
            "trip": answered.trip,
            "digest": answered.digest,
            "reply": self._cipher.encrypt(answered.reply, self._place(party, b"reply")),
            "state": self._cipher.encrypt(state, self._place(party, b"state")),
        }
        row = insert(_PARTIES).values(task=self._task, party=party, **values)
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_update(index_elements=["task", "party"], set_=values))

    def forget(self) -> None:
        """Deletes everything of the task: its protocol is over."""
        with self._engine.begin() as db:
            db.execute(delete(_PARTIES).where(_PARTIES.c.task == self._task))

    def _place(self, party: PartyId, what: bytes) -> list[bytes]:
        return [self._task.encode(), str(party).encode(), what]

    def _opened(self, sealed: bytes, party: PartyId, what: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed, self._place(party, what))
        except InvalidTag as error:
            raise JournalError(
                f"the {what.decode()} of {party} in {self._task} does not open with this key",
                hint="start the party with the key file it was begun with",
            ) from error


def _cipher(key: bytes) -> AESSIV:
    """SIV: sealing is deterministic and needs no nonce that a restart could use twice."""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"a journal key has {KEY_BYTES} bytes, got {len(key)}")
    return AESSIV(key)


def _name(task: str, round_number: int) -> list[bytes]:
    """Binds a sealed root to its place: it does not open anywhere else."""
    return [task.encode(), str(round_number).encode()]
