"""Two items side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.compare import compare
from fedguide.guide.session import Event
from tests.guide.other_shops import electronics, guide_over
from tests.guide.sample import a_guide

GUIDE = a_guide()
IDS = GUIDE.release.model.catalogue.ids


def test_where_they_differ_is_what_the_catalogue_says() -> None:
    shop = guide_over(electronics())
    found = compare(shop, "0000", "0007")
    assert [(d.field, d.first, d.second) for d in found.differences] == [
        ("price", f"{found.first.price:g}", f"{found.second.price:g}"),
        ("words", "4k, silent, graphite", "refurbished, bluetooth, ivory"),
    ]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_one_that_suits_has_the_higher_score_and_its_reason_is_the_model_s(lang: str) -> None:
    for other in ("sku-0030", "sku-0055", "sku-0071"):
        found = compare(GUIDE, "sku-0012", other, shopper="shopper-07", lang=lang)
        assert found.source == "personal"
        better, worse = sorted((found.first, found.second), key=lambda p: -p.score)
        assert found.suits == (better.item_id if better.score > worse.score else "")
        if better.because:
            top = better.because[0]
            assert (top.query or top.title or top.item) in found.said


def test_turned_round_it_says_the_same() -> None:
    one = compare(GUIDE, "sku-0012", "sku-0030", shopper="shopper-07")
    two = compare(GUIDE, "sku-0030", "sku-0012", shopper="shopper-07")
    assert (one.suits, one.said) == (two.suits, two.said)
    assert one.alike == pytest.approx(two.alike, abs=1e-6)
    assert [(d.field, d.second, d.first) for d in two.differences] == [
        (d.field, d.first, d.second) for d in one.differences
    ]


def test_for_nobody_sales_decide_and_that_is_said() -> None:
    sales = GUIDE.release.model.recent_sales
    low, high = IDS[int(sales.argmin())], IDS[int(sales.argmax())]
    found = compare(GUIDE, low, high)
    assert (found.suits, found.source) == (high, "popular")
    assert "sold more lately" in found.said
    assert found.first.because == found.second.because == ()


def test_two_that_nobody_bought_suit_equally() -> None:
    found = compare(guide_over(electronics()), "0000", "0001", lang="zh")
    assert (found.suits, found.said) == ("", "两件同样合适。")


def test_an_item_is_as_close_to_itself_as_can_be_and_no_closer_to_others() -> None:
    for other in IDS[1:40]:
        assert -1 - 1e-6 <= compare(GUIDE, IDS[0], other).alike <= 1 + 1e-6


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="two different items"):
        compare(GUIDE, "sku-0001", "sku-0001")
    with pytest.raises(NotFoundError):
        compare(GUIDE, "sku-0001", "sku-9999")


def test_without_personalisation_it_does_not_depend_on_the_shopper() -> None:
    silent = replace(GUIDE, allows=lambda _: False)
    visit = (Event("view", "sku-0040"),)
    for session in ((), visit):
        plain = compare(silent, "sku-0012", "sku-0030", session=session)
        for shopper in ("shopper-03", "shopper-07"):
            same = compare(silent, "sku-0012", "sku-0030", shopper=shopper, session=session)
            assert same == plain
