"""A history read once gives what the encoder gives, also where it is longer than is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.models.encoders import History, encode, query_vector
from fedguide.models.reading import Grouping, encode_read, read, scores_without_groups
from fedguide.models.scorer import run_starts
from fedguide.values import VIEW
from tests.guide.sample import LAST_DAY, a_history, a_model

MODEL = a_model(seed=3)


def grouped(history: History) -> Grouping:
    named = np.array(
        [
            item if query is None else -2 - len(query)
            for item, query in zip(
                history.items.tolist(), history.queries or (None,) * len(history), strict=True
            )
        ],
        np.int64,
    )
    order = np.argsort(named, kind="stable")
    return Grouping(order, run_starts(named[order]))


def without(history: History, keep: np.ndarray) -> History:
    kept = np.flatnonzero(keep).tolist()
    queries = tuple(history.queries[at] for at in kept) if history.queries else ()
    return History(history.items[keep], history.kinds[keep], history.days[keep], queries)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    length=st.integers(0, 60),
    events=st.sampled_from([1, 3, 10, 25, 200]),
    few=st.sampled_from([2, 10, 80]),
)
def test_scores_without_a_group_are_those_of_the_encoder_run_again(
    seed: int, length: int, events: int, few: int
) -> None:
    network = replace(MODEL.network, events=events)
    history = a_history(np.random.default_rng(seed), few, length)
    grouping, targets = grouped(history), MODEL.item_vectors[:7]
    reading = read(network, MODEL.item_vectors, history, LAST_DAY, grouping)
    scores = scores_without_groups(reading, targets)
    assert scores.shape == (len(grouping) + 1, 7)
    for group in range(len(grouping) + 1):
        rest = without(history, grouping.of != group)
        again = targets @ encode(network, MODEL.item_vectors, rest, LAST_DAY)
        np.testing.assert_allclose(scores[group], again, rtol=1e-3, atol=3e-5)
    whole = encode(network, MODEL.item_vectors, history, LAST_DAY)
    np.testing.assert_allclose(encode_read(reading), whole, rtol=1e-5, atol=1e-6)


def test_older_events_move_in_when_younger_ones_go() -> None:
    # Two events are read: 5 and 7. Without item 7, which was seen twice, they are 3 and 5.
    history = History(
        items=np.array([3, 7, 5, 7], np.int32),
        kinds=np.full(4, VIEW, np.uint8),
        days=np.array([LAST_DAY - 9, LAST_DAY - 8, LAST_DAY - 7, LAST_DAY - 6], np.int32),
    )
    network = replace(MODEL.network, events=2)
    reading = read(network, MODEL.item_vectors, history, LAST_DAY, grouped(history))
    scores = scores_without_groups(reading, MODEL.item_vectors[:1])
    rest = without(history, np.array([True, False, True, False]))
    expected = MODEL.item_vectors[0] @ encode(network, MODEL.item_vectors, rest, LAST_DAY)
    assert scores[2, 0] == pytest.approx(expected, rel=1e-5)  # the groups are items 3, 5, 7


def test_remembered_queries_are_used() -> None:
    history = a_history(np.random.default_rng(4), len(MODEL), 30)
    assert any(history.queries)
    asked: list[str] = []

    def query_of(text: str) -> np.ndarray:
        asked.append(text)
        return query_vector(MODEL.network, text)

    grouping = grouped(history)
    remembered = read(MODEL.network, MODEL.item_vectors, history, LAST_DAY, grouping, query_of)
    plain = read(MODEL.network, MODEL.item_vectors, history, LAST_DAY, grouping)
    assert plain.events is not None
    np.testing.assert_array_equal(remembered.events, plain.events)
    assert set(asked) == {query for query in history.queries if query is not None}


def test_a_grouping_by_hand() -> None:
    grouping = Grouping(np.array([1, 3, 0, 2]), np.array([0, 1]))
    assert grouping.sizes.tolist() == [1, 3]
    assert grouping.of.tolist() == [1, 0, 1, 1]
    assert len(grouping) == 2
    nothing = np.zeros(0, np.int64)
    assert Grouping(nothing, nothing).sizes.tolist() == []
    assert Grouping(nothing, nothing).of.tolist() == []
