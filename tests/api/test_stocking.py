"""Items sent in bulk: put in by id, each once, limited, for those who may."""

from pathlib import Path

import pytest

from fedguide.api.stocking import MOST_ITEMS, kept_items, with_stock
from tests.api.asking import ask
from tests.api.posting import post
from tests.api.serving import served
from tests.guide.sample import a_guide

PATH = "/api/v1/items"
MODEL = a_guide().release.model
MUG = {"item_id": "mug/1", "title": "红色马克杯 Red mug", "category": "home/mugs", "price": 3.5}
PEN = {"item_id": "pen", "title": "Pen", "brand": "Acme", "attributes": {"colour": "blue"}}


def test_a_batch_is_put_in_by_id_and_again_changes_nothing(tmp_path: Path) -> None:
    guide = a_guide(MODEL)
    with served(tmp_path, {guide.shop: guide}) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        body = {"items": [PEN, MUG]}
        told = post(one.app, PATH, body, **auth).json()
        rest = {"shop": guide.shop, "served": "next-release", "live": 2}
        assert told == {"added": 2, "changed": 0, "same": 0, **rest}
        assert post(one.app, PATH, body, **auth).json() == {
            "added": 0, "changed": 0, "same": 2, **rest,
        }  # fmt: skip
        dearer = {"items": [MUG | {"price": 4.5}]}
        operator = {"authorization": f"Bearer {one.texts['operator']}"}
        assert post(one.app, PATH, dearer, **operator).json()["changed"] == 1
        kept = kept_items(one.services.inbox.database, guide.shop)
    assert kept.ids == ("mug/1", "pen")
    assert kept.titles == (MUG["title"], "Pen")
    assert kept.brands == ("", "Acme")
    assert kept.categories == ("home/mugs", "")
    assert float(kept.prices[0]) == 4.5
    assert kept.prices[1] != kept.prices[1]


def test_the_next_answer_knows_a_new_item_and_a_start_finds_it_again(tmp_path: Path) -> None:
    guide = a_guide(MODEL)
    guides = {guide.shop: guide}
    known = MODEL.catalogue.ids[0]
    with served(tmp_path, guides) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        body = {"items": [MUG, {"item_id": known, "title": "changed"}]}
        assert post(one.app, PATH, body, **auth).json()["live"] == 1
        assert guides[guide.shop].rows["mug/1"] == len(MODEL)
        found = ask(one.app, "/api/v1/search?q=马克杯").json()["items"]
        assert "mug/1" in [item["item_id"] for item in found]
        assert ask(one.app, f"/api/v1/items/{known}").json()["title"] != "changed"
        event = {"id": "1", "user": "newcomer", "kind": "buy", "item": "mug/1"}
        post(one.app, "/api/v1/events", {"events": [event]}, **auth)
        again = ask(one.app, "/api/v1/recommend?user=newcomer&slate=again").json()["items"]
        assert [item["item_id"] for item in again] == ["mug/1"]
        restarted = with_stock(one.services.inbox.database, a_guide(MODEL))
    assert restarted.rows == guides[guide.shop].rows


@pytest.mark.parametrize(
    "items",
    [
        [],
        [MUG, MUG],
        [MUG, {"item_id": "", "title": "x"}],
        [MUG, {"item_id": "x"}],
        [MUG, {"item_id": "x", "title": "x", "price": -1}],
        [MUG, {"item_id": "x", "title": "x", "weight": 1}],
        [MUG, {"item_id": "x", "title": "x", "attributes": {str(n): "" for n in range(33)}}],
        [{"item_id": str(n), "title": "x"} for n in range(MOST_ITEMS + 1)],
    ],
)
def test_a_bad_batch_is_refused_whole(tmp_path: Path, items: object) -> None:
    guide = a_guide(MODEL)
    with served(tmp_path, {guide.shop: guide}) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        response = post(one.app, PATH, {"items": items}, **auth)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
        assert len(kept_items(one.services.inbox.database, guide.shop)) == 0


def test_only_a_shop_or_an_operator_may(tmp_path: Path) -> None:
    guide = a_guide(MODEL)
    with served(tmp_path, {guide.shop: guide}) as one:
        auditor = {"authorization": f"Bearer {one.texts['auditor']}"}
        assert post(one.app, PATH, {"items": [MUG]}).status_code == 401
        assert post(one.app, PATH, {"items": [MUG]}, **auditor).status_code == 403
