"""No item outside the sketch's answer scores above its floor, whatever the vectors look like."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.guide import sketch as module
from fedguide.guide.candidates import Index, Question, best_items
from fedguide.guide.sketch import SMALLEST, High, Sketch, highest, sketch_of

N = SMALLEST + 800


def normal(rng: np.random.Generator, d: int) -> np.ndarray:
    return rng.normal(size=(N, d))


def long_tailed(rng: np.random.Generator, d: int) -> np.ndarray:
    return rng.standard_t(1.5, size=(N, d))


def in_clusters(rng: np.random.Generator, d: int) -> np.ndarray:
    return rng.normal(size=(20, d))[rng.integers(0, 20, N)] + rng.normal(size=(N, d)) / 1000


def of_one_length(rng: np.random.Generator, d: int) -> np.ndarray:
    vectors = rng.normal(size=(N, d))
    return 2.7 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def mostly_one_column(rng: np.random.Generator, d: int) -> np.ndarray:
    return rng.normal(size=(N, d)) * np.append(100.0, np.full(d - 1, 1e-3))


def all_equal(rng: np.random.Generator, d: int) -> np.ndarray:
    return np.repeat(rng.normal(size=(1, d)), N, axis=0)


SHAPES = (normal, long_tailed, in_clusters, of_one_length, mostly_one_column, all_equal)


def sales(rng: np.random.Generator) -> np.ndarray:
    counts = np.floor(rng.pareto(1.1, (N, 2)) * 3)
    return np.log1p(counts).astype(np.float32)


def dense(vectors: np.ndarray, static: np.ndarray, query: np.ndarray) -> np.ndarray:
    whole = np.concatenate([vectors, static], axis=1).astype(np.float64)
    return whole @ query.astype(np.float64)


def found(sketch: Sketch, query: np.ndarray, depth: int) -> High:
    high = highest(sketch, query, depth)
    assert high is not None
    return high


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(SHAPES),
    d=st.integers(2, 40),
    depth=st.integers(1, N - 1),
    weight=st.sampled_from([0.0, 0.1, -0.1, 5.0]),
)
def test_nothing_else_scores_above_the_floor(
    seed: int, shape: Any, d: int, depth: int, weight: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors, static = shape(rng, d).astype(np.float32), sales(rng)
    sketch = sketch_of(vectors, static)
    assert sketch is not None
    query = (rng.normal(size=d + 2) * 10 ** rng.uniform(-3, 3)).astype(np.float32)
    query[d:] *= np.float32(weight)
    high = highest(sketch, query, depth)
    if high is None:  # some sums round to the least there can be
        assert shape in (long_tailed, mostly_one_column, all_equal)
        return
    assert len(set(high.items.tolist())) == depth
    others = np.delete(dense(vectors, static, query), high.items)
    assert others.max() <= high.floor


def test_few_are_needed_for_the_ten_best() -> None:
    rng = np.random.default_rng(1)
    vectors, static = of_one_length(rng, 64).astype(np.float32), sales(rng)
    sketch = sketch_of(vectors, static)
    assert sketch is not None
    for _ in range(20):
        query = np.append(rng.normal(size=64), [0.1, 0.1]).astype(np.float32)
        scores = dense(vectors, static, query)
        assert found(sketch, query, 400).floor < np.sort(scores)[-10]


def test_items_that_the_scan_leaves_out_are_scored_one_by_one() -> None:
    # One item is so far out that all other sums round to nothing, and faiss does not give those.
    rng = np.random.default_rng(5)
    vectors, static = normal(rng, 6).astype(np.float32), np.zeros((N, 2), np.float32)
    vectors[7] = [0, 0, 0, 0, 0, 1e6]
    sketch = sketch_of(vectors, static)
    assert sketch is not None
    query = np.array([1, 0, 0, 0, 0, 0, 0, 0], np.float32)
    assert highest(sketch, query, 600) is None
    none = np.zeros(0, np.int64)
    question = Question(query, np.zeros(N, np.float32), none)
    best = best_items(Index(sketch, vectors, static, 1e6), question, 10)
    assert best.scanned
    assert best.items.tolist() == np.argsort(-vectors[:, 0], kind="stable")[:10].tolist()


def test_a_query_of_zeros_tells_nothing_apart() -> None:
    rng = np.random.default_rng(2)
    sketch = sketch_of(normal(rng, 8).astype(np.float32), sales(rng))
    assert sketch is not None
    assert highest(sketch, np.zeros(10, np.float32), 5) is None


def test_a_small_catalogue_needs_none() -> None:
    rng = np.random.default_rng(3)
    vectors, static = normal(rng, 8).astype(np.float32), sales(rng)
    assert sketch_of(vectors[:SMALLEST], static[:SMALLEST]) is None
    assert sketch_of(vectors[: SMALLEST + 1], static[: SMALLEST + 1]) is not None


def test_a_scan_that_adds_otherwise_is_noticed_and_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    packed = module._packed

    class Otherwise:
        def __init__(self, codes: Any) -> None:
            self.codes = codes

        def search(self, rows: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
            sums, items = self.codes.search(rows, depth)
            return sums * np.float32(1.2), items

    monkeypatch.setattr(module, "_packed", lambda *parts: Otherwise(packed(*parts)))
    rng = np.random.default_rng(4)
    with caplog.at_level(logging.WARNING, "fedguide.guide"):
        assert sketch_of(normal(rng, 8).astype(np.float32), sales(rng)) is None
    assert "every item is scored" in caplog.text
