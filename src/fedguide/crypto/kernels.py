"""The inner loops of the private linear query, compiled on first use.

numba comes with ``[train]``; without it the loops are refused, not run a hundred times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError


def add_to_bins(
    result: NDArray[np.int64],
    codes: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    values: NDArray[np.int64],
) -> None:
    """Adds every sample's values to the row of its bin, feature after feature.

    Args:
        result: shape ``(rows, w)``, added to.
        codes: shape ``(features, n)``.
        offsets: first row of each feature, shape ``(features + 1,)``.
        values: shape ``(n, w)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_add_to_bins)(result, codes, offsets, values)


def add_products(
    result: NDArray[np.complex128], left: NDArray[np.complex128], right: NDArray[np.complex128]
) -> None:
    """result[r, d, f] += left[r, f] · right[d, f], without a temporary of the size of the result.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_add_products)(result, left, right)


def add_folded(
    result: NDArray[np.complex128], left: NDArray[np.complex128], right: NDArray[np.complex128]
) -> None:
    """result[b, d, u] += Σ left[j, b, f] · right[j, d, f] over j and all f = u modulo its width.

    Args:
        result: shape ``(blocks, d, w)``, added to.
        left: shape ``(j, blocks, f)``; ``w`` divides ``f``.
        right: shape ``(j, d, f)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_add_folded)(result, left, right)


@cache
def _compiled(loop: Callable[..., None]) -> Callable[..., None]:
    """The loop, compiled for the types it is first called with."""
    try:
        from numba import njit
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the private linear query needs numba, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from error
    compiled: Callable[..., None] = njit(nogil=True)(loop)
    return compiled


def _add_to_bins(result: Any, codes: Any, offsets: Any, values: Any) -> None:
    for feature in range(codes.shape[0]):
        first = offsets[feature]
        for sample in range(codes.shape[1]):
            row = first + codes[feature, sample]
            for at in range(values.shape[1]):
                result[row, at] += values[sample, at]


def _add_products(result: Any, left: Any, right: Any) -> None:
    for row in range(result.shape[0]):
        for digit in range(result.shape[1]):
            for at in range(result.shape[2]):
                result[row, digit, at] += left[row, at] * right[digit, at]


def _add_folded(result: Any, left: Any, right: Any) -> None:
    width = result.shape[2]
    for block in range(result.shape[0]):
        for digit in range(result.shape[1]):
            out = result[block, digit]
            for column in range(left.shape[0]):
                for first in range(0, left.shape[2], width):
                    one = left[column, block, first : first + width]
                    other = right[column, digit, first : first + width]
                    for at in range(width):
                        out[at] += one[at] * other[at]
