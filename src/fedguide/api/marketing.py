"""Ads and audiences over HTTP. What leaves about shoppers is what was released, noised, before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api import problems
from fedguide.api.asking import decoded
from fedguide.api.described_market import MARKET_PATHS
from fedguide.api.market_wire import (
    AdClick,
    AdClicked,
    AdQuestion,
    AdsRanked,
    Band,
    Estimated,
    EstimateQuestion,
)
from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.ads import Desk, click, rank_ads
from fedguide.guide.audience import BANDS, Released, reach
from fedguide.guide.engine import Guide

_LONGEST_NAME = 200

Q = TypeVar("Q", bound=msgspec.Struct)


def add_marketing(
    app: FastAPI,
    guide_of: Callable[[str], Guide],
    desks: Mapping[str, Desk],
    released: Callable[[str], Released],
) -> None:
    """Adds the routes of this file.

    Args:
        app: the application.
        guide_of: gives the guide of a shop's name.
        desks: of the shops that serve ads.
        released: the counts of an audience; raises ``NotFoundError`` where there is none.
    """

    def posted(
        question: type[Q], answer: Callable[[Guide, Q], msgspec.Struct]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                guide = guide_of(request.query_params.get("shop", ""))
                body = decoded(await request.body(), question)
                made = msgspec.json.encode(answer(guide, body))
                return Response(made, media_type="application/json")
            except Exception as error:  # noqa: BLE001 - a defect is answered too, logged by type
                return problems.from_error(request, error)

        return handle

    def ranked(guide: Guide, asked: AdQuestion) -> AdsRanked:
        if len(asked.user) > _LONGEST_NAME:
            raise ConfigError(f"user must have at most {_LONGEST_NAME} characters")
        desk = desks.get(guide.shop)
        items = () if desk is None else rank_ads(guide, desk, asked.user, asked.query, asked.slots)
        synthetic = guide.release.card.synthetic or (desk is not None and desk.model.synthetic)
        return AdsRanked(guide.shop, True, synthetic, items)

    def clicked(guide: Guide, asked: AdClick) -> AdClicked:
        desk = desks.get(guide.shop)
        if desk is None:
            raise NotFoundError("no ads are served here", hint="fedguide serve --ads FILE")
        return AdClicked(click(desk, asked.placement))

    def estimated(_guide: Guide, asked: EstimateQuestion) -> Estimated:
        found = released(asked.audience)
        count, half = reach(found.counts, asked.at_least)
        bands = zip(BANDS, BANDS[1:], found.counts.shown, strict=False)
        return Estimated(
            found.name,
            found.synthetic,
            asked.at_least,
            count,
            round(half, 1),
            found.counts.epsilon,
            found.counts.floor,
            tuple(Band(f"{low:g}-{high:g}", value) for low, high, value in bands),
        )

    app.add_route(MARKET_PATHS["ads_rank"], posted(AdQuestion, ranked), methods=["POST"])
    app.add_route(MARKET_PATHS["ads_click"], posted(AdClick, clicked), methods=["POST"])
    app.add_route(
        MARKET_PATHS["audiences_estimate"], posted(EstimateQuestion, estimated), methods=["POST"]
    )


def no_audience(name: str) -> Released:
    """Where no audiences are served.

    Raises:
        NotFoundError: always.
    """
    raise NotFoundError(f"no audience {name[:64]!r}", hint="fedguide audience build")
