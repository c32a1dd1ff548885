"""The console's rows are the rows of the databases: of hub, driver, party, ledger and releases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedguide.cli.bureau import HomeOffice
from fedguide.cli.party import desk_of
from fedguide.config import Settings
from fedguide.errors import ConfigError, NotFoundError, SignatureError
from tests.office.home import RUN, SHOPS, TASK, fill_home, put_rounds, settings_of


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("office") / "home"
    home.mkdir()
    fill_home(home)
    return home


@pytest.fixture
def settings(filled: Path, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    return settings_of(home)


def test_rows_are_what_the_databases_hold(settings: Settings) -> None:
    office = HomeOffice(settings, lambda _: None)
    parties = office.parties()
    assert [one.party for one in parties] == list(SHOPS)
    assert [one.seen_s is not None for one in parties] == [True, False, False]
    run = office.run(RUN)
    assert (run.kind, run.status, run.planned, run.parties) == ("federated", "running", 12, SHOPS)
    assert [(one.round, one.loss, one.missing) for one in run.rounds] == [
        (1, 3.0, 1),
        (2, 1.5, 1),
        (3, 1.0, 1),
    ]
    assert run.bytes_up == 3 * 61_000
    put_rounds(settings, 4)
    assert len(office.run(RUN).rounds) == 4
    assert {one.run for one in office.runs()} == {RUN, "first", "second"}
    with pytest.raises(NotFoundError):
        office.run("winter")


def test_budget_ledger_and_evidence_agree(settings: Settings) -> None:
    office = HomeOffice(settings, lambda _: None)
    (budget,) = office.budgets()
    assert (budget.party, budget.account, budget.cap) == ("north", "north", 8.0)
    assert budget.epsilon is not None
    assert 0 < budget.epsilon < 1
    assert budget.rounds_left is not None
    assert budget.rounds_left > 100
    assert [one.kind for one in office.records(10)] == ["charge", "charge"]
    assert [one.round for one in office.records(1)] == [1]
    (verdict,) = office.verify()
    evidence = office.evidence("north")
    checked = office.audit(evidence)
    assert (checked.holds, checked.party, checked.head) == (True, "north", verdict.head)
    assert not office.audit(evidence.replace(b"recommend", b"sell data", 1)).holds
    assert not office.audit(b"nonsense").holds
    with pytest.raises(NotFoundError):
        office.evidence("south")


def test_a_decision_is_the_desk_s(settings: Settings) -> None:
    office = HomeOffice(settings, lambda _: None)
    (task,) = office.tasks()
    assert (task.task, task.decision, task.rounds) == (TASK, "waiting", 7)
    assert office.decide(TASK, approve=False, reason="not now").decision == "refused"
    with desk_of(settings) as desk:
        kept = desk.get(TASK)
    assert (kept.decision, kept.reason, kept.by) == ("refused", "not now", "owner")
    assert office.decide(TASK, approve=True, reason="").decision == "approved"


def test_releases_are_promoted_and_rolled_back_only_when_sound(settings: Settings) -> None:
    told: list[str] = []
    office = HomeOffice(settings, told.append)
    assert [(one.version, one.serving) for one in office.models()] == [
        ("second", True),
        ("first", False),
    ]
    with pytest.raises(ConfigError):
        office.rollback("north", "me")
    assert office.promote("north", "first", "me").version == "first"
    assert office.promote("north", "second", "me").version == "second"
    assert office.rollback("north", "me").version == "first"
    assert told == ["north"] * 3
    with pytest.raises(NotFoundError):
        office.promote("north", "../first", "me")
    release = settings.home / "runs" / "second" / "shops" / "north" / "release"
    card = next(path for path in release.iterdir() if path.name.startswith("card"))
    card.write_bytes(card.read_bytes().replace(b"north", b"nerth"))
    with pytest.raises(SignatureError):
        office.promote("north", "second", "me")
    problem = {one.version: one.problem for one in office.models()}
    assert problem["second"]
    assert not problem["first"]
