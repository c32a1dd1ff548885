"""No figure of the console is decoration: with other rows in its store every one is another.

For each store beside the server one of the same names and other values is put in its place. Then
every figure on the parts of pages it feeds must have changed, but for names of rows and axes.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from fedguide.cli.ad_desk import now
from fedguide.guide.ad_book import AdBook
from tests.e2e.conftest import Running
from tests.e2e.test_accessibility import sign_in
from tests.e2e.test_pages import a_page
from tests.office.home import RUN, fill_home

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Part:
    """A part of a page that a store feeds.

    Attributes:
        folder: of the home; the store.
        page: under ``/console``.
        inside: selector of the part.
        least: how many figures it has at least.
        same: what stays as it is, being the name of a row or of an axis.
    """

    folder: str
    page: str
    inside: str
    least: int
    same: str = r"(?!)"


PARTS = (
    Part("hub", "", ".tiles li:nth-child(1), [aria-labelledby=who]", 2),
    Part("hub", "/parties", "main section", 4),
    Part("driver", "", "[aria-labelledby=latest]", 15, r"\d"),
    Part("driver", "/runs", f"tr:has([href$='{RUN}'])", 3),
    Part("driver", f"/runs/{RUN}", "main section", 30, r"\d"),
    Part("party", "/tasks", "main section", 1),
    Part("privacy", "", ".tiles li:nth-child(3), [aria-labelledby=budget]", 3),
    Part("privacy", "/privacy?verify=1", "main section", 8, r"\d"),
    Part("runs", "/models", "main section", 6, "NDCG@10"),
    Part("audiences", "/audiences", "main section", 15, r"\d|0-0\.5|0\.5-1|.*95 %"),
    Part("ads/released", "/ads", "[aria-label^='What has left']", 6, r"95 %|ad-\d"),
)

FIGURES = """(inside) => [...document.querySelectorAll(inside)]
  .flatMap((part) => [...part.querySelectorAll("*")])
  .filter((one) => !one.children.length || one.hasAttribute("aria-label"))
  .map((one) => one.getAttribute("aria-label") || one.textContent.trim())
  .filter((text) => /[0-9]/.test(text))"""


@pytest.fixture(scope="module")
def homes(running: Running, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two homes of the same names and other values, signed by the served one's keys."""
    made = (tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other"))
    for turn, home in enumerate(made):
        shutil.copytree(running.home / "keys", home / "keys")
        fill_home(home, turn)
    return made


def test_every_figure_follows_its_store(
    browser: Browser, running: Running, homes: tuple[Path, Path]
) -> None:
    with a_page(browser, running.address, java_script_enabled=False) as (page, wrong):
        sign_in(page, running.address, running.keys["auditor"])
        still = []
        for part in PARTS:
            shown = []
            for home in homes:
                with exchanged(running.home / part.folder, home / part.folder):
                    shown.append(figures(page, running, part))
            before, after = shown
            assert len(before) == len(after) >= part.least, part
            same = [a for a, b in zip(before, after, strict=True) if a == b]
            drawn = [text for text in same if not re.fullmatch(part.same, text)]
            still += [f"{text!r} on {part.page or '/'} of {part.folder}" for text in drawn]
        assert still == []
        assert wrong == []


def test_orders_follow_the_book(browser: Browser, running: Running) -> None:
    with a_page(browser, running.address, java_script_enabled=False) as (page, _):
        sign_in(page, running.address, running.keys["auditor"])
        orders = "[aria-label^='Today'] tbody tr:first-child td"
        before = cells(page, running, "/ads", orders)
        with AdBook(running.home / "ads" / "南店.db") as book:
            for number in range(3):
                book.note(f"test-{number}", "ad-0", "", now().day, 1, 40)
            book.click("test-0")
        after = cells(page, running, "/ads", orders)
        assert [int(b) - int(a) for a, b in zip(before[3:5], after[3:5], strict=True)] == [3, 1]
        spent = [float(texts[5].split(" / ")[0]) for texts in (before, after)]
        assert spent[1] - spent[0] == pytest.approx(0.40)


SEEN = "UPDATE parties SET seen_s = strftime('%s', 'now')"
TILES = (
    ("hub", "hub.db", (SEEN, "UPDATE parties SET seen_s = NULL"), 0),
    ("driver", "driver.db", ("UPDATE runs SET stop = 0", "DELETE FROM runs"), 1),
    (
        "party",
        "party.db",
        ("UPDATE tasks SET decision = 'waiting'", "UPDATE tasks SET decision = 'refused'"),
        3,
    ),
)
"""Folder and database, two states of it, and the tile that tells them apart."""


def test_the_tiles_count_rows(
    browser: Browser, running: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with a_page(browser, running.address, java_script_enabled=False) as (page, _):
        sign_in(page, running.address, running.keys["auditor"])
        for folder, database, statements, tile in TILES:
            shown = []
            for statement in statements:
                copy = tmp_path_factory.mktemp(folder) / folder
                shutil.copytree(running.home / folder, copy)
                with sqlite3.connect(copy / database) as db:
                    db.execute(statement)
                db.close()
                with exchanged(running.home / folder, copy):
                    shown.append(cells(page, running, "", ".tiles b"))
            assert {at for at in range(5) if shown[0][at] != shown[1][at]} == {tile}, shown
        before = cells(page, running, "", ".tiles b")
        fewer = tmp_path_factory.mktemp("none")
        with exchanged(running.home / "runs", fewer):
            assert cells(page, running, "", ".tiles b")[4] != before[4]


def test_evidence_and_its_verdict_follow_the_ledger(
    browser: Browser, running: Running, homes: tuple[Path, Path]
) -> None:
    with a_page(browser, running.address, java_script_enabled=False) as (page, _):
        sign_in(page, running.address, running.keys["auditor"])
        said = []
        for home in homes:
            with exchanged(running.home / "privacy", home / "privacy"):
                said.append(_verdict(page, running))
        assert said[0] != said[1]
        assert all("holds" in text for text in said)


def test_the_guide_follows_events(browser: Browser, running: Running) -> None:
    with a_page(browser, running.address, java_script_enabled=False) as (page, _):
        path = f"{running.address}/?shop=north&user=shopper-09"
        page.goto(path)
        before = page.locator(".known li").all_inner_texts()
        events = [
            {"id": f"figures-{n}", "user": "shopper-09", "kind": "buy", "item": "sku-0033"}
            for n in range(3)
        ]
        answer = page.request.post(
            f"{running.address}/api/v1/events?shop=north",
            data={"events": events},
            headers={"authorization": f"Bearer {running.keys['shop']}"},
        )
        assert answer.ok
        page.goto(path)
        assert page.locator(".known li").all_inner_texts()[3:] == before[:-3]
        expect(page.locator(".rows li").first).to_contain_text("You bought this 3 times")


def _verdict(page: Page, running: Running) -> str:
    """Takes the evidence along and pastes it in again."""
    page.goto(f"{running.address}/console/audit")
    link = page.locator("a[download]").get_attribute("href")
    evidence = page.request.get(f"{running.address}{link}").text()
    page.locator("#evidence").fill(evidence)
    page.locator("form:has(#evidence) button").click()
    return page.locator(".verdict").inner_text()


def figures(page: Page, running: Running, part: Part) -> Sequence[str]:
    page.goto(f"{running.address}/console{part.page}")
    return page.evaluate(FIGURES, part.inside)


def cells(page: Page, running: Running, path: str, inside: str) -> Sequence[str]:
    page.goto(f"{running.address}/console{path}")
    return page.locator(inside).all_inner_texts()


@contextmanager
def exchanged(here: Path, there: Path) -> Iterator[None]:
    """Another folder in the place of one."""
    aside = here.with_name(f"{here.name}.aside")
    here.rename(aside)
    shutil.copytree(there, here)
    try:
        yield
    finally:
        shutil.rmtree(here)
        aside.rename(here)
