"""The API's own description (OpenAPI): parameters, shapes and examples by hand, checked by tests.

FastAPI would build these from pydantic models and validate every request and answer with them;
the answers here are encoded by msgspec, and a request has at most four parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fedguide import __version__
from fedguide.api.asked_wire import ASKED_SHAPES
from fedguide.api.described_asking import ASKING_PATHS, COMPARE, POSTED
from fedguide.api.market_wire import MARKET_SHAPES
from fedguide.api.offices import OFFICE_SHAPES
from fedguide.api.operation import Operation
from fedguide.api.receiving import RECEIVING_SHAPES
from fedguide.api.roles import MAY
from fedguide.api.shoppers import SHOPPER_SHAPES
from fedguide.api.stocking import STOCKING_SHAPES
from fedguide.api.wire import SHAPES
from fedguide.guide.answers import ASKABLE, DISCOVER
from fedguide.guide.engine import MOST_PICKS
from fedguide.guide.search import LONGEST_QUERY

SERVICE_SHAPES = (
    *RECEIVING_SHAPES,
    *STOCKING_SHAPES,
    *SHOPPER_SHAPES,
    *MARKET_SHAPES,
    *OFFICE_SHAPES,
)
"""Shapes of what is offered beside the guide."""

_PROBLEM = "application/problem+json"


def _query(
    name: str, schema: dict[str, Any], example: Any, text: str, **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "schema": schema,
        "example": example,
        "description": text,
        **more,
    }


def _k(default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": MOST_PICKS, "default": default}
    return _query("k", schema, default, "How many items.")


_SHOP = _query("shop", {"type": "string"}, "shop-1", "Which served shop; the first when left out.")
_USER = _query(
    "user",
    {"type": "string", "minLength": 1, "maxLength": 200},
    "17850",
    "The shop's own id of the shopper; an unknown one gets best sellers.",
    required=True,
)
_SLATE = _query(
    "slate",
    {"type": "string", "enum": list(ASKABLE), "default": DISCOVER},
    DISCOVER,
    "again: bought before; discover: never bought; both: one after the other.",
)
_TEXT = _query(
    "q",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_QUERY},
    "tea mug",
    "Words in Chinese or English.",
    required=True,
)
_ITEM = {
    "name": "item_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "example": "22423",
    "description": "The shop's own id of the item.",
}

_BECAUSE = {
    "kind": "buy",
    "share": 0.41,
    "effect": 0.2,
    "times": 2,
    "item": "21731",
    "title": "RED TOADSTOOL LED NIGHT LIGHT",
}
_EXAMPLE_ITEM = {
    "item_id": "22423",
    "title": "REGENCY CAKESTAND 3 TIER",
    "price": 12.75,
    "score": 1.83,
    "rank": 1,
    "source": "personal",
    "slate": "discover",
    "because": [_BECAUSE],
}
_OF_RELEASE = {"release": "0f3c5a9e11b2c4d8", "synthetic": False, "items": [_EXAMPLE_ITEM]}

_OPERATIONS: dict[str, tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = {
    "recommend": (
        "Items for a shopper, each with its reasons",
        "Recommended",
        [_USER, _k(10), _SLATE, _SHOP],
        {
            "shop": "shop-1",
            "user": "17850",
            "slate": DISCOVER,
            "source": "personal",
            **_OF_RELEASE,
        },
    ),
    "search": (
        "Items that fit some words",
        "Searched",
        [_TEXT, _k(20), _SHOP],
        {"shop": "shop-1", "query": "tea mug", "source": "words", **_OF_RELEASE},
    ),
    "similar": (
        "Items close to an item",
        "Similar",
        [_ITEM, _k(10), _SHOP],
        {"shop": "shop-1", "item_id": "22423", "source": "similar", **_OF_RELEASE},
    ),
    "item": (
        "One item",
        "Item",
        [_ITEM, _SHOP],
        {
            "shop": "shop-1",
            "item_id": "22423",
            "title": "REGENCY CAKESTAND 3 TIER",
            "price": 12.75,
            "currency": "GBP",
        },
    ),
    "shops": (
        "The served shops",
        "Shops",
        [],
        {
            "shops": [
                {
                    "shop": "shop-1",
                    "items": 2985,
                    "shoppers": 684,
                    "release": "0f3c5a9e11b2c4d8",
                    "signer": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                    "synthetic": False,
                }
            ]
        },
    ),
    "healthz": ("Is the process alive?", "Health", [], {"status": "ok"}),
    "readyz": ("Is a release loaded?", "Health", [], {"status": "ready"}),
}

_ALWAYS = ((503, "More requests at once than are taken; come back after Retry-After seconds"),)
_WITH_INPUT = ((400, "A parameter is missing or out of range"), (404, "No such shop or item"))


PATHS: Mapping[str, str] = {
    "recommend": "/api/v1/recommend",
    "search": "/api/v1/search",
    "similar": "/api/v1/similar/{item_id}",
    "item": "/api/v1/items/{item_id}",
    "shops": "/api/v1/shops",
    "healthz": "/healthz",
    "readyz": "/readyz",
}
"""Where each operation is asked for."""


def describe(operations: Sequence[Operation] = ()) -> dict[str, Any]:
    """The OpenAPI document; ``operations`` are those beside the guide's own."""
    _, shapes = msgspec.json.schema_components(
        (*SHAPES, *ASKED_SHAPES, *(SERVICE_SHAPES if operations else ())),
        ref_template="#/components/schemas/{name}",
    )
    beside: dict[str, dict[str, Any]] = {}
    for one in operations:
        beside.setdefault(one.path, {})[one.method.lower()] = _beside(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fedguide",
            "version": __version__,
            "description": "Recommendations with reasons, computed in the shop.",
        },
        "paths": {
            **{path: {"get": _operation(name)} for name, path in PATHS.items()},
            **{ASKING_PATHS[name]: {"post": _posted(name)} for name in POSTED},
            ASKING_PATHS["compare"]: {"get": _described("compare", *COMPARE)},
            **beside,
        },
        "components": {
            "schemas": shapes,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(name: str) -> dict[str, Any]:
    return _described(name, *_OPERATIONS[name])


def _beside(one: Operation) -> dict[str, Any]:
    """An operation that is described beside its own route."""
    answer: dict[str, Any] = {"schema": _ref(one.shape) if one.shape else {"type": "string"}}
    if one.example is not None:
        answer["example"] = one.example
    described: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.name,
        "parameters": list(one.parameters),
        "responses": {
            "200": {"description": "The answer", "content": {one.media: answer}},
            **_refused(one.refusals),
        },
    }
    if one.question:
        body = {"schema": _ref(one.question), "example": one.asked}
        described["requestBody"] = {"required": True, "content": {"application/json": body}}
    if MAY[one.name]:
        roles = ", ".join(sorted(MAY[one.name]))
        described |= {"security": [{"key": []}], "description": f"Roles: {roles}."}
    return described


def _refused(refusals: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {
        str(status): {"description": text, "content": {_PROBLEM: {"schema": _ref("Problem")}}}
        for status, text in refusals
    }


def _posted(name: str) -> dict[str, Any]:
    """An operation whose question is a body."""
    summary, question, asked, shape, example = POSTED[name]
    body = {"schema": _ref(question), "example": asked}
    too_much = ((408, "The body did not come in time"), (413, "The body is too large"))
    described = _described(name, summary, shape, [_SHOP], example, too_much)
    return {**described, "requestBody": {"required": True, "content": {"application/json": body}}}


def _described(
    name: str,
    summary: str,
    shape: str,
    parameters: list[dict[str, Any]],
    example: dict[str, Any],
    more: tuple[tuple[int, str], ...] = (),
) -> dict[str, Any]:
    refusals = (*_ALWAYS, *(_WITH_INPUT if parameters else ()), *more)
    answer = {"schema": _ref(shape), "example": example}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": parameters,
        "responses": {
            "200": {"description": "The answer", "content": {"application/json": answer}},
            **_refused(refusals),
        },
    }


def _ref(shape: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape}"}
