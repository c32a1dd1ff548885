"""The pages: what they show, in both languages, and that no text of a shop is ever code."""

from __future__ import annotations

import dataclasses
import html
import re
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from fedguide.api.app import create_app
from fedguide.guide import engine
from fedguide.guide.engine import Guide
from fedguide.web.pages import add_pages
from fedguide.web.respond import SECURITY_HEADERS
from fedguide.web.words import load_tables
from tests.api.asking import ask
from tests.guide.sample import a_card, a_guide, a_model

TABLES = load_tables()
HOSTILE = "\"><script>alert('x')</script><img src=x onerror=alert(1)>{{1234*4321}}"


def an_app(*guides: Guide, demo: bool = True, lang: str = "en") -> object:
    named = {guide.shop: guide for guide in guides}
    app = create_app(named)
    add_pages(app, named, lang="zh" if lang == "zh" else "en", demo=demo)
    return app


NORTH, SOUTH = a_guide(card=a_card("north")), a_guide(card=a_card("南店"))
APP = an_app(NORTH, SOUTH)
SHOPPER = "/?shop=north&user=shopper-07"
PAGES = [
    "/",
    "/?shop=north",
    SHOPPER,
    "/?shop=north&user=nobody",
    "/?shop=north&user=",
    "/search?shop=north&q=mug",
    "/search?shop=north&q=",
    "/items/sku-0000?shop=north&user=shopper-07",
    "/items/sku-0005?shop=north",
    "/about?shop=north",
    "/ask?shop=north",
    "/ask?shop=north&user=shopper-07&wish=red+mug+under+400&chip=price:100-",
    "/ask?shop=north&wish=mug+under+1",
    "/compare?shop=north&item=sku-0001&item=sku-0041&user=shopper-07",
    "/nowhere",
]


