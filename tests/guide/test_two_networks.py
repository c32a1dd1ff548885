"""Two networks in one release: each slate is, to the last bit, what its own network alone gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedguide.guide.answers import AGAIN, BOTH, DISCOVER
from fedguide.guide.ask import ask
from fedguide.guide.compare import compare
from fedguide.guide.engine import (
    Guide,
    moment_at,
    picks_at,
    recommend,
    search,
    similar,
    with_new_items,
)
from fedguide.guide.histories import history_for
from fedguide.guide.moment import slate_score
from fedguide.guide.reasons import reasons
from fedguide.guide.rules import Rules
from fedguide.guide.session import Event
from fedguide.guide.visit import rank, recommend_visit
from fedguide.models.scorer import SLATES, ShopModel, shares, slate_scores, with_aside
from tests.guide.sample import LAST_DAY, a_guide, a_history, a_model, a_release
from tests.guide.test_newcomers import some_items
from tests.guide.two import another

ONE = a_model()
OTHER = another(ONE)
SHOPPERS = (*(f"shopper-{n:02d}" for n in range(24)), "nobody")
VISIT = (Event("view", "sku-0003"), Event("search", query="mug"), Event("buy", "sku-0041"))

Change = Callable[[Guide], Guide]


def varied(guide: Guide) -> Guide:
    """With rules that look at the item vectors."""
    return a_guide(guide.release.model, rules=Rules(relevance=0.7))


def longer(guide: Guide) -> Guide:
    """With items that came later."""
    return with_new_items(guide, some_items(30))


def plain(guide: Guide) -> Guide:
    """As it is."""
    return guide


def signed(folder: Path) -> Change:
    """Saved, signed and loaded."""

    def change(guide: Guide) -> Guide:
        release = a_release(folder / str(len(list(folder.iterdir()))), guide.release.model)
        return a_guide(release.model)

    return change


def guides(aside: str, change: Change = plain) -> tuple[Guide, dict[str, Guide]]:
    """A guide of two networks, and for each slate the guide of the one network it has."""
    alone = {slate: OTHER if slate == aside else ONE for slate in SLATES}
    two = change(a_guide(with_aside(ONE, aside, OTHER)))
    return two, {slate: change(a_guide(model)) for slate, model in alone.items()}


@pytest.mark.parametrize("aside", SLATES)
@pytest.mark.parametrize("kind", ["plain", "varied", "longer", "both", "signed"])
def test_each_slate_is_that_of_its_own_network(aside: str, kind: str, tmp_path: Path) -> None:
    change: Change = {
        "plain": plain,
        "varied": varied,
        "longer": longer,
        "both": lambda guide: longer(varied(guide)),
        "signed": signed(tmp_path),
    }[kind]
    two, alone = guides(aside, change)
    for shopper in SHOPPERS:
        for slate in SLATES:
            assert recommend(two, shopper, 20, slate) == recommend(alone[slate], shopper, 20, slate)
            said = recommend_visit(two, VISIT, shopper=shopper, k=20, slate=slate)
            assert said == recommend_visit(alone[slate], VISIT, shopper=shopper, k=20, slate=slate)


def test_the_wrong_network_would_be_seen() -> None:
    one, other = a_guide(ONE), a_guide(OTHER)
    for slate in SLATES:
        for shopper in SHOPPERS[1:-1]:
            mine, theirs = (recommend(guide, shopper, 20, slate).picks for guide in (one, other))
            assert mine != theirs or not mine
        # And by the reasons alone, whatever the order of the items.
        rows, history = np.arange(80), history_for(one.histories, "shopper-07")
        assert history is not None
        mine, theirs = (
            reasons(moment_at(guide, history, LAST_DAY, slate), slate, rows)
            for guide in (one, other)
        )
        assert mine != theirs


@pytest.mark.parametrize("aside", SLATES)
def test_both_slates_are_one_after_the_other(aside: str) -> None:
    two, alone = guides(aside)
    for shopper in SHOPPERS[:-1]:
        both = recommend(two, shopper, 10, BOTH).picks
        assert both == tuple(
            pick
            for slate in (AGAIN, DISCOVER)
            for pick in recommend(alone[slate], shopper, 10, slate).picks
        )
        said = recommend_visit(two, VISIT, shopper=shopper, slate=BOTH).picks
        assert said == tuple(
            pick
            for slate in (AGAIN, DISCOVER)
            for pick in recommend_visit(alone[slate], VISIT, shopper=shopper, slate=slate).picks
        )


@pytest.mark.parametrize("aside", SLATES)
def test_what_is_scored_as_new_to_the_shopper_is_scored_by_that_network(aside: str) -> None:
    two, alone = guides(aside)
    items = [f"sku-{row:04d}" for row in range(0, 80, 3)]
    mine = rank(two, items, shopper="shopper-07", session=VISIT)
    assert mine == rank(alone[DISCOVER], items, shopper="shopper-07", session=VISIT)
    pair = ("sku-0001", "sku-0042")
    here = compare(two, *pair, shopper="shopper-07")
    there = compare(alone[DISCOVER], *pair, shopper="shopper-07")
    assert (here.first, here.second, here.suits) == (there.first, there.second, there.suits)
    for wish in ("under 500", "mug"):
        asked = ask(two, wish, shopper="shopper-07")
        assert asked == ask(alone[DISCOVER], wish, shopper="shopper-07")


@pytest.mark.parametrize("aside", SLATES)
@pytest.mark.parametrize("change", [plain, longer])
def test_all_that_is_no_slate_is_answered_by_the_first_network(aside: str, change: Change) -> None:
    two, first = guides(aside, change)[0], change(a_guide(ONE))
    for text in ("mug", "перчатки", "防水"):
        assert search(two, text) == search(first, text)
    assert ask(two, "перчатки") == ask(first, "перчатки")  # by meaning: no word of the shop
    assert similar(two, "sku-0007") == similar(first, "sku-0007")
    pair = ("sku-0001", "sku-0042")
    assert compare(two, *pair).alike == compare(first, *pair).alike


@pytest.mark.parametrize("aside", SLATES)
def test_a_moment_cannot_be_scored_by_the_other_network(aside: str) -> None:
    two, _ = guides(aside)
    history = history_for(two.histories, "shopper-07")
    assert history is not None
    for slate, wrong in (SLATES, SLATES[::-1]):
        moment = moment_at(two, history, LAST_DAY, slate)
        with pytest.raises(KeyError, match=wrong):
            slate_score(moment, wrong)
        with pytest.raises(KeyError, match=wrong):
            picks_at(two, moment, wrong, 10)


def test_the_scorer_takes_the_network_of_the_slate() -> None:
    history = a_history(np.random.default_rng(3), len(ONE), 40)
    for aside in SLATES:
        two = with_aside(ONE, aside, OTHER)
        for slate in SLATES:
            alone, wrong = (OTHER, ONE) if slate == aside else (ONE, OTHER)
            for scored in (slate_scores, lambda *given: shares(*given, 7)):
                found = scored(two, history, LAST_DAY, slate)
                np.testing.assert_array_equal(found, scored(alone, history, LAST_DAY, slate))
                assert not np.array_equal(found, scored(wrong, history, LAST_DAY, slate))


def test_only_the_slate_that_is_searched_has_a_sketch() -> None:
    large = a_model(copies=120)
    other = another(large)
    for aside in SLATES:
        two, alone = with_aside(large, aside, other), other if aside == DISCOVER else large
        guide = a_guide(two)
        assert guide.sides[DISCOVER].index.sketch is not None
        assert guide.sides[AGAIN].index.sketch is None
        assert recommend(guide, "shopper-07", 20) == recommend(a_guide(alone), "shopper-07", 20)


def test_one_network_is_prepared_once() -> None:
    guide = a_guide(ONE)
    assert guide.sides[AGAIN] is guide.sides[DISCOVER] is guide.main
    assert guide.sides[AGAIN].prepared.model is guide.release.model


def test_neighbours_that_are_the_same_are_kept_once() -> None:
    alike: ShopModel = replace(
        OTHER, neighbours=ONE.neighbours, neighbour_weights=ONE.neighbour_weights
    )
    two = a_guide(with_aside(ONE, AGAIN, alike))
    model = with_new_items(two, some_items(30)).release.model
    assert model.aside is not None
    assert model.aside.neighbours is model.neighbours
    assert len(model.aside.item_vectors) == len(model) == 110
