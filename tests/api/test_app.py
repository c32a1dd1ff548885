"""The API: answers with reasons, several shops, and every error a problem document."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.api.app import create_app
from fedguide.guide import engine
from tests.api.asking import ask
from tests.guide.sample import a_card, a_guide, a_model

NORTH = a_guide(card=a_card("north"))
SOUTH = a_guide(card=a_card("南店"), model=a_model(copies=2))
GUIDES = {guide.shop: guide for guide in (NORTH, SOUTH)}
APP = create_app(GUIDES)


@pytest.mark.parametrize("slate", ["discover", "again", "both"])
def test_recommend_sends_what_the_guide_says(slate: str) -> None:
    response = ask(APP, f"/api/v1/recommend?user=shopper-07&k=5&slate={slate}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    picks = engine.recommend(NORTH, "shopper-07", 5, slate).picks
    assert body["shop"] == "north"
    assert body["user"] == "shopper-07"
    assert body["source"] == "personal"
    assert body["synthetic"] is True
    assert body["release"] == NORTH.release.digest[:16]
    assert [item["item_id"] for item in body["items"]] == [pick.item_id for pick in picks]
    for item, pick in zip(body["items"], picks, strict=True):
        assert item["score"] == pytest.approx(pick.score, abs=1e-6)
        assert item["rank"] == pick.rank
        assert item["slate"] == pick.slate
        assert [b.get("item", b.get("query")) for b in item["because"]] == [
            reason.item or reason.query for reason in pick.because
        ]
        for because in item["because"]:
            assert ("item" in because) != ("query" in because)
            assert 0 < because["share"] <= 1


def test_k_is_ten_and_the_slate_discover_when_left_out() -> None:
    body = ask(APP, "/api/v1/recommend?user=shopper-07").json()
    assert len(body["items"]) == 10
    assert body["slate"] == "discover"


def test_an_unknown_shopper_is_answered_from_best_sellers() -> None:
    body = ask(APP, "/api/v1/recommend?user=%E6%96%B0%E5%AE%A2&k=3").json()
    assert body["source"] == "popular"
    assert body["user"] == "新客"
    assert [item["because"] for item in body["items"]] == [[], [], []]


def test_another_shop_is_asked_by_name() -> None:
    body = ask(APP, f"/api/v1/recommend?user=shopper-07&shop={quote('南店')}").json()
    assert body["shop"] == "南店"
    listed = ask(APP, "/api/v1/shops").json()["shops"]
    assert [(shop["shop"], shop["items"]) for shop in listed] == [("north", 80), ("南店", 160)]


def test_search_in_both_languages() -> None:
    for query, source in (("mug", "words"), ("登山", "words"), ("перчатки", "meaning")):
        body = ask(APP, f"/api/v1/search?q={quote(query)}&k=3").json()
        assert body["source"] == source
        assert len(body["items"]) == 3
        assert bool(body["items"][0].get("matched")) == (source == "words")


def test_items_and_what_is_similar() -> None:
    body = ask(APP, "/api/v1/items/sku-0006").json()
    assert body["item_id"] == "sku-0006"
    assert body["price"] is None
    assert body["currency"] == "CNY"
    similar = ask(APP, "/api/v1/similar/sku-0006?k=4").json()["items"]
    assert len(similar) == 4
    assert "sku-0006" not in [item["item_id"] for item in similar]


def test_an_item_id_may_hold_a_slash_and_other_letters() -> None:
    model = a_model()
    catalogue = dataclasses.replace(model.catalogue, ids=("a/b 杯", *model.catalogue.ids[1:]))
    guide = a_guide(model=dataclasses.replace(model, catalogue=catalogue))
    body = ask(create_app({"x": guide}), f"/api/v1/items/{quote('a/b 杯', safe='')}").json()
    assert body["item_id"] == "a/b 杯"


@pytest.mark.parametrize(
    ("path", "status", "code", "says"),
    [
        ("/api/v1/recommend", 400, "FG401", "user"),
        ("/api/v1/recommend?user=", 400, "FG401", "user"),
        (f"/api/v1/recommend?user={'x' * 201}", 400, "FG401", "got 201"),
        ("/api/v1/recommend?user=a&k=0", 400, "FG401", "[1, 100], got 0"),
        ("/api/v1/recommend?user=a&k=101", 400, "FG401", "got 101"),
        ("/api/v1/recommend?user=a&k=ten", 400, "FG401", "got 'ten'"),
        ("/api/v1/recommend?user=a&k=-1", 400, "FG401", "got '-1'"),
        ("/api/v1/recommend?user=a&k=1_0", 400, "FG401", "got '1_0'"),
        ("/api/v1/recommend?user=a&k=", 400, "FG401", "got ''"),
        (f"/api/v1/recommend?user=a&k={'9' * 5000}", 400, "FG401", "whole number"),
        ("/api/v1/recommend?user=shopper-07&slate=best", 400, "FG401", "'best'"),
        ("/api/v1/recommend?user=a&shop=west", 404, "FG404", "'west'"),
        ("/api/v1/search", 400, "FG401", "at least one word"),
        ("/api/v1/search?q=%20", 400, "FG401", "at least one word"),
        (f"/api/v1/search?q={'x' * 201}", 400, "FG401", "got 201"),
        ("/api/v1/items/none", 404, "FG404", "'none'"),
        ("/api/v1/similar/none", 404, "FG404", "'none'"),
        ("/api/v1/nothing", 404, "FG404", "/api/v1/nothing"),
        ("/elsewhere", 404, "FG404", "/elsewhere"),
    ],
)
def test_every_error_is_a_problem_document(path: str, status: int, code: str, says: str) -> None:
    response = ask(APP, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert says in body["detail"]
    assert body["titles"]["zh"] != body["titles"]["en"]
    assert body["title"] == body["titles"]["en"]
    assert body["instance"] == path.partition("?")[0]


ODD = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b"\x00",
            b"\xed\xa0\x80",  # half a surrogate pair
            b"\xff\xfe",
            "\u202e\u200b".encode(),
            "１０".encode(),
            b"1_0",
            b"+5",
            b"1e3",
            b"0x10",
            b"NaN",
            b"-0",
            b"' OR 1=1 --",
            b"<script>",
            b"../../etc/passwd",
            b"%s%n",
            b"{{7*7}}",
        ]
    ),
)
ASKED = ("recommend", "search", "similar/sku-0001", "items/sku-0001", "shops")


@settings(max_examples=150)
@given(
    path=st.sampled_from(ASKED),
    asked=st.lists(
        st.tuples(st.sampled_from(["user", "k", "slate", "shop", "q", "other"]), ODD), max_size=5
    ),
)
def test_odd_parameters_are_answered_or_refused_never_a_defect(
    path: str, asked: list[tuple[str, bytes]]
) -> None:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked)
    response = ask(APP, f"/api/v1/{path}?{query}")
    assert response.status_code in (200, 400, 404)
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
        assert len(response.json()["detail"]) < 400


@settings(max_examples=60)
@given(st.sampled_from(["items", "similar"]), ODD)
def test_an_odd_item_id_is_not_found(path: str, item: bytes) -> None:
    # A client takes "." and ".." out of an address itself.
    address = f"/api/v1/{path}/{quote(item, safe='').replace('.', '%2E')}"
    response = ask(APP, address)
    assert response.status_code in (404, 307)
    if response.status_code == 404:
        assert response.json()["code"] == "FG404"
        assert len(response.json()["detail"]) < 400
        assert len(response.json()["instance"]) <= 256


@pytest.mark.parametrize("huge", ["x" * 5000, "龘" * 2000])
@pytest.mark.parametrize("path", ["recommend?user={}", "recommend?user=a&k={}", "search?q={}"])
@pytest.mark.parametrize("more", ["", "&slate={}", "&shop={}"])
def test_huge_strings_are_refused_and_not_sent_back_whole(huge: str, path: str, more: str) -> None:
    value = quote(huge)
    response = ask(APP, "/api/v1/" + path.format(value) + more.format(value))
    assert response.status_code in (400, 404)
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.json()["detail"]) < 400


@pytest.mark.parametrize("path", ["items/{}", "similar/{}", "{}"])
def test_a_huge_address_is_not_sent_back_whole(path: str) -> None:
    body = ask(APP, "/api/v1/" + path.format("x" * 5000)).json()
    assert body["status"] == 404
    assert len(body["detail"]) < 400
    assert len(body["instance"]) == 256


def test_a_huge_slate_is_refused_and_not_sent_back_whole() -> None:
    body = ask(APP, f"/api/v1/recommend?user=shopper-07&slate={'x' * 5000}").json()
    assert body["code"] == "FG401"
    assert len(body["detail"]) < 400


def test_the_first_of_repeated_parameters_does_not_hide_the_last() -> None:
    response = ask(APP, "/api/v1/recommend?user=shopper-07&k=3&k=999")
    assert response.status_code == 400
    assert "got 999" in response.json()["detail"]


def test_items_without_title_price_or_brand_are_answered() -> None:
    body = ask(APP, "/api/v1/items/sku-0005").json()
    assert body["title"] == ""
    body = ask(APP, "/api/v1/similar/sku-0005?k=100").json()
    assert len(body["items"]) == 79


@pytest.mark.parametrize("query", ["перчатки", "ถุงมือ", "장갑", "γάντια", "!!!", "🧤", "a\u0301"])
def test_a_query_in_a_language_never_seen_is_answered_by_meaning(query: str) -> None:
    body = ask(APP, f"/api/v1/search?q={quote(query)}&k=4").json()
    assert body["source"] == "meaning"
    assert body["query"] == query
    assert len(body["items"]) == 4
    assert all("matched" not in item for item in body["items"])


def test_the_title_follows_the_caller_s_language() -> None:
    body = ask(APP, "/api/v1/nothing", accept_language="zh-CN,en;q=0.5").json()
    assert body["title"] == body["titles"]["zh"] == "没有找到"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(method: str) -> None:
    response = ask(APP, "/api/v1/recommend?user=a", method)
    assert response.status_code == 405
    assert response.json()["code"] == "FG405"
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_defect_is_a_problem_document_without_its_text() -> None:
    def broken() -> int:
        raise ValueError("shopper-07's address is 1 Secret Road")

    app = create_app({"north": dataclasses.replace(NORTH, today=broken)})
    response = ask(app, "/api/v1/recommend?user=shopper-07")
    assert response.status_code == 500
    assert response.json()["code"] == "FG900"
    assert "Secret" not in response.text


def test_health_and_readiness() -> None:
    assert ask(APP, "/healthz").json() == {"status": "ok"}
    assert ask(APP, "/readyz").json() == {"status": "ready"}
    nothing = create_app({})
    assert ask(nothing, "/healthz").status_code == 200
    assert ask(nothing, "/readyz").status_code == 503
    assert ask(nothing, "/api/v1/recommend?user=a").json()["code"] == "FG404"


def test_serving_reaches_no_training_engine() -> None:
    modules = "fedguide.api.app, fedguide.web.pages, fedguide.guide.engine, fedguide.api.server"
    banned = "{'jax', 'optax', 'flwr', 'duckdb', 'fedguide.runtime', 'fedguide.horizontal'}"
    code = f"import sys, {modules}; print(sorted({banned} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
