"""The pages of a wish and of a comparison say what the engine says, and nothing else."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest

from fedguide.guide.ask import ask as engine_ask
from fedguide.guide.compare import compare
from fedguide.web.words import load_tables
from tests.api.asking import ask
from tests.web.test_pages import APP, NORTH

TABLES = load_tables()


def text_of(path: str, lang: str = "en") -> str:
    return html.unescape(ask(APP, path, accept_language=lang).text)


@pytest.mark.parametrize(("lang", "wish"), [("en", "mug under 400"), ("zh", "400 以内的杯子")])
def test_a_wish_shows_what_was_understood_and_what_fits(lang: str, wish: str) -> None:
    answer = engine_ask(NORTH, wish, shopper="shopper-07", lang=lang, k=12)
    shown = text_of(f"/ask?shop=north&user=shopper-07&wish={quote(wish)}", lang)
    assert answer.said in shown
    assert answer.exact
    places = [shown.index(f"<h3>{pick.title}</h3>") for pick in answer.picks]
    assert places == sorted(places)
    for chip in answer.chips:
        assert f"chip={quote(chip.code, safe='').replace('%20', '+')}" in shown


def test_a_chip_that_is_set_can_be_taken_away_and_others_stay() -> None:
    shown = text_of("/ask?shop=north&wish=mug&chip=price:100-&chip=price:-500")
    assert len(re.findall(r'class="chip on"', shown)) == 2
    assert 'href="/ask?shop=north&wish=mug&chip=price%3A-500"' in shown
    assert 'href="/ask?shop=north&wish=mug&chip=price%3A100-"' in shown
    assert "up to ¥500" in shown
    # A new text keeps the chips: they are part of the form.
    assert shown.count('<input type="hidden" name="chip"') == 2


def test_a_wish_that_nothing_fulfils_says_so() -> None:
    shown = text_of("/ask?shop=north&wish=mug+under+1")
    assert engine_ask(NORTH, "mug under 1", lang="en").said in shown
    assert TABLES["en"]["ask.nearest"] in shown
    assert TABLES["en"]["ask.found"] not in shown


def test_what_is_shown_for_a_wish_that_nobody_understood_is_only_near() -> None:
    shown = text_of("/ask?shop=north&wish=zzqq")
    assert TABLES["en"]["ask.nearest"] in shown
    assert TABLES["en"]["ask.found"] not in shown


@pytest.mark.parametrize("query", ["chip=brand:none-such", "chip=x", f"wish={'x' * 201}"])
def test_a_bad_wish_is_an_error_page(query: str) -> None:
    response = ask(APP, f"/ask?shop=north&{query}")
    assert response.status_code == 400
    assert TABLES["en"]["error.title"] in response.text


def test_a_comparison_says_which_suits_more_and_where_they_differ() -> None:
    found = compare(NORTH, "sku-0001", "sku-0041", shopper="shopper-07")
    shown = text_of("/compare?shop=north&user=shopper-07&item=sku-0001&item=sku-0041")
    assert found.said in shown
    assert shown.count(TABLES["en"]["compare.suits"]) == 1
    best = shown.index('class="card best"')
    better = found.first if found.suits == found.first.item_id else found.second
    assert shown.index(f"<h2>{better.title}</h2>") > best
    for one in found.differences:
        assert TABLES["en"][f"compare.{one.field}"] in shown
        if one.field != "price":
            assert one.first in shown
            assert one.second in shown


@pytest.mark.parametrize("items", [[], ["sku-0001"], ["sku-0001"] * 2, ["a", "b", "c"]])
def test_a_comparison_is_of_two_items(items: list[str]) -> None:
    named = "".join(f"&item={one}" for one in items)
    assert ask(APP, f"/compare?shop=north{named}").status_code == 400


def test_a_product_s_similar_items_are_compared_with_it() -> None:
    shown = text_of("/items/sku-0041?shop=north&user=shopper-07")
    links = re.findall(r'href="(/compare[^"]+)"', shown)
    assert len(links) == 10
    assert all("item=sku-0041&item=" in link and "user=shopper-07" in link for link in links)
    assert ask(APP, links[0]).status_code == 200
