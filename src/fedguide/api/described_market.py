"""The description of ``marketing``'s routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKET_PATHS: Mapping[str, str] = {
    "ads_rank": "/api/v1/ads/rank",
    "ads_click": "/api/v1/ads/click",
    "audiences_estimate": "/api/v1/audiences/estimate",
}
"""Where each operation is asked for."""

_SPONSORED = {
    "placement": "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
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

MARKET_POSTED: Mapping[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "ads_rank": (
        "Sponsored items by bid times calibrated click, second price, paced and capped",
        "AdQuestion",
        {"query": "mug", "slots": 2},
        "AdsRanked",
        {"shop": "shop-1", "sponsored": True, "synthetic": False, "items": [_SPONSORED]},
    ),
    "ads_click": (
        "A click on a sponsored item; it is paid once, however often it is reported",
        "AdClick",
        {"placement": "9f8e7d6c5b4a39281706f5e4d3c2b1a0"},
        "AdClicked",
        {"fresh": True},
    ),
    "audiences_estimate": (
        "How many shoppers an audience could reach: noised counts under a floor, paid for once",
        "EstimateQuestion",
        {"audience": "buy-30d", "at_least": 0.3},
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
    ),
}
"""Operations with a body, as ``described_asking.POSTED``."""
