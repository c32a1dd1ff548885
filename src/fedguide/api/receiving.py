"""``POST /events``: batches of a shop's events, each event once, on disk before the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api.asking import decoded
from fedguide.api.inbox import Inbox, Received
from fedguide.api.keys import KeyBook
from fedguide.api.operation import SHOP_PARAMETER, Operation, add_operation, json_of
from fedguide.errors import ConfigError
from fedguide.guide.engine import Guide
from fedguide.guide.search import LONGEST_QUERY
from fedguide.values import KINDS, SEARCH

MOST_EVENTS = 1000
"""Events of one batch."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Query = Annotated[str, msgspec.Meta(max_length=LONGEST_QUERY)]
_Item = Annotated[str, msgspec.Meta(max_length=200)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
_Price = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class SentEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One event; ``id`` is the sender's own and makes sending twice harmless.

    ``kind`` is view, cart, buy, search, ad_view or ad_click; a search has a ``query``, all others
    an ``item``. ``time`` is in seconds since 1970, now when left out.
    """

    id: _Id
    user: _Text
    kind: str
    item: _Item = ""
    query: _Query = ""
    time: _Time | None = None
    price: _Price | None = None


class EventBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /events``."""

    events: Annotated[tuple[SentEvent, ...], msgspec.Meta(min_length=1, max_length=MOST_EVENTS)]


class EventsTaken(msgspec.Struct, frozen=True):
    """Answer of ``POST /events``: all of the batch is on disk, unless it was refused.

    Attributes:
        shop: whose events they are.
        accepted: events that are new.
        known: events whose ids were there already; nothing was changed by them.
        refused: events of shoppers who were erased, which are not kept.
    """

    shop: str
    accepted: int
    known: int
    refused: int


RECEIVING_SHAPES = (EventBatch, EventsTaken)

EVENTS = Operation(
    "events",
    "POST",
    "/api/v1/events",
    "A batch of events; each counts once, and from the next answer on",
    "EventsTaken",
    {"shop": "shop-1", "accepted": 1, "known": 0, "refused": 0},
    (SHOP_PARAMETER,),
    "EventBatch",
    {"events": [{"id": "order-77-1", "user": "17850", "kind": "view", "item": "sku-0001"}]},
)


def add_receiving(
    app: FastAPI, keys: KeyBook, inbox: Inbox, guide_of: Callable[[str], Guide]
) -> None:
    """Adds the route; ``guide_of`` gives the guide of a shop's name."""

    async def events(request: Request) -> Response:
        guide = guide_of(request.query_params.get("shop", ""))
        batch = decoded(await request.body(), EventBatch).events
        now_s, day = int(time.time()), guide.today()
        checked = [_checked(event, now_s, day) for event in batch]
        receipt = await inbox.take(guide, checked)
        accepted = len(receipt.fresh)
        known = len(batch) - receipt.refused - accepted
        return json_of(EventsTaken(guide.shop, accepted, known, receipt.refused))

    add_operation(app, EVENTS, keys, events)


def _checked(event: SentEvent, now_s: int, day: int) -> Received:
    """An event that can be kept.

    Raises:
        ConfigError: its kind is not known, or it has not one of item and query.
    """
    if event.kind not in KINDS:
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {event.kind[:32]!r}")
    searches = event.kind == KINDS[SEARCH]
    needed, other = ("query", "item") if searches else ("item", "query")
    if not getattr(event, needed).strip() or getattr(event, other):
        raise ConfigError(f"a {event.kind} has a {needed} and no {other}")
    time_s = now_s if event.time is None else event.time
    query = event.query.strip()
    return Received(event.id, event.user, event.kind, event.item, query, time_s, day, event.price)
