"""The console: closed without a key, auditors look, operators decide, figures are the rows'."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from fedguide.api.app import create_app
from fedguide.errors import NotAuthorizedError
from fedguide.office.desk import Desk
from fedguide.office.federation import RoundRow
from fedguide.web.console import PAGES
from fedguide.web.pages import add_pages
from fedguide.web.session import COOKIE
from fedguide.web.words import load_tables
from tests.api.asking import ask
from tests.api.posting import post
from tests.guide.sample import a_card, a_guide
from tests.office.memory import NOW_S, MemoryOffice
from tests.office.rights import MemoryPersons
from tests.web.test_pages import read

TABLES = load_tables()
GUIDES = {"north": a_guide(card=a_card("north"))}


class Keys:
    """One key of each role, and whether it still counts."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    def check(self, text: str) -> SimpleNamespace:
        if text not in ("operator", "auditor", "shop") or text in self.gone:
            raise NotAuthorizedError("the key is not accepted")
        return SimpleNamespace(id=text, name=f"the {text}", role=text)

    def still(self, key_id: str) -> SimpleNamespace | None:
        return None if key_id in self.gone else self.check(key_id)


@dataclasses.dataclass(frozen=True)
class Console:
    app: FastAPI
    office: MemoryOffice
    keys: Keys

    def sign_in(self, key: str) -> httpx.Response:
        return post(self.app, "/console/login", urlencode({"key": key}).encode())

    def cookie(self, key: str) -> str:
        said = self.sign_in(key).headers["set-cookie"]
        return said.split(";")[0]

    def get(self, path: str, key: str = "operator", **headers: str) -> httpx.Response:
        return ask(self.app, path, cookie=self.cookie(key), **headers)

    def send(self, path: str, key: str = "operator", **form: str) -> httpx.Response:
        cookie = self.cookie(key)
        shown = ask(self.app, "/console/audit", cookie=cookie).text
        token = re.search(r'name="token" value="(\w+)"', shown)
        assert token
        fields = {"token": token[1], **form}
        return post(self.app, path, urlencode(fields).encode(), cookie=cookie)


@pytest.fixture
def console() -> Console:
    app, office, keys = create_app(GUIDES), MemoryOffice(), Keys()
    desk = Desk(bytes(32), MemoryPersons(), lambda: NOW_S, keys, office)
    add_pages(app, GUIDES, desk=desk)
    return Console(app, office, keys)


