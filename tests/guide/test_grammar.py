"""What a wish asks for, read over shops whose words no rule knows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.guide.grammar import AROUND, understand
from fedguide.guide.vocabulary import text_of
from fedguide.guide.wish import Wish
from fedguide.values import Catalogue
from tests.guide.other_shops import clothes, electronics, guide_over

GADGETS, CLOTHES = guide_over(electronics()).words(), guide_over(clothes()).words()
INF = math.inf


def _read(text: str) -> Wish:
    return understand(GADGETS if text.isascii() else CLOTHES, text)


def _said(wish: Wish) -> tuple[list[set[str]], set[str]]:
    """The wants, each the words that count, and all that is refused."""
    wants = [{text_of(key) for key in wanted.keys} for wanted in wish.wants]
    return wants, {text_of(key) for wanted in wish.refusals for key in wanted.keys}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("soundbar under 200", -INF, 200),
        ("soundbar for less than $150", -INF, 150),
        ("soundbar 150 or less", -INF, 150),
        ("soundbar, no more than 1,200", -INF, 1200),
        ("soundbar over 120", 120, INF),
        ("soundbar not under 120", 120, INF),
        ("soundbar 120 and up", 120, INF),
        ("soundbar between 100 and 200", 100, 200),
        ("soundbar 200-100", 100, 200),
        ("soundbar from 100 to 200", 100, 200),
        ("soundbar < 200", -INF, 200),
        ("百元以内的衬衫", -INF, 100),
        ("在100和200之间的衬衫", 100, 200),
        ("衬衫 100——200", 100, 200),
        ("衬衫 200+", 200, INF),
        ("rmb200以下的衬衫", -INF, 200),
        ("衬衫 三百元以內", -INF, 300),
        ("衬衫 三百圓", 240, 360),
        ("撑死两百的衬衫", -INF, 200),
        ("几十块的衬衫", -INF, 100),
        ("衬衫预算三四百", 300, 400),
        ("衬衫不超过三四百", -INF, 400),
        ("衬衫 预算两百上下", 160, 240),
        ("soundbar, 200 budget", -INF, 200),
        ("200元预算 衬衫", -INF, 200),
        ("两百块能买到的衬衫", -INF, 200),
        ("最贵不超过200的衬衫", -INF, 200),
        ("衬衫100以上，预算200", 100, 200),
        ("soundbar >= 200", 200, INF),
        ("soundbar, 300ish", 240, 360),
        ("soundbar under 300rmb", -INF, 300),
        ("百来块的衬衫", 80, 120),
        ("三百来块的衬衫", 240, 360),
        ("一百多块的衬衫", 100, 200),
        ("30多的衬衫", 30, 40),
        ("一百出头的衬衫", 100, 120),
        ("３００以内的衬衫", -INF, 300),
        ("soundbar over 100 but under 200", 100, 200),
        ("soundbar around 100", 80, 120),
        ("soundbar 100 dollars", 80, 120),
        ("衬衫五百以内", -INF, 500),
        ("衬衫 不超过一百五", -INF, 150),
        ("衬衫 预算200", -INF, 200),
        ("200元以上的衬衫", 200, INF),
        ("衬衫 100到200", 100, 200),
        ("两三百的衬衫", 200, 300),
        ("衬衫 200左右", 160, 240),
    ],
)
def test_what_bounds_an_amount_bounds_the_price(text: str, low: float, high: float) -> None:
    wish = _read(text)
    assert (wish.at_least, wish.at_most) == (low, high)
    assert len(wish.wants) == 1
    assert not wish.unknown


def test_a_rating_is_no_price() -> None:
    wish = _read("soundbar, rating 4.5+, under 90")
    assert (wish.at_least, wish.at_most) == (-INF, 90)


def test_an_amount_that_nothing_bounds_is_no_price() -> None:
    wish = _read("soundbar 42")
    assert not wish.has_price
    assert wish.unknown == ("42",)


@pytest.mark.parametrize(
    ("text", "said", "high"),
    [
        ("3-6岁的衬衫", "3-6岁", INF),
        ("不超过3斤的衬衫", "3斤", INF),
        ("soundbar for 2 people", "2 people", INF),
        ("soundbar with at least 4 stars", "4 stars", INF),
        ("soundbar, at least 2 pieces, under 90", "2 pieces", 90),
    ],
)
def test_what_a_measure_follows_is_no_price(text: str, said: str, high: float) -> None:
    wish = _read(text)
    assert (wish.at_least, wish.at_most) == (-INF, high)
    assert wish.unknown == (said,)


def test_a_part_of_another_kind_that_fits_nothing_is_said_to_be_unknown() -> None:
    assert _read("silent soundbar with graphics").unknown == ("graphics",)
    # A kind is never left out, even where no item is both.
    assert len(_read("soundbar turntable").wants) == 2


@pytest.mark.parametrize("text", ["newest soundbar", "好评的衬衫"])
def test_what_a_shop_cannot_know_is_said_to_be_unknown(text: str) -> None:
    wish = _read(text)
    assert (len(wish.wants), len(wish.unknown)) == (1, 1)


def test_around_says_what_it_lies_around() -> None:
    wish = _read("soundbar around 250")
    assert (wish.about, wish.at_least) == (250, 250 * (1 - AROUND))


@pytest.mark.parametrize(
    ("text", "currency"), [("soundbar under $90", "USD"), ("衬衫90块以内", "CNY"), ("soundbar", "")]
)
def test_the_currency_that_was_named(text: str, currency: str) -> None:
    assert _read(text).currency == currency


@pytest.mark.parametrize(
    ("text", "wants", "refused"),
    [
        ("silent soundbar, not ivory", [{"silent"}, {"soundbar"}], {"ivory"}),
        ("soundbar without bluetooth", [{"soundbar"}], {"bluetooth"}),
        ("soundbar, neither ivory nor crimson", [{"soundbar"}], {"ivory", "crimson"}),
        ("soundbar not ivory or crimson", [{"soundbar"}], {"ivory", "crimson"}),
        ("anything but crimson", [], {"crimson"}),
        ("bluetooth free soundbar", [{"soundbar"}], {"bluetooth"}),
        ("soundbar except Kestrel", [{"soundbar"}], {"kestrel"}),
        ("亚麻衬衫，不要米色", [{"亚麻"}, {"衬衫"}], {"米色"}),
        ("除了米色，别的亚麻都行", [{"亚麻"}], {"米色"}),
        ("亚麻衬衫，除米色外都可以", [{"亚麻"}, {"衬衫"}], {"米色"}),
        ("soundbar w/ bluetooth w/o crimson", [{"soundbar"}, {"bluetooth"}], {"crimson"}),
        ("亚麻衬衫，米色别来", [{"亚麻"}, {"衬衫"}], {"米色"}),
        ("亚麻衬衫，米色就算了", [{"亚麻"}, {"衬衫"}], {"米色"}),
        ("衬衫不考虑米色", [{"衬衫"}], {"米色"}),
        ("米色以外的衬衫", [{"衬衫"}], {"米色"}),
        ("不是米色也不是藏青的衬衫", [{"衬衫"}], {"米色", "藏青"}),
        ("除了白桦都可以的衬衫", [{"衬衫"}], {"白桦"}),
        ("衬衫，米色的不要，藏青的", [{"衬衫"}, {"藏青"}], {"米色"}),
        ("衬衫，米色除外", [{"衬衫"}], {"米色"}),
        ("衬衫 米色不要 藏青", [{"衬衫"}, {"藏青"}], {"米色"}),
        ("米色衬衫，别的颜色不要", [{"米色"}, {"衬衫"}], set()),
        ("衬衫，修身和真丝的都不要", [{"衬衫"}], {"修身", "真丝"}),
        ("讨厌米色的，要真丝襯衫", [{"真丝"}, {"衬衫"}], {"米色"}),
    ],
)
def test_a_refusal_reaches_what_it_names(
    text: str, wants: list[set[str]], refused: set[str]
) -> None:
    assert _said(_read(text)) == (wants, refused)


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ("ivory or crimson soundbar", [{"ivory", "crimson"}, {"soundbar"}]),
        # No item has two colours, so "and" between them is "or"; silent 4K things exist.
        ("ivory and crimson soundbar", [{"ivory", "crimson"}, {"soundbar"}]),
        ("silent and 4k soundbar", [{"silent"}, {"4k"}, {"soundbar"}]),
        # An item has one brand.
        ("Kestrel Nordlys soundbar", [{"kestrel", "nordly"}, {"soundbar"}]),
        ("米色或者藏青的衬衫", [{"米色", "藏青"}, {"衬衫"}]),
        ("深红色牛仔裤", [{"酒红"}, {"牛仔裤"}]),
    ],
)
def test_words_are_joined_as_the_shop_allows(text: str, wants: list[set[str]]) -> None:
    assert _said(_read(text))[0] == wants


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("cheapest soundbar", "price_asc"),
        ("most expensive soundbar", "price_desc"),
        ("best selling soundbar", "popular"),
        ("最便宜的衬衫", "price_asc"),
        ("最贵的衬衫", "price_desc"),
        ("卖得最好的衬衫", "popular"),
        ("销量最好的衬衫", "popular"),
        ("最贵不超过800的衬衫", ""),
        ("衬衫 价格升序", "price_asc"),
        ("衬衫，不要便宜货", ""),
        ("衬衫按价位由高到低", "price_desc"),
        ("大家都在买的衬衫", "popular"),
        ("soundbar", ""),
    ],
)
def test_the_order_that_is_asked_for(text: str, sort: str) -> None:
    assert _read(text).sort == sort


def test_a_thing_s_other_name_is_read_as_the_shop_s_and_shown_like_a_slip() -> None:
    (wanted,) = _read("牛仔裤").wants
    assert not wanted.terms[0].slip
    (wanted,) = understand(CLOTHES, "jeans").wants
    assert (wanted.label, wanted.terms[0].slip) == ("牛仔裤", True)


def test_what_is_said_by_another_name_and_no_such_kind_has_is_unknown() -> None:
    titles = ["Warm Socks", "Warm Hat", "Durable Tent", "Foldable Tent"] * 2
    kinds = ["Wear/Socks", "Wear/Hats", "Camp/Tents", "Camp/Tents"] * 2
    ids, none, prices = tuple("abcdefgh"), ("",) * 8, np.ones(8, np.float32)
    shop = guide_over(Catalogue(ids, tuple(titles), none, tuple(kinds), prices)).words()
    wish = understand(shop, "collapsible socks")
    assert (_said(wish)[0], wish.unknown) == ([{"sock"}], ("collapsible",))
    assert _said(understand(shop, "collapsible tent"))[0] == [{"foldable"}, {"tent"}]


def test_what_nobody_knows_is_said_and_kept_for_the_text_tower() -> None:
    wish = _read("soundbar with subwoofer")
    assert wish.unknown == ("subwoofer",)
    assert wish.content == "soundbar subwoofer"
    refused = _read("soundbar, not beige")
    assert refused.unknown == ("beige",)
    assert "beige" not in refused.content


def test_a_category_is_read_as_the_longer_names_it_ends_where_nothing_else_fits() -> None:
    titles = ["Oat Biscuit", "Bran Biscuit", "Tuna Dinner", "Beef Dinner"] * 2
    kinds = ["Food/Biscuit", "Food/Biscuit", "Pets/Cat Food", "Pets/Dog Food"] * 2
    ids, none, prices = tuple("abcdefgh"), ("",) * 8, np.ones(8, np.float32)
    shop = guide_over(Catalogue(ids, tuple(titles), none, tuple(kinds), prices)).words()
    (wants, _) = _said(understand(shop, "tuna food"))
    assert wants == [{"tuna"}, {"cat food", "dog food"}]
    assert _said(understand(shop, "oat food"))[0] == [{"oat"}, {"food"}]


@settings(max_examples=200)
@given(st.text(max_size=120))
def test_any_text_is_understood_as_something(text: str) -> None:
    for vocabulary in (GADGETS, CLOTHES):
        wish = understand(vocabulary, text)
        assert wish.at_least <= wish.at_most or wish.has_price
        assert all(len(vocabulary.held(key)) for wanted in wish.wants for key in wanted.keys)


@given(st.integers(1, 99_999), st.sampled_from(["under {}", "{} or less", "{} 以内", "不超过{}元"]))
def test_every_way_to_bound_from_above_says_the_same(value: int, form: str) -> None:
    assert understand(CLOTHES, f"衬衫 {form.format(value)}").at_most == value
