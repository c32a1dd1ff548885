"""A wish is cut into the words of the shop, the grammar's, amounts, and what nobody knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.guide.function_words import AT_MOST, NOT, OR_LESS
from fedguide.guide.segment import ROLES, Token, atoms_of, segment
from fedguide.guide.vocabulary import BRAND, FEATURE
from fedguide.values import Catalogue
from tests.guide.other_shops import clothes, electronics, guide_over

GADGETS, CLOTHES = guide_over(electronics()).words(), guide_over(clothes()).words()


def _fields(tokens: tuple[Token, ...]) -> list[tuple[str, str]]:
    return [(token.text, token.term.field if token.term else "") for token in tokens]


def test_atoms_are_characters_words_figures_and_signs() -> None:
    assert atoms_of("轻量 Shoes, ￥1,299.5以内") == [
        "轻",
        "量",
        "shoes",
        ",",
        "¥",
        "1,299.5",
        "以",
        "内",
    ]


def test_the_longest_phrase_of_the_shop_is_one_word() -> None:
    found = segment(GADGETS, "vantage point mirrorless camera ivory")
    assert _fields(found) == [
        ("vantage point", BRAND),
        ("mirrorless camera", FEATURE),
        ("ivory", FEATURE),
    ]


def test_a_run_of_characters_is_cut_into_the_words_of_the_shop() -> None:
    found = segment(CLOTHES, "白桦亚麻衬衫")
    assert [token.text for token in found] == ["白桦", "亚麻", "衬衫"]
    assert found[0].term is not None
    assert found[0].term.field == BRAND


def test_a_word_that_looks_like_a_refusal_is_the_shop_s_where_it_sells_that() -> None:
    sweets = Catalogue(
        tuple("abcdef"),
        ("无糖饼干", "无糖糖果", "无糖果酱", "黄油饼干", "牛奶糖果", "草莓果酱"),
        ("",) * 6,
        ("饼干", "糖果", "果酱") * 2,
        np.ones(6, np.float32),
    )
    found = segment(guide_over(sweets).words(), "无糖饼干")
    assert [token.text for token in found] == ["无糖", "饼干"]
    assert all(token.term for token in found)


def test_function_words_have_roles_and_amounts_a_value() -> None:
    below, amount = segment(GADGETS, "under 500")
    assert AT_MOST in below.roles
    assert amount.amount is not None
    assert amount.amount.high == 500
    *_, inside = segment(CLOTHES, "衬衫五百以内")
    assert OR_LESS in inside.roles
    assert NOT in segment(CLOTHES, "不要亚麻")[0].roles


def test_a_slip_is_read_as_the_word_and_says_so() -> None:
    (token,) = segment(GADGETS, "turntabel")
    assert token.term is not None
    assert token.term.slip
    assert token.term.keys == (("turntable",),)


def test_the_only_word_that_begins_so_is_meant() -> None:
    (token,) = segment(GADGETS, "refurb")
    assert token.term is not None
    assert (token.term.slip, token.term.keys) == (True, (("refurbished",),))
    # "mir" is too short; "c" begins many words.
    assert segment(GADGETS, "mir")[0].term is None
    (token,) = segment(GADGETS, "mirr")
    assert token.term is not None
    assert token.term.slip


def test_two_words_that_were_written_as_one_are_read_apart() -> None:
    (token,) = segment(GADGETS, "graphicscard")
    assert token.term is not None
    assert token.term.keys == (("graphic", "card"),)
    assert segment(GADGETS, "graphicsstone")[0].term is None


def test_a_colour_may_leave_out_that_it_is_one() -> None:
    for text in ("红的衬衫", "衬衫 红", "红或者米色"):
        terms = [token.term for token in segment(CLOTHES, text) if token.text == "红"]
        assert [term and term.keys for term in terms] == [(("酒", "红"),)], text
    assert not any(token.term for token in segment(CLOTHES, "红枣汁"))


def test_strangers_that_stand_together_are_one_text() -> None:
    assert [token.text for token in segment(CLOTHES, "洗衣机")] == ["洗衣机"]
    (token,) = segment(GADGETS, "washing machine")
    assert (token.text, token.term, token.roles) == ("washing machine", None, ())


@pytest.mark.parametrize("text", ["noise-cancelling", "women's"])
def test_a_sign_inside_a_word_parts_nothing(text: str) -> None:
    assert len(segment(GADGETS, text)) == 1


def test_the_last_character_of_kinds_stands_for_all_of_them() -> None:
    tea = Catalogue(
        tuple("abcd"), ("春绿茶", "秋红茶", "春红茶", "秋绿茶"), ("",) * 4, ("绿茶", "红茶") * 2,
        np.ones(4, np.float32),
    )  # fmt: skip
    (token,) = segment(guide_over(tea).words(), "茶")
    assert token.term is not None
    assert set(token.term.keys) == {tuple("绿茶"), tuple("红茶")}


_TEXT = st.text(max_size=80) | st.lists(
    st.sampled_from(
        [
            *(" ".join(word) for word in ROLES),
            "kestrel",
            "亚麻",
            "500",
            "五百",
            ",",
            "-",
            "￥",
            "色",
        ]
    ),
    max_size=12,
).map(" ".join)


def test_traditional_characters_are_read_as_the_shop_writes_and_kept_as_they_were_said() -> None:
    tokens = segment(CLOTHES, "不要襯衫")
    assert [(token.text, token.roles != ()) for token in tokens] == [
        ("不要", True),
        ("襯衫", False),
    ]
    assert tokens[1].term is not None
    assert tokens[1].term.keys == (tuple("衬衫"),)


@settings(max_examples=200)
@given(_TEXT)
def test_any_text_is_cut_and_nothing_that_was_said_is_lost(text: str) -> None:
    said = [c for atom in atoms_of(text) for c in atom if c.isalnum()]
    for vocabulary in (GADGETS, CLOTHES):
        tokens = segment(vocabulary, text)
        assert [c for token in tokens for c in token.text if c.isalnum()] == said
        for token in tokens:
            assert (token.term is not None) + (token.amount is not None) + bool(token.roles) <= 1
