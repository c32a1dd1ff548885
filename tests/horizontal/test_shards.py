"""What a user hands in as federated data, and the errors that say what is wrong with it."""

import re
from typing import Any

import numpy as np
import pytest

from fedguide.errors import DataError
from fedguide.horizontal.shards import read_shards

X, Y = np.ones((4, 2)), np.arange(4)


def test_parties_come_sorted_with_arrays_of_32_bits() -> None:
    shards = read_shards({"b": (X, Y), "a": [X[:3], Y[:3]]})
    assert list(shards) == ["a", "b"]
    assert (shards["a"].x.dtype, shards["a"].y.dtype) == (np.float32, np.int32)
    assert len(shards["a"].x) == 3
    assert shards["b"].cuts is None


def test_batches_keep_their_cuts() -> None:
    shards = read_shards({"a": [(X, Y), (X[:1], Y[:1])], "b": iter([(X, Y)])})
    assert shards["a"].cuts == (4, 5)
    np.testing.assert_array_equal(shards["a"].y, [0, 1, 2, 3, 0])
    assert shards["b"].cuts == (4,)


def test_a_plain_list_names_its_parties_in_order() -> None:
    shards = read_shards([(X, Y + i) for i in range(11)])
    assert list(shards)[:2] == ["party-00", "party-01"]
    assert [shard.y[0] for shard in shards.values()] == list(range(11))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "at least one party, got none"),
        ([], "at least one party"),
        (None, "at least one party"),
        ((X, Y), "party-0: needs (x, y) arrays, or a sequence of (x, y) batches, got a ndarray"),
        ({"a": 3}, "a: needs (x, y) arrays"),
        ({"a": []}, "a: there are no examples"),
        ({"a": [X, Y, Y]}, "a: needs (x, y) arrays"),
        ({"a": (X, Y[:3])}, "a: x and y must have as many rows, got [4, 2] and [3]"),
        ({"a": (X[:0], Y[:0])}, "a: there are no examples"),
        ({"a": (np.float32(1), np.float32(2))}, "as many rows, got [] and []"),
        ({"a": (X, np.array(list("wxyz")))}, "a: y must hold numbers, got <U1"),
        ({"a": (X * np.nan, Y)}, "a: x holds NaN"),
        ({"a": (X, Y + 2**31)}, "a: y must be within [-2147483648, 2147483647]"),
        ({"a": [(X, Y), (X[:, :1], Y)]}, "a: batches do not fit together"),
        (
            {"a": (X, Y), "b": (X[:, :1], Y)},
            "b: rows of x are float32[1], those of a are float32[2]",
        ),
        ({"a": (X, Y), "b": (X, Y * 1.0)}, "b: rows of y are float32[], those of a are int32[]"),
        ({"1": (X, Y), 1: (X, Y)}, "different names, got ['1', '1']"),
    ],
)
def test_unusable_data_are_refused_by_name(data: Any, text: str) -> None:
    with pytest.raises(DataError, match=re.escape(text)):
        read_shards(data)
