"""Every page: no violation of WCAG 2.2 AA by axe, light enough, and nothing asked elsewhere.

Every page is looked at in both languages, light and dark, narrow and wide. The rules are axe-core's
of the tags below; the script is injected by the test, the pages' own policy stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response

from tests.e2e.conftest import Running
from tests.e2e.test_pages import LOOKS, PATHS, a_page

pytestmark = pytest.mark.e2e

RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    },
    "resultTypes": ["violations"],
}
GUIDE_BYTES, CONSOLE_BYTES = 60_000, 90_000
CONSOLE = {
    f"console-{name or 'overview'}": f"/console{'/' if name else ''}{name}"
    for name in (
        "",
        "parties",
        "runs",
        "runs/spring",
        "models",
        "audiences",
        "ads",
        "privacy?verify=1",
        "tasks",
        "audit",
    )
}
EVERY_LOOK = os.environ.get("FEDGUIDE_LOOKS") == "all"
"""``make e2e LOOKS=all``. Otherwise half of the looks, in which every pair of language, scheme and
width occurs: all eight take minutes of two processors."""

JUDGED = [
    (lang, scheme, width)
    for lang, scheme, width in LOOKS
    if EVERY_LOOK or (lang == "zh") ^ (scheme == "light") ^ (width == 390)
]
SHOTS = os.environ.get("FEDGUIDE_SCREENSHOTS")


def sign_in(page: Page, site: str, key: str) -> None:
    page.goto(f"{site}/console")
    page.locator("#key").fill(key)
    page.locator("main button").click()
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize(("lang", "scheme", "width"), JUDGED)
def test_no_page_has_a_violation(
    browser: Browser, running: Running, lang: str, scheme: str, width: int
) -> None:
    axe, found = Axe(), []
    with a_page(browser, running.address, lang=lang, width=width, color_scheme=scheme) as (page, _):
        for name, path in pages_of(page, running):
            page.goto(running.address + path)
            inside = page.evaluate("document.documentElement.scrollWidth")
            assert inside <= width, f"{name} is {inside} px wide"
            keep(page, f"{name}-{lang}-{scheme}-{width}")
            result = axe.run(page, options=RULES)
            found += [
                f"{name}: {one['id']}: {one['nodes'][0]['html'][:160]}"
                for one in result.response["violations"]
            ]
    assert found == []


def pages_of(page: Page, running: Running) -> Iterator[tuple[str, str]]:
    """The guide's pages, the console's door, then its rooms."""
    yield from PATHS.items()
    yield "console-login", "/console"
    sign_in(page, running.address, running.keys["operator"])
    yield from CONSOLE.items()


def test_pages_are_light_and_ask_nobody_else(browser: Browser, running: Running) -> None:
    # Without JavaScript: everything is there already, and nothing is fetched later.
    with a_page(browser, running.address, java_script_enabled=False) as (page, wrong):
        came: list[str] = []

        def note(response: Response) -> None:
            came.append(response.url)

        page.on("response", note)
        for name, path in pages_of(page, running):
            came.clear()
            page.goto(running.address + path, wait_until="networkidle")
            # Asked again to be weighed: the browser forgets a body with its page.
            total = sum(len(page.request.get(url).body()) for url in set(came))
            most = CONSOLE_BYTES if name.startswith("console") else GUIDE_BYTES
            assert 0 < total <= most, f"{name} weighs {total} bytes, at most {most}"
            assert page.locator("h1").count() == 1
        assert wrong == []


def keep(page: Page, name: str) -> None:
    if SHOTS:
        folder = Path(SHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(
            path=folder / f"{name.replace('/', '-').partition('?')[0]}.png", full_page=True
        )
