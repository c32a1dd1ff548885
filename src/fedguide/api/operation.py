"""One described operation of the API beside the guide's own, and how its handler is guarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api import problems
from fedguide.api.keys import KeyBook
from fedguide.api.roles import MAY, require

Answering: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """An operation as the OpenAPI document tells it.

    Attributes:
        name: in the table of roles, and the document's ``operationId``.
        method: of HTTP.
        path: with its parameters in braces.
        summary: one line.
        shape: name of the answer's shape; empty where it is no JSON.
        example: of the answer.
        parameters: as OpenAPI writes them.
        question: name of the body's shape; empty where there is none.
        asked: example of the body.
        media: content type of the answer.
    """

    name: str
    method: str
    path: str
    summary: str
    shape: str
    example: Any
    parameters: Sequence[Mapping[str, Any]] = ()
    question: str = ""
    asked: Any = None
    media: str = "application/json"

    @property
    def refusals(self) -> tuple[tuple[int, str], ...]:
        """What else may be answered."""
        said = [(503, "More at once than is taken; come back after Retry-After seconds")]
        if self.question or self.parameters:
            said += [(400, "Something of it is missing or out of range"), (404, "Not there")]
        if self.question:
            said += [(408, "The body did not come in time"), (413, "The body is too large")]
        if MAY[self.name]:
            said += [(401, "No key, or one that is not accepted"), (403, "The role may not")]
        return tuple(sorted(said))


def add_operation(
    app: FastAPI, operation: Operation, keys: KeyBook | None, answer: Answering
) -> None:
    """Adds a route that asks for the key first, and answers every error as a problem."""

    async def handle(request: Request) -> Response:
        try:
            require(operation.name, keys, request)
            return await answer(request)
        except Exception as error:  # noqa: BLE001 - a defect is answered too, logged by type
            return problems.from_error(request, error)

    app.add_route(operation.path, handle, methods=[operation.method], include_in_schema=False)


def json_of(body: msgspec.Struct) -> Response:
    """The answer in JSON; nobody between here and there keeps a copy."""
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), headers=headers, media_type="application/json")


def named(name: str, where: str, schema: dict[str, Any], example: Any, text: str) -> dict[str, Any]:
    """A parameter as OpenAPI writes it; one in the path is always required."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "example": example,
        "description": text,
    }


SHOP_PARAMETER = named(
    "shop", "query", {"type": "string"}, "shop-1", "Which served shop; the first when left out."
)
