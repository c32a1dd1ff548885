"""Prices, times and sizes as people read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest

from fedguide.guide.answers import Because, Pick
from fedguide.web.art import load_drawings
from fedguide.web.view import Setting, address, ago, card, price_of, size_of
from fedguide.web.words import load_tables, say
from tests.guide.sample import LAST_DAY, a_card, a_guide

DRAWINGS, TABLES = load_drawings(), load_tables()


def a_setting(*, clocked: bool = True, currency: str = "CNY") -> Setting:
    guide = a_guide(card=dataclasses.replace(a_card(), clocked=clocked, currency=currency))
    words: Callable[..., str] = partial(say, TABLES, "en")
    return Setting(guide, "u", words, DRAWINGS)


@pytest.mark.parametrize(
    ("price", "currency", "shown"),
    [
        (399.0, "CNY", "¥399.00"),
        (12.75, "GBP", "£12.75"),
        (1234.5, "USD", "$1,234.50"),
        (8.0, "SEK", "8.00 SEK"),
        (8.0, "", "8.00"),
        (None, "CNY", "No price"),
    ],
)
def test_prices(price: float | None, currency: str, shown: str) -> None:
    assert price_of(a_setting(currency=currency), price) == shown


@pytest.mark.parametrize(
    ("past", "clocked", "shown"),
    [
        (0, True, "today"),
        (1, True, "a day ago"),
        (30, True, "30 days ago"),
        (-5, True, "today"),
        (1, False, "one visit ago"),
        (4, False, "4 visits ago"),
    ],
)
def test_how_long_ago(past: int, clocked: bool, shown: str) -> None:
    assert ago(a_setting(clocked=clocked), LAST_DAY + 1 - past) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (25_584_000, "25.6 MB"),
        (3 * 10**12, "3000.0 GB"),
    ],
)
def test_sizes(size: int, shown: str) -> None:
    assert size_of(size) == shown


def test_addresses_leave_out_what_is_empty() -> None:
    assert address("/", shop="南 店", user="") == "/?shop=%E5%8D%97+%E5%BA%97"
    assert address("/") == "/"


def a_pick(because: Because) -> Pick:
    return Pick("sku-1", "Mug", "", "", 1.0, 1.0, 1, "personal", "again", (because,))


@pytest.mark.parametrize(
    ("because", "sentence"),
    [
        (
            Because("buy", "sku-1", "Mug", "", 1.0, 0.5, 3, LAST_DAY - 4),
            "You bought this 3 times, last 5 days ago",
        ),
        (
            Because("buy", "sku-1", "Mug", "", 1.0, 0.5, 1, LAST_DAY),
            "You bought this a day ago",
        ),
        (
            Because("view", "sku-2", "Cup", "", 1.0, 0.5, 1, LAST_DAY),
            "Because you looked at “Cup”",
        ),
        (
            Because("search", "", "", "red mug", 1.0, 0.5, 1, LAST_DAY),
            "Because you searched for “red mug”",
        ),
        (
            Because("ad_click", "sku-2", "", "", 1.0, 0.5, 1, LAST_DAY),
            "Because you tapped an ad for “sku-2”",
        ),
    ],
)
def test_reasons_in_words(because: Because, sentence: str) -> None:
    shown = card(a_setting(), a_pick(because))
    assert shown.lead == sentence
    assert shown.reasons[0].percent == 50
