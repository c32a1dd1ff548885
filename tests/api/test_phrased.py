"""A model phrases the answers of ``POST /guide`` and nobody else waits for it."""

from __future__ import annotations

import asyncio

import httpx

from fedguide.api.app import create_app
from fedguide.guide.voice import ENGINE, MODEL, Found, Said
from tests.api.asking import ask
from tests.api.posting import post
from tests.guide.sample import a_guide

GUIDE = a_guide()
GUIDES = {GUIDE.shop: GUIDE}
WISH = {"text": "red mug under 500", "user": "shopper-07", "k": 5}


async def _model(found: Found) -> Said:
    return Said(f"{found.total} of them: {found.items[0]}", MODEL)


def test_without_a_voice_the_engine_speaks() -> None:
    body = post(create_app(GUIDES), "/api/v1/guide", WISH).json()
    assert body["voice"] == ENGINE
    assert body["said"].endswith("found.")


def test_a_voice_changes_the_sentence_and_nothing_else() -> None:
    plain = post(create_app(GUIDES), "/api/v1/guide", WISH).json()
    response = post(create_app(GUIDES, voice=_model), "/api/v1/guide", WISH)
    spoken = response.json()
    assert int(response.headers["content-length"]) == len(response.content)
    first = plain["items"][0]
    assert (
        spoken["said"] == f'{plain["total"]} of them: "{first["title"]}" ({first["price"]:g} CNY)'
    )
    assert spoken["voice"] == MODEL
    assert {**spoken, "said": "", "voice": ""} == {**plain, "said": "", "voice": ""}


def test_errors_and_other_routes_are_passed_on() -> None:
    app = create_app(GUIDES, voice=_model)
    refused = post(app, "/api/v1/guide", {"text": ""})
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert post(app, "/api/v1/rank", {"items": ["sku-0001"]}).json()["source"] == "ranked"
    assert ask(app, "/api/v1/guide").status_code == 405


def test_others_are_answered_while_a_model_thinks() -> None:
    thought: list[str] = []

    async def both() -> None:
        thinking, over = asyncio.Event(), asyncio.Event()

        async def slow(found: Found) -> Said:
            thinking.set()
            await over.wait()
            return Said(found.said, ENGINE)

        transport = httpx.ASGITransport(create_app(GUIDES, voice=slow))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            wish = asyncio.create_task(client.post("/api/v1/guide", json=WISH))
            await thinking.wait()
            other = await client.get("/api/v1/recommend?user=shopper-07")
            assert other.status_code == 200
            thought.append("other")
            assert not wish.done()
            over.set()
            assert (await wish).status_code == 200

    asyncio.run(both())
    assert thought == ["other"]
