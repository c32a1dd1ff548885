"""A shopper's own page: opened by a pass, its switches work, and nobody else's pass opens it."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from fedguide.api.app import create_app
from fedguide.office.desk import Desk
from fedguide.office.passes import FOR_SESSION, FOR_SHOPPER, make_pass
from fedguide.web.pages import add_pages
from fedguide.web.words import load_tables
from tests.api.asking import ask
from tests.api.posting import post
from tests.guide.sample import a_card, a_guide
from tests.office.rights import MemoryPersons
from tests.web.test_pages import read

TABLES = load_tables()
SECRET, NOW_S = bytes(range(32)), 1_000
FACTS = {"shop": "north", "user": "shopper-07"}


def an_app(persons: MemoryPersons, *, demo: bool = False) -> FastAPI:
    guides = {"north": a_guide(card=a_card("north"), allows=persons.allows)}
    app = create_app(guides)
    add_pages(app, guides, demo=demo, desk=Desk(SECRET, persons, lambda: NOW_S))
    return app


def opened(user: str = "shopper-07", until_s: int = NOW_S + 60, purpose: str = FOR_SHOPPER) -> str:
    facts = {**FACTS, "user": user}
    return urlencode({**facts, "pass": make_pass(SECRET, purpose, facts, until_s)})


def send(app: FastAPI, asked: str, **form: str) -> httpx.Response:
    return post(app, "/me", f"{asked}&{urlencode(form)}".encode())


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_says_what_is_kept_and_what_it_means(lang: str) -> None:
    response = ask(an_app(MemoryPersons(epsilon=2.0)), f"/me?{opened()}", accept_language=lang)
    text = html.unescape(response.text)
    assert response.status_code == 200
    assert not read(response).forbidden
    assert "a mug" in text
    assert TABLES[lang]["mine.on"] in text
    # e to the 2 is 7.39: worked out, not written down.
    assert TABLES[lang]["mine.epsilon"].format(epsilon="2", factor="7.39") in text
    bare = ask(an_app(MemoryPersons()), f"/me?{opened()}", accept_language=lang).text
    assert TABLES[lang]["mine.epsilon_none"] in html.unescape(bare)


@pytest.mark.parametrize(
    "asked",
    [
        "shop=north&user=shopper-07",
        "shop=north&user=shopper-07&pass=x.y",
        opened(until_s=NOW_S),
        opened(purpose=FOR_SESSION),
        opened().replace("shopper-07", "shopper-08"),
    ],
)
def test_without_a_pass_that_counts_nothing_is_shown_or_done(asked: str) -> None:
    persons = MemoryPersons()
    app = an_app(persons)
    for response in (
        ask(app, f"/me?{asked}"),
        ask(app, f"/me/export?{asked}"),
        send(app, asked, do="off"),
        send(app, asked, do="erase", sure="yes"),
    ):
        assert response.status_code == 403
        assert "a mug" not in response.text
    assert persons.said == {}


def test_switches_act_and_lead_back() -> None:
    persons = MemoryPersons()
    app = an_app(persons)
    response = send(app, opened(), do="off")
    assert response.status_code == 303
    assert persons.said == {"shopper-07": "out"}
    back = ask(app, response.headers["location"])
    assert TABLES["en"]["mine.off"] in back.text
    send(app, opened(), do="on")
    assert persons.said == {"shopper-07": "in"}
    send(app, opened(), do="ignore", item="sku-0041")
    assert persons.ignored == {("north", "shopper-07"): ("sku-0041",)}
    assert TABLES["en"]["mine.left_out"] in ask(app, f"/me?{opened()}").text
    send(app, opened(), do="heed", item="sku-0041")
    assert persons.ignored == {("north", "shopper-07"): ()}
    for form, status in (
        ({"do": "fly"}, 400),
        ({"do": "ignore", "item": "none"}, 404),
        ({"do": "erase"}, 400),
    ):
        assert send(app, opened(), **form).status_code == status
    assert persons.said == {"shopper-07": "in"}
    assert send(app, opened(), do="erase", sure="yes").status_code == 303
    assert TABLES["en"]["mine.erased"] in ask(app, f"/me?{opened()}").text


def test_the_data_come_as_a_file() -> None:
    response = ask(an_app(MemoryPersons()), f"/me/export?{opened()}")
    assert "attachment" in response.headers["content-disposition"]
    assert json.loads(response.content)["events"] == [{"kind": "view", "item": "sku-0041"}]


def test_invented_shoppers_are_everybody_s_and_real_ones_are_not() -> None:
    app = an_app(MemoryPersons(), demo=True)
    text = ask(app, "/me?shop=north&user=shopper-07").text
    assert "a mug" in text
    ticket = re.search(r'name="pass" value="([^"]+)"', text)
    assert ticket
    form = urlencode({**FACTS, "pass": ticket[1]})
    assert send(app, form, do="off").status_code == 303
    assert "shopper-" not in ask(app, "/me?shop=north").text
    guides = {"north": a_guide(card=a_card("north", synthetic=False))}
    real = create_app(guides)
    add_pages(real, guides, demo=True, desk=Desk(SECRET, MemoryPersons(), lambda: NOW_S))
    assert ask(real, "/me?shop=north&user=shopper-07").status_code == 403
