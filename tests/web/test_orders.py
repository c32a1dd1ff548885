"""The console's page of ads: figures of the book and of what was released, and nobody's id."""

from __future__ import annotations

import itertools

import pytest

from fedguide.api.app import create_app
from fedguide.guide.ad_book import AdBook
from fedguide.guide.ads import AdDesk
from fedguide.office.desk import Desk
from fedguide.web.pages import add_pages
from tests.guide.test_ads import ADS, NOON, the_model
from tests.office.memory import HOSTILE, NOW_S, MemoryOffice
from tests.office.rights import MemoryPersons
from tests.web.test_console import GUIDES, TABLES, Console, Keys
from tests.web.test_pages import read

REPORT = {
    "ad": "ad-1",
    "made": "2026-11-27 01:02",
    "recipient": HOSTILE,
    "counts": {"shown": 1204, "clicked": 77, "bought": None},
    "half_width": 36.0,
    "floor": 50,
    "epsilon": 0.25,
    "ledger_record": 9,
}


@pytest.fixture
def book(tmp_path):
    with AdBook(tmp_path / "book.db") as book:
        yield book


def console_of(ads, reports):
    app, office, keys = create_app(GUIDES), MemoryOffice(), Keys()
    desk = Desk(
        bytes(32),
        MemoryPersons(),
        lambda: NOW_S,
        keys,
        office,
        ads=ads,
        ad_reports=lambda: reports,
    )
    add_pages(app, GUIDES, desk=desk)
    return Console(app, office, keys)


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_orders_show_the_book_and_what_was_released(book, lang):
    numbers = itertools.count()
    ads = AdDesk(ADS, the_model(), book, lambda: NOON, lambda: 0.5, lambda: f"p{next(numbers)}")
    reports = {"north": {"ad-1": REPORT}}
    console = console_of({"north": ads}, reports)
    for number in range(3):
        book.note(f"v{number}", "ad-2", "shopper-05", NOON.day, 1, 30)
    book.note("old", "ad-2", "shopper-05", NOON.day - 1, 1, 30)
    book.click("v1")
    response = console.get("/console/ads", accept_language=lang)
    assert response.status_code == 200
    page = read(response)
    assert not page.forbidden
    assert len(page.ids) == len(set(page.ids))
    assert "<script>alert" not in response.text
    assert "shopper-05" not in response.text
    for figure in ("<td>3</td><td>1</td><td>0.30 / 10.00</td>", "1,204", "&lt;50", "± 36", "#9"):
        assert figure in response.text, figure
    assert f"{the_model().plain.judged.auc.value:.3f}" in response.text
    book.click("v2")
    reports["north"]["ad-1"] = {**REPORT, "counts": {**REPORT["counts"], "shown": 1399}}
    after = console.get("/console/ads", accept_language=lang).text
    assert "<td>3</td><td>2</td><td>0.60 / 10.00</td>" in after
    assert "1,399" in after


def test_released_figures_are_there_without_a_desk_and_nothing_says_so(book):
    assert "1,204" in console_of({}, {"south": {"ad-1": REPORT}}).get("/console/ads").text
    assert TABLES["en"]["orders.none"] in console_of({}, {}).get("/console/ads").text
