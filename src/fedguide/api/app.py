"""The application: shops' guides behind ``/api/v1``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import TypeAlias

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fedguide import __version__
from fedguide.api import problems, wire
from fedguide.api.asking import add_asking
from fedguide.api.bodies import Bodies
from fedguide.api.described import PATHS, describe
from fedguide.api.gate import Gate
from fedguide.api.marketing import add_marketing
from fedguide.api.offices import add_offices
from fedguide.api.phrased import Phrased
from fedguide.api.receiving import add_receiving
from fedguide.api.services import Services
from fedguide.api.shoppers import add_shoppers
from fedguide.api.stocking import STOCK, add_stocking
from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide import engine
from fedguide.guide.answers import DISCOVER
from fedguide.guide.engine import Guide
from fedguide.guide.voice import Voice

MOST_AT_ONCE = 1024
"""Requests that may stand in line for one process; it costs a few kilobytes each."""

PATIENCE_S = 0.1
"""How long one may stand there; whoever has waited longer is told to come back."""

_OFFICES = ("parties", "runs", "privacy/", "audit/", "models")
BESIDE = (
    "/api/v1/events",
    "/api/v1/shoppers/",
    "/me",
    "/console",
    *(f"/api/v1/{name}" for name in _OFFICES),
)
"""Beginnings of paths that wait for a disk: they would only hold up the line of the guide."""

ALWAYS_OPEN = ("healthz", "readyz")
"""What is asked by whoever restarts a process that does not answer, so it never waits."""

_LONGEST_NAME = 200

Answer: TypeAlias = Callable[[Guide, Request], msgspec.Struct]
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def create_app(
    guides: MutableMapping[str, Guide],
    services: Services | None = None,
    *,
    most_at_once: int = MOST_AT_ONCE,
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
    voice: Voice | None = None,
) -> FastAPI:
    """The API over some shops; the first is the one meant when a request names none.

    Args:
        guides: by shop name, in the order they are listed; one is replaced where its shop puts
            new items in.
        services: what is offered beside the guide.
        most_at_once: requests in line at once; more get 503.
        patience_s: whoever stands in line for longer gets 503 too.
        clock: measures that; gives seconds that never go back.
        voice: a language model's, which may phrase what ``POST /guide`` found.
    """
    app = FastAPI(
        title="fedguide",
        version=__version__,
        description="Recommendations with reasons, computed in the shop.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.add_middleware(
        Gate,
        most=most_at_once,
        patience_s=patience_s,
        clock=clock,
        open_paths=[*(PATHS[name] for name in ALWAYS_OPEN), STOCK.path],
        open_prefixes=BESIDE,
    )
    if voice is not None:
        app.add_middleware(Phrased, voice=voice)
    # Added last, so it stands before the gate: nobody waits for another's slow upload.
    app.add_middleware(Bodies)
    # Starlette's own 404 and 405, then everything raised on purpose, then our defects.
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, problems.from_error)
    _add_routes(app, guides)
    add_asking(app, lambda shop: guide_named(guides, shop))
    if services is not None:
        _add_services(app, services, guides, lambda shop: guide_named(guides, shop))
    # FastAPI's documented way.
    app.openapi = partial(  # type: ignore[method-assign]
        describe, () if services is None else services.operations
    )
    return app


def _add_services(
    app: FastAPI,
    services: Services,
    guides: MutableMapping[str, Guide],
    guide_of: Callable[[str], Guide],
) -> None:
    """What is offered beside the guide."""
    add_receiving(app, services.keys, services.inbox, guide_of)
    add_stocking(app, services.keys, services.inbox.database, guides, guide_of)
    if services.persons is not None:
        add_shoppers(app, services.keys, services.persons, services.secret, guide_of)
    if services.market is not None:
        add_marketing(app, services.keys, services.market, guide_of)
    if services.office is not None:
        add_offices(app, services.keys, services.office)


def _add_routes(app: FastAPI, guides: Mapping[str, Guide]) -> None:
    """Every address of the API.

    Plain routes: FastAPI's own would look for parameters to validate with pydantic at every
    request, a tenth of a millisecond for nothing; ``described`` writes the OpenAPI document.
    """

    def asking(answer: Answer) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                shop = request.query_params.get("shop", "")
                return _json(answer(guide_named(guides, shop), request))
            except Exception as error:  # noqa: BLE001 - a defect is answered too, logged by type
                return problems.from_error(request, error)

        return handle

    async def shops(request: Request) -> Response:
        del request
        return _json(wire.Shops(tuple(map(_shop, guides.values()))))

    async def healthz(request: Request) -> Response:
        del request
        return _json(wire.Health("ok"))

    async def readyz(request: Request) -> Response:
        if not guides:
            return problems.problem(request, 503, problems.OVERLOADED, "no release is loaded")
        return _json(wire.Health("ready"))

    handlers: dict[str, Handler] = {
        "recommend": asking(_recommend),
        "search": asking(_search),
        "similar": asking(_similar),
        "item": asking(_item),
        "shops": shops,
        "healthz": healthz,
        "readyz": readyz,
    }
    for name, path in PATHS.items():
        # An item id may hold slashes.
        app.add_route(path.replace("{item_id}", "{item_id:path}"), handlers[name])


def guide_named(guides: Mapping[str, Guide], shop: str) -> Guide:
    """The guide of a shop; without a name the first one's.

    Raises:
        NotFoundError: no such shop is served.
    """
    if not guides:
        raise NotFoundError("no release is served", hint="fedguide serve --release FOLDER")
    if not shop:
        return next(iter(guides.values()))
    if shop not in guides:
        known = ", ".join(list(guides)[:8])
        raise NotFoundError(f"shop {shop[:64]!r} is not served here", hint=f"one of: {known}")
    return guides[shop]


def _recommend(guide: Guide, request: Request) -> wire.Recommended:
    asked = request.query_params
    user = asked.get("user", "")
    if not user or len(user) > _LONGEST_NAME:
        raise ConfigError(
            f"user must have 1 to {_LONGEST_NAME} characters, got {len(user)}", hint="?user=ID"
        )
    user = engine.addressed(guide, user)
    answer = engine.recommend(guide, user, _k(request, 10), asked.get("slate", DISCOVER))
    release = guide.release
    return wire.Recommended(
        guide.shop,
        user,
        answer.slate,
        answer.source,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(answer),
    )


def _search(guide: Guide, request: Request) -> wire.Searched:
    query = request.query_params.get("q", "")
    answer = engine.search(guide, query, _k(request, 20))
    release = guide.release
    return wire.Searched(
        guide.shop,
        query,
        answer.source,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(answer),
    )


def _similar(guide: Guide, request: Request) -> wire.Similar:
    item_id = request.path_params["item_id"]
    answer = engine.similar(guide, item_id, _k(request, 10))
    release = guide.release
    return wire.Similar(
        guide.shop,
        item_id,
        answer.source,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(answer),
    )


def _item(guide: Guide, request: Request) -> wire.Item:
    pick = engine.item(guide, request.path_params["item_id"])
    currency = guide.release.card.currency
    return wire.Item(
        guide.shop, pick.item_id, pick.title, pick.price, pick.brand, pick.category, currency
    )


def _shop(guide: Guide) -> wire.Shop:
    release = guide.release
    return wire.Shop(
        guide.shop,
        len(release.model),
        len(guide.histories),
        release.digest[:16],
        release.signer,
        release.card.synthetic,
    )


def _k(request: Request, default: int) -> int:
    text = request.query_params.get("k")
    if text is None:
        return default
    # int() would also take "１０", "1_0" and " 10 ".
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ConfigError(
            f"k must be a whole number in [1, {engine.MOST_PICKS}], got {text[:32]!r}",
            hint=f"?k={default}",
        )
    return engine.checked_k(int(text))


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        detail = f"there is nothing at {request.url.path[:128]!r}"
        return problems.problem(request, 404, problems.NOT_FOUND, detail, "/api/v1/openapi.json")
    if status == 405:
        detail = f"{request.method} is not taken at {request.url.path[:128]!r}"
        response = problems.problem(request, 405, problems.NO_METHOD, detail, "see Allow")
        allowed = getattr(error, "headers", None) or {}
        response.headers.update(allowed)
        return response
    return problems.problem(request, status, problems.INPUT, "the request cannot be used")
