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


def add_shifted(
    result: NDArray[np.int64],
    table: NDArray[np.int64],
    codes: NDArray[np.uint16],
    offsets: NDArray[np.int64],
) -> None:
    """Of every block of M samples: result[m'] += table[bin of m, M + m' - m] over m and features.

    Args:
        result: added to modulo 2^64, of whole blocks.
        table: a row for each bin, shape ``(rows, 2 M)``.
        codes: shape ``(features, n)``.
        offsets: first row of each feature, shape ``(features + 1,)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_add_shifted)(result, table, codes, offsets)


def carry(digits: NDArray[np.int64], bits: int) -> None:
    """Carries rows of digits in place, modulo 2^(bits · their number): shape ``(n, d)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_carry)(digits, bits)


def pack(digits: NDArray[np.int64], flat: NDArray[np.uint8]) -> None:
    """Carries digits of 24 bits, shape ``(n, d)``, into bytes, shape ``(n, 3 d)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_pack)(digits, flat)


def unpack(flat: NDArray[np.uint8], digits: NDArray[np.int64]) -> None:
    """Digits of 24 bits from three bytes each: ``flat`` has shape ``(3 n,)``, ``digits`` ``(n,)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_unpack)(flat, digits)


def fold_digits(
    digits: NDArray[np.int64], twist: NDArray[np.complex128], folded: NDArray[np.complex128]
) -> None:
    """Carried digits of 24 bits, balanced to ±2^23, as what is transformed for each of them.

    Args:
        digits: of polynomials, shape ``(blocks, N, d)``.
        twist: turns a transform into one modulo X^N + 1, shape ``(N/2,)``.
        folded: written to, shape ``(blocks, d, N/2)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_fold_digits)(digits, twist, folded)


def round_shift(digits: NDArray[np.int64], bits: int, keep: int, values: NDArray[np.int64]) -> None:
    """round(x / 2^bits) of digits of 24 bits, carried on the way, as signed ``keep``-bit numbers.

    Args:
        digits: shape ``(n, d)``.
        bits: at least 1.
        keep: at most 62.
        values: written to, shape ``(n,)``.

    Raises:
        ConfigError: numba is not installed.
    """
    _compiled(_round_shift)(digits, bits, keep, values)


def round_all(
    folded: NDArray[np.complex128], twist: NDArray[np.complex128], whole: NDArray[np.int64]
) -> float:
    """Whole numbers next to the coefficients of polynomials, and the largest distance to one.

    Args:
        folded: transformed back, shape ``(blocks, d, N/2)``.
        twist: what turned the transform into one modulo X^N + 1, shape ``(N/2,)``.
        whole: written to, shape ``(blocks, N, d)``.

    Raises:
        ConfigError: numba is not installed.
    """
    return float(_compiled(_round_all)(folded, twist, whole))


@cache
def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop, compiled for the types it is first called with."""
    try:
        from numba import njit
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the private linear query needs numba, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from error
    compiled: Callable[..., Any]
    try:
        compiled = njit(cache=True, nogil=True)(loop)  # kept beside the module for the next process
    except RuntimeError:  # there is no folder that can be written
        compiled = njit(nogil=True)(loop)
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


def _add_shifted(result: Any, table: Any, codes: Any, offsets: Any) -> None:
    size = table.shape[1] // 2
    for block in range(result.shape[0] // size):
        first = block * size
        out = result[first : first + size]
        for feature in range(codes.shape[0]):
            for place in range(min(size, codes.shape[1] - first)):
                row = offsets[feature] + codes[feature, first + place]
                part = table[row, size - place : 2 * size - place]
                for at in range(size):
                    out[at] += part[at]


def _carry(digits: Any, bits: Any) -> None:
    mask = (1 << bits) - 1
    for row in range(digits.shape[0]):
        over = 0
        for place in range(digits.shape[1]):
            value = digits[row, place] + over
            over = value >> bits
            digits[row, place] = value & mask


def _pack(digits: Any, flat: Any) -> None:
    for row in range(digits.shape[0]):
        over = 0
        for place in range(digits.shape[1]):
            value = digits[row, place] + over
            over = value >> 24
            flat[row, 3 * place] = value & 255
            flat[row, 3 * place + 1] = value >> 8 & 255
            flat[row, 3 * place + 2] = value >> 16 & 255


def _unpack(flat: Any, digits: Any) -> None:
    for at in range(digits.shape[0]):
        first = 3 * at
        digits[at] = (
            np.int64(flat[first]) | np.int64(flat[first + 1]) << 8 | np.int64(flat[first + 2]) << 16
        )


def _fold_digits(digits: Any, twist: Any, folded: Any) -> None:
    half, base = folded.shape[2], 1 << 24
    for block in range(digits.shape[0]):
        for at in range(half):
            low_over = high_over = 0
            for place in range(digits.shape[2]):
                low = digits[block, at, place] + low_over
                low_over = 1 if low >= base >> 1 else 0
                high = digits[block, at + half, place] + high_over
                high_over = 1 if high >= base >> 1 else 0
                value = complex(low - low_over * base, high - high_over * base)
                folded[block, place, at] = value * twist[at]


def _round_all(folded: Any, twist: Any, whole: Any) -> Any:
    furthest = 0.0
    half = folded.shape[2]
    for block in range(folded.shape[0]):
        for digit in range(folded.shape[1]):
            for at in range(half):
                value = folded[block, digit, at] * np.conj(twist[at])
                low, high = np.rint(value.real), np.rint(value.imag)
                furthest = max(furthest, abs(value.real - low), abs(value.imag - high))
                whole[block, at, digit] = np.int64(low)
                whole[block, at + half, digit] = np.int64(high)
    return furthest


def _round_shift(digits: Any, bits: Any, keep: Any, values: Any) -> None:
    mask, top = (1 << 24) - 1, 1 << (keep - 1)
    half_place, half = (bits - 1) // 24, 1 << ((bits - 1) % 24)
    for row in range(digits.shape[0]):
        over = 0
        value = 0
        for place in range(digits.shape[1]):
            digit = digits[row, place] + over
            if place == half_place:
                digit += half
            over = digit >> 24
            shift = 24 * place - bits
            if -24 < shift < keep:
                low = digit & mask
                value |= low << shift if shift >= 0 else low >> -shift
        value &= (top << 1) - 1
        values[row] = value - (top << 1) if value >= top else value
