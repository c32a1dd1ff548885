"""Every figure of the console is a row of a database: a changed row is a changed page, live too."""

from __future__ import annotations

import sqlite3

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Running
from tests.e2e.test_accessibility import sign_in
from tests.e2e.test_pages import a_page
from tests.office.home import RUN, TASK, put_rounds, settings_of

pytestmark = pytest.mark.e2e


def test_a_changed_row_is_a_changed_page(browser: Browser, running: Running) -> None:
    with a_page(browser, running.address, java_script_enabled=False) as (page, wrong):
        sign_in(page, running.address, running.keys["operator"])
        page.goto(f"{running.address}/console/parties")
        expect(page.locator("tbody tr")).to_have_count(3)
        changed(running, "hub/hub.db", "UPDATE parties SET status = 'revoked' WHERE party = 'west'")
        page.reload()
        expect(page.locator("tbody tr").nth(2)).to_contain_text("revoked")
        page.goto(f"{running.address}/console/tasks")
        page.get_by_role("button", name=f"Approve {TASK}").click()
        expect(page.locator("h2")).to_contain_text("approved")
        page.goto(f"{running.address}/console/runs/{RUN}")
        changed(running, "driver/driver.db", "UPDATE runs SET status = 'stopped', detail = 'tea'")
        page.reload()
        expect(page.locator("main")).to_contain_text("stopped tea")
        changed(running, "driver/driver.db", "UPDATE runs SET status = 'running', detail = ''")
        assert wrong == []


def test_a_new_round_appears_by_itself(browser: Browser, running: Running) -> None:
    with a_page(browser, running.address) as (page, _):
        sign_in(page, running.address, running.keys["auditor"])
        page.goto(f"{running.address}/console/runs/{RUN}")
        rows = page.locator("tbody tr")
        before = rows.count()
        put_rounds(settings_of(running.home), before + 1)
        expect(rows).to_have_count(before + 1, timeout=30_000)
        expect(rows.first).to_contain_text(f"{3 / (before + 1):.4f}")


def changed(running: Running, database: str, statement: str) -> None:
    with sqlite3.connect(running.home / database) as db:
        db.execute(statement)
    db.close()
