"""The console's page of audiences: every figure is the report's, escaped, and nobody's id."""

from __future__ import annotations

import copy

import pytest

from fedguide.api.app import create_app
from fedguide.office.desk import Desk
from fedguide.web.pages import add_pages
from tests.office.memory import HOSTILE, NOW_S, MemoryOffice
from tests.office.rights import MemoryPersons
from tests.web.test_console import GUIDES, Console, Keys
from tests.web.test_pages import read

REPORT = {
    "name": f"spring {HOSTILE}",
    "made": "2026-11-26 14:50",
    "shop": "north",
    "synthetic": True,
    "target": "buy",
    "days": 30,
    "category": "Kitchen",
    "partners": ["payment"],
    "tested": {
        "shoppers": 5593,
        "rate": 0.498,
        "auc": [0.644, 0.63, 0.659],
        "calibration_error": 0.035,
        "lift": [
            {"group": 1, "lift": [1.58, 1.51, 1.64]},
            {"group": 2, "lift": [0.42, 0.4, 0.5]},
        ],
        "common": {"shoppers": 3570, "difference": [0.005, -0.006, 0.016]},
    },
    "counts": {
        "cells": ["0-0.5", "0.5-1"],
        "values": [12, 1840],
        "floor": 50,
        "epsilon": 0.25,
        "scale": 4.0,
        "ledger_record": 7,
    },
    "chosen": {"shoppers": 2000, "eligible": 5716, "expected": 1411.0},
}


@pytest.fixture
def reports():
    return [copy.deepcopy(REPORT)]


@pytest.fixture
def console(reports):
    app, office, keys = create_app(GUIDES), MemoryOffice(), Keys()
    desk = Desk(bytes(32), MemoryPersons(), lambda: NOW_S, keys, office, lambda: reports)
    add_pages(app, GUIDES, desk=desk)
    return Console(app, office, keys)


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_the_page_shows_the_report_and_follows_it(console, reports, lang):
    response = console.get("/console/audiences", accept_language=lang)
    assert response.status_code == 200
    page = read(response)
    assert not page.forbidden
    assert "<script>alert" not in response.text
    for figure in ("0.644 [0.630, 0.659]", "5,593", "49.8%", ">1.58<", "1,840", "&lt;50", "2,000"):
        assert figure in response.text, figure
    assert "+0.005 [-0.006, +0.016]" in response.text
    assert ">12<" not in response.text
    reports[0]["tested"]["auc"] = [0.711, 0.7, 0.72]
    assert "0.711 [0.700, 0.720]" in console.get("/console/audiences").text
    reports.clear()
    assert "fedguide audience build" in console.get("/console/audiences").text


def test_partners_that_do_not_rank_the_list_are_said_to_be_unused(console, reports):
    assert "not used" not in console.get("/console/audiences").text
    reports[0]["tested"]["common"]["kept"] = False
    assert "payment (not used" in console.get("/console/audiences").text


def test_an_estimate_without_partners_or_list_is_shown_too(console, reports):
    del reports[0]["chosen"], reports[0]["tested"]["common"]
    response = console.get("/console/audiences")
    assert response.status_code == 200
    assert "payment" not in response.text
