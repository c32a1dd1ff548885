"""Journal and party store in SQLite files, each transaction on disk before its call returns.

A journal's roots and a party's states and answers are sealed: somebody who gets the file without
the key learns none of the keys, masks or noise derived from a root, and nothing of a party's state
or update. What a coordinator was sent stands in its journal's trips in the open until the next
checkpoint. Large values lie in files beside the database (``spill.py``), sealed in the same cases.
Whoever has the key file as well reads everything; keep them apart where that matters.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from sqlalchemy import (
    Column,
    Connection,
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

from fedguide.codec import Buffer, encode_parts
from fedguide.errors import ConfigError, JournalError
from fedguide.runtime.journal import Checkpoint, Trip, taken, trip_from
from fedguide.runtime.party_store import Answered, Asked
from fedguide.runtime.spill import LARGE_BYTES, Spill
from fedguide.runtime.standing import Cut, Given, cut_out, listed, put_together, unlisted
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
_FILES = Table(
    "files",
    _META,
    Column("kind", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("party", String, primary_key=True),
    Column("trip", Integer, primary_key=True),
    Column("file", String, nullable=False),
)
"""Which file holds the value whose own column is empty."""

_PART = "part"
"""Kind of a file that holds a large part of a state; its trip is the part's number."""

_NONCE_BYTES = 12
_BLOCK_BYTES = 16
_PIECE_BYTES = 1 << 18


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
        with engine.connect() as db:
            _spill(engine).sweep(set(db.execute(select(_FILES.c.file)).scalars()))
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

    Values of ``large_bytes`` or more go into files.

    Raises:
        ConfigError: ``key`` is not 64 bytes long.
    """

    def __init__(self, engine: Engine, key: bytes, large_bytes: int = LARGE_BYTES) -> None:
        self._engine = engine
        self._cipher = _cipher(key)
        self._files = _Files(_spill(engine), large_bytes)

    def checkpoint(self, task: str) -> Checkpoint | None:
        """The last checkpoint, or ``None`` for a new task.

        Raises:
            JournalError: its file is missing or damaged.
        """
        with self._engine.connect() as db:
            row = db.execute(select(_CHECKPOINTS).where(_CHECKPOINTS.c.task == task)).one_or_none()
            if row is None:
                return None
            state = self._files.read(db, _Place("checkpoint", task), row.state)
        return Checkpoint(row.round, row.trip, state)

    def put_checkpoint(self, task: str, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint and forgets the trips and roots before it, all or nothing."""
        place = _Place("checkpoint", task)
        kept, file = self._files.write(place, [checkpoint.state])
        values: dict[str, Any] = {
            "round": checkpoint.round,
            "trip": checkpoint.trip,
            "state": kept,
        }
        row = insert(_CHECKPOINTS).values(task=task, **values)
        of_trips = (_FILES.c.kind == "trip", _FILES.c.task == task)
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_update(index_elements=["task"], set_=values))
            db.execute(delete(_TRIPS).where(_TRIPS.c.task == task, _TRIPS.c.trip < checkpoint.trip))
            db.execute(
                delete(_ROOTS).where(_ROOTS.c.task == task, _ROOTS.c.round < checkpoint.round)
            )
            old = _replace_file(db, place, file)
            old |= _forget_files(db, *of_trips, _FILES.c.trip < checkpoint.trip)
        self._files.drop(old)

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
            old = _forget_files(
                db, _FILES.c.task == task, _FILES.c.kind.in_(("checkpoint", "trip"))
            )
        self._files.drop(old)

    def trips(self, task: str) -> list[Trip]:
        """The trips since the checkpoint, in order.

        Raises:
            JournalError: a record is damaged.
        """
        with self._engine.connect() as db:
            rows = db.execute(
                select(_TRIPS.c.trip, _TRIPS.c.record)
                .where(_TRIPS.c.task == task)
                .order_by(_TRIPS.c.trip)
            ).all()
            return [
                trip_from(self._files.read(db, _Place("trip", task, trip=row.trip), row.record))
                for row in rows
            ]

    def record(self, task: str, trip: Trip) -> None:
        """Keeps a trip, before its replies are used.

        Raises:
            JournalError: the trip is there already: another driver runs this task.
        """
        place = _Place("trip", task, trip=trip.trip)
        kept, file = self._files.write(place, encode_parts(trip))
        try:
            with self._engine.begin() as db:
                db.execute(insert(_TRIPS).values(task=task, trip=trip.trip, record=kept))
                old = _replace_file(db, place, file)
        except IntegrityError as error:
            raise taken(task, f"trip {trip.trip}") from error
        self._files.drop(old)