PATHS = [path.replace("{run}", "spring") for path in PAGES] + ["/console/privacy?verify=1"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_every_page_is_sound_small_and_escaped(console: Console, path: str, lang: str) -> None:
    response = console.get(path, accept_language=lang)
    assert response.status_code == 200
    assert len(response.content) <= 60_000
    page = read(response)
    assert not page.forbidden
    assert len(page.ids) == len(set(page.ids))
    assert "<script>alert" not in response.text
    assert all(re.match(r"^(/(?!/)|#)", address) for address in page.addresses)
    links = {a for a in page.addresses if a.startswith("/console") and "log" not in a}
    for address in links:
        assert console.get(address).status_code == 200, address


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_there_is_only_the_form(console: Console, path: str) -> None:
    for headers in ({}, {"cookie": f"{COOKIE}=x.y"}):
        text = html.unescape(ask(console.app, path, **headers).text)
        assert TABLES["en"]["console.login_lead"] in text
        assert "masked_sum" not in text
        assert "north, south" not in text
    for key in ("", "nobody", "shop"):
        response = console.sign_in(key)
        assert response.status_code == 403
        assert "set-cookie" not in response.headers
    assert ask(console.app, "/console/audit/evidence?party=north").status_code == 403
    assert ask(console.app, "/console/runs/spring/stream").status_code == 403


def test_a_session_is_bound_and_ends_with_its_key(console: Console) -> None:
    said = console.sign_in("auditor").headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/console"):
        assert part in said
    cookie = console.cookie("auditor")
    assert "auditor" not in cookie
    assert "spring" in ask(console.app, "/console/runs", cookie=cookie).text
    console.keys.gone.add("auditor")
    assert "spring" not in ask(console.app, "/console/runs", cookie=cookie).text


def test_an_operator_decides_and_an_auditor_looks(console: Console) -> None:
    form = {"do": "refuse", "task": "summer", "reason": "not now"}
    assert console.send("/console/tasks", **form).status_code == 303
    assert console.office.decided == [("summer", False, "not now")]
    assert console.send("/console/tasks", do="approve", task="summer").status_code == 303
    for do in ("promote", "rollback"):
        form = {"do": do, "shop": "north", "version": "winter"}
        assert console.send("/console/models", **form).status_code == 303
        assert console.send("/console/models", "auditor", **form).status_code == 403
    assert console.office.promoted == [("winter", "the operator"), ("rollback", "the operator")]
    assert console.send("/console/tasks", "auditor", do="approve", task="summer").status_code == 403
    assert len(console.office.decided) == 2
    assert console.send("/console/tasks", do="fly").status_code == 400
    text = console.get("/console/tasks", "auditor").text
    assert TABLES["en"]["console.approve"] not in text


def test_a_form_of_another_site_does_nothing(console: Console) -> None:
    fields = {"do": "approve", "task": "summer"}
    cookie = console.cookie("operator")
    for token in ("", "0" * 64, "ü"):
        body = urlencode({**fields, "token": token}).encode()
        assert post(console.app, "/console/tasks", body, cookie=cookie).status_code == 403
    assert console.office.decided == []


def test_a_changed_row_is_a_changed_page(console: Console) -> None:
    shown = html.unescape(console.get("/console").text)
    for text in ("1 / 3", "ε 0.73 / 4", "41", "3 / 12", "183.0 kB", "2 s ago", "2 h ago"):
        assert text in shown, text
    console.office.epsilon, console.office.left = 1.25, 7
    console.office.rounds.append(RoundRow(4, 0.5, 0.04, 9, 1.0, 2, 0, 1, 1, False))
    after = html.unescape(console.get("/console").text)
    for text in ("ε 1.25 / 4", TABLES["en"]["console.forecast"].format(rounds="7"), "4 / 12"):
        assert text in after, text
    assert "0.5000" in console.get("/console/runs/spring").text


def test_evidence_is_taken_along_and_checked(console: Console) -> None:
    taken = console.get("/console/audit/evidence?party=north")
    assert taken.content == b"line 1\nline 2\n"
    assert "attachment" in taken.headers["content-disposition"]
    assert console.get("/console/audit/evidence?party=x").status_code == 404
    good = console.send("/console/audit", evidence="line 1\r\nline 2\r\n")
    assert TABLES["en"]["console.holds"] in good.text
    bad = console.send("/console/audit", evidence="line 1")
    assert TABLES["en"]["console.broken"] in bad.text


def test_a_run_is_streamed_until_it_ends(console: Console) -> None:
    console.office.status = "done"
    response = console.get("/console/runs/spring/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.count("event: round") == 3
    assert response.text.rstrip().endswith('data: {"status": "done", "detail": ""}')
    assert console.get("/console/runs/none/stream").status_code == 404


def test_without_an_office_there_is_no_console() -> None:
    app = create_app(GUIDES)
    add_pages(app, GUIDES, desk=Desk(bytes(32), MemoryPersons()))
    assert ask(app, "/console").status_code == 404


def test_no_template_speaks_a_language_of_its_own() -> None:
    folder = Path(__file__).parents[2] / "src/fedguide/web/templates"
    used = set()
    for path in folder.glob("console*.html"):
        used |= set(re.findall(r't\("([a-zA-Z.]+[a-zA-Z])"[),]', path.read_text("utf-8")))
    assert used
    assert used <= set(TABLES["en"])
