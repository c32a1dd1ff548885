"""Search in Chinese, in English, and in a language nobody has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide.search import build_lexicon, search_items, similar_items, terms
from fedguide.values import Catalogue
from tests.guide.sample import a_model

MODEL = a_model()
LEXICON = build_lexicon(MODEL)
TITLES = MODEL.catalogue.titles


@pytest.mark.parametrize(
    ("query", "word"),
    [("mug", "mug"), ("MUGS", "mug"), ("ｍｕｇ", "mug"), ("登山", "登山"), ("防水 台灯", "台灯")],
)
def test_words_find_the_items_that_hold_them(query: str, word: str) -> None:
    found = search_items(MODEL, LEXICON, query, 5)
    assert all(word in TITLES[row] for row in found.items[:1].tolist())
    assert found.matched[0]


def test_the_item_with_all_the_words_comes_first() -> None:
    found = search_items(MODEL, LEXICON, "red ceramic mug", 80)
    assert TITLES[found.items[0]] == "红色陶瓷杯 Red ceramic mug"
    held = [bool(words) for words in found.matched]
    assert held == sorted(held, reverse=True)
    assert list(found.scores) == sorted(found.scores, reverse=True)


def test_brand_and_category_are_searched_too() -> None:
    row = search_items(MODEL, LEXICON, "Lumen", 1).items[0]
    assert MODEL.catalogue.brands[row] == "Lumen"
    row = search_items(MODEL, LEXICON, "文具", 1).items[0]
    assert MODEL.catalogue.categories[row] == "文具"


@settings(max_examples=100)
@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_text_gets_a_finite_answer(query: str) -> None:
    found = search_items(MODEL, LEXICON, query, 7)
    assert len(found.items) == 7
    assert len(set(found.items.tolist())) == 7
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("query", ["перчатки", "ถุงมือ", "장갑", "γάντια", "!!!", "🧤"])
def test_a_language_never_seen_is_answered_without_claiming_a_match(query: str) -> None:
    found = search_items(MODEL, LEXICON, query, 5)
    assert not any(found.matched)
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("query", ["", "   ", "\n"])
def test_an_empty_query_is_refused(query: str) -> None:
    with pytest.raises(ConfigError, match="at least one word"):
        search_items(MODEL, LEXICON, query, 5)


def test_a_very_long_query_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most 200 characters, got 201"):
        search_items(MODEL, LEXICON, "a" * 201, 5)


def test_terms_by_hand() -> None:
    assert terms("Red mugs") == {"red", "mug"}
    assert terms("登山杖") == {"登", "山", "杖", "登山", "山杖"}
    assert terms("...") == set()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text("红色杯子山abs 12", max_size=12),
            st.sampled_from(["", "Lumen", "山行", "red"]),
            st.sampled_from(["", "Home/Red", "厨房/杯"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_the_lexicon_holds_every_term_of_every_item(rows: list[tuple[str, str, str]]) -> None:
    titles, brands, categories = zip(*rows, strict=True)
    count = len(rows)
    catalogue = Catalogue(
        tuple(map(str, range(count))), titles, brands, categories, np.ones(count, np.float32)
    )
    model = replace(MODEL, catalogue=catalogue, item_vectors=MODEL.item_vectors[:count])
    lexicon = build_lexicon(model)
    expected: dict[str, set[int]] = {}
    for row, texts in enumerate(rows):
        for term in set[str]().union(*map(terms, texts)):
            expected.setdefault(term, set()).add(row)
    held = {
        term: lexicon.items[lexicon.starts[number] : lexicon.starts[number + 1]].tolist()
        for term, number in lexicon.numbers.items()
    }
    assert held == {term: sorted(rows) for term, rows in expected.items()}


def test_similar_items_leave_out_the_item_and_agree_with_cosine() -> None:
    vectors = MODEL.item_vectors / np.linalg.norm(MODEL.item_vectors, axis=1, keepdims=True)
    for item in (0, 17, 79):
        found = similar_items(MODEL, LEXICON, item, 6)
        closeness = vectors @ vectors[item]
        closeness[item] = -2
        np.testing.assert_allclose(found.scores, np.sort(closeness)[::-1][:6], rtol=1e-5)
        assert item not in found.items


def test_a_shop_of_one_item() -> None:
    model = a_model()
    one = type(model.catalogue)(*(column[:1] for column in _columns(model)))
    small = type(model)(
        one,
        model.network,
        model.item_vectors[:1],
        np.full((1, 1), -1, np.int32),
        np.zeros((1, 1), np.float32),
        model.popularity[:1],
        model.recent_sales[:1],
        model.last_day,
        model.slates,
    )
    lexicon = build_lexicon(small)
    assert search_items(small, lexicon, "mug", 5).items.tolist() == [0]
    assert len(similar_items(small, lexicon, 0, 5).items) == 0


def _columns(model: object) -> tuple[object, ...]:
    catalogue = model.catalogue  # type: ignore[attr-defined]  # only a test's shorthand
    return (
        catalogue.ids,
        catalogue.titles,
        catalogue.brands,
        catalogue.categories,
        catalogue.prices,
    )