class SqlitePartyStore:
    """Keeps states and answers of one task in an ``sqlite_engine``, sealed under ``key``.

    A state may hold an optimiser's moments or a protocol's secrets, and a reply is an update: who
    gets the file without the key learns neither. Values of ``large_bytes`` or more go into files.

    Raises:
        ConfigError: ``key`` is not 64 bytes long.
    """

    def __init__(
        self, engine: Engine, task: str, key: bytes, large_bytes: int = LARGE_BYTES
    ) -> None:
        self._engine = engine
        self._task = task
        self._cipher = _cipher(key)
        self._large = HKDFExpand(SHA256(), 32, b"fedguide/files/1").derive(key)
        self._files = _Files(_spill(engine), large_bytes)
        self._given: dict[PartyId, Given] = {}  # between a state and the next, for its large parts

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
            if sealed is None:
                return None
            kept = self._opened(db, sealed, party, "state")
            files = self._part_files(db, party)
            if not files:
                return kept
            left, cuts = unlisted(kept)
            if len(cuts) != len(files):
                raise JournalError(f"{len(files)} of {len(cuts)} parts of a state are there")
            large = [self._opened_part(*one, party) for one in zip(cuts, files, strict=True)]
            payload = put_together(left, cuts, large)
            self._given[party] = Given(payload, cuts)
            return payload

    def last_asked(self, party: PartyId) -> Asked | None:
        """What the party answered last, or ``None`` before its first answer."""
        with self._engine.connect() as db:
            row = db.execute(
                select(_PARTIES.c.trip, _PARTIES.c.digest).where(
                    _PARTIES.c.task == self._task, _PARTIES.c.party == party
                )
            ).one_or_none()
        return None if row is None else Asked(row.trip, row.digest)

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
            return Answered(row.trip, row.digest, self._opened(db, row.reply, party, "reply"))

    def put(self, party: PartyId, answered: Answered, state: Sequence[Buffer]) -> None:
        """Keeps both in one transaction; they replace what was there.

        Large parts of the state that were in the last one too are not written again.
        """
        reply, reply_file = self._sealed(answered.reply, party, "reply")
        left, cuts, large = cut_out(state, self._files.large_bytes, self._given.pop(party, None))
        standing = self._standing(party) if cuts else {}
        for digest, part in large.items():
            if digest not in standing:
                standing[digest] = self._sealed_part(part, party, digest)
        parts = [standing[one.digest] for one in cuts]
        kept, state_file = self._sealed(listed(left, cuts) if cuts else left, party, "state")
        values = {"trip": answered.trip, "digest": answered.digest, "reply": reply, "state": kept}
        row = insert(_PARTIES).values(task=self._task, party=party, **values)
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_update(index_elements=["task", "party"], set_=values))
            old = _replace_file(db, self._place(party, "reply"), reply_file)
            old |= _replace_file(db, self._place(party, "state"), state_file)
            old |= _replace_parts(db, self._task, party, parts)
        self._files.drop(old)

    def forget(self) -> None:
        """Deletes everything of the task: its protocol is over."""
        with self._engine.begin() as db:
            db.execute(delete(_PARTIES).where(_PARTIES.c.task == self._task))
            of_parties = _FILES.c.kind.in_(("reply", "state", _PART))
            old = _forget_files(db, _FILES.c.task == self._task, of_parties)
        self._files.drop(old)

    def _standing(self, party: PartyId) -> dict[bytes, str]:
        """The files of the last state's large parts, by what is in them."""
        with self._engine.connect() as db:
            files = self._part_files(db, party)
            if not files:
                return {}
            of_party = (_PARTIES.c.task == self._task, _PARTIES.c.party == party)
            sealed: bytes = db.execute(select(_PARTIES.c.state).where(*of_party)).scalar_one()
            _, cuts = unlisted(self._opened(db, sealed, party, "state"))
        return {one.digest: file for one, file in zip(cuts, files, strict=True)}

    def _part_files(self, db: Connection, party: PartyId) -> list[str]:
        """The files of the state's large parts, in order; none if it lies in one piece."""
        where = (_FILES.c.kind == _PART, _FILES.c.task == self._task, _FILES.c.party == party)
        return list(
            db.execute(select(_FILES.c.file).where(*where).order_by(_FILES.c.trip)).scalars()
        )

    def _sealed_part(self, part: Buffer, party: PartyId, digest: bytes) -> str:
        """The new file of a large part, sealed."""
        nonce = os.urandom(_NONCE_BYTES)
        pieces = _gcm(self._large, nonce, part, self._bound_part(party, digest))
        return self._files.write_sealed(
            self._place(party, f"{_PART} {digest.hex()}"), nonce, pieces
        )

    def _opened_part(self, cut: Cut, file: str, party: PartyId) -> bytes:
        """A large part of the state.

        Raises:
            JournalError: it is not what was written there.
        """
        value = memoryview(self._files.spill.get_sealed(file))
        nonce, sealed = value[:_NONCE_BYTES], value[_NONCE_BYTES:]
        try:
            bound = self._bound_part(party, cut.digest)
            return AESGCM(self._large).decrypt(nonce, sealed, bound)
        except InvalidTag as error:
            raise JournalError(
                f"a part of the state of {party} in {self._task} does not open with this key",
                hint="start the party with the key file it was begun with",
            ) from error

    def _bound_part(self, party: PartyId, digest: bytes) -> bytes:
        return self._bound_as_one(party, _PART) + digest

    def _place(self, party: PartyId, what: str) -> _Place:
        return _Place(what, self._task, str(party))

    def _bound(self, party: PartyId, what: str) -> list[bytes]:
        return [self._task.encode(), str(party).encode(), what.encode()]

    def _bound_as_one(self, party: PartyId, what: str) -> bytes:
        return b"".join(len(p).to_bytes(4, "little") + p for p in self._bound(party, what))

    def _sealed(self, value: bytes, party: PartyId, what: str) -> tuple[bytes, str | None]:
        """What goes into the row, and the file if there is one."""
        if len(value) < self._files.large_bytes:
            return self._cipher.encrypt(value, self._bound(party, what)), None
        # SIV passes over the value twice; with a random nonce once is enough.
        nonce = os.urandom(_NONCE_BYTES)
        pieces = _gcm(self._large, nonce, value, self._bound_as_one(party, what))
        return b"", self._files.write_sealed(self._place(party, what), nonce, pieces)

    def _opened(self, db: Connection, kept: bytes, party: PartyId, what: str) -> bytes:
        try:
            if kept:
                return self._cipher.decrypt(kept, self._bound(party, what))
            value = memoryview(self._files.read_sealed(db, self._place(party, what)))
            bound = self._bound_as_one(party, what)
            nonce, sealed = value[:_NONCE_BYTES], value[_NONCE_BYTES:]
            return AESGCM(self._large).decrypt(nonce, sealed, bound)
        except InvalidTag as error:
            raise JournalError(
                f"the {what} of {party} in {self._task} does not open with this key",
                hint="start the party with the key file it was begun with",
            ) from error


