"""The coordinator's book of runs: what was proposed, with whom it began, how it stands.

It lies beside the driver's journal. A run's parties are written down before its first trip, so that
a driver that comes back asks the same ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    Float,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from fedguide.errors import ConfigError, NotFoundError
from fedguide.runtime.proposal import Proposal, proposal_bytes, read_proposal
from fedguide.values import PartyId

Status: TypeAlias = Literal["proposed", "running", "stopped", "failed", "done"]

_META = MetaData()
_RUNS = Table(
    "runs",
    _META,
    Column("task", String, primary_key=True),
    Column("proposal", LargeBinary, nullable=False),
    Column("cohort", String),
    Column("status", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("stop", Boolean, nullable=False),
    Column("begun_s", Float, nullable=False),
)


@dataclass(frozen=True)
class Entry:
    """One run.

    Attributes:
        proposal: what was proposed.
        cohort: who approved when it began; ``None`` before.
        status: how it stands.
        detail: why, where that is not plain.
        stop: is it to end after its current round?
        begun_s: when it was proposed, seconds since 1970.
    """

    proposal: Proposal
    cohort: tuple[PartyId, ...] | None
    status: Status
    detail: str
    stop: bool
    begun_s: float


class RunBook:
    """The runs of one driver, in an ``sqlite_engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _META.create_all(engine)

    def all(self) -> list[Entry]:
        """Every run, the newest first."""
        with self._engine.connect() as db:
            rows = db.execute(select(_RUNS).order_by(_RUNS.c.begun_s.desc())).all()
        return [_entry(row) for row in rows]

    def get(self, task: str) -> Entry:
        """One run.

        Raises:
            NotFoundError: there is none of that name.
        """
        with self._engine.connect() as db:
            row = db.execute(select(_RUNS).where(_RUNS.c.task == task)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no run {task}", hint="fedguide train status")
        return _entry(row)

    def begin(self, proposal: Proposal, now_s: float) -> Entry:
        """Writes a new run down.

        Raises:
            ConfigError: there is a run of that name, with another proposal.
        """
        row = insert(_RUNS).values(
            task=proposal.task,
            proposal=proposal_bytes(proposal),
            status="proposed",
            detail="",
            stop=False,
            begun_s=now_s,
        )
        with self._engine.begin() as db:
            db.execute(row.on_conflict_do_nothing())
        entry = self.get(proposal.task)
        if entry.proposal != proposal:
            raise ConfigError(
                f"a run {proposal.task} is there already",
                hint=f"fedguide train resume {proposal.task}, or another --task",
            )
        return entry

    def set_cohort(self, task: str, cohort: tuple[PartyId, ...]) -> None:
        """Writes down who takes part; once, before the first trip."""
        self._set(task, cohort=json.dumps(list(cohort)), status="running", detail="")

    def set_status(self, task: str, status: Status, detail: str = "") -> None:
        """Writes down how a run stands."""
        self._set(task, status=status, detail=detail)

    def ask_to_stop(self, task: str, *, stop: bool) -> None:
        """Lets a run end after its current round, or takes that back.

        Raises:
            NotFoundError: there is none of that name.
        """
        self.get(task)
        self._set(task, stop=stop)

    def _set(self, task: str, **values: Any) -> None:
        with self._engine.begin() as db:
            db.execute(update(_RUNS).where(_RUNS.c.task == task).values(**values))


def _entry(row: Any) -> Entry:
    cohort = None if row.cohort is None else tuple(map(PartyId, json.loads(row.cohort)))
    return Entry(read_proposal(row.proposal), cohort, row.status, row.detail, row.stop, row.begun_s)