class Sound(HTMLParser):
    """Checks that tags close in order and gathers ids, addresses and inline code."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})
    SVG_VOID = frozenset({"path", "circle", "rect", "use", "ellipse", "polygon", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "action"):
                self.addresses.append(value or "")
            if name == "style" or name.startswith("on"):
                self.forbidden.append(name)
        if tag not in self.VOID | self.SVG_VOID:
            self.open.append(tag)
        if tag in ("img", "iframe", "style"):
            self.forbidden.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag


def read(response: httpx.Response) -> Sound:
    page = Sound()
    page.feed(response.text)
    assert not page.open
    return page


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_every_page_is_sound_small_and_closed_to_the_outside(path: str, lang: str) -> None:
    response = ask(APP, path, accept_language=lang)
    assert response.status_code == (404 if path == "/nowhere" else 200)
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-language"] == lang
    assert f'<html lang="{lang}">' in response.text
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    assert "'unsafe" not in response.headers["content-security-policy"]
    assert len(response.content) <= 60_000
    page = read(response)
    assert not page.forbidden
    assert len(page.ids) == len(set(page.ids))
    assert all(re.match(r"^(/(?!/)|#)", address) for address in page.addresses)


@pytest.mark.parametrize("path", PAGES[:-1])
def test_every_link_of_a_page_leads_somewhere(path: str) -> None:
    for address in set(read(ask(APP, path)).addresses):
        if address.startswith("#"):
            continue
        assert ask(APP, address).status_code == 200, address


def test_the_guide_shows_what_the_engine_says() -> None:
    text = ask(APP, SHOPPER).text
    for slate, count in (("again", 6), ("discover", 12)):
        picks = engine.recommend(NORTH, "shopper-07", count, slate).picks
        assert picks
        for pick in picks:
            assert (pick.title or pick.item_id) in text
    assert TABLES["en"]["again.title"] in text
    assert TABLES["en"]["discover.title"] in text
    percents = re.findall(r'<rect width="(\d+)"', text)
    assert percents
    assert all(1 <= int(percent) <= 100 for percent in percents)


def test_a_new_visitor_sees_best_sellers_and_is_told_so() -> None:
    text = html.unescape(ask(APP, "/?shop=north&user=nobody").text)
    assert TABLES["en"]["popular.lead"] in text
    assert TABLES["en"]["again.title"] not in text
    assert TABLES["en"]["known.title"] not in text


def test_the_footer_of_facts_comes_from_the_model_card() -> None:
    text = ask(APP, SHOPPER).text
    assert "25.6 MB in 12 rounds" in text
    assert "no differential privacy in this release" in text
    alone = a_guide(card=dataclasses.replace(a_card("solo"), rounds=0, shops=("solo",)))
    text = ask(an_app(alone), "/?user=shopper-07").text
    assert "none: trained alone" in text
    assert TABLES["en"]["tagline"] not in text
    for slate, said in (("together", True), ("alone", False)):
        kept = {"again": slate, "discover": "alone"}
        half = a_guide(card=dataclasses.replace(a_card("half"), chosen=kept))
        assert (TABLES["en"]["tagline"] in ask(an_app(half), "/?user=shopper-07").text) is said
    unknown = a_guide(card=dataclasses.replace(a_card("solo"), bytes_sent=None))
    assert "not recorded" in ask(an_app(unknown), "/?user=shopper-07").text


def test_synthetic_data_are_marked_and_real_ones_are_not() -> None:
    real = a_guide(card=a_card("real", synthetic=False))
    for lang in ("zh", "en"):
        banner = TABLES[lang]["synthetic"]
        assert banner in ask(APP, SHOPPER, accept_language=lang).text
        assert banner not in ask(an_app(real), "/?user=x", accept_language=lang).text


def test_shoppers_are_listed_only_in_a_demonstration() -> None:
    assert "shopper-" in ask(APP, "/?shop=north").text
    assert "shopper-" not in ask(an_app(NORTH, SOUTH, demo=False), "/?shop=north").text


@pytest.mark.parametrize(
    "path", ["/items/sku-0000", "/?user=shopper-07", "/search?q=sku", "/about"]
)
def test_a_hostile_title_is_only_text(path: str) -> None:
    model = a_model()
    columns = model.catalogue
    hostile = dataclasses.replace(
        columns,
        titles=(HOSTILE,) * len(columns),
        brands=(HOSTILE,) * len(columns),
        categories=(HOSTILE,) * len(columns),
    )
    card = dataclasses.replace(a_card(HOSTILE), shops=(HOSTILE,))
    guide = a_guide(model=dataclasses.replace(model, catalogue=hostile), card=card)
    response = ask(an_app(guide), path)
    assert response.status_code == 200
    assert "&lt;script&gt;alert" in response.text
    assert "<script>" not in response.text
    assert "{{1234*4321}}" in response.text
    assert "5332114" not in response.text
    assert not read(response).forbidden


@pytest.mark.parametrize("name", ["user", "shop", "q", "lang"])
@pytest.mark.parametrize("path", ["/", "/search", "/items/x", "/about"])
def test_a_hostile_address_is_only_text(path: str, name: str) -> None:
    asked = {"shop": "north", name: HOSTILE}
    query = "&".join(f"{key}={quote(value)}" for key, value in asked.items())
    response = ask(APP, f"{path}?{query}")
    assert response.status_code in (200, 400, 404)
    assert "<script>" not in response.text
    assert not read(response).forbidden


def test_the_language_is_asked_for_and_remembered() -> None:
    response = ask(APP, f"{SHOPPER}&lang=zh", accept_language="en")
    assert TABLES["zh"]["discover.title"] in response.text
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("fedguide_lang=zh")
    assert "HttpOnly" in cookie
    again = ask(APP, SHOPPER, accept_language="en", cookie="fedguide_lang=zh")
    assert TABLES["zh"]["discover.title"] in again.text
    assert "set-cookie" not in again.headers
    plain = ask(an_app(NORTH, lang="zh"), "/?user=shopper-07", accept_language="fr")
    assert TABLES["zh"]["discover.title"] in plain.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?shop=west", 404),
        ("/items/none?shop=north", 404),
        ("/items/sku-0000", 404),
        (f"/?shop=north&user={'x' * 201}", 400),
        (f"/search?shop=north&q={'x' * 201}", 400),
        ("/nowhere", 404),
    ],
)
def test_errors_are_pages_in_the_visitor_s_language(path: str, status: int) -> None:
    for lang in ("zh", "en"):
        response = ask(APP, path, accept_language=lang)
        assert response.status_code == status
        assert TABLES[lang]["error.title"] in response.text


def test_a_defect_is_a_page_without_its_text() -> None:
    def broken() -> int:
        raise ValueError("shopper-07 lives at 1 Secret Road")

    response = ask(an_app(dataclasses.replace(NORTH, today=broken)), "/?user=shopper-07")
    assert response.status_code == 500
    assert TABLES["en"]["error.FG900"] in response.text
    assert "Secret" not in response.text


def test_the_api_keeps_its_own_errors() -> None:
    for path, status in (("/api/v1/nothing", 404), ("/api/v1/guide?shop=none", 405)):
        response = ask(APP, path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


def test_static_files() -> None:
    assert ask(APP, "/static/style.css").headers["content-type"].startswith("text/css")
    assert ask(APP, "/static/none.css").status_code == 404
    assert ask(APP, "/static/..%2Fpages.py").status_code == 404