@dataclass(frozen=True)
class _Place:
    """Which value a file holds."""

    kind: str
    task: str
    party: str = ""
    trip: int = -1

    def name(self) -> str:
        """The place as text."""
        return f"{self.kind}/{self.task}/{self.party}/{self.trip}"

    def where(self) -> tuple[Any, ...]:
        """The place as conditions."""
        return (
            _FILES.c.kind == self.kind,
            _FILES.c.task == self.task,
            _FILES.c.party == self.party,
            _FILES.c.trip == self.trip,
        )


@dataclass(frozen=True)
class _Files:
    """Values that are too large for a row."""

    spill: Spill
    large_bytes: int

    def write(self, place: _Place, parts: Sequence[Buffer]) -> tuple[bytes, str | None]:
        """What goes into the row: the value, or nothing and a file, on disk already."""
        if sum(map(len, parts)) < max(1, self.large_bytes):
            return b"".join(parts), None
        return b"", self.spill.put(place.name(), parts)

    def write_sealed(self, place: _Place, nonce: bytes, pieces: Iterable[Buffer]) -> str:
        """The file of a sealed value, on disk already."""
        return self.spill.put_sealed(place.name(), nonce, pieces)

    def read(self, db: Connection, place: _Place, kept: bytes) -> bytes:
        """The value of a row."""
        if kept:
            return kept
        name = db.execute(select(_FILES.c.file).where(*place.where())).scalar_one_or_none()
        return kept if name is None else self.spill.get(name)

    def read_sealed(self, db: Connection, place: _Place) -> bytes:
        """The sealed value of a row that does not hold it itself."""
        name = db.execute(select(_FILES.c.file).where(*place.where())).scalar_one_or_none()
        return b"" if name is None else self.spill.get_sealed(name)

    def drop(self, names: set[str]) -> None:
        """Deletes files that no row names any more."""
        self.spill.drop(names)


