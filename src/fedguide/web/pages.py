"""The pages' routes: language, shop and shopper of a visit; a page or an error page comes back.

They work without JavaScript and without any outside request; the content security policy
forbids both inline code and other hosts. Every text of a shop or a visitor is escaped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import TypeAlias
from urllib.parse import parse_qsl

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fedguide.errors import ConfigError, FedGuideError, NotFoundError
from fedguide.guide.engine import Guide, addressed
from fedguide.office.desk import Desk
from fedguide.web import asking, content, mine
from fedguide.web.art import load_drawings
from fedguide.web.content import Page, Site, Visit
from fedguide.web.words import HTML_LANG, Language, load_tables, pick_language

LOG = logging.getLogger("fedguide.web")

LANGUAGE_COOKIE = "fedguide_lang"
_YEAR_S = 365 * 24 * 3600
_LONGEST_NAME = 200

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATIC_TYPES = {
    "style.css": "text/css",
    "guide.js": "text/javascript",
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
    app.add_route("/", page(content.guide), include_in_schema=False)
    app.add_route("/search", page(content.search), include_in_schema=False)
    app.add_route("/items/{item_id:path}", page(content.item), include_in_schema=False)
    app.add_route("/ask", page(asking.ask), include_in_schema=False)
    app.add_route("/compare", page(asking.compare), include_in_schema=False)
    app.add_route("/how", page(content.how), include_in_schema=False)
    if desk is not None:
        add_mine(app, site)
    app.add_route("/about", page(content.about), include_in_schema=False)
    app.add_route("/{path:path}", page(_nowhere), include_in_schema=False)


Made: TypeAlias = Page | str | tuple[str, bytes]
"""What a page's function gives: a page, an address to go on to, or a file to take along."""


def respond(site: Site, request: Request, make: Callable[[Visit], Made]) -> Response:
    """Renders a page; whatever goes wrong is a page too."""
    asked = request.query_params
    lang = pick_language(
        asked.get("lang", ""),
        request.cookies.get(LANGUAGE_COOKIE, ""),
        request.headers.get("accept-language", ""),
        site.lang,
    )
    visit = Visit(site, request, lang, None, "")
    try:
        guide = _guide(site, request)
        asked_of = [guide] if guide else list(site.guides.values())
        visit = Visit(site, request, lang, guide, _user(request, asked_of))
        page = make(visit)
        if not isinstance(page, Page):
            return _other(page)
    except FedGuideError as error:
        page = content.error(visit, error)
    except HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - a defect becomes a page, logged by type only
        LOG.error("defect while rendering: %s", type(error).__name__)
        page = content.error(visit, None)
    headers = {
        **SECURITY_HEADERS,
        "Content-Language": HTML_LANG[lang],
        "Vary": "Accept-Language, Cookie",
    }
    response = Response(content.render(visit, page), page.status, headers, "text/html")
    if asked.get("lang") == lang:
        response.set_cookie(LANGUAGE_COOKIE, lang, _YEAR_S, httponly=True, samesite="lax")
    return response


def _other(made: str | tuple[str, bytes]) -> Response:
    if isinstance(made, str):
        return RedirectResponse(made, 303, SECURITY_HEADERS)
    name, content_of_file = made
    headers = {**SECURITY_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content_of_file, 200, headers, "application/json")


def add_mine(app: FastAPI, site: Site) -> None:
    """A shopper's own page; it reads files, so it is made beside the event loop."""

    async def show(request: Request) -> Response:
        return await asyncio.to_thread(respond, site, request, mine.mine)

    async def act(request: Request) -> Response:
        form = fields_of(await request.body())
        return await asyncio.to_thread(respond, site, request, lambda visit: mine.act(visit, form))

    async def export(request: Request) -> Response:
        return await asyncio.to_thread(respond, site, request, mine.export)

    app.add_route("/me", show, methods=["GET"], include_in_schema=False)
    app.add_route("/me", act, methods=["POST"], include_in_schema=False)
    app.add_route("/me/export", export, methods=["GET"], include_in_schema=False)


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form as a browser sends it; the last one of a name counts.

    Raises:
        ConfigError: it is no form.
    """
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except (UnicodeDecodeError, ValueError):
        raise ConfigError("the form cannot be read") from None


def _nowhere(visit: Visit) -> Page:
    path = visit.request.url.path
    if path.startswith("/api/"):
        raise HTTPException(404)
    raise NotFoundError(path[:128])


def _guide(site: Site, request: Request) -> Guide | None:
    """The guide of the shop that is asked for; the only one where there is one."""
    shop = request.query_params.get("shop", "")
    if not shop:
        return next(iter(site.guides.values())) if len(site.guides) == 1 else None
    if shop not in site.guides:
        raise NotFoundError(shop[:64])
    return site.guides[shop]


def _user(request: Request, guides: Sequence[Guide]) -> str:
    """The shopper who asks; nobody where one of these shops may not profile them."""
    user = request.query_params.get("user", "").strip()
    if len(user) > _LONGEST_NAME:
        raise ConfigError(f"user must have at most {_LONGEST_NAME} characters, got {len(user)}")
    return user if all(addressed(guide, user) for guide in guides) else ""


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
