"""The words of a shop are found in its catalogue, whatever it sells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.guide.vocabulary import (
    BRAND,
    CATEGORY,
    FEATURE,
    Key,
    beginning,
    closest,
    key_of,
    names_of,
    text_of,
    title_words,
)
from fedguide.models.text import is_run, words
from fedguide.values import Catalogue
from tests.guide.other_shops import clothes, electronics, guide_over
from tests.guide.sample import a_catalogue, a_guide

GADGETS, CLOTHES, MIXED = electronics(), clothes(), a_catalogue()
OF_GADGETS, OF_CLOTHES = guide_over(GADGETS).words(), guide_over(CLOTHES).words()
OF_MIXED = a_guide().words()
SHOPS = ((GADGETS, OF_GADGETS), (CLOTHES, OF_CLOTHES), (MIXED, OF_MIXED))


def test_brands_and_every_level_of_a_category_are_words() -> None:
    for word, field in (
        (("vantage", "point"), BRAND),
        (("kestrel",), BRAND),
        (("photo",), CATEGORY),
        (("graphic", "card"), CATEGORY),
    ):
        assert OF_GADGETS.known[word] == field
    assert OF_CLOTHES.known[tuple("裤装")] == CATEGORY


def test_phrases_of_latin_words_are_those_that_stand_together() -> None:
    assert OF_GADGETS.known[("mirrorless", "camera")] == FEATURE
    # Every feature stands beside many others: none of these pairs is one phrase.
    assert ("4k", "silent") not in OF_GADGETS.known


@pytest.mark.parametrize("word", ["亚麻", "真丝", "修身", "宽松", "高腰"])
def test_words_of_chinese_runs_are_found_though_nothing_parts_them(word: str) -> None:
    assert OF_CLOTHES.known[tuple(word)] == FEATURE


def test_members_of_a_name_are_its_items() -> None:
    rows = OF_GADGETS.members[BRAND, ("nordly",)].tolist()
    assert rows == [r for r, brand in enumerate(GADGETS.brands) if brand == "Nordlys"]
    rows = OF_GADGETS.members[CATEGORY, ("photo",)].tolist()
    assert rows == [r for r, c in enumerate(GADGETS.categories) if c.startswith("Photo/")]


@pytest.mark.parametrize("shop", range(len(SHOPS)))
def test_a_phrase_is_held_by_the_items_whose_text_has_it_in_one_piece(shop: int) -> None:
    catalogue, vocabulary = SHOPS[shop]
    for key in sorted(vocabulary.known):
        assert vocabulary.held(key).tolist() == _holders(catalogue, key), key


@given(st.lists(st.sampled_from("亚麻真丝修身衬衫米色x裤"), min_size=1, max_size=4))
def test_any_characters_are_held_where_they_stand_in_one_piece(atoms: list[str]) -> None:
    assert OF_CLOTHES.held(tuple(atoms)).tolist() == _holders(CLOTHES, tuple(atoms))


def test_a_bilingual_name_is_a_name_in_each_script() -> None:
    assert set(names_of("云步 Cloudstep")) == {("云", "步"), ("cloudstep",)}
    assert names_of("") == ()


@given(st.text("abs019 亚麻色éяあ-,/", max_size=20))
def test_a_key_spelled_out_is_the_same_key(text: str) -> None:
    key = key_of(text)
    assert key_of(text_of(key)) == key


def test_the_words_of_a_title_are_its_features() -> None:
    title = "Kestrel 4K Silent Graphics Card Ivory"
    assert title_words(OF_GADGETS, title) == [("4k",), ("silent",), ("ivory",)]


def test_a_slip_is_close_to_one_word_and_short_words_are_none() -> None:
    assert closest(OF_GADGETS, "grafite") == ""
    assert closest(OF_GADGETS, "graphyte") == "graphite"
    assert closest(OF_GADGETS, "4kk") == ""


def test_a_word_begins_longer_ones() -> None:
    assert beginning(OF_GADGETS, "refurb") == ("refurbished",)
    assert beginning(OF_GADGETS, "ref") == ()


def test_a_catalogue_without_a_word_has_no_vocabulary() -> None:
    empty = Catalogue(("a", "b"), ("", "!"), ("", ""), ("", ""), np.ones(2, np.float32))
    vocabulary = guide_over(empty).words()
    assert not vocabulary.known
    assert not vocabulary.members
    assert not len(vocabulary.held(("x",)))


def _holders(catalogue: Catalogue, key: Key) -> list[int]:
    """A plain reading of every text, one atom after the other; runs are parted where they end."""
    columns = (catalogue.titles, catalogue.brands, catalogue.categories)
    found = []
    for row, texts in enumerate(zip(*columns, strict=True)):
        spelled = [key for text in texts for key in _unbroken(text)]
        if any(s[at : at + len(key)] == key for s in spelled for at in range(len(s))):
            found.append(row)
    return found


def _unbroken(text: str) -> list[Key]:
    """The atoms of a text up to where one run of characters follows another."""
    pieces: list[list[str]] = [[]]
    before = ""
    for word in words(text):
        if before and is_run(before) and is_run(word):
            pieces.append([])
        pieces[-1] += list(word) if is_run(word) else [word]
        before = word
    return [tuple(piece) for piece in pieces]