def _replace_file(db: Connection, place: _Place, file: str | None) -> set[str]:
    """Notes which file holds a value now; gives those that do no longer."""
    old = _forget_files(db, *place.where())
    if file is not None:
        db.execute(
            insert(_FILES).values(
                kind=place.kind, task=place.task, party=place.party, trip=place.trip, file=file
            )
        )
    return old - {file} if file else old


def _replace_parts(db: Connection, task: str, party: PartyId, files: Sequence[str]) -> set[str]:
    """Notes the files of a state's large parts; gives those that no part is in any longer."""
    of_party = (_FILES.c.kind == _PART, _FILES.c.task == task, _FILES.c.party == party)
    old = _forget_files(db, *of_party)
    for number, file in enumerate(files):
        values = {"kind": _PART, "task": task, "party": party, "trip": number, "file": file}
        db.execute(insert(_FILES).values(**values))
    return old - set(files)


def _forget_files(db: Connection, *where: Any) -> set[str]:
    """Forgets which files hold these values, and gives their names."""
    names = set(db.execute(select(_FILES.c.file).where(*where)).scalars())
    if names:
        db.execute(delete(_FILES).where(*where))
    return names


def _gcm(key: bytes, nonce: bytes, value: Buffer, bound: bytes) -> Iterator[Buffer]:
    """Nonce, AES-GCM of the value, and its tag, in pieces; each is over when the next is asked for.

    The same bytes as sealing at once gives, without memory of the value's size.
    """
    sealing = Cipher(AES(key), GCM(nonce)).encryptor()
    sealing.authenticate_additional_data(bound)
    yield nonce
    view, piece = memoryview(value), memoryview(bytearray(_PIECE_BYTES + _BLOCK_BYTES))
    for start in range(0, len(value), _PIECE_BYTES):
        size = sealing.update_into(view[start : start + _PIECE_BYTES], piece)
        yield piece[:size]
    yield sealing.finalize() + sealing.tag


def _spill(engine: Engine) -> Spill:
    return Spill(Path(f"{engine.url.database}.files"))


def _cipher(key: bytes) -> AESSIV:
    """SIV: sealing is deterministic and needs no nonce that a restart could use twice."""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"a journal key has {KEY_BYTES} bytes, got {len(key)}")
    return AESSIV(key)


def _name(task: str, round_number: int) -> list[bytes]:
    """Binds a sealed root to its place: it does not open anywhere else."""
    return [task.encode(), str(round_number).encode()]
