"""Shoppers' rights over HTTP: see, set, take along, end; and a pass for their own page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api.asking import decoded
from fedguide.api.keys import KeyBook
from fedguide.api.operation import SHOP_PARAMETER, Operation, add_operation, json_of, named
from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.engine import Guide
from fedguide.office.passes import FOR_SHOPPER, make_pass
from fedguide.office.persons import Known, Persons

LATEST, MOST_IGNORED, LONGEST_NAME = 50, 200, 200
COUNTS_S = 3600
"""How long a pass for a shopper's own page counts."""

_Item = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class KeptEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event that is kept."""

    kind: str
    time: str
    item: str = ""
    title: str = ""
    query: str = ""


class ShopperPrivacy(msgspec.Struct, frozen=True):
    """What is kept of a shopper; ``said`` is empty where they said nothing.

    ``epsilon`` is null where models were trained without noise: there is no bound then.
    """

    shop: str
    said: str
    used: bool
    events: int
    kinds: dict[str, int]
    latest: tuple[KeptEvent, ...]
    ignored: tuple[str, ...]
    residual: str
    epsilon: float | None


class Preferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``PUT …/preferences``: what is left out stays as it is."""

    personalise: bool | None = None
    ignored: Annotated[tuple[_Item, ...], msgspec.Meta(max_length=MOST_IGNORED)] | None = None


class ShopperExport(msgspec.Struct, frozen=True):
    """Everything that is kept of a shopper in a shop."""

    shop: str
    shopper: str
    said: str | None
    ignored: list[str]
    events: list[dict[str, Any]]


class ShopperErased(msgspec.Struct, frozen=True):
    """What an erasure did; ``residual`` is what trained models may still tell, in words."""

    events: int
    residual: str
    ledger_record: int


class ShopperPass(msgspec.Struct, frozen=True):
    """The address of a shopper's own page; it counts for ``seconds``."""

    address: str
    seconds: int


SHOPPER_SHAPES = (
    KeptEvent,
    ShopperPrivacy,
    Preferences,
    ShopperExport,
    ShopperErased,
    ShopperPass,
)

_ID = named(
    "shopper",
    "path",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": "^[^/]+$"},
    "17850",
    "The shop's own id of the shopper.",
)
_BOTH = (_ID, SHOP_PARAMETER)
_AT = "/api/v1/shoppers/{shopper}"
_RESIDUAL = "ε = 3.2 at δ = 1e-06 (run spring)"
_KNOWN = {
    "shop": "shop-1",
    "said": "",
    "used": True,
    "events": 1,
    "kinds": {"view": 1},
    "latest": [{"kind": "view", "time": "2026-03-01T10:00:00+00:00", "item": "22423"}],
    "ignored": [],
    "residual": _RESIDUAL,
    "epsilon": 3.2,
}
_EXPORT: dict[str, Any] = {
    "shop": "shop-1",
    "shopper": "17850",
    "said": None,
    "ignored": [],
    "events": [],
}
_ERASED = {"events": 12, "residual": _RESIDUAL, "ledger_record": 7}
_PASS = {"address": "/me?shop=shop-1&user=17850&pass=…", "seconds": COUNTS_S}

SHOPPERS: Mapping[str, Operation] = {
    one.name: one
    for one in (
        Operation(
            "shopper_privacy",
            "GET",
            f"{_AT}/privacy",
            "What is kept of a shopper, whether it is used, what models may remember",
            "ShopperPrivacy",
            _KNOWN,
            _BOTH,
        ),
        Operation(
            "shopper_preferences",
            "PUT",
            f"{_AT}/preferences",
            "Personalisation on or off, and items that are not reckoned with",
            "ShopperPrivacy",
            _KNOWN,
            _BOTH,
            "Preferences",
            {"personalise": True, "ignored": []},
        ),
        Operation(
            "shopper_export",
            "GET",
            f"{_AT}/export",
            "Everything that is kept of a shopper in a shop",
            "ShopperExport",
            _EXPORT,
            _BOTH,
        ),
        Operation(
            "shopper_pass",
            "POST",
            f"{_AT}/pass",
            "An address that opens the shopper's own privacy page for an hour",
            "ShopperPass",
            _PASS,
            _BOTH,
        ),
        Operation(
            "shopper_erase",
            "DELETE",
            _AT,
            "Erases a shopper everywhere, for good",
            "ShopperErased",
            _ERASED,
            _BOTH,
        ),
    )
}


def add_shoppers(
    app: FastAPI,
    keys: KeyBook,
    persons: Persons,
    secret: bytes,
    guide_of: Callable[[str], Guide],
) -> None:
    """Adds the routes; ``secret`` signs passes."""

    async def privacy(request: Request) -> Response:
        guide, shopper = _asked(request, guide_of)
        return json_of(_wire(await asyncio.to_thread(persons.known, guide.shop, shopper, LATEST)))

    async def preferences(request: Request) -> Response:
        guide, shopper = _asked(request, guide_of)
        wanted = decoded(await request.body(), Preferences)
        for item in wanted.ignored or ():
            if item not in guide.rows:
                raise NotFoundError(f"item {item[:64]!r} is not in shop {guide.shop!r}")
        if wanted.personalise is not None:
            await asyncio.to_thread(persons.personalise, shopper, wanted=wanted.personalise)
        if wanted.ignored is not None:
            persons.ignore(guide.shop, shopper, wanted.ignored)
        return json_of(_wire(await asyncio.to_thread(persons.known, guide.shop, shopper, LATEST)))

    async def export(request: Request) -> Response:
        guide, shopper = _asked(request, guide_of)
        found = await asyncio.to_thread(persons.export, guide.shop, shopper)
        return json_of(msgspec.convert(found, ShopperExport))

    async def a_pass(request: Request) -> Response:
        guide, shopper = _asked(request, guide_of)
        facts = {"shop": guide.shop, "user": shopper}
        text = make_pass(secret, FOR_SHOPPER, facts, int(time.time()) + COUNTS_S)
        return json_of(ShopperPass(f"/me?{urlencode({**facts, 'pass': text})}", COUNTS_S))

    async def erase(request: Request) -> Response:
        _, shopper = _asked(request, guide_of)
        gone = await asyncio.to_thread(persons.erase, shopper)
        return json_of(ShopperErased(gone.events, gone.residual, gone.ledger_record))

    answers = {
        "shopper_privacy": privacy,
        "shopper_preferences": preferences,
        "shopper_export": export,
        "shopper_pass": a_pass,
        "shopper_erase": erase,
    }
    for name, operation in SHOPPERS.items():
        add_operation(app, operation, keys, answers[name])


def _asked(request: Request, guide_of: Callable[[str], Guide]) -> tuple[Guide, str]:
    guide, shopper = guide_of(request.query_params.get("shop", "")), request.path_params["shopper"]
    if len(shopper) > LONGEST_NAME:
        raise ConfigError(f"a shopper's id has at most {LONGEST_NAME} characters")
    return guide, shopper


def _wire(known: Known) -> ShopperPrivacy:
    return ShopperPrivacy(
        known.shop,
        known.said or "",
        known.used,
        known.events,
        dict(known.kinds),
        tuple(KeptEvent(e.kind, e.time, e.item, e.title, e.query) for e in known.latest),
        known.ignored,
        known.residual,
        known.epsilon,
    )
