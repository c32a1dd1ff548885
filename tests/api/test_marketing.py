"""Ads and audiences over HTTP: blind where asked, paid once, and never an exact count."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from fedguide.api.app import create_app
from fedguide.api.described import describe
from fedguide.api.market_wire import MARKET_SHAPES
from fedguide.api.marketing import MARKETING, Market
from fedguide.errors import NotFoundError
from fedguide.guide.ad_book import AdBook
from fedguide.guide.audience import BANDS, Released
from fedguide.guide.counts import NoisyCounts
from tests.api.serving import served
from tests.guide.sample import a_card, a_guide
from tests.guide.test_ads import a_desk

COUNTS = NoisyCounts((70, 20, *range(100, 98 + len(BANDS) - 1)), 50, 0.25, 4.0, 1)


@dataclass(frozen=True)
class Client:
    """An application and what it is asked with."""

    app: FastAPI
    keys: dict[str, str]

    def post(self, path, body, role="shop"):
        headers = {"authorization": f"Bearer {self.keys[role]}"} if role else {}

        async def send():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.post(f"/api/v1/{path}", json=body, headers=headers)

        return asyncio.run(send())


@pytest.fixture
def client(tmp_path):
    """The shop ``north``, where shoppers 03 and 07 opted out."""
    off = ("shopper-03", "shopper-07")
    guides = {"north": a_guide(card=a_card("north"), allows=lambda user: user not in off)}
    with AdBook(tmp_path / "book.db") as book, served(tmp_path, guides) as made:
        desk = a_desk(book)
        released = {"spring": Released("spring", COUNTS, True)}
        market = Market({"north": desk}, released.__getitem__)
        app = create_app(guides, replace(made.services, market=market))
        yield Client(app, dict(made.texts))


def ranked(client, **body):
    answer = client.post("ads/rank", body)
    assert answer.status_code == 200
    return answer.json()


def test_ads_are_labelled_and_a_click_is_paid_once(client):
    made = ranked(client, user="shopper-05", slots=2)
    assert made["sponsored"]
    assert [item["source"] for item in made["items"]] == ["ad", "ad"]
    body = {"placement": made["items"][0]["placement"]}
    assert client.post("ads/click", body).json() == {"fresh": True}
    assert client.post("ads/click", body).json() == {"fresh": False}
    assert client.post("ads/click", {"placement": "none"}).status_code == 404


def test_who_opted_out_cannot_be_told_apart(client):
    made = [ranked(client, user=user, slots=5) for user in ("shopper-03", "shopper-07", "")]
    for answer in made:
        for item in answer["items"]:
            del item["placement"]
    assert made[0] == made[1] == made[2]


def test_an_estimate_shows_noised_counts_above_the_floor(client):
    made = client.post("audiences/estimate", {"audience": "spring", "at_least": 0.9}).json()
    assert made["shoppers"] == COUNTS.values[-1]
    assert [row["shoppers"] for row in made["counts"][:2]] == [70, None]
    assert made["epsilon"] == 0.25


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("ads/rank", {"slots": 0}, 400),
        ("ads/rank", {"user": "u" * 201}, 400),
        ("ads/rank", {"price": 3}, 400),
        ("audiences/estimate", {"audience": "spring", "at_least": 0.33}, 400),
    ],
)
def test_bad_input(client, path, body, status):
    assert client.post(path, body).status_code == status


def test_keys_and_roles_are_asked_for(client):
    assert client.post("ads/rank", {}, role="").status_code == 401
    assert client.post("ads/rank", {}, role="auditor").status_code == 403
    asked = {"audience": "spring"}
    assert client.post("audiences/estimate", asked, role="auditor").status_code == 403
    assert client.post("audiences/estimate", asked, role="operator").status_code == 200


def test_what_is_described_is_what_is_answered(client):
    shapes = {shape.__name__: shape for shape in MARKET_SHAPES}
    for operation in MARKETING.values():
        msgspec.convert(operation.asked, shapes[operation.question])
        msgspec.convert(operation.example, shapes[operation.shape])
    made = client.post("ads/rank", MARKETING["ads_rank"].asked)
    msgspec.json.decode(made.content, type=shapes["AdsRanked"])
    paths = describe(tuple(MARKETING.values()))["paths"]
    assert {operation.path for operation in MARKETING.values()} <= set(paths)


def test_without_ads_and_audiences(tmp_path):
    def none(name):
        raise NotFoundError(f"no audience {name}")

    guides = {"north": a_guide(card=a_card("north"))}
    with served(tmp_path, guides) as made:
        services = replace(made.services, market=Market({}, none))
        bare = Client(create_app(guides, services), dict(made.texts))
        assert ranked(bare)["items"] == []
        assert bare.post("ads/click", {"placement": "p"}).status_code == 404
        assert bare.post("audiences/estimate", {"audience": "x"}).status_code == 404
