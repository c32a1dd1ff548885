"""Wishes put to whole guides: the synthetic market's, a gadget shop's and a clothes shop's."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide.answers import MEANING, PERSONAL, POPULAR, WORDS
from fedguide.guide.ask import LANGUAGES, ask
from fedguide.guide.asked import NEAREST, SORTED
from fedguide.guide.engine import Guide
from fedguide.guide.rules import Rules
from fedguide.guide.search import LONGEST_QUERY
from fedguide.guide.segment import segment
from fedguide.guide.session import Event
from tests.guide.judged import (
    AGAIN,
    DEVELOPMENT,
    FRESH,
    HELD_OUT,
    SHOPPERS,
    SHOPPERS_HELD_OUT,
    Mask,
    a_market_guide,
    parts_right,
    scores,
    wishes,
)
from tests.guide.other_shops import clothes, electronics, guide_over, holding
from tests.guide.sample import a_guide

GADGETS, CLOTHES, MIXED = guide_over(electronics()), guide_over(clothes()), a_guide()
SILENT = replace(MIXED, allows=lambda _: False)
_SHOPPERS = st.sampled_from([f"shopper-{n:02d}" for n in range(24)])


@pytest.fixture(scope="module")
def market() -> tuple[Guide, dict[str, Mask]]:
    return a_market_guide()


@pytest.mark.parametrize(
    ("half", "lang"),
    [
        *product((DEVELOPMENT, FRESH, SHOPPERS, SHOPPERS_HELD_OUT), LANGUAGES),
        (AGAIN, "zh"),
    ],
)
def test_the_market_s_wishes_are_understood(
    market: tuple[Guide, dict[str, Mask]], lang: str, half: str
) -> None:
    right, relevant = parts_right(scores(*market, wishes(lang, half)))
    assert right >= 0.95
    assert relevant >= 0.9


def test_a_strange_run_close_to_a_kind_s_name_is_read_as_it_and_says_so(
    market: tuple[Guide, dict[str, Mask]],
) -> None:
    words = market[0].words()
    (token,) = segment(words, "跑步鞋")
    assert token.term is not None
    assert (token.term.slip, token.term.keys[0]) == (True, tuple("越野跑鞋"))
    assert not any(token.term for token in segment(words, "皮手套"))


def test_the_halves_share_no_wish_and_are_all_of_them() -> None:
    for lang in LANGUAGES:
        halves = [{one["text"] for one in wishes(lang, half)} for half in (DEVELOPMENT, HELD_OUT)]
        assert not halves[0] & halves[1]
        assert min(map(len, halves)) >= 50


@pytest.mark.parametrize(
    ("guide", "text", "words", "without", "most"),
    [
        (GADGETS, "a silent graphics card under $500, not crimson",
         ("Silent", "Graphics Card"), ("Crimson",), 500),
        (GADGETS, "Nordlys turntable with bluetooth", ("Nordlys", "Bluetooth", "Turntable"), (), 0),
        (GADGETS, "refurb camera, 1k at most", ("Refurbished", "Camera"), (), 1000),
        (GADGETS, "compact photo things, no tripods", ("Compact", "Photo"), ("Tripod",), 0),
        (CLOTHES, "白桦的真丝连衣裙 400以内", ("白桦", "真丝", "连衣裙"), (), 400),
        (CLOTHES, "亚麻衬衫，不要米色和藏青", ("亚麻", "衬衫"), ("米色", "藏青"), 0),
        (CLOTHES, "想买一条高腰牛仔裤，别超过三百块", ("高腰", "牛仔裤"), (), 300),
    ],
)  # fmt: skip
def test_shops_with_other_words_are_understood_as_well(
    guide: Guide, text: str, words: tuple[str, ...], without: tuple[str, ...], most: int
) -> None:
    catalogue = guide.release.model.catalogue
    wanted = holding(catalogue, *words)
    for word in without:
        wanted &= ~holding(catalogue, word)
    if most:
        wanted &= catalogue.prices <= most
    answer = ask(guide, text, k=100)
    assert wanted.any()
    assert (answer.exact, answer.unknown) == (True, ())
    assert answer.total == int(wanted.sum())
    assert all(wanted[guide.rows[pick.item_id]] for pick in answer.picks)


def test_the_order_that_was_asked_for_is_kept_and_what_has_no_price_is_last() -> None:
    for text, sign in (("cheapest mug", 1), ("most expensive mug", -1)):
        answer = ask(MIXED, text, k=100)
        assert answer.source == SORTED
        prices = [sign * pick.price for pick in answer.picks if pick.price is not None]
        assert prices == sorted(prices)
    everything = ask(MIXED, "cheapest", k=100)
    assert everything.picks[-1].price is None
    assert all(pick.price is not None for pick in everything.picks[:-1])


def test_a_source_says_where_the_order_comes_from() -> None:
    assert ask(MIXED, "mug").source == WORDS
    assert ask(MIXED, "перчатки").source == MEANING
    assert ask(MIXED, "under 300").source == POPULAR
    assert ask(MIXED, "under 300", shopper="shopper-07").source == PERSONAL
    assert ask(MIXED, "best selling mug").source == POPULAR


def test_where_nothing_fits_the_answer_says_what_to_relax_and_keeps_no_secret() -> None:
    answer = ask(GADGETS, "silent soundbar under 10", k=5)
    assert (answer.exact, answer.total, answer.source) == (False, 0, NEAREST)
    assert answer.relax[0].labels == ("up to 10",)
    assert answer.relax[0].count == int(holding(electronics(), "Silent", "Soundbar").sum())
    assert len(answer.picks) == 5
    assert all(pick.source == NEAREST and not pick.because for pick in answer.picks)
    assert not answer.chips


def test_the_visit_and_the_history_change_the_order_but_not_what_fits() -> None:
    session = (Event("cart", "sku-0013"),)
    plain = ask(MIXED, "waterproof", k=100)
    visit = ask(MIXED, "waterproof", shopper="shopper-07", session=session, k=100)
    assert {p.item_id for p in plain.picks} == {p.item_id for p in visit.picks}
    assert [p.item_id for p in plain.picks] != [p.item_id for p in visit.picks]
    assert any(b.item == "sku-0013" for pick in visit.picks for b in pick.because)


def test_an_answer_is_in_the_language_of_the_wish_or_the_one_asked_for() -> None:
    assert ask(MIXED, "防水").lang == "zh"
    assert ask(MIXED, "waterproof").lang == "en"
    assert ask(MIXED, "防水", lang="en").said.endswith("found.")
    with pytest.raises(ConfigError, match="lang must be zh or en"):
        ask(MIXED, "mug", lang="fr")


def test_what_may_not_be_asked() -> None:
    for text in ("", "  \n", "x" * (LONGEST_QUERY + 1)):
        with pytest.raises(ConfigError):
            ask(MIXED, text)
    with pytest.raises(ConfigError, match="k must be in"):
        ask(MIXED, "mug", k=0)


def test_pinned_items_stand_first_only_where_they_fit() -> None:
    ids = MIXED.release.model.catalogue.ids
    ruled = a_guide(rules=Rules(pinned=ids[:20]))
    mug = ask(MIXED, "mug", k=100)
    assert [p.source for p in ask(ruled, "mug", k=100).picks] == [p.source for p in mug.picks]
    shoes = ask(ruled, "shoes", k=3)
    assert {p.source for p in shoes.picks} == {"pinned"}


@settings(max_examples=150)
@given(st.text(min_size=1, max_size=LONGEST_QUERY).filter(str.strip))
def test_any_text_up_to_the_limit_is_answered(text: str) -> None:
    for guide in (MIXED, CLOTHES):
        answer = ask(guide, text, k=3)
        assert answer.said
        assert answer.total or answer.relax or not answer.understood or not answer.exact
        assert len(answer.picks) <= 3


@pytest.mark.parametrize(
    "text", ["перчатки до 500", "ถุงมือ", "장갑 300", "γάντια", "قفازات", "🧤", "!!!", "\u202e\u0000"]
)
def test_a_language_never_seen_gets_an_answer_that_claims_nothing(text: str) -> None:
    answer = ask(GADGETS, text)
    assert answer.exact
    assert len(answer.picks) == 10
    assert not any(pick.matched or pick.because for pick in answer.picks)


@settings(max_examples=60)
@given(st.integers(1, 900), st.integers(0, 400), st.sampled_from(["mug", "防水", "not red", ""]))
def test_every_item_is_within_the_bounds_that_were_named(low: int, more: int, word: str) -> None:
    answer = ask(MIXED, f"{word} between {low} and {low + more}", k=100)
    if answer.exact:
        assert all(low <= (pick.price or -1) <= low + more for pick in answer.picks)
    for form in ("{} 以内", "under {}"):
        answer = ask(MIXED, f"{word} {form.format(low)}", k=100)
        if answer.exact:
            assert all((pick.price or 1e9) <= low for pick in answer.picks)


@settings(max_examples=30)
@given(st.sampled_from(["red", "mug", "waterproof", "Northfield", "防水", "绿茶"]))
def test_what_is_refused_is_in_no_item_and_with_its_wish_makes_the_whole(word: str) -> None:
    wanted, refused = ask(MIXED, word, k=100), ask(MIXED, f"not {word}", k=100)
    assert not {p.item_id for p in wanted.picks} & {p.item_id for p in refused.picks}
    assert wanted.total + refused.total == len(MIXED.release.model)


@settings(max_examples=25)
@given(_SHOPPERS, st.sampled_from(["mug", "under 300", "tent, not red", "перчатки", "cheapest"]))
def test_without_personalisation_no_answer_depends_on_the_shopper(shopper: str, text: str) -> None:
    assert ask(SILENT, text, shopper=shopper) == ask(SILENT, text)


@settings(max_examples=25)
@given(_SHOPPERS, st.sampled_from(["mug", "under 300", "tent, not red", "cheapest lamp"]))
def test_neither_prices_nor_what_fits_depend_on_a_profile(shopper: str, text: str) -> None:
    known, nobody = ask(MIXED, text, shopper=shopper, k=100), ask(MIXED, text, k=100)
    assert {(p.item_id, p.price) for p in known.picks} == {
        (p.item_id, p.price) for p in nobody.picks
    }
    assert [c.code for c in known.chips if c.kind == "price"] == [
        c.code for c in nobody.chips if c.kind == "price"
    ]
    assert (known.total, known.relax) == (nobody.total, nobody.relax)
