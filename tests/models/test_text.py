"""Text features: stable, bilingual, never empty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.models.text import TextSpec, item_features, query_features, words, words_of_all
from fedguide.values import Catalogue

SPEC = TextSpec()


def catalogue(*rows: tuple[str, str, str, float]) -> Catalogue:
    titles, brands, categories, prices = zip(*rows, strict=True)
    ids = tuple(str(i) for i in range(len(rows)))
    return Catalogue(ids, titles, brands, categories, np.array(prices, np.float32))


def buckets(row: np.ndarray) -> set[int]:
    return set(row[row >= 0].tolist())


def test_words_fold_width_case_and_plural() -> None:
    assert words("ＲＥＤ Mugs, 2 berries & glass") == ["red", "mug", "2", "berry", "glass"]


def test_a_chinese_title_meets_a_shorter_chinese_query() -> None:
    title = item_features(catalogue(("红色陶瓷马克杯", "", "", np.nan)), SPEC)[0]
    assert buckets(query_features("马克杯", SPEC)) <= buckets(title)


def test_an_english_query_meets_a_title_with_the_words_in_order() -> None:
    title = item_features(catalogue(("Red ceramic mugs", "", "", np.nan)), SPEC)[0]
    assert buckets(query_features("CERAMIC MUG", SPEC)) <= buckets(title)
    assert not buckets(query_features("mug ceramic", SPEC)) <= buckets(title)  # the pair differs


def test_brand_category_and_price_are_features_of_their_own() -> None:
    plain, brand, category, price = item_features(
        catalogue(
            ("mug", "", "", np.nan),
            ("mug", "Acme", "", np.nan),
            ("mug", "", "Home/Kitchen", np.nan),
            ("mug", "", "", 4.0),
        ),
        SPEC,
    )
    assert len(buckets(plain)) == 1
    assert len(buckets(brand) - buckets(plain)) == 2  # brand: and its word
    assert len(buckets(category) - buckets(plain)) == 4  # two levels, two words
    assert len(buckets(price) - buckets(plain)) == 1


def test_prices_close_on_a_log_scale_share_a_bucket() -> None:
    rows = item_features(
        catalogue(*(("", "", "", price) for price in (4.0, 4.2, 9.0, 0.0, -1.0))), SPEC
    )
    assert buckets(rows[0]) == buckets(rows[1]) != buckets(rows[2])
    assert buckets(rows[3]) == buckets(rows[4])  # no legal price, no feature


@given(st.text(), st.text(), st.text(), st.floats(width=32))
def test_every_item_has_features_each_once(
    title: str, brand: str, category: str, price: float
) -> None:
    spec = TextSpec(buckets=50, width=8)
    row = item_features(catalogue((title, brand, category, price)), spec)[0]
    found = row[row >= 0]
    assert 1 <= len(found) <= 8
    assert len(set(found.tolist())) == len(found)
    assert found.max() < 50


@given(st.text())
def test_every_query_has_features(text: str) -> None:
    assert len(query_features(text, SPEC)) >= 1


def test_the_hash_is_the_same_in_every_process() -> None:
    # printf word:mug | gzip -c | tail -c8 | head -c4 | od -An -tu4, modulo 8192; a change here
    # makes every release out there unreadable.
    assert query_features("mug", SPEC).tolist() == [8021]


def test_an_empty_catalogue_has_no_rows() -> None:
    empty = Catalogue((), (), (), (), np.zeros(0, np.float32))
    assert item_features(empty, SPEC).shape[0] == 0


@pytest.mark.parametrize("wrong", [{"buckets": 1}, {"width": 0}, {"version": 2}])
def test_a_wrong_spec_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        TextSpec(**wrong)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=12))
def test_words_of_all_are_the_words_of_each(texts: list[str]) -> None:
    found, which, owner = words_of_all(texts)
    for number, text in enumerate(texts):
        assert [found[at] for at in which[owner == number].tolist()] == words(text)


@pytest.mark.parametrize(
    "text", ["red\nmug", "\n", "a\u0301\nb\u0301", "\u0301 mug", "ﬁne\r\nｔｅａ"]
)
def test_a_line_break_in_a_text_is_a_space(text: str) -> None:
    found, which, owner = words_of_all(["first", text, "last"])
    assert [found[at] for at in which[owner == 1].tolist()] == words(text)
    assert [found[at] for at in which[owner == 2].tolist()] == ["last"]
