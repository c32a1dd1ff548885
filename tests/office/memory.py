"""An office in memory: rows that a test may change."""

from __future__ import annotations

import dataclasses

from fedguide.errors import NotFoundError
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

NOW_S = 1_760_000_000.0
HOSTILE = "<script>alert(1)</script>"


class MemoryOffice:
    """Rows that a test may change."""

    def __init__(self) -> None:
        self.rounds = [
            RoundRow(n, 3.0 / n, 0.01 * n, 1000, 2.0, 2, 1, 61_000, 70_000, n == 2)
            for n in (1, 2, 3)
        ]
        self.status, self.epsilon, self.left = "running", 0.73, 41
        self.decided: list[tuple[str, bool, str]] = []
        self.promoted: list[tuple[str, str]] = []

    def parties(self) -> list[PartyRow]:
        return [
            PartyRow("north", "party", "admitted", NOW_S - 9e5, NOW_S - 2),
            PartyRow("south", "party", "admitted", NOW_S - 9e5, NOW_S - 7200),
            PartyRow(HOSTILE, "party", "waiting", NOW_S, None),
        ]

    def runs(self) -> list[RunRow]:
        return [dataclasses.replace(self.run("spring"), rounds=())]

    def run(self, name: str) -> RunRow:
        if name != "spring":
            raise NotFoundError(name)
        arms = (
            ArmRow("alone", "all", 0.1, 0.09, 0.11, 9),
            ArmRow("together", "all", 0.2, 0.1, 0.3, 9),
        )
        return RunRow(
            "spring",
            "federated",
            HOSTILE,
            self.status,
            "",
            ("north", "south"),
            12,
            "masked_sum",
            None,
            NOW_S,
            tuple(self.rounds),
            arms,
        )

    def tasks(self) -> list[TaskRow]:
        return [
            TaskRow(
                "summer",
                HOSTILE,
                ("north",),
                ("x",),
                "open_sum",
                7,
                1.5,
                "waiting",
                "",
                "",
                ("7 rounds, at most 5",),
            )
        ]

    def decide(self, task: str, *, approve: bool, reason: str) -> TaskRow:
        self.decided.append((task, approve, reason))
        return self.tasks()[0]

    def budgets(self) -> list[BudgetRow]:
        return [BudgetRow("north", "north", self.epsilon, 4.0, 1e-6, False, self.left)]

    def records(self, latest: int) -> list[RecordRow]:
        return [
            RecordRow("north", 2, int(NOW_S), "charge", "north", "spring", 1, "p", "r", HOSTILE),
            RecordRow("north", 1, int(NOW_S), "erasure", "north", "f" * 64, 0, "", "", "left"),
        ][:latest]

    def verify(self) -> list[VerdictRow]:
        return [VerdictRow("north", True, 2, "ab" * 32, "")]

    def evidence(self, party: str) -> bytes:
        if party != "north":
            raise NotFoundError(party)
        return b"line 1\nline 2\n"

    def audit(self, evidence: bytes) -> VerdictRow:
        good = evidence == b"line 1\nline 2\n"
        return VerdictRow("north" if good else "", good, 2, "cd" * 32, "" if good else "line 1")

    def models(self) -> list[ModelRow]:
        facts = ("2026-03-01T08:00", 12, "dp: none", 0.09, 0.08, 0.1)
        return [
            ModelRow("north", "spring", "d", *facts, True, ""),
            ModelRow("north", "winter", "d", *facts, False, ""),
            ModelRow("north", "autumn", "", "", 0, "", None, None, None, False, HOSTILE),
        ]

    def promote(self, shop: str, version: str, by: str) -> ModelRow:
        self.promoted.append((version, by))
        return self.models()[0]

    def rollback(self, shop: str, by: str) -> ModelRow:
        self.promoted.append(("rollback", by))
        return self.models()[0]
