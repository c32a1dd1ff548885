"""Bins: worked out by hand, stable on unseen rows, and what says nothing is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError, DataError
from fedguide.vertical.features import Feature, FeatureSpec, codes_of, fit_spec, neighbours


def test_few_values_get_a_bin_each_and_missing_ones_have_bin_0():
    columns = {"a": [1.0, 2.0, 2.0, np.nan, 3.0]}
    spec = fit_spec(columns, least_bin=1)
    assert spec.features[0] == Feature("a", (2.0, 3.0))
    assert spec.bins.tolist() == [4]
    assert codes_of(spec, columns)[:, 0].tolist() == [1, 2, 2, 0, 3]
    assert codes_of(spec, {"a": [-9.0, 2.5, 99.0, np.inf, 2.0]})[:, 0].tolist() == [1, 2, 3, 0, 2]


def test_words_by_their_count_and_the_rest_together():
    words = ["x"] * 60 + ["y"] * 50 + ["rare", "odd"] + [""]
    spec = fit_spec({"w": words}, least_bin=3)
    assert spec.features[0] == Feature("w", words=("x", "y"), has_rest=True)
    assert codes_of(spec, {"w": ["x", "y", "rare", "never", "", None]})[:, 0].tolist() == [
        1, 2, 3, 3, 0, 0,
    ]  # fmt: skip


def test_an_unseen_word_without_a_rest_is_missing():
    spec = fit_spec({"w": ["x", "y"] * 50}, least_bin=1)
    assert codes_of(spec, {"w": ["z"]}).tolist() == [[0]]


@pytest.mark.parametrize(("rows", "most"), [(61, 4), (64, 8), (70, 12), (71, 15)])
def test_no_share_of_the_rows_ends_behind_them(rows, most):
    """Sizes whose shares, added up as floats, reach one place too far."""
    spec = fit_spec({"a": np.arange(rows) / 7}, most, least_bin=5)
    codes = codes_of(spec, {"a": np.arange(rows) / 7})[:, 0]
    assert np.bincount(codes)[1:].min() >= 5
    assert spec.bins[0] == most


@settings(max_examples=40)
@given(
    st.lists(st.one_of(st.floats(-5, 5, width=16), st.just(np.nan)), min_size=60, max_size=300),
    st.integers(3, 40),
)
def test_bins_keep_the_order_and_are_never_small(values, most):
    present = np.array([v for v in values if np.isfinite(v)])
    if len(np.unique(present)) < 2:
        with pytest.raises(DataError):
            fit_spec({"a": values}, most)
        return
    spec = fit_spec({"a": values}, most, least_bin=5)
    codes = codes_of(spec, {"a": values})[:, 0].astype(int)
    assert spec.bins[0] <= most
    order = np.argsort(values, kind="stable")[: len(present)]
    assert (np.diff(codes[order]) >= 0).all()
    counts = np.bincount(codes[codes > 0])[1:]
    small = min(5, max(1, len(values) // most))
    assert counts.min() >= min(small, 1)
    if spec.bins[0] > 3:
        assert counts[counts > 0].min() >= small


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"a": [np.nan, np.nan]}, "column a: all values are missing"),
        ({"a": ["", None]}, "column a: all values are missing"),
        ({"a": [1, 1]}, "column a has one value only"),
        ({}, "at least one column"),
        ({"a": []}, "at least one column"),
        ({"a": [1, 2], "b": [1]}, "different lengths"),
    ],
)
def test_what_says_nothing_is_refused(columns, text):
    with pytest.raises(DataError, match=text):
        fit_spec(columns)


def test_a_table_that_is_not_as_when_fitted_is_refused():
    spec = fit_spec({"a": [1.0, 2.0] * 50, "w": ["x", "y"] * 50}, least_bin=1)
    with pytest.raises(DataError, match="columns w are missing"):
        codes_of(spec, {"a": [1.0]})
    with pytest.raises(DataError, match="column a must hold numbers"):
        codes_of(spec, {"a": ["1"], "w": ["x"]})
    with pytest.raises(DataError, match="column w must hold texts"):
        codes_of(spec, {"a": [1], "w": [1]})
    with pytest.raises(ConfigError, match="most_bins"):
        fit_spec({"a": [1, 2]}, 2)


def test_a_spec_survives_bytes():
    spec = fit_spec({"a": [1.0, 2.0] * 50, "w": ["x", "y"] * 50}, least_bin=1)
    assert decode(encode(spec), (FeatureSpec, Feature), Limits(10_000)) == spec


def test_neighbours_are_bins_of_numbers_that_touch():
    """Not the one of missing values, not the first, and no word."""
    spec = FeatureSpec(
        (Feature("n", edges=(1.0, 2.0)), Feature("w", words=("a", "b")), Feature("m", edges=(0.0,)))
    )
    wanted = [False, False, True, True, False, False, False, False, False, True]
    assert neighbours(spec).tolist() == wanted
    assert neighbours(FeatureSpec(())).shape == (0,)
