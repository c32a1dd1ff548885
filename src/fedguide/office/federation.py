"""A federation as its console and API show it: rows that are read, and what may be decided.

Every figure a page shows is a field of one of these rows, and every row is read anew for a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ENDED = ("stopped", "failed", "done")
"""How a run stands that goes no further by itself."""


@dataclass(frozen=True)
class PartyRow:
    """One enrolled party or driver; ``seen_s`` is when it last asked for messages."""

    party: str
    role: str
    status: str
    enrolled_s: float
    seen_s: float | None


@dataclass(frozen=True)
class RoundRow:
    """One round of a run.

    Attributes:
        round: its number, from 1.
        loss: mean over examples; ``None`` where it is no number.
        score: what the judge gave, where there was one.
        examples: over all parties.
        seconds: how long it took.
        parties: how many answered.
        missing: how many did not.
        bytes_up: from the parties.
        bytes_down: to the parties.
        undone: it did harm, and was taken back.
    """

    round: int
    loss: float | None
    score: float | None
    examples: int
    seconds: float
    parties: int
    missing: int
    bytes_up: int
    bytes_down: int
    undone: bool


@dataclass(frozen=True)
class ArmRow:
    """What one way to train came to: mean NDCG@10 with its 95 % interval."""

    model: str
    setting: str
    ndcg10: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        run: its name.
        kind: ``federated`` over the hub, or ``simulated`` on this machine.
        purpose: in its coordinator's words.
        status: ``proposed``, ``running``, ``stopped``, ``failed`` or ``done``.
        detail: why, where that is not plain.
        parties: who takes part.
        planned: rounds that are planned; 0 where that is not known.
        aggregation: how updates are put together.
        epsilon: price in ε; ``None`` for no bound.
        begun_s: when it was proposed; ``None`` where that is not known.
        rounds: those that are done.
        arms: what was measured at the end.
    """

    run: str
    kind: str
    purpose: str
    status: str
    detail: str
    parties: tuple[str, ...]
    planned: int
    aggregation: str
    epsilon: float | None
    begun_s: float | None
    rounds: tuple[RoundRow, ...] = ()
    arms: tuple[ArmRow, ...] = ()

    @property
    def bytes_up(self) -> int:
        """What left the parties in all rounds."""
        return sum(one.bytes_up for one in self.rounds)


@dataclass(frozen=True)
class TaskRow:
    """A task that was proposed to this party; ``objections`` are the owner's rules it breaks."""

    task: str
    purpose: str
    parties: tuple[str, ...]
    columns: tuple[str, ...]
    aggregation: str
    rounds: int
    epsilon: float | None
    decision: str
    reason: str
    by: str
    objections: tuple[str, ...]


@dataclass(frozen=True)
class BudgetRow:
    """What an account has spent.

    Attributes:
        party: whose ledger it is.
        account: whose shoppers.
        epsilon: of everything with noise; ``None`` where no accountant is installed.
        cap: the most it may become.
        delta: at which δ.
        unnoised: was anything released without noise? Then the whole ε is ∞.
        rounds_left: rounds like the last one that are still affordable; ``None`` for no end.
    """

    party: str
    account: str
    epsilon: float | None
    cap: float
    delta: float
    unnoised: bool
    rounds_left: int | None


@dataclass(frozen=True)
class RecordRow:
    """One record of a ledger."""

    party: str
    seq: int
    time_s: int
    kind: str
    account: str
    task: str
    round: int
    purpose: str
    recipient: str
    what: str


@dataclass(frozen=True)
class VerdictRow:
    """What going through a whole ledger, or an export of one, came to; ``problem`` says why not."""

    party: str
    holds: bool
    records: int
    head: str
    problem: str


@dataclass(frozen=True)
class ModelRow:
    """One release of a shop.

    Attributes:
        shop: whom it serves.
        version: the run that made it.
        digest: of its manifest.
        made: ISO 8601.
        rounds: of training; 0 when trained alone.
        privacy: the guarantee of what left.
        ndcg10: mean on discovery, with ``low`` and ``high``; ``None`` where not measured.
        low: lower end of the 95 % interval.
        high: upper end.
        serving: is it the one that is served?
        problem: why it may not be loaded; empty for a sound one.
    """

    shop: str
    version: str
    digest: str
    made: str
    rounds: int
    privacy: str
    ndcg10: float | None
    low: float | None
    high: float | None
    serving: bool
    problem: str


class Office(Protocol):
    """Reads and decides; calls may read files and take a while."""

    def parties(self) -> Sequence[PartyRow]:
        """Everybody enrolled at this machine's hub; nobody where it has none."""
        ...

    def runs(self) -> Sequence[RunRow]:
        """Every run, the newest first, without rounds."""
        ...

    def run(self, name: str) -> RunRow:
        """One run with its rounds.

        Raises:
            NotFoundError: there is none of that name.
        """
        ...

    def tasks(self) -> Sequence[TaskRow]:
        """What was proposed to this party, the newest last."""
        ...

    def decide(self, task: str, *, approve: bool, reason: str) -> TaskRow:
        """Approves or refuses a task in the owner's name.

        Raises:
            NotFoundError: there is no such task.
        """
        ...

    def budgets(self) -> Sequence[BudgetRow]:
        """What every account has spent."""
        ...

    def records(self, latest: int) -> Sequence[RecordRow]:
        """The latest records of the ledgers, newest first."""
        ...

    def verify(self) -> Sequence[VerdictRow]:
        """Goes through every ledger from its first record to its last."""
        ...

    def evidence(self, party: str) -> bytes:
        """A ledger as one signed file.

        Raises:
            NotFoundError: there is no ledger of this party.
        """
        ...

    def audit(self, evidence: bytes) -> VerdictRow:
        """Checks somebody's evidence, on itself alone."""
        ...

    def models(self) -> Sequence[ModelRow]:
        """Every release of every shop, the newest first."""
        ...

    def promote(self, shop: str, version: str, by: str) -> ModelRow:
        """Serves this release from now on.

        Raises:
            NotFoundError: there is no such release.
            ReleaseError: it may not be loaded.
        """
        ...

    def rollback(self, shop: str, by: str) -> ModelRow:
        """Serves what was served before.

        Raises:
            ConfigError: nothing was served before.
        """
        ...
