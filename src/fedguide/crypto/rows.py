"""The feature party's matrix M: rows of small whole numbers, one column a sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.digits import Digits
from fedguide.crypto.kernels import add_to_bins
from fedguide.errors import ConfigError, DataError


@dataclass(frozen=True)
class BinRows:
    """A row for each (feature, bin): 1 where the sample is in the bin, else 0.

    Attributes:
        codes: the bin of each sample, shape ``(features, n)``, contiguous.
        offsets: first row of each feature and the end, shape ``(features + 1,)``.
    """

    codes: NDArray[np.uint16] = field(repr=False)
    offsets: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, samples)."""
        return int(self.offsets[-1]), int(self.codes.shape[1])

    @property
    def row_sum(self) -> int:
        """Largest Σ|M| of a row: a whole bin."""
        return self.shape[1]

    @property
    def row_square(self) -> int:
        """Largest ΣM² of a row: the same, since entries are 0 or 1."""
        return self.shape[1]

    def dense(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Part of the matrix, shape ``(rows, columns)``."""
        start, stop, _ = rows.indices(self.shape[0])
        wanted = np.arange(start, stop)
        feature = np.searchsorted(self.offsets, wanted, side="right") - 1
        bins = wanted - self.offsets[feature]
        inside: NDArray[np.bool_] = self.codes[feature, columns] == bins[:, None]
        return inside.astype(np.float64)

    def sums(self, values: Digits) -> NDArray[np.int64]:
        """M · values for values of shape ``(n, w)``: shape ``(rows, w)``, not carried."""
        result = np.zeros((self.shape[0], values.shape[1]), np.int64)
        add_to_bins(result, self.codes, self.offsets, values)
        return result

    def wrapped_sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """M · values modulo 2^64 for values of shape ``(n,)``: for one's own share."""
        return self.sums(values[:, None])[:, 0]

    def wrapped_products(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every sample's Σ M_r weights_r modulo 2^64, for weights of shape ``(rows,)``."""
        total = np.zeros(self.shape[1], np.int64)
        for feature, codes in enumerate(self.codes):
            total += weights[self.offsets[feature] + codes]
        return total


@dataclass(frozen=True)
class DenseRows:
    """Any small whole numbers, shape ``(rows, n)``, |M| < 2^15."""

    matrix: NDArray[np.int32] = field(repr=False)

    def __post_init__(self) -> None:
        """Checks that sums stay exact in double precision.

        Raises:
            DataError: an entry is too large.
        """
        if self.matrix.size and int(np.abs(self.matrix.astype(np.int64)).max()) >= 1 << 15:
            raise DataError("entries of the matrix must be within ±32767")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, samples)."""
        return self.matrix.shape

    @property
    def row_sum(self) -> int:
        """Largest Σ|M| of a row."""
        return int(np.abs(self.matrix.astype(np.int64)).sum(1).max(initial=1))

    @property
    def row_square(self) -> int:
        """Largest ΣM² of a row."""
        return int((self.matrix.astype(np.int64) ** 2).sum(1).max(initial=1))

    def dense(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Part of the matrix, shape ``(rows, columns)``."""
        return self.matrix[rows, columns].astype(np.float64)

    def sums(self, values: Digits) -> NDArray[np.int64]:
        """M · values for values of shape ``(n, w)``: shape ``(rows, w)``, not carried."""
        result = np.zeros((self.shape[0], values.shape[1]), np.int64)
        # |M| < 2^15 times digits below 2^24: blocks of 2^13 samples stay below 2^53.
        for start in range(0, values.shape[0], 1 << 13):
            block = slice(start, start + (1 << 13))
            part = self.matrix[:, block].astype(np.float64) @ values[block].astype(np.float64)
            result += part.astype(np.int64)
        return result

    def wrapped_sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """M · values modulo 2^64 for values of shape ``(n,)``: for one's own share."""
        return self.matrix.astype(np.int64) @ values

    def wrapped_products(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every sample's Σ M_r weights_r modulo 2^64, for weights of shape ``(rows,)``."""
        return weights @ self.matrix.astype(np.int64)


Rows: TypeAlias = BinRows | DenseRows


def bin_rows(codes: NDArray[np.integer[Any]], bins: NDArray[np.integer[Any]]) -> BinRows:
    """The rows of samples' bins.

    Args:
        codes: shape ``(n, features)``.
        bins: how many bins each feature has, shape ``(features,)``.

    Raises:
        ConfigError: shapes do not fit, or a feature has no bin or more than 65,535.
        DataError: a code is outside its feature's bins.
    """
    if codes.ndim != 2 or bins.shape != codes.shape[1:]:
        raise ConfigError(f"codes {codes.shape} and bins {bins.shape} do not fit together")
    if bins.size == 0 or int(bins.min()) < 1 or int(bins.max()) > 65535:
        raise ConfigError("every feature needs 1 to 65535 bins")
    if codes.size and (int(codes.min()) < 0 or bool((codes >= bins).any())):
        raise DataError("a sample's bin is outside of its feature's bins")
    offsets = np.concatenate([[0], np.cumsum(bins)]).astype(np.int64)
    return BinRows(np.ascontiguousarray(codes.T, np.uint16), offsets)
