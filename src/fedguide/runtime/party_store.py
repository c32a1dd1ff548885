"""What a party keeps on disk between two messages: its state and its last answer.

State and answer are written in one transaction before the answer leaves: whatever moment the
process dies at, the party has either not answered at all or answers the same bytes again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from fedguide.values import PartyId

_META = MetaData()
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


@dataclass(frozen=True)
class Answered:
    """A party's last answer: the trip, the SHA-256 of the message, and the reply's bytes."""

    trip: int
    digest: bytes
    reply: bytes = field(repr=False)


class PartyStore(Protocol):
    """Keeps every party's state and last answer of one task."""

    def state(self, party: PartyId) -> bytes | None:
        """The party's state, or ``None`` before its first answer."""
        ...

    def last_answer(self, party: PartyId) -> Answered | None:
        """The party's last answer, or ``None`` before its first."""
        ...

    def put(self, party: PartyId, answered: Answered, state: bytes) -> None:
        """Keeps both, or neither; they replace what was there."""
        ...


class MemoryPartyStore:
    """Keeps states and answers in memory, as bytes."""

    def __init__(self) -> None:
        self._kept: dict[PartyId, tuple[Answered, bytes]] = {}

    def state(self, party: PartyId) -> bytes | None:
        """The party's state, or ``None`` before its first answer."""
        kept = self._kept.get(party)
        return None if kept is None else kept[1]

    def last_answer(self, party: PartyId) -> Answered | None:
        """The party's last answer, or ``None`` before its first."""
        kept = self._kept.get(party)
        return None if kept is None else kept[0]

    def put(self, party: PartyId, answered: Answered, state: bytes) -> None:
        """Keeps both; they replace what was there."""
        self._kept[party] = (answered, state)


class SqlPartyStore:
    """Keeps states and answers of one task in a SQLite file; see ``journal.sqlite_engine``."""

    def __init__(self, engine: Engine, task: str) -> None:
        self._engine = engine
        self._task = task
        _META.create_all(engine)

    def state(self, party: PartyId) -> bytes | None:
        """The party's state, or ``None`` before its first answer."""
        with self._engine.connect() as db:
            value: bytes | None = db.execute(
                select(_PARTIES.c.state).where(
                    _PARTIES.c.task == self._task, _PARTIES.c.party == party
                )
            ).scalar_one_or_none()
        return value

    def last_answer(self, party: PartyId) -> Answered | None:
        """The party's last answer, or ``None`` before its first."""
        with self._engine.connect() as db:
            row = db.execute(
                select(_PARTIES.c.trip, _PARTIES.c.digest, _PARTIES.c.reply).where(
                    _PARTIES.c.task == self._task, _PARTIES.c.party == party
                )
            ).one_or_none()
        return None if row is None else Answered(row.trip, row.digest, row.reply)

    def put(self, party: PartyId, answered: Answered, state: bytes) -> None:
        """Keeps both in one transaction; they replace what was there."""
        values = {
            "trip": answered.trip,
            "digest": answered.digest,
            "reply": answered.reply,
            "state": state,
        }
        row = insert(_PARTIES).values(task=self._task, party=party, **values)
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_update(index_elements=["task", "party"], set_=values))
