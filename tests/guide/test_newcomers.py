"""Items that came after the release: known at once, called new, and never more than their share."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide.answers import DISCOVER, POPULAR
from fedguide.guide.ask import ask
from fedguide.guide.engine import (
    Guide,
    item,
    open_guide,
    recommend,
    search,
    similar,
    with_new_items,
)
from fedguide.guide.fresh import Happened
from fedguide.guide.newcomers import NEW, places_for_new
from fedguide.guide.rules import Rules
from fedguide.models.encoders import item_vectors
from fedguide.values import BUY, Catalogue
from tests.guide.sample import a_guide

BASE = a_guide()
COUNT = len(BASE.release.model)
SHOPPERS = [f"shopper-{n:02d}" for n in range(24)]


def some_items(count: int, start: int = 0) -> Catalogue:
    """New items whose titles are those of old ones with a word nobody has used."""
    old, rows = BASE.release.model.catalogue, range(start, start + count)
    return Catalogue(
        ids=tuple(f"new-{row:03d}" for row in rows),
        titles=tuple(f"{old.titles[row * 7 % COUNT]} zorblatt" for row in rows),
        brands=tuple(old.brands[row * 7 % COUNT] for row in rows),
        categories=tuple(old.categories[row * 7 % COUNT] for row in rows),
        prices=np.array([old.prices[row * 7 % COUNT] for row in rows], np.float32),
    )


LATER = with_new_items(BASE, some_items(30))


def test_a_new_item_is_found_compared_and_understood_at_once() -> None:
    assert len(LATER.release.model) == COUNT + 30
    assert item(LATER, "new-003").title == some_items(30).titles[3]
    assert all(pick.item_id.startswith("new-") for pick in search(LATER, "zorblatt", 30).picks)
    original = BASE.release.model.catalogue.ids[3 * 7 % COUNT]
    assert "new-003" in [pick.item_id for pick in similar(LATER, original, 10).picks]
    assert original in [pick.item_id for pick in similar(LATER, "new-003", 10).picks]
    assert ask(LATER, "zorblatt").total == 30


def test_its_vector_is_the_one_the_next_release_would_give_it() -> None:
    model = LATER.release.model
    assert np.array_equal(model.item_vectors[COUNT:], item_vectors(model.network, some_items(30)))
    assert np.array_equal(model.item_vectors[:COUNT], BASE.release.model.item_vectors)


def test_more_items_come_behind_and_what_is_there_keeps_its_row() -> None:
    kept = some_items(40)
    # By id the later ones would stand first.
    first = replace(kept, ids=("a-first", *kept.ids[1:]))
    more = with_new_items(LATER, first)
    for name in some_items(30).ids[1:]:
        assert more.rows[name] >= COUNT
    assert more.release.model.catalogue.ids[:COUNT] == BASE.release.model.catalogue.ids
    grown = with_new_items(LATER, kept)
    assert all(grown.rows[name] == LATER.rows[name] for name in LATER.rows)
    assert with_new_items(grown, kept) is grown


def test_an_item_of_the_release_stays_as_it_was_signed() -> None:
    name = BASE.release.model.catalogue.ids[0]
    changed = replace(some_items(1), ids=(name,), titles=("something else",))
    assert with_new_items(BASE, changed) is BASE


@settings(max_examples=60)
@given(
    st.sampled_from([*SHOPPERS, "nobody"]),
    st.integers(1, 60),
    st.floats(0, 1),
    st.booleans(),
)
def test_new_items_never_take_more_than_their_share(
    shopper: str, k: int, share: float, varied: bool
) -> None:
    rules = Rules(relevance=0.8) if varied else Rules()
    guide = _guide(share, rules)
    picks = recommend(guide, shopper, k).picks
    new = [pick.item_id for pick in picks if guide.rows[pick.item_id] >= COUNT]
    assert len(new) <= Fraction(str(share)) * k
    assert {pick.item_id for pick in picks if pick.source == NEW} == set(new)
    assert len({pick.item_id for pick in picks}) == len(picks)
    # What is not new is what stood first without them, in that order.
    old = [pick.item_id for pick in picks if pick.item_id not in new]
    if not varied:
        plain = [pick.item_id for pick in recommend(BASE, shopper, k).picks]
        assert old == plain[: len(old)]
        assert len(old) >= min(k, len(plain)) - len(new)


def test_a_new_item_gets_its_place_and_says_why() -> None:
    shown = [
        pick for who in SHOPPERS for pick in recommend(LATER, who, 20).picks if pick.source == NEW
    ]
    assert shown
    assert any(pick.because for pick in shown)
    assert [pick.rank for pick in recommend(LATER, SHOPPERS[0], 20).picks] == list(range(1, 21))
    newcomer = recommend(LATER, "nobody", 20)
    assert newcomer.source == POPULAR
    assert [pick.source for pick in newcomer.picks[-2:]] == [NEW, NEW]


def test_what_was_bought_of_it_counts_and_it_is_new_no_more_to_them() -> None:
    guide = with_new_items(a_guide(), some_items(30))
    row = guide.rows["new-003"]
    guide.histories.fresh.add("fresh", Happened(row, BUY, guide.today()))
    assert [pick.item_id for pick in recommend(guide, "fresh", 5, "again").picks] == ["new-003"]
    assert "new-003" not in [p.item_id for p in recommend(guide, "fresh", 100, DISCOVER).picks]


def test_rules_hold_for_new_items() -> None:
    ids = some_items(30).ids
    guide = _guide(0.5, Rules(out_of_stock=ids[:29]))
    new = {p.item_id for who in SHOPPERS for p in recommend(guide, who, 20).picks} & set(ids)
    assert new <= {ids[29]}


def test_the_places_are_rounded_down() -> None:
    assert [places_for_new(0.1, k) for k in (1, 9, 10, 19, 20)] == [0, 0, 1, 1, 2]
    assert (places_for_new(0.3, 10), places_for_new(0.29, 100)) == (3, 29)
    assert places_for_new(0.9999999999999999, 1) == 0
    with pytest.raises(ConfigError, match="share"):
        _guide(1.5, Rules())


def _guide(share: float, rules: Rules) -> Guide:
    base = open_guide(BASE.release, BASE.histories, BASE.today, rules=rules, new_share=share)
    return with_new_items(base, some_items(30))
