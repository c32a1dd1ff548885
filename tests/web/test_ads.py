"""The sponsored slot: labelled, at the catalogue's price, charged by a click, blind where asked."""

from __future__ import annotations

import pytest

from fedguide.api.app import create_app
from fedguide.guide.ad_book import AdBook
from fedguide.office.desk import Desk
from fedguide.web.pages import add_pages
from tests.api.asking import ask
from tests.guide.sample import a_card, a_guide
from tests.guide.test_ads import NOON, a_desk
from tests.office.rights import MemoryPersons
from tests.web.test_pages import read

OFF = ("shopper-03", "shopper-07")


@pytest.fixture
def served(tmp_path):
    """An application with ads in the shop ``north``, and the book."""
    guides = {"north": a_guide(card=a_card("north"), allows=lambda user: user not in OFF)}
    with AdBook(tmp_path / "book.db") as book:
        ads = a_desk(book)
        app = create_app(guides)
        add_pages(app, guides, desk=Desk(bytes(32), MemoryPersons(), ads={"north": ads}))
        yield app, book


@pytest.mark.parametrize(("lang", "label"), [("en", "Sponsored"), ("zh", "赞助商品")])
def test_the_slot_is_labelled_and_sound(served, lang, label):
    app, _ = served
    response = ask(app, f"/?user=shopper-05&lang={lang}")
    assert response.status_code == 200
    page = read(response)
    assert not page.forbidden
    assert len(page.ids) == len(set(page.ids))
    assert label in response.text
    assert len([a for a in page.addresses if a.startswith("/sponsored/")]) == 2
    assert len(response.content) <= 60_000


def test_a_click_is_charged_once_and_leads_to_the_item(served):
    app, book = served
    page = read(ask(app, "/?user=shopper-05"))
    address = next(a for a in page.addresses if a.startswith("/sponsored/"))
    for _ in range(2):
        response = ask(app, address)
        assert response.status_code == 303
        assert response.headers["location"].startswith("/items/sku-")
    spent = book.spent_fen(NOON.day)
    assert len(spent) == 1
    assert (
        ask(app, "/sponsored/none?shop=north&item=..//evil")
        .headers["location"]
        .startswith("/items/..%2F%2Fevil")
    )
    assert book.spent_fen(NOON.day) == spent


def test_who_opted_out_sees_what_nobody_sees(served):
    app, book = served
    texts = []
    for number, user in enumerate((*OFF, "")):
        text = ask(app, f"/?shop=north&user={user}").text
        for slot in range(2):
            text = text.replace(f"/sponsored/p{2 * number + slot}?", "/sponsored/p?")
        texts.append(text)
    assert "/sponsored/p?" in texts[0]
    assert texts[0] == texts[1] == texts[2]
    assert book.shown(OFF[0], NOON.day) == {}


def test_without_ads_there_is_no_slot():
    guides = {"north": a_guide(card=a_card("north"))}
    app = create_app(guides)
    add_pages(app, guides)
    assert "/sponsored/" not in ask(app, "/?user=shopper-05").text
