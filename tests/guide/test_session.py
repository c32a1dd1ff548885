"""What was done in this visit counts like the shopper's own events, and nothing of it stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide.answers import DISCOVER
from fedguide.guide.reasons import reasons
from fedguide.guide.session import LONGEST_SESSION, Event, moment_with, scores_of
from fedguide.guide.slates import question_of
from tests.guide.sample import a_guide

GUIDE = a_guide()
ROWS = np.arange(80)
VISIT = (Event("view", "sku-0012"), Event("search", query="登山 mug"), Event("cart", "sku-0030"))


def _scores(shopper: str | None, session: tuple[Event, ...], query: str = "") -> np.ndarray:
    moment = moment_with(GUIDE, shopper, session, query)
    assert moment is not None
    return scores_of(GUIDE, moment, DISCOVER, ROWS)


def test_without_a_shopper_a_visit_or_a_wish_there_is_no_moment() -> None:
    assert moment_with(GUIDE, None) is None
    assert moment_with(GUIDE, "nobody") is None
    assert moment_with(GUIDE, "shopper-07") is not None
    assert moment_with(GUIDE, None, VISIT) is not None


def test_each_side_of_the_intent_changes_the_scores() -> None:
    alone = _scores("shopper-07", ())
    visit = _scores("shopper-07", VISIT)
    said = _scores("shopper-07", VISIT, "desk lamp")
    assert not np.allclose(alone, visit)
    assert not np.allclose(visit, said)
    assert not np.allclose(visit, _scores(None, VISIT))


def test_a_wish_is_a_search_of_this_visit() -> None:
    searched = _scores(None, (Event("search", query="desk lamp"),))
    assert np.array_equal(_scores(None, (), "desk lamp"), searched)


def test_kinds_weigh_differently() -> None:
    kinds = [_scores(None, (Event(kind, "sku-0012"),)) for kind in ("view", "cart", "buy")]
    assert not np.allclose(kinds[0], kinds[1])
    assert not np.allclose(kinds[1], kinds[2])


def test_nothing_of_a_visit_stays() -> None:
    before = _scores("shopper-07", ())
    _scores("shopper-07", VISIT, "lamp")
    assert np.array_equal(_scores("shopper-07", ()), before)


def test_rough_scores_are_the_exact_ones_in_single_precision() -> None:
    moment = moment_with(GUIDE, "shopper-07", VISIT)
    assert moment is not None
    exact = scores_of(GUIDE, moment, DISCOVER, ROWS)
    rough = scores_of(GUIDE, moment, DISCOVER, ROWS, rough=True)
    np.testing.assert_allclose(rough, exact, rtol=1e-4, atol=1e-4)
    assert question_of(moment, DISCOVER) is not None


def test_reasons_name_items_and_searches_of_the_visit() -> None:
    moment = moment_with(GUIDE, None, VISIT)
    assert moment is not None
    names = {b.item or b.query for some in reasons(moment, DISCOVER, ROWS) for b in some}
    assert names
    assert names <= {"sku-0012", "sku-0030", "登山 mug"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event("like", "sku-0001"), "kind must be one of"),
        (Event("search", "sku-0001"), "names a query"),
        (Event("search", query="  "), "at least one word"),
        (Event("search", query="x" * 10_000), "at most"),
        (Event("view", "sku-0001", "mug"), "names an item"),
    ],
)
def test_an_event_that_is_none_is_refused(event: Event, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        moment_with(GUIDE, None, (event,))


def test_an_item_that_is_not_there_and_a_visit_without_end() -> None:
    with pytest.raises(NotFoundError):
        moment_with(GUIDE, None, (Event("view", "sku-9999"),))
    with pytest.raises(NotFoundError):
        moment_with(GUIDE, None, (Event("view"),))
    view = Event("view", "sku-0001")
    assert moment_with(GUIDE, None, (view,) * LONGEST_SESSION) is not None
    with pytest.raises(ConfigError, match=f"at most {LONGEST_SESSION} events"):
        moment_with(GUIDE, None, (view,) * (LONGEST_SESSION + 1))


def test_who_may_not_be_profiled_is_nobody_to_a_moment() -> None:
    silent = replace(GUIDE, allows=lambda _: False)
    assert moment_with(silent, "shopper-07") is None
    one = moment_with(silent, "shopper-07", VISIT)
    other = moment_with(silent, None, VISIT)
    assert one is not None
    assert other is not None
    assert np.array_equal(
        scores_of(silent, one, DISCOVER, ROWS), scores_of(silent, other, DISCOVER, ROWS)
    )
