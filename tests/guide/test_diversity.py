"""Maximal marginal relevance: lambda 1 is the order of the scores, less of it is more novel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedguide.guide.diversity import varied

# Two directions; rows 0, 1 and 2 are nearly the same thing, row 3 is another.
VECTORS = np.array([[1, 0], [0.99, 0.1], [0.98, 0.15], [0, 1], [0, 0]], np.float32)


def test_by_hand() -> None:
    """Scores 1, .9, .8, .3 scale to 1, .857, .714, 0.

    At lambda 0.5 the first is row 0. Then row 1 gains .4286 - .5 * .9949 = -.069, row 2
    .357 - .494 = -.137, row 3 0 - 0 = 0: the other thing is second. Then row 1 (.4286 - .4975)
    before row 2.
    """
    assert varied(VECTORS, [0, 1, 2, 3], [1, 0.9, 0.8, 0.3], 0.5, 4) == [0, 3, 1, 2]
    assert varied(VECTORS, [0, 1, 2, 3], [1, 0.9, 0.8, 0.3], 0.9, 4) == [0, 1, 2, 3]


_CASES = st.lists(st.tuples(st.integers(0, 4), st.floats(-1e3, 1e3)), min_size=1, max_size=12).map(
    lambda some: ([r for r, _ in some], [s for _, s in some])
)


@given(_CASES, st.integers(1, 15))
def test_lambda_one_keeps_the_order_of_the_scores(
    case: tuple[list[int], list[float]], k: int
) -> None:
    rows, scores = case
    scores = sorted(scores, reverse=True)
    assert varied(VECTORS, rows, scores, 1.0, k) == list(range(min(k, len(rows))))


@given(_CASES, st.floats(0.01, 1), st.integers(1, 15))
def test_each_candidate_is_chosen_once_and_the_best_first(
    case: tuple[list[int], list[float]], relevance: float, k: int
) -> None:
    rows, scores = case
    chosen = varied(VECTORS, rows, scores, relevance, k)
    assert len(chosen) == len(set(chosen)) == min(k, len(rows))
    spread = max(scores) - min(scores)
    assert scores[chosen[0]] >= max(scores) - 1e-9 * max(1.0, spread)


@given(st.floats(0.5, 20), st.floats(-5, 5), st.floats(0.05, 1))
def test_the_unit_of_the_scores_says_nothing(scale: float, shift: float, relevance: float) -> None:
    scores = [1.0, 0.83, 0.61, 0.2]
    other = [scale * score + shift for score in scores]
    rows = [0, 1, 2, 3]
    assert varied(VECTORS, rows, scores, relevance, 4) == varied(VECTORS, rows, other, relevance, 4)


def test_nothing_to_choose_from_and_vectors_of_no_length() -> None:
    assert varied(VECTORS, [], [], 0.5, 3) == []
    assert varied(VECTORS, [4, 4], [1.0, 1.0], 0.5, 3) == [0, 1]
