"""Metrics by hand, and what no change of equal scores may do to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fedguide.errors import DataError, WrongShapeError
from fedguide.models.metrics import Targets, exposure_at, measure, ndcg_at, ranks


def targets(*wanted: list[int]) -> Targets:
    offsets = np.cumsum([0, *map(len, wanted)])
    return Targets(offsets, np.array([i for items in wanted for i in items], np.int64))


def scores(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_ranks_count_ties_half() -> None:
    # Above item 2 (score 1) stand 3 and 2; item 1 has the same score: 1 + 2 + 1/2.
    found = ranks(scores([3, 1, 1, 2, 0]), targets([0, 2, 4]))
    assert_allclose(found, [1, 3.5, 5])


def test_a_model_that_says_nothing_is_in_the_middle() -> None:
    assert_allclose(ranks(np.zeros((1, 9), np.float32), targets([0, 5])), [5, 5])


def test_metrics_by_hand() -> None:
    # 12 items in falling order; wanted are ranks 2 and 11.
    found = measure(scores([float(-i) for i in range(12)]), targets([1, 10]))
    ideal = 1 / np.log2(2) + 1 / np.log2(3)
    assert_allclose(found.ndcg10, [(1 / np.log2(3)) / ideal])
    assert_allclose(found.recall20, [1.0])
    assert_allclose(found.hr10, [1.0])
    assert_allclose(found.mrr, [0.5])


def test_a_half_rank_is_inside_at_ten_only_up_to_ten() -> None:
    # Nine items above, then two equal ones: both have rank 10.5, which is not within 10.
    row = [9.0] * 9 + [5.0, 5.0, 1.0]
    found = measure(scores(row), targets([9]))
    assert found.hr10[0] == 0 == found.ndcg10[0]
    assert_allclose(found.mrr, [1 / 10.5])
    assert_allclose(measure(scores(row[1:]), targets([8])).hr10, [1.0])  # 9.5 is


def test_recall_of_a_basket_larger_than_twenty_can_reach_one() -> None:
    row = [float(-i) for i in range(40)]
    assert_allclose(measure(scores(row), targets(list(range(30)))).recall20, [1.0])


def test_tied_targets_cannot_be_worth_more_than_the_best_order() -> None:
    # Eleven targets share ranks 1 to 11: all have rank 6, so all eleven are inside @10; nine
    # that share ranks 3 to 11 after two others would gain more than the best order.
    row = scores([3.0, 2.0] + [1.0] * 9)
    assert measure(row, targets(list(range(11)))).ndcg10[0] == 1
    gains = 1 / np.log2(2) + 1 / np.log2(3) + 9 / np.log2(8)
    assert gains > sum(1 / np.log2(1 + r) for r in range(1, 11))
    assert measure(np.ones((1, 40), np.float32), targets(list(range(40)))).recall20[0] <= 1


def test_what_is_not_ranked_is_below_everything() -> None:
    assert_allclose(ranks(scores([-np.inf, -5, -np.inf, 2]), targets([1])), [2])


def test_questions_are_kept_apart() -> None:
    found = measure(scores([2, 1, 0], [0, 1, 2]), targets([0], [0, 1]))
    assert_allclose(found.mrr, [1, 0.5])
    assert len(found) == 2


def test_no_question_has_no_metrics() -> None:
    found = measure(np.zeros((0, 4), np.float32), targets())
    assert len(found) == 0


def test_nonsense_is_refused() -> None:
    with pytest.raises(WrongShapeError, match=r"shape \(1, n\), got \(2, 3\)"):
        ranks(np.zeros((2, 3), np.float32), targets([0]))
    with pytest.raises(WrongShapeError):
        ndcg_at(np.zeros((2, 3), np.float32), targets([0]), 10)
    with pytest.raises(DataError, match="NaN"):
        ranks(scores([0, np.nan]), targets([0]))
    with pytest.raises(DataError, match="at least one target"):
        measure(np.zeros((1, 3), np.float32), targets([]))


@st.composite
def questions(draw: st.DrawFn) -> tuple[np.ndarray, Targets]:
    """Few different values, so that ties are everywhere."""
    rows, items = draw(st.integers(1, 4)), draw(st.integers(1, 60))
    value = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
    flat = draw(st.lists(value, min_size=rows * items, max_size=rows * items))
    wanted = [
        sorted(draw(st.sets(st.integers(0, items - 1), min_size=1, max_size=14)))
        for _ in range(rows)
    ]
    return np.array(flat, np.float32).reshape(rows, items), targets(*wanted)


@given(questions(), st.randoms(use_true_random=False))
def test_the_order_of_items_changes_nothing(
    asked: tuple[np.ndarray, Targets], random: object
) -> None:
    given_scores, wanted = asked
    order = np.arange(given_scores.shape[1])
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis types it as object
    place = np.argsort(order)
    moved = Targets(wanted.offsets, place[wanted.items])
    before, after = measure(given_scores, wanted), measure(given_scores[:, order], moved)
    for name in ("ndcg10", "recall20", "hr10", "mrr"):
        assert_allclose(getattr(after, name), getattr(before, name))


@given(questions())
def test_metrics_stay_within_their_range_and_match_a_plain_reference(
    asked: tuple[np.ndarray, Targets],
) -> None:
    given_scores, wanted = asked
    found = measure(given_scores, wanted)
    for row in range(len(wanted)):
        mine = wanted.items[wanted.offsets[row] : wanted.offsets[row + 1]]
        line = given_scores[row]
        plain = [1 + (line > line[i]).sum() + ((line == line[i]).sum() - 1) / 2 for i in mine]
        gain = sum(1 / np.log2(1 + r) for r in plain if r <= 10)
        ideal = sum(1 / np.log2(1 + r) for r in range(1, min(len(mine), 10) + 1))
        assert found.ndcg10[row] == pytest.approx(min(gain / ideal, 1))
        assert 0 <= found.ndcg10[row] <= 1
        assert found.mrr[row] == pytest.approx(1 / min(plain))
        assert found.hr10[row] == (min(plain) <= 10)
        assert found.recall20[row] == pytest.approx(np.mean([r <= 20 for r in plain]))


@given(questions(), st.integers(1, 25))
def test_the_quick_ndcg_is_the_exact_one(asked: tuple[np.ndarray, Targets], k: int) -> None:
    given_scores, wanted = asked
    rank = ranks(given_scores, wanted)
    gains = np.where(rank <= k, 1 / np.log2(1 + rank), 0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    plain = [
        min(gains[a:b].sum() / ideal[min(b - a, k) - 1], 1)
        for a, b in zip(wanted.offsets[:-1], wanted.offsets[1:], strict=True)
    ]
    assert_allclose(ndcg_at(given_scores, wanted, k), plain)


def test_exposure_by_hand():
    """Four shoppers, k = 2; ``-inf`` is not ranked, and a tie of second and third is rank 2.5."""
    scores = np.float32([[3, 2, 1], [1, 2, 2], [-np.inf, 1, 3], [2, 3, 1]])
    rates = exposure_at(scores, np.array([0, 1, 2]), 2)
    # Item 0: to shoppers 0 and 3 of the three it is ranked for. Item 1: to 0, 1, 2 and 3, since
    # it ties with item 2 for ranks 1 and 2 in shopper 1. Item 2: to shoppers 1 and 2.
    np.testing.assert_allclose(rates, [2 / 3, 1, 1 / 2])
    tied = np.float32([[5, 2, 2]])
    np.testing.assert_array_equal(exposure_at(tied, np.array([1, 2]), 2), [0, 0])
    assert np.isnan(exposure_at(np.float32([[-np.inf, 1]]), np.array([0]), 1)).all()
