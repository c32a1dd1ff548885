"""The driver's journal: what a run must not lose when its process dies.

For each task it keeps the last checkpoint, the root of every round since (drawn once, written
before its first use), and every trip since. A checkpoint forgets the trips and roots it makes
superfluous. ``sqlite.py`` keeps a journal on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from fedguide.codec import Buffer, Limits, decode
from fedguide.errors import JournalError, PayloadError
from fedguide.protocol import Missing, State
from fedguide.seeds import Root, Roots
from fedguide.values import PartyId


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
    replies: tuple[Buffer, ...] = field(repr=False)
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
            raise taken(task, f"a root for round {round_number}")
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
            raise taken(task, f"trip {trip.trip}")
        self._trips[task, trip.trip] = trip


def journaled_roots(journal: Journal, fresh: Roots) -> Roots:
    """Roots that are drawn once for each task and round, and journaled before their first use."""

    def roots(task: str, round_number: int) -> Root:
        root = journal.root(task, round_number)
        if root is None:
            root = fresh(task, round_number)
            journal.put_root(task, round_number, root)
        return root

    return roots


def trip_from(record: Buffer) -> Trip:
    """A trip from the bytes that ``codec.encode`` made of it, however large.

    Raises:
        JournalError: they are damaged.
    """
    size = len(record)
    limits = Limits(size, max_header_bytes=size, max_text=size)
    try:
        trip: Trip = decode(record, [Trip], limits)
    except PayloadError as error:
        raise JournalError(f"a journaled trip is damaged: {error}") from error
    return trip


def taken(task: str, what: str) -> JournalError:
    """The error for a second driver on one task, which has ``what`` already."""
    return JournalError(
        f"{task} has {what} already: another driver runs this task",
        hint="end the other driver, or give this run another task name",
    )
