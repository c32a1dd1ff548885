"""Examples: what is asked, what is context, and the transposed layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.examples import Shapes, examples_of, largest, shapes_of
from fedguide.models.plan import GuidePlan
from fedguide.models.text import TextSpec
from fedguide.values import BUY, SEARCH, VIEW, Baskets

from .market import baskets, catalogue
from .small import diary

PLAN = GuidePlan(text=TextSpec(buckets=128), recent_days=5)


def three_baskets() -> Baskets:
    """Shopper 0 buys 1 and 2 on day 10, looks and searches on day 14, buys 2 on day 20."""
    return Baskets(
        np.array([0, 0, 0], np.int32),
        np.array([10, 14, 20], np.int32),
        np.array([0, 2, 4, 5]),
        np.array([1, 2, -1, 3, 2], np.int32),
        np.array([BUY, BUY, SEARCH, VIEW, BUY], np.uint8),
        np.array([-1, -1, 0, -1, -1], np.int32),
        ("a",),
        ("red",),
    )


def test_only_baskets_with_a_purchase_are_asked() -> None:
    examples = examples_of(catalogue(), three_baskets(), PLAN)
    assert examples.start.tolist() == [0, 4]
    assert examples.stop.tolist() == [2, 5]
    assert examples.first.tolist() == [0, 0]
    assert examples.repeat.tolist() == [0, 0, 0, 0, 1]
    assert examples.items.tolist() == [1, 2, 12, 3, 2]  # the search is row n + 0


def test_sales_known_to_an_example_are_those_before_it() -> None:
    examples = examples_of(catalogue(), three_baskets(), PLAN)
    first, second = examples.snapshot.tolist()
    assert examples.popularity[first].sum() == 0
    np.testing.assert_allclose(examples.popularity[second][[1, 2, 3]], np.log([2, 2, 1]))
    assert examples.recent[second].sum() == 0  # day 10 is more than 5 days before day 20


def test_with_one_vote_an_example_knows_shoppers_not_baskets() -> None:
    lines = [(0, 10, [1]), (0, 12, [1]), (0, 20, [2]), (1, 11, [1]), (1, 20, [3])]
    for one_vote, votes in ((False, 3), (True, 2)):
        plan = replace(PLAN, one_vote=one_vote, recent_days=30)
        examples = examples_of(catalogue(), diary(lines), plan)
        last = examples.snapshot.max()
        assert examples.popularity[last][1] == pytest.approx(np.log1p(votes))
        assert examples.recent[last][1] == pytest.approx(np.log1p(votes))


def test_the_transposed_layout_holds_every_feature_once() -> None:
    examples = examples_of(catalogue(), baskets(), PLAN)
    rows, places = np.nonzero(examples.features < 128)
    expected = sorted(zip(examples.features[rows, places], rows, places, strict=True))
    group, nth = np.nonzero(examples.fan < len(examples.features))
    got = zip(
        examples.fan_bucket[group],
        examples.fan[group, nth],
        examples.fan_place[group, nth],
        strict=True,
    )
    assert sorted(got) == expected
    assert (np.diff(examples.fan_bucket) >= 0).all()


def test_a_shop_without_a_purchase_is_refused() -> None:
    seen = three_baskets()
    with pytest.raises(DataError, match="no purchase"):
        examples_of(catalogue(), replace(seen, kinds=np.full(5, VIEW, np.uint8)), PLAN)


def test_shapes_too_small_are_refused_and_none_at_all_too() -> None:
    own = shapes_of(catalogue(), baskets(), PLAN.text)
    with pytest.raises(ConfigError, match="too small"):
        examples_of(catalogue(), baskets(), PLAN, replace(own, lines=own.lines - 1))
    with pytest.raises(ConfigError):
        largest([])
    assert largest([own, Shapes(99, 0, 1, 1, 1, 1, 1)]) == replace(own, items=99)
