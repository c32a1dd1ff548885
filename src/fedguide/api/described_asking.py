"""The description of ``asking``'s routes: what is sent in a body, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedguide.guide.visit import RANKED

ASKING_PATHS: Mapping[str, str] = {
    "guide": "/api/v1/guide",
    "session_recommend": "/api/v1/session/recommend",
    "rank": "/api/v1/rank",
    "compare": "/api/v1/compare",
}
"""Where each operation is asked for."""

_ITEM = {
    "item_id": "22423",
    "title": "REGENCY CAKESTAND 3 TIER",
    "price": 12.75,
    "score": 1.83,
    "rank": 1,
    "source": "words",
    "slate": "",
    "because": [{"kind": "search", "share": 1.0, "effect": 0.2, "times": 1, "query": "cakestand"}],
    "matched": ["cakestand"],
}
_OF_RELEASE = {"release": "0f3c5a9e11b2c4d8", "synthetic": False}

_GUIDED = {
    "shop": "shop-1",
    "text": "cakestand under 15",
    "lang": "en",
    "said": "cakestand, up to 15: 1 item found.",
    "voice": "engine",
    "understood": [
        {"kind": "want", "label": "cakestand", "field": "feature", "words": ["cakestand"]},
        {"kind": "price", "label": "up to 15", "at_most": 15.0},
    ],
    "unknown": [],
    "notes": [],
    "exact": True,
    "total": 1,
    "source": "words",
    "chips": [{"code": "price:-10", "kind": "price", "label": "-10", "count": 3}],
    "active": [],
    "relax": [],
    "currency": "GBP",
    **_OF_RELEASE,
    "items": [_ITEM],
}

_VISIT = [{"kind": "view", "item": "sku-0003"}, {"kind": "search", "query": "tea mug"}]

POSTED: Mapping[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "guide": (
        "A wish in Chinese or English: what was understood, items, chips to refine",
        "GuideQuestion",
        {"text": "red mug under 500, not waterproof", "session": _VISIT, "k": 5},
        "Guided",
        _GUIDED,
    ),
    "session_recommend": (
        "Items for a visit; nothing of it is stored",
        "SessionQuestion",
        {"session": _VISIT, "k": 5},
        "SessionRecommended",
        {
            "shop": "shop-1",
            "slate": "discover",
            "source": "personal",
            **_OF_RELEASE,
            "items": [{**_ITEM, "source": "personal", "slate": "discover"}],
        },
    ),
    "rank": (
        "The named items in the order they suit",
        "RankQuestion",
        {"items": ["sku-0001", "sku-0002"], "session": _VISIT},
        "Ranked",
        {"shop": "shop-1", "source": RANKED, **_OF_RELEASE, "items": [_ITEM]},
    ),
}
"""Operations with a body: summary, the body's shape and example, the answer's shape and example."""


def _named(name: str, example: str, text: str, *, required: bool = False) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1} if required else {"type": "string"}
    more = {"required": True} if required else {}
    return {
        "name": name,
        "in": "query",
        "schema": schema,
        "example": example,
        "description": text,
        **more,
    }


COMPARE: tuple[str, str, list[dict[str, Any]], dict[str, Any]] = (
    "Two items side by side, and which suits the shopper more",
    "ComparedItems",
    [
        _named("first", "sku-0001", "The shop's own id of an item.", required=True),
        _named("second", "sku-0002", "The shop's own id of another.", required=True),
        {
            **_named("user", "17850", "The shop's own id of the shopper."),
            "schema": {"type": "string", "maxLength": 200},
        },
        {
            **_named("lang", "en", "Language of the sentence."),
            "schema": {"type": "string", "enum": ["zh", "en"], "default": "en"},
        },
        _named("shop", "shop-1", "Which served shop; the first when left out."),
    ],
    {
        "shop": "shop-1",
        "suits": "22423",
        "said": '"REGENCY CAKESTAND 3 TIER" sold more lately.',
        "source": "popular",
        "alike": 0.31,
        "differences": [{"field": "price", "first": "12.75", "second": "1.65"}],
        **_OF_RELEASE,
        "items": [_ITEM, {**_ITEM, "item_id": "21731", "rank": 2}],
    },
)
"""``GET /compare``: summary, shape of the answer, parameters, example."""
