"""The guide: personal or popular, and it says which; every limit is an error that names it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedguide.errors import ConfigError, NotFoundError
from fedguide.guide import engine
from fedguide.guide.engine import open_guide
from fedguide.models.release import Release
from tests.guide.sample import LAST_DAY, a_card, a_guide, a_model, some_histories

GUIDE = a_guide()


@pytest.mark.parametrize("slate", ["again", "discover", "both"])
def test_every_pick_says_where_it_comes_from(slate: str) -> None:
    answer = engine.recommend(GUIDE, "shopper-07", 8, slate)
    assert answer.source == "personal"
    assert answer.picks
    for pick in answer.picks:
        assert pick.source == ("personal" if pick.because else "popular")
        assert pick.slate in ("again", "discover")
    if slate != "both":
        assert [pick.rank for pick in answer.picks] == list(range(1, len(answer.picks) + 1))
        scores = [pick.score for pick in answer.picks]
        assert scores == sorted(scores, reverse=True)


def test_both_is_one_slate_after_the_other() -> None:
    both = engine.recommend(GUIDE, "shopper-07", 4, "both").picks
    parts = [engine.recommend(GUIDE, "shopper-07", 4, s).picks for s in ("again", "discover")]
    assert both == (*parts[0], *parts[1])


def test_an_unknown_shopper_gets_best_sellers_and_is_told_so() -> None:
    answer = engine.recommend(GUIDE, "nobody", 5)
    assert answer.source == "popular"
    assert all(pick.source == "popular" and not pick.because for pick in answer.picks)
    assert (
        answer.picks[0].item_id
        == GUIDE.release.model.catalogue.ids[int(np.argmax(GUIDE.release.model.recent_sales))]
    )


@pytest.mark.parametrize("k", [0, -1, 101])
def test_k_has_limits(k: int) -> None:
    for ask in (
        lambda: engine.recommend(GUIDE, "shopper-07", k),
        lambda: engine.search(GUIDE, "mug", k),
        lambda: engine.similar(GUIDE, "sku-0001", k),
    ):
        with pytest.raises(ConfigError, match=rf"\[1, 100\], got {k}"):
            ask()


def test_an_unknown_slate_is_refused() -> None:
    with pytest.raises(ConfigError, match="discover, again, both, got 'best'"):
        engine.recommend(GUIDE, "shopper-07", 5, "best")


def test_an_unknown_item_is_not_found() -> None:
    for ask in (engine.item, engine.similar):
        with pytest.raises(NotFoundError, match="sku-9999"):
            ask(GUIDE, "sku-9999")


def test_an_item_without_title_or_price_is_served() -> None:
    assert engine.item(GUIDE, "sku-0005").title == ""
    assert engine.item(GUIDE, "sku-0006").price is None
    assert engine.item(GUIDE, "sku-0007").price == pytest.approx(
        float(GUIDE.release.model.catalogue.prices[7])
    )
    assert len(engine.similar(GUIDE, "sku-0005", 3).picks) == 3


def test_a_search_tells_words_from_meaning() -> None:
    assert engine.search(GUIDE, "mug").source == "words"
    assert engine.search(GUIDE, "перчатки").source == "meaning"
    assert engine.search(GUIDE, "mug", 1).picks[0].matched == ("mug",)


def test_time_moves_the_answer() -> None:
    later = a_guide(today=lambda: LAST_DAY + 400)
    now = engine.recommend(GUIDE, "shopper-07", 5, "again").picks
    then = engine.recommend(later, "shopper-07", 5, "again").picks
    assert [p.score for p in now] != [p.score for p in then]


def test_the_latest_events_newest_first() -> None:
    latest = engine.latest_events(GUIDE, "shopper-07", 4)
    days = [day for *_, day in latest]
    assert len(latest) == 4
    assert days == sorted(days, reverse=True)
    for kind, item_id, title, query, _ in latest:
        assert bool(query) == (kind == "search")
        assert bool(item_id) == (kind != "search")
        assert title == (engine.item(GUIDE, item_id).title if item_id else "")
    assert engine.latest_events(GUIDE, "nobody", 4) == []


def test_histories_of_another_catalogue_are_refused() -> None:
    model = a_model()
    histories = some_histories(model)
    wrong = dataclasses.replace(histories, items=histories.items + len(model))
    release = Release(model, a_card(), "0" * 64, "f" * 64)
    with pytest.raises(ConfigError, match=r"\[0, 80\)"):
        open_guide(release, wrong, lambda: LAST_DAY)
