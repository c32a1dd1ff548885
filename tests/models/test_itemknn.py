"""Shrunk cosines by hand; scores equal to the component that serving uses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fedguide.errors import ConfigError
from fedguide.models.encoders import histories_of
from fedguide.models.itemknn import (
    Neighbours,
    by_neighbours,
    itemknn,
    shopper_items,
    strongest,
)
from fedguide.models.plan import GuidePlan
from fedguide.models.scorer import SPEAKS, components
from fedguide.models.served import model_without_network
from fedguide.models.text import TextSpec
from fedguide.values import BUY, CART, VIEW

from .small import cases, diary, random_shop

WHOLE = diary(
    [
        (0, 1, [0, 1]),
        (0, 2, [0]),
        (1, 1, [0, 1, (2, VIEW)]),
        (2, 1, [1, (2, VIEW), (2, CART)]),
    ]
)


def test_a_shopper_counts_once_with_the_loudest_event() -> None:
    expected = [[1, 1, 0], [1, 1, SPEAKS[VIEW]], [0, 1, SPEAKS[CART]]]
    assert_allclose(shopper_items(WHOLE, 3).toarray(), expected)
    assert SPEAKS[BUY] == 1


def test_cosines_by_hand() -> None:
    found = itemknn(WHOLE, 3, shrink=1.0)
    # Items 0 and 1: together twice, lengths √2 and √3.
    pair = 2 / (np.sqrt(6) + 1)
    view = SPEAKS[VIEW] / (np.sqrt(2 * (SPEAKS[VIEW] ** 2 + SPEAKS[CART] ** 2)) + 1)
    assert_array_equal(found.items[0, :2], [1, 2])
    assert_allclose(found.weights[0, :2], [pair, view], rtol=1e-6)
    assert found.items[0, 2] == -1  # not its own neighbour
    assert found.weights[0, 2] == 0


def test_only_the_nearest_are_kept() -> None:
    found = itemknn(WHOLE, 3, shrink=1.0, keep=1)
    assert found.items.shape == (3, 1)
    assert_array_equal(found.items[:, 0], [1, 0, 1])


def test_the_strongest_are_the_largest_in_size_whatever_their_sign() -> None:
    items, weights = strongest(np.array([[0.1, -3, 2, 0], [0, 0, 0, 5]], np.float32), 2)
    assert_array_equal(items, [[1, 2], [3, -1]])
    assert_allclose(weights, [[-3, 2], [5, 0]])


def test_scores_add_up_faded_weights() -> None:
    neighbours = Neighbours(
        np.array([[1], [2], [-1]], np.int32), np.array([[0.5], [2.0], [0.0]], np.float32)
    )
    whole = diary([(0, 0, [0]), (0, 10, [0, (1, CART)]), (0, 20, [2])])
    scores = by_neighbours(neighbours, 10.0)(cases(whole, [2]))
    # Item 0 speaks once, with its latest purchase (age 10), item 1 as something in the cart.
    assert_allclose(scores, [[0, 0.5 * np.exp(-1), 2 * SPEAKS[CART] * np.exp(-1)]], rtol=1e-6)


def test_scores_equal_the_component_of_serving() -> None:
    shop = random_shop()
    neighbours = itemknn(shop.train, 30, keep=7)
    plan = GuidePlan(text=TextSpec(buckets=64))
    model = model_without_network(shop, neighbours, 50.0, plan)
    histories, todays = histories_of(shop.test)
    served = [
        components(model, history, today)["neighbours"]
        for history, today in zip(histories, todays.tolist(), strict=True)
    ]
    scores = by_neighbours(neighbours, 50.0)(shop.test)
    assert scores.any()
    assert_allclose(scores, served, rtol=1e-5, atol=1e-6)


def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = random_shop()
    whole = itemknn(shop.train, 30)
    monkeypatch.setattr("fedguide.models.itemknn.BLOCK", 7)
    parts = itemknn(shop.train, 30)
    assert_array_equal(parts.items, whole.items)
    assert_array_equal(parts.weights, whole.weights)


def test_an_unknown_item_and_an_empty_shop_have_no_neighbours() -> None:
    assert (itemknn(WHOLE, 4).items[3] == -1).all()
    nothing = replace(diary([]), shopper_ids=())
    assert itemknn(nothing, 0).items.shape == (0, 0)
    assert (itemknn(nothing, 2).items == -1).all()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="shrink must be at least 0, got -1"):
        itemknn(WHOLE, 3, shrink=-1)
    with pytest.raises(ConfigError, match="keep must be at least 1, got 0"):
        itemknn(WHOLE, 3, keep=0)
