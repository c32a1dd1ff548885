"""Ads and audiences over HTTP. What leaves about shoppers is what was released, noised, before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api.asking import decoded
from fedguide.api.keys import KeyBook
from fedguide.api.market_wire import (
    AdClick,
    AdClicked,
    AdQuestion,
    AdsRanked,
    Band,
    Estimated,
    EstimateQuestion,
)
from fedguide.api.operation import SHOP_PARAMETER, Operation, add_operation, json_of
from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.ads import AdDesk, click, rank_ads
from fedguide.guide.audience import BANDS, Released, reach
from fedguide.guide.engine import Guide

_LONGEST_NAME = 200

_PLACEMENT = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"

_SPONSORED = {
    "placement": _PLACEMENT,
    "ad": "spring-mugs",
    "advertiser": "Northfield",
    "item_id": "sku-0001",
    "title": "Red ceramic mug",
    "brand": "Northfield",
    "category": "Kitchen",
    "price": 39.0,
    "slot": 1,
    "click_probability": 0.11,
    "bid_fen": 120,
    "price_fen": 84,
    "source": "ad",
    "sponsored": True,
}

MARKETING: Mapping[str, Operation] = {
    "ads_rank": Operation(
        "ads_rank",
        "POST",
        "/api/v1/ads/rank",
        "Sponsored items by bid times calibrated click, second price, paced and capped",
        "AdsRanked",
        {"shop": "shop-1", "sponsored": True, "synthetic": False, "items": [_SPONSORED]},
        (SHOP_PARAMETER,),
        "AdQuestion",
        {"query": "mug", "slots": 2},
    ),
    "ads_click": Operation(
        "ads_click",
        "POST",
        "/api/v1/ads/click",
        "A click on a sponsored item; it is paid once, however often it is reported",
        "AdClicked",
        {"fresh": True},
        (SHOP_PARAMETER,),
        "AdClick",
        {"placement": _PLACEMENT},
    ),
    "audiences_estimate": Operation(
        "audiences_estimate",
        "POST",
        "/api/v1/audiences/estimate",
        "How many shoppers an audience could reach: noised counts under a floor, paid for once",
        "Estimated",
        {
            "audience": "buy-30d",
            "synthetic": False,
            "at_least": 0.3,
            "shoppers": 1840,
            "half_width": 22.1,
            "epsilon": 0.25,
            "floor": 50,
            "counts": [{"band": "0-0.02", "shoppers": None}, {"band": "0.3-0.4", "shoppers": 634}],
        },
        (),
        "EstimateQuestion",
        {"audience": "buy-30d", "at_least": 0.3},
    ),
}
"""Every operation of this file."""


@dataclass(frozen=True)
class Market:
    """What a shop offers advertisers and partners.

    Attributes:
        desks: of the shops that serve ads, by name.
        released: the counts of an audience; raises ``NotFoundError`` where there is none.
    """

    desks: Mapping[str, AdDesk]
    released: Callable[[str], Released]


def add_marketing(
    app: FastAPI, keys: KeyBook, market: Market, guide_of: Callable[[str], Guide]
) -> None:
    """Adds the routes; ``guide_of`` gives the guide of a shop's name."""

    async def ranked(request: Request) -> Response:
        guide = guide_of(request.query_params.get("shop", ""))
        asked = decoded(await request.body(), AdQuestion)
        return json_of(_ranked(guide, market.desks.get(guide.shop), asked))

    async def clicked(request: Request) -> Response:
        guide = guide_of(request.query_params.get("shop", ""))
        asked = decoded(await request.body(), AdClick)
        desk = market.desks.get(guide.shop)
        if desk is None:
            raise NotFoundError("no ads are served here", hint="fedguide serve --ads FILE")
        return json_of(AdClicked(click(desk, asked.placement)))

    async def estimated(request: Request) -> Response:
        asked = decoded(await request.body(), EstimateQuestion)
        return json_of(_estimated(market.released(asked.audience), asked.at_least))

    answers = {"ads_rank": ranked, "ads_click": clicked, "audiences_estimate": estimated}
    for name, answer in answers.items():
        add_operation(app, MARKETING[name], keys, answer)


def _ranked(guide: Guide, desk: AdDesk | None, asked: AdQuestion) -> AdsRanked:
    if len(asked.user) > _LONGEST_NAME:
        raise ConfigError(f"user must have at most {_LONGEST_NAME} characters")
    items = () if desk is None else rank_ads(guide, desk, asked.user, asked.query, asked.slots)
    synthetic = guide.release.card.synthetic or (desk is not None and desk.model.synthetic)
    return AdsRanked(guide.shop, sponsored=True, synthetic=synthetic, items=items)


def _estimated(found: Released, at_least: float) -> Estimated:
    count, half = reach(found.counts, at_least)
    bands = zip(itertools.pairwise(BANDS), found.counts.shown, strict=True)
    return Estimated(
        found.name,
        found.synthetic,
        at_least,
        count,
        round(half, 1),
        found.counts.epsilon,
        found.counts.floor,
        tuple(Band(f"{low:g}-{high:g}", value) for (low, high), value in bands),
    )
