"""The sponsored slot of the guide page: labelled cards, and a click that leads on to the item."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fedguide.errors import NotFoundError
from fedguide.guide import engine
from fedguide.guide.ads import click, rank_ads
from fedguide.guide.engine import Guide
from fedguide.web import view
from fedguide.web.content import Site, Visit, setting_of
from fedguide.web.respond import SECURITY_HEADERS
from fedguide.web.view import CardView

SLOTS = 2
"""Of the guide page: one line of cards on a small screen."""


def sponsored_of(visit: Visit, shop: Guide) -> dict[str, Any]:
    """What the template ``sponsored.html`` shows; nothing where the shop serves no ads."""
    cards = _cards(visit, shop)
    known = bool(visit.user) and bool(engine.addressed(shop, visit.user))
    personal = known and visit.user in shop.histories.rows
    return {"sponsored": cards, "ads_personal": personal}


def follow(site: Site, request: Request) -> Response:
    """Notes the click and leads on to the item; an unknown placement leads there all the same."""
    asked = request.query_params
    shop, item = asked.get("shop", ""), asked.get("item", "")
    desk = site.desk.ads.get(shop) if site.desk is not None else None
    if desk is not None:
        # From an old page: the shopper wants the item all the same, and nobody is charged.
        with suppress(NotFoundError):
            click(desk, request.path_params["placement"])
    # Only ever to a page of this site: the item is quoted into its path.
    where = view.address(f"/items/{quote(item, safe='')}", shop=shop, user=asked.get("user", ""))
    return RedirectResponse(where, 303, SECURITY_HEADERS)


def _cards(visit: Visit, shop: Guide) -> Sequence[CardView]:
    desk = visit.site.desk
    ads = None if desk is None else desk.ads.get(shop.shop)
    if ads is None:
        return ()
    setting = setting_of(visit, shop)
    made = []
    for one in rank_ads(shop, ads, visit.user, slots=SLOTS):
        pick = engine.item(shop, one.item_id)
        address = view.address(
            f"/sponsored/{one.placement}", shop=shop.shop, item=one.item_id, user=visit.user
        )
        card = view.card(setting, pick)
        made.append(replace(card, address=address, lead=one.advertiser))
    return made
