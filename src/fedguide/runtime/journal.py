"""The driver's journal: what a run must not lose when its process dies.

For each task it keeps the last checkpoint, the root of every round since (drawn once, written
before its first use), and every trip since. A checkpoint forgets the trips and roots it makes
superfluous. On disk the roots are sealed: somebody who gets the file without the key learns the
model, which every party has anyway, but none of the keys, masks or noise derived from a root.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

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
from sqlalchemy.exc import IntegrityError

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError, JournalError, PayloadError
from fedguide.protocol import Missing, State
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


@dataclass(frozen=True)
class Trip(State):
    """One trip as it happened.

    Attributes:
        trip: its number within the task.
        digest: SHA-256 of the ``Ask``, to tell a replay that goes another way.
        parties: who answered, sorted.
        replies: their replies as payloads, in the same order.
        missing: who did not, and why.
        started_s: the clock before the courier was called.
        ended_s: the clock after it came back.
    """

    trip: int
    digest: bytes
    parties: tuple[PartyId, ...]
    replies: tuple[bytes, ...] = field(repr=False)
    missing: tuple[Missing, ...]
    started_s: float
    ended_s: float


@dataclass(frozen=True)
class Checkpoint:
    """Where a task stands: the next round and trip, and the coordinator's state as bytes."""

    round: int
    trip: int
    state: bytes = field(repr=False)


class Journal(Protocol):
    """Keeps checkpoints, roots and trips; every call is on disk when it returns."""

    def checkpoint(self, task: str) -> Checkpoint | None:
        """The last checkpoint, or ``None`` for a new task."""
        ...

    def put_checkpoint(self, task: str, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint and forgets the trips and roots before it, all or nothing."""
        ...

    def root(self, task: str, round_number: int) -> Root | None:
        """The root of a round, or ``None`` if none was drawn yet."""
        ...

    def put_root(self, task: str, round_number: int, root: Root) -> None:
        """Keeps a root, before its first use.

        Raises:
            JournalError: the round has one.
        """
        ...

    def trips(self, task: str) -> list[Trip]:
        """The trips since the checkpoint, in order."""
        ...

    def record(self, task: str, trip: Trip) -> None:
        """Keeps a trip, before its replies are used.

        Raises:
            JournalError: the trip is there already: another driver runs this task.
        """
        ...


class MemoryJournal:
    """A journal that is gone with its process: for simulations and tests."""

    def __init__(self) -> None:
        self._checkpoints: dict[str, Checkpoint] = {}
        self._roots: dict[tuple[str, int], Root] = {}
        self._trips: dict[tuple[str, int], Trip] = {}

    def checkpoint(self, task: str) -> Checkpoint | None:
        """The last checkpoint, or ``None`` for a new task."""
        return self._checkpoints.get(task)

    def put_checkpoint(self, task: str, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint and forgets the trips and roots before it."""
        self._checkpoints[task] = checkpoint
        self._roots = {
            key: root
            for key, root in self._roots.items()
            if key[0] != task or key[1] >= checkpoint.round
        }
        self._trips = {
            key: trip
            for key, trip in self._trips.items()
            if key[0] != task or key[1] >= checkpoint.trip
        }

    def root(self, task: str, round_number: int) -> Root | None:
        """The root of a round, or ``None`` if none was drawn yet."""
        return self._roots.get((task, round_number))

    def put_root(self, task: str, round_number: int, root: Root) -> None:
        """Keeps a root, before its first use.

        Raises:
            JournalError: the round has one.
        """
        if (task, round_number) in self._roots:
            raise _taken(task, f"a root for round {round_number}")
        self._roots[task, round_number] = root

    def trips(self, task: str) -> list[Trip]:
        """The trips since the checkpoint, in order."""
        return [trip for key, trip in sorted(self._trips.items()) if key[0] == task]

    def record(self, task: str, trip: Trip) -> None:
        """Keeps a trip, before its replies are used.

        Raises:
            JournalError: the trip is there already.
        """
        if (task, trip.trip) in self._trips:
            raise _taken(task, f"trip {trip.trip}")
        self._trips[task, trip.trip] = trip


class SqliteJournal:
    """A journal in a SQLite file, its roots sealed under ``key`` (see ``journal_key``).

    Raises:
        ConfigError: ``key`` is not 64 bytes long.
    """

    def __init__(self, engine: Engine, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"a journal key has {KEY_BYTES} bytes, got {len(key)}")
        self._engine = engine
        # SIV: sealing is deterministic and needs no nonce that a restart could use twice.
        self._cipher = AESSIV(key)
        _META.create_all(engine)

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
            raise _taken(task, f"a root for round {round_number}") from error

    def trips(self, task: str) -> list[Trip]:
        """The trips since the checkpoint, in order.

        Raises:
            JournalError: a record is damaged.
        """
        with self._engine.connect() as db:
            records = db.execute(
                select(_TRIPS.c.record).where(_TRIPS.c.task == task).order_by(_TRIPS.c.trip)
            ).scalars()
            return [_trip(record) for record in records]

    def record(self, task: str, trip: Trip) -> None:
        """Keeps a trip, before its replies are used.

        Raises:
            JournalError: the trip is there already: another driver runs this task.
        """
        try:
            with self._engine.begin() as db:
                db.execute(insert(_TRIPS).values(task=task, trip=trip.trip, record=encode(trip)))
        except IntegrityError as error:
            raise _taken(task, f"trip {trip.trip}") from error


def sqlite_engine(path: Path) -> Engine:
    """Opens (or makes) a SQLite file whose every transaction is on disk when it returns."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # WAL with FULL: a commit survives the loss of power, and readers do not block the writer.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def journal_key(path: Path, entropy: Entropy) -> bytes:
    """The key that seals a journal's roots: read from its file, or drawn and written (mode 0600).

    Raises:
        JournalError: the file is there and is not a key.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise JournalError(
                f"{path} has {len(key)} bytes, a journal key has {KEY_BYTES}"
            ) from None
        return key
    with os.fdopen(handle, "wb") as file:
        key = entropy(KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def _name(task: str, round_number: int) -> list[bytes]:
    """Binds a sealed root to its place: it does not open anywhere else."""
    return [task.encode(), str(round_number).encode()]


def _trip(record: bytes) -> Trip:
    """A trip from its bytes, which our own process wrote."""
    size = len(record)
    limits = Limits(size, max_header_bytes=size, max_text=size)
    try:
        trip: Trip = decode(record, [Trip], limits)
    except PayloadError as error:
        raise JournalError(f"a journaled trip is damaged: {error}") from error
    return trip


def _taken(task: str, what: str) -> JournalError:
    """The error for a second driver on one task."""
    return JournalError(
        f"{task} has {what} already: another driver runs this task",
        hint="end the other driver, or give this run another task name",
    )
