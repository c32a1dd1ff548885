"""Which questions are asked in each setting, and that nothing is ranked that must not be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.models import evaluate as ev
from fedguide.models.metrics import Metrics
from fedguide.values import BUY, VIEW, Cases

from .small import cases, diary, random_shop

# Shopper 0 bought 0 and 1 and is asked for 1 and 2; shopper 1 bought 3 and is asked for 3;
# shopper 2 only looked at 4 and is asked for 4; shopper 3's next basket has no purchase.
WHOLE = diary(
    [
        (0, 1, [0]),
        (0, 2, [1, (4, VIEW)]),
        (0, 9, [1, 2, (0, VIEW)]),
        (1, 3, [3]),
        (1, 9, [3]),
        (2, 4, [(4, VIEW)]),
        (2, 9, [4]),
        (3, 5, [0]),
        (3, 9, [(1, VIEW)]),
    ]
)
ASKED = cases(WHOLE, [2, 4, 6, 8])


def test_all_items_asks_for_everything_bought() -> None:
    asked = ev.questions(ASKED, 5, "all")
    assert_array_equal(asked.rows, [0, 1, 2])  # shopper 3 buys nothing: no question
    assert_array_equal(asked.targets.items, [1, 2, 3, 4])
    assert_array_equal(asked.targets.offsets, [0, 2, 3, 4])


def test_discovery_takes_out_what_was_bought_before_and_only_that() -> None:
    asked = ev.questions(ASKED, 5, "discovery")
    assert_array_equal(asked.rows, [0, 2])  # shopper 1 buys nothing new: no question
    assert_array_equal(asked.targets.items, [2, 4])  # 4 was looked at, not bought
    scores = np.tile(np.array([5, 4, 1, 3, 2], np.float32), (2, 1))
    found = ev.judge(scores, asked)
    # Shopper 0: items 0 and 1 are not ranked, so 3 and 4 stand above 2. Shopper 2: 0, 1, 3 do.
    assert_allclose(found.mrr, [1 / 3, 1 / 4])


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of all, discovery, got 'new'"):
        ev.questions(ASKED, 5, "new")


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(WrongShapeError, match=r"\(3, 5\), got \(3, 6\)"):
        ev.judge(np.zeros((3, 6), np.float32), ev.questions(ASKED, 5, "all"))


def test_the_history_is_everything_before_the_basket_and_nothing_of_it() -> None:
    owner, item, line = ev.bought(WHOLE, ASKED.starts, ASKED.targets)
    assert_array_equal(owner, [0, 0, 1, 3])
    assert_array_equal(item, [0, 1, 3, 0])
    assert (WHOLE.kinds[line] == BUY).all()
    mask = ev.bought_before(ASKED, 5)
    assert_array_equal(np.argwhere(mask), [[0, 0], [0, 1], [1, 3], [3, 0]])


@pytest.mark.parametrize("setting", ev.SETTINGS)
def test_chunks_give_what_the_whole_gives(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = random_shop()
    asked = ev.questions(shop.test, 30, setting)
    table = np.random.default_rng(1).normal(size=(len(shop.test.baskets), 30)).astype(np.float32)

    def scorer(some: Cases) -> np.ndarray:
        return table[some.targets]

    whole = ev.judge(scorer(asked.cases), asked)
    monkeypatch.setattr(ev, "CHUNK", 7)
    parts = ev.evaluate(scorer, asked)
    assert len(whole) > 14
    for name in ("ndcg10", "recall20", "hr10", "mrr"):
        assert_allclose(getattr(parts, name), getattr(whole, name))


def test_no_case_is_no_question_and_nan_on_average() -> None:
    asked = ev.questions(cases(WHOLE, []), 5, "all")
    found = ev.evaluate(lambda some: np.zeros((len(some), 5), np.float32), asked)
    assert len(asked) == len(found) == 0
    assert all(np.isnan(value) for value in ev.means(found).values())


def test_some_of_many_questions_are_questions_of_their_own() -> None:
    shop = random_shop()
    asked = ev.questions(shop.test, 30, "all")
    some = ev.some_of(asked, cells=30 * 5, rng=np.random.default_rng(0))
    assert len(some) == 5
    for row, place in enumerate(some.rows):
        where = int(np.flatnonzero(asked.rows == place)[0])
        mine = slice(some.targets.offsets[row], some.targets.offsets[row + 1])
        his = slice(asked.targets.offsets[where], asked.targets.offsets[where + 1])
        assert_array_equal(some.targets.items[mine], asked.targets.items[his])
        assert some.cases.targets[row] == asked.cases.targets[where]
    assert ev.some_of(asked, cells=10**9, rng=np.random.default_rng(0)) is asked
    assert len(ev.some_of(asked, cells=1, rng=np.random.default_rng(0))) == 1


def test_shops_are_put_in_one_bag() -> None:
    one, two = (Metrics(v, v, v, v) for v in (np.array([1.0]), np.array([0.0, 0.5])))
    assert_allclose(ev.joined([one, two]).ndcg10, [1, 0, 0.5])
    assert ev.means(ev.joined([one, two]))["mrr"] == pytest.approx(0.5)
    assert len(ev.joined([])) == 0
