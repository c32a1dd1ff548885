"""What console and API are shown of a home folder: its hub, runs, ledgers, tasks and releases."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedguide.errors import FedGuideError, NotFoundError
from fedguide.office.federation import (
    ArmRow,
    BudgetRow,
    ModelRow,
    PartyRow,
    RecordRow,
    RoundRow,
    RunRow,
    TaskRow,
    VerdictRow,
)

if TYPE_CHECKING:
    from fedguide.cli.ledgers import Place
    from fedguide.config import Settings
    from fedguide.runtime.consent import AnyProposal, Considered
    from fedguide.runtime.run_book import Entry

ARMS = ("alone", "together", "pooled")
"""Of a saved run, what is shown side by side."""


class HomeOffice:
    """Reads a home folder anew at every call.

    Args:
        settings: with the home folder.
        on_model: is told when another release of a shop is to be served.
    """

    def __init__(self, settings: Settings, on_model: Callable[[str], None]) -> None:
        self._settings, self._on_model = settings, on_model

    def parties(self) -> Sequence[PartyRow]:
        """Everybody enrolled at this machine's hub; nobody where it has none."""
        if not (self._settings.home / "hub" / "federation.json").is_file():
            return ()
        from fedguide.cli.federation import members_of
        from fedguide.runtime import members

        with members_of(self._settings) as db:
            return [
                PartyRow(one.party, one.role, one.status, one.enrolled_s, one.seen_s)
                for one in members.members(db)
            ]

    def runs(self) -> Sequence[RunRow]:
        """Every run, the newest first."""
        booked = self._booked()
        names = {run.run for run in booked}
        saved = [run for run in self._saved() if run.run not in names]
        return sorted([*booked, *saved], key=lambda run: run.begun_s or 0.0, reverse=True)

    def run(self, name: str) -> RunRow:
        """One run with its rounds.

        Raises:
            NotFoundError: there is none of that name.
        """
        for run in self.runs():
            if run.run == name:
                return run
        raise NotFoundError(f"there is no run {name[:64]!r}", hint="fedguide train status")

    def tasks(self) -> Sequence[TaskRow]:
        """What was proposed to this party, the newest last."""
        if not (self._settings.home / "party" / "party.db").is_file():
            return ()
        from fedguide.cli.party import desk_of

        with desk_of(self._settings) as desk:
            return [self._task(one) for one in desk.all()]

    def decide(self, task: str, *, approve: bool, reason: str) -> TaskRow:
        """Approves or refuses a task; the party's process tells the hub."""
        from fedguide.cli.party import desk_of

        decision: Any = "approved" if approve else "refused"
        with desk_of(self._settings) as desk:
            made = desk.decide(task, decision, by="owner", now_s=time.time(), reason=reason)
        return self._task(made)

    def budgets(self) -> Sequence[BudgetRow]:
        """What every account has spent."""
        from fedguide.cli.ledgers import budget_of, finite, last_charges, opened, standing
        from fedguide.privacy.spend import noised

        budget, made = budget_of(self._settings), []
        judged = importlib.util.find_spec("dp_accounting") is not None
        for place in self._places():
            with opened(place) as ledger:
                last = last_charges(ledger) if judged else {}
                for account, counts in ledger.spent().items():
                    unnoised = len(noised(counts)) < len(counts)
                    epsilon, left = None, None
                    if judged:
                        stands = standing(ledger, account, last.get(account, {}), budget)
                        epsilon, left = finite(stands.epsilon), stands.rounds_left
                    made.append(
                        BudgetRow(
                            place.party,
                            account,
                            epsilon,
                            budget.epsilon,
                            budget.delta,
                            unnoised,
                            left,
                        )
                    )
        return made

    def records(self, latest: int) -> Sequence[RecordRow]:
        """The latest records of the ledgers, newest first."""
        from fedguide.cli.ledgers import mechanism_in_words, opened

        found = []
        for place in self._places():
            with opened(place) as ledger:
                for entry in ledger.entries():
                    record = entry.record
                    done = "; ".join(
                        f"{item['times']} × {mechanism_in_words(item['what'])}"
                        for item in record["spent"]
                    )
                    found.append(
                        RecordRow(
                            place.party,
                            record["seq"],
                            record["time"],
                            record["kind"],
                            record["account"],
                            record["task"],
                            record["round"],
                            str(record.get("purpose", "")),
                            str(record.get("recipient", "")),
                            done or str(record.get("why") or record.get("residual") or ""),
                        )
                    )
        found.sort(key=lambda one: (one.time_s, one.seq), reverse=True)
        return found[:latest]

    def verify(self) -> Sequence[VerdictRow]:
        """Goes through every ledger from its first record to its last."""
        from fedguide.cli.ledgers import opened

        made = []
        for place in self._places():
            try:
                with opened(place) as ledger:
                    head = ledger.verify()
                    ledger.require_whole()
            except FedGuideError as error:
                made.append(VerdictRow(place.party, False, 0, "", str(error)))
                continue
            made.append(VerdictRow(place.party, True, head.seq, head.hash, ""))
        return made

    def evidence(self, party: str) -> bytes:
        """A ledger as one signed file."""
        from fedguide.cli.ledgers import opened, signer_of

        for place in self._places():
            if place.party == party:
                with opened(place) as ledger:
                    ledger.require_whole()
                    return b"".join(ledger.export(signer_of(self._settings.home)))
        raise NotFoundError(f"there is no ledger of {party[:64]!r}", hint="fedguide privacy ledger")

    def audit(self, evidence: bytes) -> VerdictRow:
        """Checks somebody's evidence, on itself alone."""
        from fedguide.cli.ledgers import verifier
        from fedguide.privacy.evidence import verify_export

        try:
            audit = verify_export(iter(evidence.splitlines(keepends=True)), verifier())
        except FedGuideError as error:
            return VerdictRow("", False, 0, "", str(error))
        head = audit.signed.head
        return VerdictRow(audit.header.party, True, head.seq, head.hash, "")

    def models(self) -> Sequence[ModelRow]:
        """Every release of every shop, the newest first."""
        from fedguide.cli.registry import rows

        return rows(self._settings)

    def promote(self, shop: str, version: str, by: str) -> ModelRow:
        """Serves this release from now on."""
        from fedguide.cli.registry import promote

        promote(self._settings, shop, version, by)
        return self._served(shop)

    def rollback(self, shop: str, by: str) -> ModelRow:
        """Serves what was served before."""
        from fedguide.cli.registry import rollback

        del by  # what was promoted says who wanted it
        rollback(self._settings, shop)
        return self._served(shop)

    def _served(self, shop: str) -> ModelRow:
        from fedguide.cli.registry import rows

        self._on_model(shop)
        return next(row for row in rows(self._settings, shop) if row.serving)

    def _places(self) -> list[Place]:
        from fedguide.cli.ledgers import places

        return places(self._settings, None, None)

    def _booked(self) -> list[RunRow]:
        """Runs over the hub, of this machine's driver."""
        home = self._settings.home
        if not (home / "driver" / "driver.db").is_file():
            return []
        from fedguide.cli.coordinate import book_of, history_of

        with book_of(self._settings) as (book, journal):
            return [_federated(entry, history_of(journal, entry)) for entry in book.all()]

    def _saved(self) -> list[RunRow]:
        """Runs whose releases lie here."""
        folders = sorted(self._settings.home.glob("runs/[!.]*/run.json"))
        return [_saved(path) for path in folders]

    def _task(self, one: Considered) -> TaskRow:
        from fedguide.cli.party import rules_of
        from fedguide.runtime import homes
        from fedguide.runtime.consent import objections

        proposal = one.proposal
        party = homes.membership_of(self._settings.home).party
        return TaskRow(
            proposal.task,
            proposal.purpose,
            proposal.parties,
            proposal.columns,
            proposal.aggregation,
            proposal.rounds,
            _epsilon(proposal),
            one.decision,
            one.reason,
            one.by,
            tuple(objections(rules_of(self._settings), proposal, party)),
        )


