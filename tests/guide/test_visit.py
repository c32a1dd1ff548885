"""Recommending and ranking for a visit of which nothing is stored."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.engine import recommend
from fedguide.guide.session import Event
from fedguide.guide.visit import MOST_RANKED, RANKED, rank, recommend_visit
from tests.guide.sample import a_guide

GUIDE = a_guide()
SILENT = replace(GUIDE, allows=lambda _: False)
IDS = GUIDE.release.model.catalogue.ids
VISIT = (Event("view", "sku-0012"), Event("cart", "sku-0030"))
_SHOPPERS = st.sampled_from([f"shopper-{n:02d}" for n in range(24)])
_VISITS = st.lists(
    st.builds(Event, st.sampled_from(["view", "cart", "buy"]), st.sampled_from(IDS)), max_size=4
)


def test_without_a_visit_it_is_what_the_shopper_gets_anyway() -> None:
    assert recommend_visit(GUIDE, (), shopper="shopper-07") == recommend(GUIDE, "shopper-07")


def test_a_stranger_without_a_visit_gets_best_sellers_and_with_one_an_answer_of_it() -> None:
    nobody = recommend_visit(GUIDE, ())
    assert nobody.source == "popular"
    assert not any(pick.because for pick in nobody.picks)
    visit = recommend_visit(GUIDE, VISIT)
    assert visit.source == "personal"
    assert {b.item for pick in visit.picks for b in pick.because} <= {"sku-0012", "sku-0030"}


@pytest.mark.parametrize("slate", ["again", "discover", "both"])
def test_every_slate_answers(slate: str) -> None:
    bought = (*VISIT, Event("buy", "sku-0041"))
    answer = recommend_visit(GUIDE, bought, k=3, slate=slate)
    assert answer.slate == slate
    assert 0 < len(answer.picks) <= (6 if slate == "both" else 3)


def test_rank_orders_what_was_named_and_nothing_else() -> None:
    named = IDS[10:30]
    answer = rank(GUIDE, named, shopper="shopper-07", session=VISIT, query="desk lamp")
    assert answer.source == RANKED
    assert sorted(pick.item_id for pick in answer.picks) == sorted(named)
    scores = [pick.score for pick in answer.picks]
    assert scores == sorted(scores, reverse=True)
    assert [pick.rank for pick in answer.picks] == list(range(1, 21))


def test_rank_does_not_depend_on_the_order_of_the_question() -> None:
    named = list(IDS[10:30])
    forth, back = rank(GUIDE, named, session=VISIT), rank(GUIDE, named[::-1], session=VISIT)
    assert forth == back


def test_rank_of_nobody_is_by_sales() -> None:
    sales = GUIDE.release.model.recent_sales
    found = [float(sales[GUIDE.rows[p.item_id]]) for p in rank(GUIDE, IDS).picks]
    assert found == sorted(found, reverse=True)


def test_what_may_not_be_asked() -> None:
    for items in ([], ["sku-0001"] * 2, [str(n) for n in range(MOST_RANKED + 1)]):
        with pytest.raises(ConfigError):
            rank(GUIDE, items)
    with pytest.raises(NotFoundError):
        rank(GUIDE, ["sku-9999"])
    with pytest.raises(ConfigError, match="slate must be one of"):
        recommend_visit(GUIDE, (), slate="cheapest")
    with pytest.raises(ConfigError, match="k must be in"):
        recommend_visit(GUIDE, (), k=0)


@settings(max_examples=25)
@given(_SHOPPERS, _SHOPPERS, _VISITS)
def test_without_personalisation_no_answer_depends_on_the_shopper(
    one: str, other: str, visit: list[Event]
) -> None:
    for shopper in (one, other):
        same = recommend_visit(SILENT, visit, shopper=shopper)
        assert same == recommend_visit(SILENT, visit)
        assert rank(SILENT, IDS[:9], shopper=shopper, session=visit) == rank(
            SILENT, IDS[:9], session=visit
        )


@settings(max_examples=25)
@given(_SHOPPERS, _VISITS)
def test_a_price_never_depends_on_a_profile(shopper: str, visit: list[Event]) -> None:
    catalogue = GUIDE.release.model.catalogue
    for answer in (
        recommend_visit(GUIDE, visit, shopper=shopper, k=30),
        rank(GUIDE, IDS[:30], shopper=shopper, session=visit),
    ):
        for pick in answer.picks:
            price = float(catalogue.prices[GUIDE.rows[pick.item_id]])
            assert pick.price == (None if math.isnan(price) else price)
