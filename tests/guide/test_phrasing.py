"""Sentences say what was understood, with the engine's figures and no others."""

from __future__ import annotations

import math

import pytest

from fedguide.guide import phrasing
from fedguide.guide.asked import Relax
from fedguide.guide.grammar import understand
from fedguide.guide.wish import Wish
from tests.guide.other_shops import clothes, electronics, guide_over

GADGETS, CLOTHES = guide_over(electronics()).words(), guide_over(clothes()).words()


@pytest.mark.parametrize(
    ("amount", "text"), [(500.0, "500"), (1299.5, "1,299.5"), (0.05, "0.05"), (19.999, "20")]
)
def test_a_figure_has_no_needless_decimals(amount: float, text: str) -> None:
    assert phrasing.figure(amount) == text


@pytest.mark.parametrize(
    ("wish", "zh", "en"),
    [
        (Wish(at_most=200.0), "200 以内", "up to 200"),
        (Wish(at_least=200.0), "200 以上", "200 or more"),
        (Wish(at_least=100.0, at_most=200.0), "100–200", "100–200"),
        (
            Wish(at_least=80.0, at_most=120.0, about=100.0),
            "100 左右 (80–120)",
            "around 100 (80–120)",
        ),
    ],
)
def test_a_price_in_both_languages(wish: Wish, zh: str, en: str) -> None:
    assert (phrasing.price_label(wish, "zh"), phrasing.price_label(wish, "en")) == (zh, en)


def test_every_constraint_is_shown_in_the_words_of_the_shopper() -> None:
    wish = understand(GADGETS, "cheapest ivory or crimson soundbar under 200, not Kestrel")
    shown = phrasing.understood(wish, "en")
    assert [(one.kind, one.label) for one in shown] == [
        ("want", "ivory or crimson"),
        ("want", "soundbar"),
        ("refuse", "not kestrel"),
        ("price", "up to 200"),
        ("sort", "cheapest first"),
    ]
    chinese = phrasing.understood(understand(CLOTHES, "最贵的衬衫，不要米色，三百以内"), "zh")
    assert [one.label for one in chinese] == ["衬衫", "不要米色", "300 以内", "价格从高到低"]


def test_a_constraint_of_a_chip_says_which() -> None:
    wish = Wish(wants=understand(GADGETS, "silent ivory").wants, at_most=200.0)
    chips = ("price:-200", "feature:ivory")
    shown = phrasing.understood(wish, "en", chips)
    assert [(one.label, one.chip) for one in shown] == [
        ("silent", ""),
        ("ivory", "feature:ivory"),
        ("up to 200", "price:-200"),
    ]


def test_sentences_of_every_outcome() -> None:
    shown = phrasing.understood(understand(GADGETS, "silent soundbar"), "en")
    assert phrasing.sentence(shown, (), "en", total=1) == "silent, soundbar: 1 item found."
    assert phrasing.sentence(shown, (), "zh", total=7) == "silent，soundbar：找到 7 件。"
    nothing = phrasing.sentence(shown, (), "en", total=0, relax=(Relax(("silent",), 9),))
    assert nothing == (
        'Nothing fits all of: silent, soundbar. Without "silent": 9. These come nearest.'
    )
    assert phrasing.sentence(shown, (), "en", total=0).startswith("Nothing fits:")
    unknown = phrasing.sentence((), ("spoon",), "en", total=9)
    assert "No constraint was understood" in unknown
    assert '"spoon" is not in this shop\'s words' in unknown
    assert "勺" in phrasing.sentence(shown, ("勺",), "zh", total=1)


def test_a_slip_and_a_strange_currency_are_noted() -> None:
    wish = understand(GADGETS, "turntabel under $200")
    assert phrasing.notes(wish, "en", "EUR") == (
        '"turntabel" was read as "turntable"',
        "You named USD, prices here are in EUR; the amount was not converted",
    )
    assert phrasing.notes(wish, "zh", "USD") == ("“turntabel”按“turntable”理解",)
    assert phrasing.notes(understand(GADGETS, "soundbar"), "en", "") == ()


def test_no_bound_is_shown_that_is_not_there() -> None:
    assert not [one for one in phrasing.understood(Wish(), "en") if one.kind == "price"]
    (price,) = phrasing.understood(Wish(at_least=5.0), "en")
    assert (price.at_least, price.at_most) == (5.0, None)
    assert math.isinf(Wish(at_least=5.0).at_most)
