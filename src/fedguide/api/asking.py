"""Wishes, visits, rankings and comparisons over HTTP; nothing of a request is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api import problems, wire
from fedguide.api.asked_wire import (
    ComparedItems,
    Guided,
    GuideQuestion,
    Ranked,
    RankQuestion,
    SessionEvent,
    SessionQuestion,
    SessionRecommended,
)
from fedguide.api.described_asking import ASKING_PATHS
from fedguide.errors import ConfigError, InputError
from fedguide.guide.answers import Answer
from fedguide.guide.ask import ask
from fedguide.guide.compare import compare
from fedguide.guide.engine import Guide
from fedguide.guide.session import Event
from fedguide.guide.visit import rank, recommend_visit
from fedguide.guide.voice import ENGINE

_LONGEST_NAME = 200

Q = TypeVar("Q", bound=msgspec.Struct)


def add_asking(app: FastAPI, guide_of: Callable[[str], Guide]) -> None:
    """Adds the routes of this file; ``guide_of`` gives the guide of a shop's name."""

    def posted(
        question: type[Q], answer: Callable[[Guide, Q], msgspec.Struct]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                guide = guide_of(request.query_params.get("shop", ""))
                body = decoded(await request.body(), question)
                return _json(answer(guide, body))
            except Exception as error:  # noqa: BLE001 - a defect is answered too, logged by type
                return problems.from_error(request, error)

        return handle

    async def compared(request: Request) -> Response:
        try:
            guide = guide_of(request.query_params.get("shop", ""))
            return _json(_compare(guide, request.query_params))
        except Exception as error:  # noqa: BLE001 - a defect is answered too, logged by type
            return problems.from_error(request, error)

    app.add_route(ASKING_PATHS["guide"], posted(GuideQuestion, _guide), methods=["POST"])
    app.add_route(
        ASKING_PATHS["session_recommend"], posted(SessionQuestion, _session), methods=["POST"]
    )
    app.add_route(ASKING_PATHS["rank"], posted(RankQuestion, _rank), methods=["POST"])
    app.add_route(ASKING_PATHS["compare"], compared)


def decoded(body: bytes, question: type[Q]) -> Q:
    """A body as the question it must be.

    Raises:
        InputError: it is not JSON of that shape; the text says where, and holds nothing of it.
    """
    try:
        return msgspec.json.decode(body, type=question)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        place = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
        raise InputError(
            f"the body is no {question.__name__}: {place[:200]}", hint="/api/v1/openapi.json"
        ) from error


def _guide(guide: Guide, asked: GuideQuestion) -> Guided:
    answer = ask(
        guide,
        asked.text,
        shopper=_user(asked.user),
        session=_events(asked.session),
        chips=asked.chips,
        lang=asked.lang or None,
        k=asked.k,
    )
    release = guide.release
    return Guided(
        guide.shop,
        answer.text,
        answer.lang,
        answer.said,
        ENGINE,
        answer.understood,
        answer.unknown,
        answer.notes,
        answer.exact,
        answer.total,
        answer.source,
        answer.chips,
        answer.active,
        answer.relax,
        release.card.currency,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(Answer(answer.source, "", answer.picks)),
    )


def _session(guide: Guide, asked: SessionQuestion) -> SessionRecommended:
    answer = recommend_visit(
        guide, _events(asked.session), shopper=_user(asked.user), k=asked.k, slate=asked.slate
    )
    release = guide.release
    return SessionRecommended(
        guide.shop,
        answer.slate,
        answer.source,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(answer),
    )


def _rank(guide: Guide, asked: RankQuestion) -> Ranked:
    answer = rank(
        guide,
        asked.items,
        shopper=_user(asked.user),
        session=_events(asked.session),
        query=asked.query,
    )
    release = guide.release
    return Ranked(
        guide.shop,
        answer.source,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(answer),
    )


def _compare(guide: Guide, asked: Mapping[str, str]) -> ComparedItems:
    lang = asked.get("lang", "en")
    if lang not in ("zh", "en"):
        raise ConfigError(f"lang must be zh or en, got {lang[:16]!r}")
    items = [asked.get(name, "") for name in ("first", "second")]
    if not all(items):
        raise ConfigError("two items are compared", hint="?first=ID&second=ID")
    found = compare(guide, *items, shopper=_user(asked.get("user", "")), lang=lang)
    release = guide.release
    return ComparedItems(
        guide.shop,
        found.suits,
        found.said,
        found.source,
        round(found.alike, 6),
        found.differences,
        release.digest[:16],
        release.card.synthetic,
        wire.wire_items(Answer(found.source, "", (found.first, found.second))),
    )


def _events(session: Sequence[SessionEvent]) -> tuple[Event, ...]:
    return tuple(Event(event.kind, event.item, event.query) for event in session)


def _user(user: str) -> str | None:
    if len(user) > _LONGEST_NAME:
        raise ConfigError(f"user must have at most {_LONGEST_NAME} characters, got {len(user)}")
    return user or None


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
