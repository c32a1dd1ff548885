"""EASE against the formula written down plainly, from both sides of the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.errors import ConfigError
from fedguide.models.ease import (
    EASE_ITEMS,
    by_ease,
    ease,
    ease_matrix,
    ease_scores,
    inverse_matrix,
    spectrum,
)
from fedguide.models.itemknn import by_neighbours, shopper_items
from fedguide.values import Baskets

from .small import diary, random_shop


def plain(train: Baskets, items: int, ridge: float) -> np.ndarray:
    X = shopper_items(train, items).toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + ridge * np.eye(items))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0)
    return B


def test_two_items_by_hand() -> None:
    # Three shoppers: one has both, one has 0, one has 1. X'X = [[2, 1], [1, 2]]; with ridge 1 the
    # inverse of [[3, 1], [1, 3]] is [[3, -1], [-1, 3]] / 8, so B = 1/3 off the diagonal.
    train = diary([(0, 0, [0, 1]), (1, 0, [0]), (2, 0, [1])])
    assert_allclose(ease_matrix(spectrum(train, 2), 1.0), [[0, 1 / 3], [1 / 3, 0]], rtol=1e-6)


@pytest.mark.parametrize("shoppers", [12, 60])  # fewer and more than the 30 items
@pytest.mark.parametrize("ridge", [0.5, 50.0])
def test_both_sides_give_the_formula(shoppers: int, ridge: float) -> None:
    train = random_shop(shoppers=shoppers).train
    expected = plain(train, 30, ridge)
    found = spectrum(train, 30)
    assert_allclose(ease_matrix(found, ridge), expected, atol=2e-5)
    assert_allclose(inverse_matrix(train, 30, ridge), expected, atol=1e-6)
    history = np.random.default_rng(0).random((5, 30)).astype(np.float32)
    assert_allclose(ease_scores(found, history, ridge), history @ expected, atol=5e-5)


def test_an_item_nobody_bought_says_nothing() -> None:
    train = random_shop().train
    found = ease_matrix(spectrum(train, 33), 10.0)
    assert not found[30:].any()
    assert not found[:, 30:].any()
    assert np.isfinite(found).all()


def test_all_neighbours_kept_give_the_same_scores() -> None:
    shop = random_shop()
    found = spectrum(shop.train, 30)
    whole = by_ease(found, 20.0, 120.0)(shop.test)
    kept = by_neighbours(ease(found, 20.0), 120.0)(shop.test)
    assert_allclose(kept, whole, atol=1e-5)
    assert ease(found, 20.0, keep=4).items.shape == (30, 4)


def test_tastes_are_found() -> None:
    shop = random_shop()  # shoppers of one taste buy items that are equal modulo 3
    nearest = ease(spectrum(shop.train, 30), 10.0, keep=3)
    positive = nearest.weights > 0
    same = nearest.items % 3 == np.arange(30)[:, None] % 3
    assert same[positive].mean() > 0.95
    assert positive.any(axis=1).all()


def test_settings_out_of_range_are_refused() -> None:
    train = random_shop().train
    with pytest.raises(ConfigError, match="ridge must be above 0, got 0"):
        ease_matrix(spectrum(train, 30), 0.0)
    with pytest.raises(ConfigError, match=f"at most {EASE_ITEMS} items, got {EASE_ITEMS + 1}"):
        spectrum(train, EASE_ITEMS + 1)
    with pytest.raises(ConfigError):
        inverse_matrix(train, EASE_ITEMS + 1)


def test_the_same_rows_give_the_same_bytes() -> None:
    train = random_shop().train
    one, two = (ease(spectrum(train, 30), 100.0) for _ in range(2))
    assert_array_equal(one.items, two.items)
    assert one.weights.tobytes() == two.weights.tobytes()
