"""The pages' routes: language, shop and shopper of a visit; a page or an error page comes back.

They work without JavaScript and without any outside request; the content security policy
forbids both inline code and other hosts. Every text of a shop or a visitor is escaped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from importlib import resources

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fedguide.errors import NotFoundError
from fedguide.guide.engine import Guide
from fedguide.office.desk import Desk
from fedguide.web import ads, asking, content, mine
from fedguide.web.art import load_drawings
from fedguide.web.console_pages import add_console
from fedguide.web.content import Page, Site, Visit
from fedguide.web.respond import fields_of, respond
from fedguide.web.words import Language, load_tables

_STATIC_TYPES = {
    "style.css": "text/css",
    "guide.js": "text/javascript",
    "live.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def add_pages(
    app: FastAPI,
    guides: Mapping[str, Guide],
    *,
    lang: Language = "en",
    demo: bool = False,
    desk: Desk | None = None,
) -> None:
    """Adds the pages to an application.

    Args:
        app: usually ``fedguide.api.app.create_app(guides)``.
        guides: the served shops by name; the first is meant when an address names none.
        lang: language where the visitor asks for none.
        demo: list a few shoppers to choose from; off, a shopper's id must be known.
        desk: for the pages that are more than the guide; without it they are not there.
    """
    site = Site(guides, lang, demo, load_tables(), load_drawings(), _templates(), desk)
    files = _static_files()

    def page(make: Callable[[Visit], Page]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return respond(site, request, make)

        return answer

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404)
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(files[name], headers=headers, media_type=_STATIC_TYPES[name])

    app.add_route("/static/{name}", file, include_in_schema=False)
    app.add_route("/", page(_guide), include_in_schema=False)
    app.add_route("/search", page(content.search), include_in_schema=False)
    app.add_route("/items/{item_id:path}", page(content.item), include_in_schema=False)
    app.add_route("/ask", page(asking.ask), include_in_schema=False)
    app.add_route("/compare", page(asking.compare), include_in_schema=False)
    app.add_route("/how", page(content.how), include_in_schema=False)
    if desk is not None:
        add_mine(app, site)

        async def follow(request: Request) -> Response:
            return ads.follow(site, request)

        app.add_route("/sponsored/{placement}", follow, include_in_schema=False)
        if desk.office is not None:
            add_console(app, site)
    app.add_route("/about", page(content.about), include_in_schema=False)
    _answer_nowhere(app, site)


def add_mine(app: FastAPI, site: Site) -> None:
    """A shopper's own page; it reads files, so it is made beside the event loop."""

    async def show(request: Request) -> Response:
        return await asyncio.to_thread(respond, site, request, mine.mine)

    async def act(request: Request) -> Response:
        body = await request.body()
        return await asyncio.to_thread(
            respond, site, request, lambda visit: mine.act(visit, fields_of(body))
        )

    async def export(request: Request) -> Response:
        return await asyncio.to_thread(respond, site, request, mine.export)

    app.add_route("/me", show, methods=["GET"], include_in_schema=False)
    app.add_route("/me", act, methods=["POST"], include_in_schema=False)
    app.add_route("/me/export", export, methods=["GET"], include_in_schema=False)


def _guide(visit: Visit) -> Page:
    """The guide, with its sponsored slot where the shop serves ads."""
    made = content.guide(visit)
    if visit.guide is None or made.template != "guide.html":
        return made
    more = ads.sponsored_of(visit, visit.guide)
    art = made.art | content.drawn(more["sponsored"])
    return replace(made, values={**made.values, **more}, art=art)


def _answer_nowhere(app: FastAPI, site: Site) -> None:
    """What is nowhere is a page, except under the API, which keeps its own errors.

    No route that takes every path: it would match first where a path is there and a method is not.
    """
    before = app.exception_handlers[HTTPException]

    async def answer(request: Request, error: Exception) -> Response:
        missing = isinstance(error, HTTPException) and error.status_code == 404
        if missing and not request.url.path.startswith("/api/"):
            return respond(site, request, _nowhere)
        told: Awaitable[Response] = before(request, error)  # type: ignore[assignment]  # as it was
        return await told

    app.add_exception_handler(HTTPException, answer)


def _nowhere(visit: Visit) -> Page:
    raise NotFoundError(visit.request.url.path[:128])


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("fedguide.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _static_files() -> dict[str, bytes]:
    folder = resources.files("fedguide.web").joinpath("static")
    return {name: folder.joinpath(name).read_bytes() for name in _STATIC_TYPES}