def _epsilon(proposal: AnyProposal) -> float | None:
    """What a task costs, by this machine's own accountant; ``None`` where nothing bounds it."""
    from fedguide.runtime.consent import price_of_task

    price = price_of_task(proposal)
    return None if price is None else price.epsilon


def _federated(entry: Entry, history: Sequence[Any]) -> RunRow:
    proposal = entry.proposal
    return RunRow(
        run=proposal.task,
        kind="federated",
        purpose=proposal.purpose,
        status=entry.status,
        detail=entry.detail,
        parties=entry.cohort or proposal.parties,
        planned=proposal.rounds,
        aggregation=proposal.aggregation,
        epsilon=_epsilon(proposal),
        begun_s=entry.begun_s,
        rounds=tuple(
            _round(dataclasses.asdict(one) | {"parties": one.parties, "missing": one.missing})
            for one in history
        ),
    )


def _round(report: dict[str, Any]) -> RoundRow:
    counted = {name: len(report[name]) for name in ("parties", "missing")}
    named = {one.name: report[one.name] for one in dataclasses.fields(RoundRow)}
    loss = named["loss"]
    finite = loss is not None and math.isfinite(loss)
    return RoundRow(**{**named, **counted, "loss": loss if finite else None})


def _saved(path: Path) -> RunRow:
    from fedguide.cli.folders import run_record

    record = run_record(path.parent)
    spent = record.get("privacy", {})
    plan = record.get("plan", {}).get("train", {})
    arms = [
        ArmRow(row["model"], row["setting"], row["ndcg10"], row["low"], row["high"], row["cases"])
        for row in record.get("rows", [])
        if row["shop"] == "mean" and row["model"] in ARMS and row["ndcg10"] is not None
    ]
    noised = spent.get("mechanism", "none") != "none"
    return RunRow(
        run=path.parent.name,
        kind="federated" if record.get("federation") else "simulated",
        purpose="",
        status="done",
        detail="",
        parties=tuple(record.get("parties") or (one["name"] for one in record.get("shops", ()))),
        planned=spent["rounds"] if noised else plan.get("rounds", 0),
        aggregation=plan.get("aggregator", ""),
        epsilon=spent["epsilon_insider"] if noised else None,
        begun_s=path.stat().st_mtime,
        rounds=tuple(map(_round, record.get("history", ()))),
        arms=tuple(arms),
    )
