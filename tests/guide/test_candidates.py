"""The k best are the k best: against scoring everything, whatever the sparse part does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.guide.candidates import (
    Best,
    Index,
    Question,
    best_items,
    build_index,
    rank_items,
    scan_items,
    score_items,
)
from fedguide.guide.sketch import sketch_of
from tests.guide.sample import a_model

MODEL = a_model(seed=1, copies=25)
INDEX = build_index(MODEL)
DENSE = np.concatenate([INDEX.vectors, INDEX.static], axis=1)
N = len(INDEX)


def brute_force(question: Question, k: int) -> list[int]:
    scores = DENSE.astype(np.float64) @ question.query.astype(np.float64)
    scores += question.sparse
    scores[question.excluded] = -np.inf
    order = np.lexsort((np.arange(len(scores)), -scores))
    return order[: max(0, min(k, len(scores) - len(question.excluded)))].tolist()


def a_question(seed: int, *, touched: int = 50, excluded: int = 10, lift: float = 1.0) -> Question:
    rng = np.random.default_rng(seed)
    sparse = np.zeros(N, np.float32)
    at = rng.choice(N, touched, replace=False)
    sparse[at] = rng.normal(0, lift, touched)
    query = rng.normal(size=DENSE.shape[1]).astype(np.float32)
    return Question(query, sparse, np.sort(rng.choice(N, excluded, replace=False)))


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    touched=st.sampled_from([0, 5, 200, N]),
    excluded=st.sampled_from([0, 10, 300, N - 3, N]),
    lift=st.sampled_from([0.01, 1.0, 50.0]),
    k=st.integers(1, 40),
)
def test_best_items_are_the_best(
    seed: int, touched: int, excluded: int, lift: float, k: int
) -> None:
    question = a_question(seed, touched=touched, excluded=excluded, lift=lift)
    found = best_items(INDEX, question, k)
    assert found.items.tolist() == brute_force(question, k)
    assert not set(found.items.tolist()) & set(question.excluded.tolist())


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 40))
def test_the_scan_agrees_with_the_certificate(seed: int, k: int) -> None:
    question = a_question(seed)
    quick, slow = best_items(INDEX, question, k), scan_items(INDEX, question, k)
    assert slow.scanned
    assert quick.items.tolist() == slow.items.tolist()
    np.testing.assert_allclose(quick.scores, slow.scores, rtol=1e-12)


def test_usually_nothing_is_scanned() -> None:
    assert not any(best_items(INDEX, a_question(seed), 10).scanned for seed in range(50))


def test_what_the_scan_of_the_dense_part_missed_is_found_by_its_sparse_part() -> None:
    question = a_question(1, touched=0)
    dense = DENSE @ question.query
    last = int(np.argmin(dense))
    question.sparse[last] = float(dense.max() - dense.min()) + 1
    found = best_items(INDEX, Question(question.query, question.sparse, question.excluded), 5)
    assert found.items[0] == last
    assert not found.scanned


def test_the_best_may_all_be_excluded() -> None:
    question = a_question(2, touched=0)
    best = np.argsort(-(DENSE @ question.query))[:150]
    hard = Question(question.query, question.sparse, np.sort(best))
    found = best_items(INDEX, hard, 10)
    assert not found.scanned
    assert found.items.tolist() == brute_force(hard, 10)


def test_a_sparse_part_that_pushes_the_best_down_is_seen() -> None:
    question = a_question(3, touched=0)
    best = np.argsort(-(DENSE @ question.query))[:700]
    question.sparse[best] = -100
    question = Question(question.query, question.sparse, question.excluded)
    found = best_items(INDEX, question, 10)
    assert found.scanned
    assert found.items.tolist() == brute_force(question, 10)
    assert not set(found.items.tolist()) & set(best.tolist())


def test_more_are_asked_for_before_everything_is_scored() -> None:
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(9000, 12)).astype(np.float32)
    static = np.zeros((9000, 2), np.float32)
    index = Index(sketch_of(vectors, static), vectors, static, 9.0)
    query = np.append(rng.normal(size=12), [0, 0]).astype(np.float32)
    sparse = np.zeros(9000, np.float32)
    sparse[np.argsort(-(vectors @ query[:12]))[:700]] = -100
    found = best_items(index, Question(query, sparse, np.zeros(0, np.int64)), 10)
    scores = vectors.astype(np.float64) @ query[:12].astype(np.float64) + sparse
    assert not found.scanned
    assert found.items.tolist() == np.argsort(-scores)[:10].tolist()


def test_equal_scores_keep_the_order_of_the_catalogue() -> None:
    query = np.zeros(DENSE.shape[1], np.float32)
    question = Question(query, np.zeros(N, np.float32), np.array([1], np.int64))
    assert best_items(INDEX, question, 4).items.tolist() == [0, 2, 3, 4]


def test_scores_by_hand() -> None:
    best = rank_items(np.array([4, 2, 9]), np.array([1.0, 3.0, 1.0]), 2, scanned=True)
    assert isinstance(best, Best)
    assert best.items.tolist() == [2, 4]
    question = a_question(4)
    item = np.array([17])
    by_hand = sum(float(a) * float(b) for a, b in zip(DENSE[17], question.query, strict=True))
    by_hand += float(question.sparse[17])
    assert score_items(INDEX, question, item)[0] == pytest.approx(by_hand, rel=1e-12)


def test_items_that_the_sketch_cannot_tell_apart_are_still_ordered() -> None:
    # Items whose scores differ by far less than a level's step.
    vectors = np.repeat(MODEL.item_vectors[:1], N, axis=0).copy()
    vectors[:, 0] += np.linspace(0, 1e-5, N, dtype=np.float32)
    flat = dataclasses.replace(
        MODEL,
        item_vectors=vectors,
        recent_sales=np.zeros(N, np.float32),
        popularity=np.zeros(N, np.float32),
    )
    query = np.zeros(MODEL.network.size + 2, np.float32)
    query[0] = 1
    question = Question(query, np.zeros(N, np.float32), np.zeros(0, np.int64))
    found = best_items(build_index(flat), question, 10)
    assert found.scanned
    best = np.lexsort((np.arange(N), -vectors[:, 0].astype(np.float64)))[:10]
    assert found.items.tolist() == best.tolist()
