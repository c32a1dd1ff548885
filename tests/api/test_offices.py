"""The federation over HTTP: rows as they are, by role, and a stream that ends with its run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fedguide.api.offices import OFFICE
from fedguide.api.roles import MAY
from tests.api.asking import ask
from tests.api.posting import post
from tests.api.serving import Served, served
from tests.guide.sample import a_card, a_guide
from tests.office.memory import MemoryOffice

GUIDE = a_guide(card=a_card("north"))


@pytest.fixture
def office() -> MemoryOffice:
    return MemoryOffice()


@pytest.fixture
def one(tmp_path: Path, office: MemoryOffice) -> Iterator[Served]:
    with served(tmp_path, {"north": GUIDE}, office=office) as made:
        yield made


def sent(one: Served, name: str, role: str, body: object = None) -> httpx.Response:
    operation = OFFICE[name]
    key = {"authorization": f"Bearer {one.texts[role]}"}
    path = operation.path.replace("{run}", "spring")
    if operation.method == "POST":
        return post(one.app, path, operation.asked if body is None else body, **key)
    return ask(one.app, path, **key)


def test_each_operation_is_open_to_its_roles_alone(one: Served, office: MemoryOffice) -> None:
    office.status = "done"
    for name in OFFICE:
        for role in ("shop", "operator", "auditor"):
            allowed = role in MAY[name]
            assert sent(one, name, role).status_code == (200 if allowed else 403), (name, role)


def test_rows_are_told_as_they_are(one: Served, office: MemoryOffice) -> None:
    run = sent(one, "run", "auditor").json()
    assert [one["loss"] for one in run["rounds"]] == [3.0, 1.5, 1.0]
    office.rounds.pop()
    assert len(sent(one, "run", "auditor").json()["rounds"]) == 2
    assert [p["party"] for p in sent(one, "parties", "auditor").json()["parties"]][:1] == ["north"]
    assert sent(one, "privacy_budget", "auditor").json()["budgets"][0]["epsilon"] == 0.73
    assert len(sent(one, "privacy_ledger", "auditor").json()["records"]) == 2
    key = {"authorization": f"Bearer {one.texts['auditor']}"}
    assert len(ask(one.app, "/api/v1/privacy/ledger?latest=1", **key).json()["records"]) == 1
    assert ask(one.app, "/api/v1/privacy/ledger?latest=0", **key).status_code == 400
    assert ask(one.app, "/api/v1/runs/none", **key).status_code == 404
    assert ask(one.app, "/api/v1/runs/none/stream", **key).status_code == 404


def test_evidence_is_checked_and_empty_means_our_own(one: Served) -> None:
    good = {"evidence": "line 1\nline 2\n"}
    for body, head, holds in (
        (good, "cd", True),
        ({"evidence": "x"}, "cd", False),
        ({}, "ab", True),
    ):
        (verdict,) = sent(one, "audit_verify", "auditor", body).json()["verdicts"]
        assert (verdict["head"][:2], verdict["holds"]) == (head, holds)


def test_promotion_is_the_operator_s(one: Served, office: MemoryOffice) -> None:
    body = {"shop": "north", "version": "winter"}
    assert sent(one, "model_promote", "auditor", body).status_code == 403
    assert office.promoted == []
    assert sent(one, "model_promote", "operator", body).status_code == 200
    assert office.promoted == [("winter", "api")]
    assert sent(one, "model_promote", "operator", {"shop": "north"}).status_code == 400


def test_a_stream_ends_with_its_run(one: Served, office: MemoryOffice) -> None:
    office.status = "stopped"
    response = sent(one, "run_stream", "auditor")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.count("event: round\nid: ") == 3
    assert "event: end" in response.text
