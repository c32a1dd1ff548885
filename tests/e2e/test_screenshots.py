"""The pictures of the two READMEs, taken from the served market; each still shows what it claims.

``make screenshots`` writes them into docs/images (``FEDGUIDE_PICTURES`` names the folder).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Running
from tests.e2e.test_accessibility import sign_in
from tests.e2e.test_pages import TABLES, a_page

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SHOPPER = "shop=north&user=shopper-11"
WISH = "500 以内的越野跑鞋，不要红色"


@dataclass(frozen=True)
class Picture:
    """A page as a README shows it: its address, language and height at 1180 px."""

    path: str
    lang: str
    height: int


PICTURES = {
    "guide-en": Picture(f"/?{SHOPPER}", "en", 980),
    "guide-zh": Picture(f"/?{SHOPPER}", "zh", 980),
    "ask-zh": Picture(f"/ask?{SHOPPER}&wish={WISH}", "zh", 1120),
    "ask-en": Picture(f"/ask?{SHOPPER}&wish=trail shoes under 500, not red", "en", 1120),
    "console-en": Picture("/console", "en", 860),
    "console-zh": Picture("/console", "zh", 860),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_what_it_claims(browser: Browser, running: Running, name: str) -> None:
    picture = PICTURES[name]
    with a_page(browser, running.address, lang=picture.lang, width=1180) as (page, wrong):
        page.set_viewport_size({"width": 1180, "height": picture.height})
        if picture.path == "/console":
            sign_in(page, running.address, running.keys["operator"])
        page.goto(running.address + picture.path)
        page.wait_for_load_state("networkidle" if picture.path != "/console" else "load")
        {"guide": _guide, "ask": _ask, "console": _console}[name[:-3]](page, picture)
        folder = os.environ.get("FEDGUIDE_PICTURES")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")
        assert wrong == []


def test_the_readmes_show_these_pictures_and_no_others() -> None:
    shown = set()
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text("utf-8")
        shown |= set(re.findall(r"docs/images/([\w-]+)\.png", text))
    there = {path.stem for path in (ROOT / "docs" / "images").glob("*.png")}
    assert shown == there == set(PICTURES)


def _guide(page: Page, picture: Picture) -> None:
    """Both slates, and reasons that name something of the shopper's history."""
    say = TABLES[picture.lang]
    for title in ("discover.title", "again.title"):
        expect(page.get_by_role("heading", name=say[title])).to_be_visible()
    assert page.locator(".card .art").count() == page.locator(".card").count() >= 6
    assert page.locator(".card details.why").count() >= 3


def _ask(page: Page, _picture: Picture) -> None:
    """The wish, chips to narrow it with, and items that fulfil it, some within the picture."""
    assert page.locator(".chip").count() >= 4
    titles = page.locator(".card h3").all_inner_texts()
    assert len(titles) >= 8
    assert all("越野跑鞋" in title and "红色" not in title for title in titles)
    prices = page.locator(".card .price").all_inner_texts()
    assert all(float(price.strip("¥").replace(",", "")) <= 500 for price in prices)
    expect(page.locator(".card h3").first).to_be_in_viewport()


def _console(page: Page, picture: Picture) -> None:
    """The overview with its figures."""
    expect(page.locator("h1")).to_have_text(TABLES[picture.lang]["console.overview"])
    assert page.locator(".tiles li").count() >= 4
    assert page.locator("svg.chart").count() >= 1
