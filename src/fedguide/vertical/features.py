"""What a party's columns become before anything is learnt from them: bins.

A spec is fitted by each party on its own rows and stays with it: numbers are cut at quantiles,
words get a bin each, and what is missing, or was never seen, has bin 0 of its own. Quantile bins
follow the weighted sketch of Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", 2016,
section 3.2, here exact and unweighted. A bin of few samples would show them: sums over it are sums
over people (``linear_query``), so words seen less often than ``least_bin`` share one bin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.protocol import State

MISSING = 0
"""Bin of what is missing or was never seen; every feature has it."""


@dataclass(frozen=True)
class Feature(State):
    """One column.

    Attributes:
        name: of the column; it stays with its party.
        edges: ascending; a number is in bin 1 + how many edges are at most it.
        words: the word of each bin from 1 on; empty for numbers.
        has_rest: one more bin for words too rare for one of their own.
    """

    name: str
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    has_rest: bool = False

    @property
    def bins(self) -> int:
        """How many there are, the one of missing values among them."""
        if self.words or self.has_rest:
            return 1 + len(self.words) + self.has_rest
        return 2 + len(self.edges)


@dataclass(frozen=True)
class FeatureSpec(State):
    """A party's features, in the order of their rows; versioned with the model it served."""

    features: tuple[Feature, ...]

    @property
    def bins(self) -> NDArray[np.int64]:
        """Bins of each feature, shape ``(features,)``."""
        return np.array([feature.bins for feature in self.features], np.int64)


def neighbours(spec: FeatureSpec) -> NDArray[np.bool_]:
    """Which bins stand right above the bin before them, shape ``(bins of all features,)``.

    Bins of numbers do, but for the first one and that of missing values; those of words never.
    """
    found = [
        np.arange(feature.bins) >= (feature.bins if feature.words or feature.has_rest else 2)
        for feature in spec.features
    ]
    return np.concatenate(found) if found else np.zeros(0, np.bool_)


Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Column name to its cells, one a row: numbers (NaN is missing) or texts (empty is missing)."""


def fit_spec(columns: Columns, most_bins: int = 32, least_bin: int = 50) -> FeatureSpec:
    """The spec of a party's own columns.

    Args:
        columns: all of one length.
        most_bins: of one feature, missing values included.
        least_bin: fewest samples in a bin, missing values excepted.

    Raises:
        ConfigError: ``most_bins`` is below 3 or ``least_bin`` below 1.
        DataError: there is no column or no row, lengths differ, or a column says nothing: it is
            constant, or all of it is missing.
    """
    if most_bins < 3 or least_bin < 1:
        raise ConfigError(
            f"most_bins must be at least 3 and least_bin at least 1, got {most_bins}, {least_bin}"
        )
    count = _length(columns)
    features = tuple(
        _fit(name, _cells(cells), most_bins, min(least_bin, max(1, count // most_bins)))
        for name, cells in columns.items()
    )
    return FeatureSpec(features)


def speaking(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that say something; one that is constant or all missing is left out."""
    kept = {}
    for name, cells in columns.items():
        try:
            fit_spec({name: cells})
        except DataError:
            continue
        kept[name] = cells
    return kept


def codes_of(spec: FeatureSpec, columns: Columns) -> NDArray[np.uint16]:
    """The bin of every sample and feature, shape ``(n, features)``.

    Raises:
        DataError: a column is missing, has another type, or another length.
    """
    absent = [feature.name for feature in spec.features if feature.name not in columns]
    if absent:
        raise DataError(f"columns {', '.join(absent)} are missing")
    count = _length({feature.name: columns[feature.name] for feature in spec.features})
    codes = np.empty((count, len(spec.features)), np.uint16)
    for at, feature in enumerate(spec.features):
        codes[:, at] = _codes(feature, _cells(columns[feature.name]))
    return codes


def _length(columns: Columns) -> int:
    """Rows of the columns."""
    lengths = {name: len(cells) for name, cells in columns.items()}
    if not lengths or not all(lengths.values()):
        raise DataError("a table needs at least one column and one row")
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns have different lengths: {lengths}")
    return next(iter(lengths.values()))


def _cells(cells: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """Cells as float64 or as texts; ``None`` is NaN or the empty text."""
    array = np.asarray(cells)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind == "O" and all(
        one is None or isinstance(one, int | float) for one in array.tolist()
    ):
        return np.array([np.nan if one is None else float(one) for one in array.tolist()])
    return np.array(["" if one is None else str(one) for one in array.tolist()], np.str_)


def _fit(name: str, cells: NDArray[Any], most_bins: int, least_bin: int) -> Feature:
    if cells.dtype.kind == "f":
        present = cells[np.isfinite(cells)]
        _check_varies(name, len(present), len(np.unique(present)))
        return Feature(name, _edges(np.sort(present), most_bins - 2, least_bin))
    counts = Counter(cells[cells != ""].tolist())
    _check_varies(name, counts.total(), len(counts))
    common = [word for word, times in counts.most_common(most_bins - 2) if times >= least_bin]
    return Feature(name, words=tuple(sorted(common)), has_rest=len(common) < len(counts))


def _check_varies(name: str, present: int, different: int) -> None:
    """Refuses what no split can use.

    Raises:
        DataError: the column says nothing.
    """
    if not present:
        raise DataError(f"column {name}: all values are missing", hint=f"leave {name} out")
    if different < 2:
        raise DataError(f"column {name} has one value only", hint=f"leave {name} out")


def _edges(ordered: NDArray[np.float64], most: int, least_bin: int) -> tuple[float, ...]:
    """At most ``most`` edges with at least ``least_bin`` values between two, at least one."""
    values, first = np.unique(ordered, return_index=True)
    if len(values) - 1 <= most and np.diff([*first, len(ordered)]).min() >= least_bin:
        return tuple(values[1:].tolist())
    bins = max(1, min(most + 1, len(ordered) // least_bin))
    edges: list[float] = []
    last = 0
    for number in range(1, bins):
        # The first place of the value that stands there: equal values share a bin.
        at = int(np.searchsorted(ordered, ordered[number * len(ordered) // bins], side="left"))
        if at - last >= least_bin and len(ordered) - at >= least_bin:
            edges.append(float(ordered[at]))
            last = at
    return tuple(edges) or (float(values[len(values) // 2]),)


def _codes(feature: Feature, cells: NDArray[Any]) -> NDArray[np.int64]:
    """The bins of one column."""
    is_words = bool(feature.words or feature.has_rest)
    if is_words != (cells.dtype.kind == "U"):
        raise DataError(
            f"column {feature.name} must hold {'texts' if is_words else 'numbers'} as when fitted"
        )
    if is_words:
        places = {word: at for at, word in enumerate(feature.words, start=1)}
        rest = len(feature.words) + 1 if feature.has_rest else MISSING
        return np.array([places.get(one, rest) if one else MISSING for one in cells.tolist()])
    bins = 1 + np.searchsorted(np.array(feature.edges), cells, side="right")
    return np.where(np.isfinite(cells), bins, MISSING)
