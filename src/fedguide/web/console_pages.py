"""The console's routes: sign in and out, pages, forms, evidence as a file, a run's live stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from fedguide.errors import FedGuideError, NotAuthorizedError
from fedguide.office.stream import events_of
from fedguide.web import console, session
from fedguide.web.audiences import audiences
from fedguide.web.console import Inside
from fedguide.web.content import Page, Site, Visit
from fedguide.web.orders import orders
from fedguide.web.respond import SECURITY_HEADERS, fields_of, respond, visit_of

_MOST_EVIDENCE = 1 << 20

Handler = Callable[[Request], Awaitable[Response]]


def add_console(app: FastAPI, site: Site) -> None:
    """Adds the routes; each page is made beside the event loop, since it reads files."""

    def page(make: Callable[[Inside], Page]) -> Handler:
        async def answer(request: Request) -> Response:
            return await asyncio.to_thread(respond, site, request, console.signed_in(make))

        return answer

    def acting(what: str) -> Handler:
        async def answer(request: Request) -> Response:
            body = await request.body()

            def make(here: Inside) -> str:
                return console.act(here, what, fields_of(body))

            return await asyncio.to_thread(
                respond, site, request, console.signed_in(make, form=True)
            )

        return answer

    async def sign_in(request: Request) -> Response:
        body = await request.body()
        return await asyncio.to_thread(_sign_in, site, request, body)

    async def sign_out(_request: Request) -> Response:
        response = RedirectResponse("/console", 303, SECURITY_HEADERS)
        session.end(response)
        return response

    async def check(request: Request) -> Response:
        body = await request.body()

        def make(here: Inside) -> Page:
            return console.audit(here, _evidence(body))

        return await asyncio.to_thread(respond, site, request, console.signed_in(make, form=True))

    async def evidence(request: Request) -> Response:
        def make(here: Inside) -> tuple[str, bytes]:
            party = request.query_params.get("party", "")
            return "evidence.jsonl", here.office.evidence(party)

        return await asyncio.to_thread(respond, site, request, console.signed_in(make, form=True))

    async def stream(request: Request) -> Response:
        return await _stream(site, request)

    pages = {**console.PAGES, "/console/audiences": audiences, "/console/ads": orders}
    for path, make in pages.items():
        app.add_route(path, page(make), methods=["GET"], include_in_schema=False)
    for what in ("tasks", "models"):
        app.add_route(f"/console/{what}", acting(what), methods=["POST"], include_in_schema=False)
    app.add_route("/console/audit", check, methods=["POST"], include_in_schema=False)
    app.add_route("/console/login", sign_in, methods=["POST"], include_in_schema=False)
    app.add_route("/console/logout", sign_out, methods=["POST"], include_in_schema=False)
    app.add_route("/console/audit/evidence", evidence, methods=["GET"], include_in_schema=False)
    app.add_route("/console/runs/{run}/stream", stream, methods=["GET"], include_in_schema=False)


def _sign_in(site: Site, request: Request, body: bytes) -> Response:
    """Signs in and leads on to the overview, or shows the form again with what was wrong."""
    response = RedirectResponse("/console", 303, SECURITY_HEADERS)
    try:
        if site.desk is not None:
            session.begin(site.desk, request, response, fields_of(body).get("key", ""))
            return response
    except NotAuthorizedError as error:
        problem = error.code
        return respond(
            site, request, lambda visit: console.login(visit, visit.say(f"console.{problem}"))
        )
    except FedGuideError:
        pass  # no form at all: the empty form again
    return respond(site, request, console.login)


async def _stream(site: Site, request: Request) -> Response:
    visit: Visit = visit_of(site, request)
    try:
        here = await asyncio.to_thread(console.inside, visit)
        if here is None:
            return Response(status_code=403)
        run = await asyncio.to_thread(here.office.run, request.path_params["run"])
    except FedGuideError:
        return Response(status_code=404)
    return StreamingResponse(
        events_of(here.office, run), headers=SECURITY_HEADERS, media_type="text/event-stream"
    )


def _evidence(body: bytes) -> bytes:
    return fields_of(body, most=_MOST_EVIDENCE).get("evidence", "").replace("\r\n", "\n").encode()
