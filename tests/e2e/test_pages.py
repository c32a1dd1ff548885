"""Real pages in a real browser: both languages, light and dark, narrow and wide.

Screenshots are kept in ``FEDGUIDE_SCREENSHOTS`` when it is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from fedguide.web.words import load_tables

pytestmark = pytest.mark.e2e

TABLES = load_tables()
SHOPPER = "/?shop=north&user=shopper-11"
LOOKS = [
    (lang, scheme, width)
    for lang in ("zh", "en")
    for scheme in ("light", "dark")
    for width in (390, 1280)
]
PATHS = {
    "shops": "/",
    "shoppers": "/?shop=north",
    "guide": SHOPPER,
    "sponsored": "/?shop=南店&user=shopper-11",
    "new": "/?shop=north&user=",
    "search": "/search?shop=north&q=mug",
    "item": "/items/sku-0041?shop=north&user=shopper-11",
    "about": "/about?shop=north",
    "ask": "/ask?shop=north&user=shopper-11&wish=mug+under+500&chip=price%3A100-",
    "mine": "/me?shop=north&user=shopper-11",
    "how": "/how?shop=north",
    "compare": "/compare?shop=north&user=shopper-11&item=sku-0041&item=sku-0043",
}


@contextmanager
def a_page(
    browser: Browser, site: str, *, lang: str = "en", width: int = 1280, **options: Any
) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what went wrong on it: console errors, failures, requests to elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": 860},
        locale="zh-CN" if lang == "zh" else "en-GB",
        **options,
    )
    page, wrong = context.new_page(), []
    page.on("console", lambda line: wrong.append(f"console: {line.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    # The browser drops what it still waits for, such as an icon, when the next page is opened.
    page.on(
        "requestfailed",
        lambda request: (
            None
            if request.failure == "net::ERR_ABORTED"
            else wrong.append(f"failed: {request.url} {request.failure}")
        ),
    )
    page.on(
        "request",
        lambda request: None if request.url.startswith(site) else wrong.append(request.url),
    )
    yield page, wrong
    context.close()


@pytest.mark.parametrize(("lang", "scheme", "width"), LOOKS)
def test_every_page_fits_and_asks_nobody_else(
    browser: Browser, site: str, lang: str, scheme: str, width: int
) -> None:
    with a_page(browser, site, lang=lang, width=width, color_scheme=scheme) as (page, wrong):
        for name, path in PATHS.items():
            page.goto(site + path)
            assert page.locator("html").get_attribute("lang") == ("zh-CN" if lang == "zh" else "en")
            inside = page.evaluate("document.documentElement.scrollWidth")
            assert inside <= width, f"{name} is {inside} px wide"
            _keep(page, f"{name}-{lang}-{scheme}-{width}")
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, site: str, scheme: str) -> None:
    # WCAG 2.2, 1.4.3: 4.5 to 1 for every text, measured against its nearest painted ground.
    with a_page(browser, site, color_scheme=scheme) as (page, _):
        for path in PATHS.values():
            page.goto(site + path)
            assert page.evaluate(CONTRAST) == []


def test_pages_work_without_javascript(browser: Browser, site: str) -> None:
    with a_page(browser, site, java_script_enabled=False) as (page, wrong):
        page.goto(site)
        page.get_by_role("link", name="north").click()
        page.locator(".people a").first.click()
        expect(page.get_by_role("heading", name=TABLES["en"]["discover.title"])).to_be_visible()
        page.locator("details.why summary").first.click()
        expect(page.locator("details.why li").first).to_be_visible()
        page.get_by_role("searchbox").fill("mug")
        page.get_by_role("searchbox").press("Enter")
        expect(page.locator(".card").first).to_contain_text("mug")
        page.locator(".card .face").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("mug")
        page.get_by_role("link", name=TABLES["en"]["item.back"]).click()
        expect(page.get_by_role("heading", name=TABLES["en"]["discover.title"])).to_be_visible()
        assert wrong == []


def test_chips_stack_and_two_items_are_compared_without_javascript(
    browser: Browser, site: str
) -> None:
    with a_page(browser, site, java_script_enabled=False) as (page, wrong):
        page.goto(site + SHOPPER)
        page.get_by_role("textbox", name=TABLES["en"]["ask.label"]).fill("mug")
        page.get_by_role("button", name=TABLES["en"]["ask.button"]).click()
        for stacked in (1, 2):
            # The chip that leaves most, so that there is one more to stack.
            chips = page.locator(".chip:not(.on)")
            counts = [int(one) for one in chips.locator("small").all_inner_texts()]
            count = max(counts)
            chips.nth(counts.index(count)).click()
            expect(page.locator(".chip.on")).to_have_count(stacked)
            expect(page.locator(".card")).to_have_count(min(count, 12))
        page.locator(".chip.on").first.click()
        expect(page.locator(".chip.on")).to_have_count(1)
        titles = page.locator(".card h3").all_inner_texts()[:2]
        for at in range(2):
            page.locator(".choose input").nth(at).check()
        page.get_by_role("button", name=TABLES["en"]["compare.button"]).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(TABLES["en"]["compare.title"])
        assert page.locator(".two h2").all_inner_texts() == titles
        assert wrong == []


def test_the_language_can_be_changed_and_stays(browser: Browser, site: str) -> None:
    with a_page(browser, site) as (page, wrong):
        page.goto(site + SHOPPER)
        page.get_by_role("link", name=TABLES["en"]["lang.other_label"]).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(TABLES["zh"]["guide.title"])
        page.locator(".card .face").first.click()
        expect(page.get_by_role("link", name=TABLES["zh"]["item.back"])).to_be_visible()
        assert wrong == []


def test_the_keyboard_is_enough(browser: Browser, site: str) -> None:
    with a_page(browser, site) as (page, _):
        page.goto(site + SHOPPER)
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name=TABLES["en"]["skip"])
        expect(skip).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.press("Escape")
        page.locator("details.why summary").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("details.why[open]")).to_have_count(1)
        page.locator("details.why summary").nth(1).press("Enter")
        expect(page.locator("details.why[open]")).to_have_count(1)


def test_a_narrow_page_is_no_longer_than_it_must_be(browser: Browser, site: str) -> None:
    with a_page(browser, site, width=390) as (page, _):
        page.goto(site + SHOPPER)
        small = page.evaluate(
            "[...document.querySelectorAll('a, button, summary, input:not([type=hidden])')]"
            ".filter(e => e.offsetParent && !e.closest('p, dd, li.row, .known, .skip'))"
            ".filter(e => e.getBoundingClientRect().height < 24).map(e => e.outerHTML)"
        )
        # WCAG 2.2, 2.5.8: what can be touched is at least 24 px high.
        assert small == []


def _keep(page: Page, name: str) -> None:
    folder = os.environ.get("FEDGUIDE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const [r, g, b] = color.map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgb(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.offsetParent || element.closest("svg, .hidden, .skip")) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color).slice(0, 3)),
      light(ground(element).slice(0, 3))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.className} ${element.textContent}`);
  }
  return poor;
}"""
