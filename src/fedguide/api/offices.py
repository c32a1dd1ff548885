"""The federation over HTTP: parties, runs and their stream, budgets, ledger, audit, models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fedguide.api.asking import decoded
from fedguide.api.keys import KeyBook
from fedguide.api.operation import Operation, add_operation, json_of, named
from fedguide.errors import ConfigError
from fedguide.office.federation import (
    BudgetRow,
    ModelRow,
    Office,
    PartyRow,
    RecordRow,
    RunRow,
    VerdictRow,
)
from fedguide.office.stream import events_of

_MOST_RECORDS, _RECORDS = 1000, 100
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

T = TypeVar("T")


class Parties(msgspec.Struct, frozen=True):
    """Answer of ``GET /parties``."""

    parties: tuple[PartyRow, ...]


class Runs(msgspec.Struct, frozen=True):
    """Answer of ``GET /runs``."""

    runs: tuple[RunRow, ...]


class Budgets(msgspec.Struct, frozen=True):
    """Answer of ``GET /privacy/budget``."""

    budgets: tuple[BudgetRow, ...]


class Records(msgspec.Struct, frozen=True):
    """Answer of ``GET /privacy/ledger``, newest first."""

    records: tuple[RecordRow, ...]


class Verdicts(msgspec.Struct, frozen=True):
    """Answer of ``POST /audit/verify``."""

    verdicts: tuple[VerdictRow, ...]


class Models(msgspec.Struct, frozen=True):
    """Answer of ``GET /models``."""

    models: tuple[ModelRow, ...]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``POST /audit/verify``: an export to check; empty checks the ledgers kept here."""

    evidence: str = ""


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /models/promote``: the shop, and the run whose release it shall serve."""

    shop: _Name
    version: _Name


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /models/rollback``."""

    shop: _Name


OFFICE_SHAPES = (
    Parties,
    Runs,
    RunRow,
    Budgets,
    Records,
    Verdicts,
    Models,
    ModelRow,
    Evidence,
    Promotion,
    Rollback,
)

_RUN = named(
    "run",
    "path",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^/]+$"},
    "spring",
    "Name of the run.",
)
_LATEST = named(
    "latest",
    "query",
    {"type": "integer", "minimum": 1, "maximum": _MOST_RECORDS, "default": _RECORDS},
    20,
    "How many records.",
)

OFFICE: Mapping[str, Operation] = {
    one.name: one
    for one in (
        Operation("parties", "GET", "/api/v1/parties", "Who is enrolled at the hub here",
                  "Parties", None),
        Operation("runs", "GET", "/api/v1/runs", "Every run, the newest first", "Runs", None),
        Operation("run", "GET", "/api/v1/runs/{run}", "One run with its rounds", "RunRow", None,
                  (_RUN,)),
        Operation("run_stream", "GET", "/api/v1/runs/{run}/stream",
                  "A run's rounds as server-sent events, until it ends", "", None, (_RUN,),
                  media="text/event-stream"),
        Operation("privacy_budget", "GET", "/api/v1/privacy/budget",
                  "What every account has spent, and how long it lasts", "Budgets", None),
        Operation("privacy_ledger", "GET", "/api/v1/privacy/ledger",
                  "The latest records of the ledgers", "Records", None, (_LATEST,)),
        Operation("audit_verify", "POST", "/api/v1/audit/verify",
                  "Checks an export, or goes through the ledgers kept here", "Verdicts", None, (),
                  "Evidence", {"evidence": ""}),
        Operation("models", "GET", "/api/v1/models", "Every release of every shop", "Models",
                  None),
        Operation("model_promote", "POST", "/api/v1/models/promote",
                  "Serves a release from the next answer on", "ModelRow", None, (), "Promotion",
                  {"shop": "shop-1", "version": "spring"}),
        Operation("model_rollback", "POST", "/api/v1/models/rollback",
                  "Serves what was promoted before", "ModelRow", None, (), "Rollback",
                  {"shop": "shop-1"}),
    )
}  # fmt: skip


def add_offices(app: FastAPI, keys: KeyBook, office: Office) -> None:
    """Adds the routes; rows are read beside the event loop."""

    async def read(rows: Callable[[], T]) -> T:
        return await asyncio.to_thread(rows)

    async def parties(_request: Request) -> Response:
        return json_of(Parties(tuple(await read(office.parties))))

    async def runs(_request: Request) -> Response:
        return json_of(Runs(tuple(await read(office.runs))))

    async def run(request: Request) -> Response:
        return _row(await read(lambda: office.run(request.path_params["run"])))

    async def run_stream(request: Request) -> Response:
        found = await read(lambda: office.run(request.path_params["run"]))
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(
            events_of(office, found), headers=headers, media_type="text/event-stream"
        )

    async def budget(_request: Request) -> Response:
        return json_of(Budgets(tuple(await read(office.budgets))))

    async def ledger(request: Request) -> Response:
        latest = _latest(request.query_params.get("latest"))
        return json_of(Records(tuple(await read(lambda: office.records(latest)))))

    async def verify(request: Request) -> Response:
        evidence = decoded(await request.body(), Evidence).evidence.encode("utf-8", "replace")
        found: Sequence[VerdictRow] = (
            [await read(lambda: office.audit(evidence))] if evidence else await read(office.verify)
        )
        return json_of(Verdicts(tuple(found)))

    async def models(_request: Request) -> Response:
        return json_of(Models(tuple(await read(office.models))))

    async def promote(request: Request) -> Response:
        wanted = decoded(await request.body(), Promotion)
        return _row(await read(lambda: office.promote(wanted.shop, wanted.version, "api")))

    async def rollback(request: Request) -> Response:
        wanted = decoded(await request.body(), Rollback)
        return _row(await read(lambda: office.rollback(wanted.shop, "api")))

    answers = {
        "parties": parties,
        "runs": runs,
        "run": run,
        "run_stream": run_stream,
        "privacy_budget": budget,
        "privacy_ledger": ledger,
        "audit_verify": verify,
        "models": models,
        "model_promote": promote,
        "model_rollback": rollback,
    }
    for name, operation in OFFICE.items():
        add_operation(app, operation, keys, answers[name])


def _row(row: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(row), headers=headers, media_type="application/json")


def _latest(text: str | None) -> int:
    if text is None:
        return _RECORDS
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_RECORDS):
        raise ConfigError(f"latest must be in [1, {_MOST_RECORDS}], got {text[:32]!r}")
    return int(text)
