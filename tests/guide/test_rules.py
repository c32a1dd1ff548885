"""A shop's rules: what is pinned, buried, left out, capped and varied, and that it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide.ask import ask
from fedguide.guide.engine import recommend
from fedguide.guide.rules import BURIED, MOST_RULED, PINNED, VARIED, Rules, arranged, ruled
from fedguide.guide.visit import recommend_visit
from fedguide.values import Catalogue
from tests.guide.sample import a_guide

SHOP = Catalogue(
    tuple("abcdef"),
    ("",) * 6,
    ("",) * 6,
    ("Home/Mugs", "Home/Mugs", "Home / Pans", "Toys", "Toys", ""),
    np.ones(6, np.float32),
)
ROWS = {item: row for row, item in enumerate(SHOP.ids)}
VECTORS = np.eye(6, dtype=np.float32)
SCORES = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
EVERY = list(range(6))


def _arranged(rules: Rules, k: int = 6, *, ordered: bool = False) -> tuple[str, dict[str, str]]:
    rows, sources = arranged(ruled(rules, SHOP, ROWS), VECTORS, EVERY, SCORES, k, ordered=ordered)
    named = {SHOP.ids[row]: source for row, source in sources.items()}
    return "".join(SHOP.ids[row] for row in rows.tolist()), named


@pytest.mark.parametrize(
    ("rules", "order"),
    [
        (Rules(), "abcdef"),
        (Rules(pinned=("e", "c")), "ecabdf"),
        (Rules(buried=("a", "c")), "bdefac"),
        (Rules(out_of_stock=("b", "zzz")), "acdef"),
        (Rules(pinned=("b", "e"), buried=("e",), out_of_stock=("b",)), "acdfe"),
        (Rules(category_caps={"Mugs": 1}), "acdef"),
        (Rules(category_caps={"Home": 2, "Toys": 0}), "abf"),
        (Rules(category_caps={"Home/Mugs": 0}), "cdef"),
        (Rules(pinned=("b",), category_caps={"Mugs": 1}), "bcdef"),
    ],
)
def test_by_hand(rules: Rules, order: str) -> None:
    assert _arranged(rules)[0] == order


def test_a_rule_says_where_it_put_an_item() -> None:
    _, sources = _arranged(Rules(pinned=("e",), buried=("a",)))
    assert sources == {"e": PINNED, "a": BURIED}


def test_an_order_that_was_asked_for_is_neither_pinned_nor_buried_but_capped() -> None:
    rules = Rules(pinned=("e",), buried=("a",), out_of_stock=("c",), category_caps={"Toys": 1})
    assert _arranged(rules, ordered=True) == ("abdf", {})


def test_what_is_there_for_variety_says_so() -> None:
    alike = np.array([[1, 0], [1, 0.01], [1, 0.02], [0, 1]], np.float32)
    shop = replace(
        SHOP, ids=tuple("abcd"), titles=("",) * 4, brands=("",) * 4, categories=("",) * 4,
        prices=np.ones(4, np.float32),
    )  # fmt: skip
    rules = ruled(Rules(relevance=0.3), shop, {})
    rows, sources = arranged(rules, alike, [0, 1, 2, 3], [4.0, 3.9, 3.8, 3.0], 2)
    assert rows.tolist() == [0, 3]
    assert sources == {3: VARIED}


_ITEMS = st.lists(st.sampled_from("abcdef"), max_size=4, unique=True).map(tuple)
_RULES = st.builds(
    Rules,
    pinned=_ITEMS,
    buried=_ITEMS,
    out_of_stock=_ITEMS,
    category_caps=st.dictionaries(st.sampled_from(["Home", "Mugs", "Toys"]), st.integers(0, 3)),
    relevance=st.floats(0.1, 1),
)


@given(_RULES, st.integers(1, 6))
def test_rules_never_add_double_or_exceed(rules: Rules, k: int) -> None:
    order, _ = _arranged(rules, k)
    assert len(order) == len(set(order)) <= k
    assert not set(order) & set(rules.out_of_stock)
    for category, most in rules.category_caps.items():
        inside = [i for i in order if category in SHOP.categories[ROWS[i]].split("/")]
        assert sum(1 for _ in inside) <= max(most, 0) or category == "Home"


@pytest.mark.parametrize(
    "values",
    [
        {"relevance": 0.0},
        {"relevance": 1.1},
        {"relevance": float("nan")},
        {"category_caps": {"Home": -1}},
        {"pinned": tuple(map(str, range(MOST_RULED + 1)))},
    ],
)
def test_rules_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Rules(**values)  # type: ignore[arg-type]  # wrong on purpose


def test_the_guide_keeps_the_rules_in_every_kind_of_answer() -> None:
    plain = a_guide()
    usual = [pick.item_id for pick in recommend(plain, "shopper-07", 10).picks]
    rules = Rules(pinned=(usual[5],), buried=(usual[0],), out_of_stock=(usual[1],))
    guide = a_guide(rules=rules)
    for picks in (
        recommend(guide, "shopper-07", 10).picks,
        recommend_visit(guide, (), shopper="shopper-07").picks,
        recommend(guide, "nobody", 80).picks,
    ):
        ids = [pick.item_id for pick in picks]
        assert ids[0] == usual[5]
        assert usual[1] not in ids
        assert usual[0] not in ids[:-1]
        assert picks[0].source == PINNED
    gone = plain.release.model.catalogue.titles[plain.rows[usual[1]]]
    assert usual[1] not in [pick.item_id for pick in ask(guide, gone, k=100).picks]
