"""Ads and audiences over HTTP: blind where asked, paid once, and never an exact count."""

from __future__ import annotations

import itertools

import pytest

from fedguide.api.app import create_app
from fedguide.guide.ad_book import AdBook
from fedguide.guide.ads import Desk
from fedguide.guide.audience import BANDS, Released
from fedguide.guide.counts import NoisyCounts
from tests.api.posting import post
from tests.guide.sample import a_card, a_guide
from tests.guide.test_ads import ADS, MODEL, NOON

COUNTS = NoisyCounts((70, 20, *range(100, 98 + len(BANDS) - 1)), 50, 0.25, 4.0, 1)


@pytest.fixture
def app(tmp_path):
    """The shop ``north``, where shoppers 03 and 07 opted out."""
    numbers = itertools.count()
    off = ("shopper-03", "shopper-07")
    guide = a_guide(card=a_card("north"), allows=lambda user: user not in off)
    with AdBook(tmp_path / "book.db") as book:
        desk = Desk(
            ADS, MODEL, book, lambda: NOON, lambda: 0.5, lambda: f"p{next(numbers)}", paced=False
        )
        released = {"spring": Released("spring", COUNTS, True)}
        yield create_app({"north": guide}, desks={"north": desk}, released=released.__getitem__)


def ranked(app, **body):
    answer = post(app, "/api/v1/ads/rank", body)
    assert answer.status_code == 200
    return answer.json()


def test_ads_are_labelled_and_a_click_is_paid_once(app):
    made = ranked(app, user="shopper-05", slots=2)
    assert made["sponsored"]
    assert [item["source"] for item in made["items"]] == ["ad", "ad"]
    body = {"placement": made["items"][0]["placement"]}
    assert post(app, "/api/v1/ads/click", body).json() == {"fresh": True}
    assert post(app, "/api/v1/ads/click", body).json() == {"fresh": False}
    assert post(app, "/api/v1/ads/click", {"placement": "none"}).status_code == 404


def test_who_opted_out_cannot_be_told_apart(app):
    made = [ranked(app, user=user, slots=5) for user in ("shopper-03", "shopper-07", "")]
    for answer in made:
        for item in answer["items"]:
            del item["placement"]
    assert made[0] == made[1] == made[2]


def test_an_estimate_shows_noised_counts_above_the_floor(app):
    made = post(app, "/api/v1/audiences/estimate", {"audience": "spring", "at_least": 0.9}).json()
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
def test_bad_input(app, path, body, status):
    assert post(app, f"/api/v1/{path}", body).status_code == status


def test_without_ads_and_audiences():
    bare = create_app({"north": a_guide(card=a_card("north"))})
    assert ranked(bare)["items"] == []
    assert post(bare, "/api/v1/ads/click", {"placement": "p"}).status_code == 404
    assert post(bare, "/api/v1/audiences/estimate", {"audience": "x"}).status_code == 404
