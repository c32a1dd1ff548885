"""From a request to a page: its language, shop and shopper; whatever goes wrong is a page too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fedguide.errors import ConfigError, FedGuideError, NotFoundError
from fedguide.guide.engine import Guide, addressed
from fedguide.web import content
from fedguide.web.content import Page, Site, Visit
from fedguide.web.words import HTML_LANG, pick_language

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
_MOST_FORM_BYTES = 64 * 1024

Made: TypeAlias = Page | str | tuple[str, bytes]
"""What a page's function gives: a page, an address to go on to, or a file to take along."""


def respond(site: Site, request: Request, make: Callable[[Visit], Made]) -> Response:
    """Renders a page; whatever goes wrong is a page too."""
    visit = visit_of(site, request)
    lang = visit.lang
    try:
        guide = _guide(site, request)
        asked_of = [guide] if guide else list(site.guides.values())
        visit = replace(visit, guide=guide, user=_user(request, asked_of))
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
    if request.query_params.get("lang") == lang:
        response.set_cookie(LANGUAGE_COOKIE, lang, _YEAR_S, httponly=True, samesite="lax")
    return response


def visit_of(site: Site, request: Request) -> Visit:
    """A visit in its language, before anybody knows of which shop."""
    lang = pick_language(
        request.query_params.get("lang", ""),
        request.cookies.get(LANGUAGE_COOKIE, ""),
        request.headers.get("accept-language", ""),
        site.lang,
    )
    return Visit(site, request, lang, None, "")


def _other(made: str | tuple[str, bytes]) -> Response:
    if isinstance(made, str):
        return RedirectResponse(made, 303, SECURITY_HEADERS)
    name, content_of_file = made
    headers = {**SECURITY_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content_of_file, 200, headers, "application/json")


def fields_of(body: bytes, most: int = _MOST_FORM_BYTES) -> dict[str, str]:
    """The fields of a form as a browser sends it; the last one of a name counts.

    Raises:
        ConfigError: it is no form.
    """
    if len(body) > most:
        raise ConfigError(f"a form has at most {most} bytes, got {len(body)}")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except (UnicodeDecodeError, ValueError):
        raise ConfigError("the form cannot be read") from None


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
