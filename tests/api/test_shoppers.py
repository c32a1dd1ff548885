"""Shoppers' rights over HTTP: seen, set, taken along, ended; with a shop's key alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fedguide.office.passes import FOR_SHOPPER, read_pass
from tests.api.asking import ask
from tests.api.posting import post
from tests.api.serving import SECRET, Served, served
from tests.guide.sample import a_card, a_guide
from tests.office.rights import MemoryPersons

GUIDE = a_guide(card=a_card("north"))
AT = "/api/v1/shoppers/shopper-07"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, {"north": GUIDE}, persons=MemoryPersons(epsilon=2.0)) as made:
        yield made


def sent(one: Served, method: str, path: str, body: object = None) -> httpx.Response:
    key = {"authorization": f"Bearer {one.texts['shop']}"}
    if body is not None or method == "POST":
        return post(one.app, path, body, method=method, **key)
    return ask(one.app, path, method, **key)


def test_everything_needs_a_shop_s_key(one: Served) -> None:
    for operation in one.services.operations:
        path = operation.path.replace("{shopper}", "shopper-07")
        assert ask(one.app, path, operation.method).status_code == 401
        auditor = f"Bearer {one.texts['auditor']}"
        assert ask(one.app, path, operation.method, authorization=auditor).status_code == 403
    assert sent(one, "GET", f"{AT}/privacy").json()["said"] == ""


def test_preferences_change_what_they_name_and_nothing_else(one: Served) -> None:
    told = sent(one, "PUT", f"{AT}/preferences", {"personalise": False}).json()
    assert (told["said"], told["used"], told["ignored"]) == ("out", False, [])
    told = sent(one, "PUT", f"{AT}/preferences", {"ignored": ["sku-0001"]}).json()
    assert (told["said"], told["ignored"]) == ("out", ["sku-0001"])
    assert sent(one, "PUT", f"{AT}/preferences", {"ignored": ["none"]}).status_code == 404
    assert sent(one, "PUT", f"{AT}/preferences", {"personalize": True}).status_code == 400
    assert sent(one, "GET", f"{AT}/privacy").json() == told


def test_an_export_and_an_erasure(one: Served) -> None:
    assert sent(one, "GET", f"{AT}/export").json()["events"] == [
        {"kind": "view", "item": "sku-0041"}
    ]
    told = sent(one, "DELETE", AT).json()
    assert (told["events"], told["ledger_record"]) == (1, 1)
    assert sent(one, "GET", f"{AT}/privacy").json()["said"] == "erased"
    again = sent(one, "PUT", f"{AT}/preferences", {"personalise": True})
    assert again.status_code == 400


def test_a_pass_opens_the_shopper_s_own_page_and_no_other(one: Served) -> None:
    told = sent(one, "POST", f"{AT}/pass").json()
    asked = parse_qs(urlsplit(told["address"]).query)
    facts = read_pass(SECRET, FOR_SHOPPER, asked["pass"][0], 0)
    assert facts == {"shop": "north", "user": "shopper-07"}
