"""The pages: choose a shop, the guide, search, a product, the release. Rendered on the server.

They work without JavaScript and without any outside request; the content security policy
forbids both inline code and other hosts. All texts of shops and shoppers are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fedguide.errors import ConfigError, FedGuideError, NotFoundError
from fedguide.guide import engine
from fedguide.guide.answers import AGAIN, DISCOVER, POPULAR
from fedguide.guide.engine import Guide
from fedguide.guide.histories import busiest
from fedguide.web import view
from fedguide.web.art import Drawings, load_drawings, symbols
from fedguide.web.words import HTML_LANG, Language, Tables, load_tables, pick_language, say

LANGUAGE_COOKIE = "fedguide_lang"
_YEAR_S = 365 * 24 * 3600
_SHOWN_AGAIN, _SHOWN_DISCOVER, _SHOWN_FOUND, _SHOWN_SIMILAR = 6, 12, 18, 6
_SHOWN_EVENTS, _SHOWN_SHOPPERS = 7, 6
_LONGEST_NAME = 200

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATIC_TYPES = {"style.css": "text/css", "guide.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(frozen=True)
class Site:
    """What all pages share.

    Attributes:
        guides: the served shops by name.
        lang: the language where neither address, cookie nor browser asks for another.
        demo: may the pages list a few shoppers? Only where they are not real people's secrets.
        tables: the words.
        drawings: the art.
        templates: the Jinja environment.
    """

    guides: Mapping[str, Guide]
    lang: Language
    demo: bool
    tables: Tables
    drawings: Drawings
    templates: Environment


def add_pages(
    app: FastAPI, guides: Mapping[str, Guide], *, lang: Language = "en", demo: bool = False
) -> None:
    """Adds the pages to an application.

    Args:
        app: usually ``fedguide.api.app.create_app(guides)``.
        guides: the served shops by name.
        lang: language where the visitor asks for none.
        demo: list a few shoppers to choose from; off, a shopper's id must be known.
    """
    site = Site(guides, lang, demo, load_tables(), load_drawings(), _templates())
    static = _static_files()

    async def page(request: Request) -> Response:
        return respond(site, request)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in static:
            raise HTTPException(404)
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(static[name], headers=headers, media_type=_STATIC_TYPES[name])

    app.add_route("/static/{name}", file, include_in_schema=False)
    app.add_route("/{path:path}", page, include_in_schema=False)


def respond(site: Site, request: Request) -> Response:
    """The page at an address; an error is a page too."""
    path = request.url.path
    if path.startswith("/api/"):
        raise HTTPException(404)
    lang = _language(site, request)
    try:
        guide, user = _guide(site, request), _user(request)
        name, status, values = _content(site, request, guide, user, lang)
    except FedGuideError as error:
        name, status = "error.html", 404 if isinstance(error, NotFoundError) else 400
        guide, user, values = None, "", {"error": error}
    html = _render(site, request, name, guide, user, lang, values)
    headers = dict(SECURITY_HEADERS)
    headers["Content-Language"] = HTML_LANG[lang]
    headers["Vary"] = "Accept-Language, Cookie"
    response = Response(html, status, headers, media_type="text/html")
    if request.query_params.get("lang") == lang:
        response.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR_S, httponly=True, samesite="lax")
    return response
