"""Whole numbers modulo 2^(24 d) as d digits of 24 bits, and exact products of polynomials of them.

Lattice ciphertexts are wider than machine words. Digits of 24 bits in int64 leave room for 2^39
additions before a carry, and balanced to ±2^23 they are small enough for products by a double
FFT whose rounding is far from a half; the distance to whole numbers is checked every time.
Polynomials are modulo X^N + 1. Not constant in time: whoever can time this process closely is
outside of what this protects against.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto import kernels
from fedguide.errors import RunError

DIGIT_BITS = 24
DIGIT_BYTES = DIGIT_BITS // 8
_BASE = 1 << DIGIT_BITS
_MASK = _BASE - 1
_AT_ONCE = 1 << 15  # values transformed back together: they stay in a core's own cache
_MOST_DISTANCE = 0.1  # to a whole number after an FFT; a half would be a wrong result

Digits: TypeAlias = NDArray[np.int64]
"""Shape ``(..., d)``, least digit first; within [0, 2^24) once carried."""

Spectrum: TypeAlias = NDArray[np.complex128]
"""Values of polynomials at N/2 roots of X^N + 1, shape ``(..., N/2)``."""


def carried(wide: NDArray[np.int64]) -> Digits:
    """The same numbers modulo 2^(24 d) with every digit in [0, 2^24)."""
    digits = wide.copy()
    kernels.carry(digits.reshape(-1, digits.shape[-1]), DIGIT_BITS)
    return digits


def balanced(digits: Digits) -> Digits:
    """The same numbers modulo 2^(24 d) with every digit in [-2^23, 2^23)."""
    even = digits.copy()
    half = _BASE // 2
    for place in range(even.shape[-1]):
        over = even[..., place] >= half
        even[..., place] -= over * _BASE
        if place + 1 < even.shape[-1]:
            even[..., place + 1] += over
    return even


def packed(digits: Digits) -> NDArray[np.uint8]:
    """Digits, carried on the way, as bytes, three a digit: shape ``(..., 3 d)``."""
    flat = np.empty((*digits.shape[:-1], digits.shape[-1] * DIGIT_BYTES), np.uint8)
    rows = np.ascontiguousarray(digits).reshape(-1, digits.shape[-1])
    kernels.pack(rows, flat.reshape(-1, flat.shape[-1]))
    return flat


def unpacked(flat: NDArray[np.uint8]) -> Digits:
    """Digits from bytes of shape ``(..., 3 d)``; any bytes are a number."""
    digits = np.empty((*flat.shape[:-1], flat.shape[-1] // DIGIT_BYTES), np.int64)
    kernels.unpack(np.ascontiguousarray(flat).reshape(-1), digits.reshape(-1))
    return digits


def shifted(values: NDArray[np.int64], bits: int, digits: int) -> NDArray[np.int64]:
    """``values · 2^bits`` modulo 2^(24 digits), not carried: shape ``(..., digits)``."""
    wide = np.zeros((*values.shape, digits), np.int64)
    place, rest = divmod(bits, DIGIT_BITS)
    left = values
    for at in range(place, digits):
        # A digit's worth at a time, so that the whole of an int64 fits; what is left has the sign.
        wide[..., at] = (left & _MASK) << rest
        left = left >> DIGIT_BITS
    return wide


def rounded_shift(digits: Digits, bits: int, keep: int) -> NDArray[np.int64]:
    """``round(x / 2^bits)`` of digits as a signed number of ``keep`` ≤ 62 bits."""
    values = np.empty(digits.shape[:-1], np.int64)
    rows = np.ascontiguousarray(digits).reshape(-1, digits.shape[-1])
    kernels.round_shift(rows, bits, keep, values.reshape(-1))
    return values


def signed(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The values modulo 2^bits, within [-2^(bits-1), 2^(bits-1))."""
    # The highest bit kept becomes the sign: what is above it falls off, and is filled with it.
    places = np.int64(64 - bits)
    moved: NDArray[np.int64] = values << places
    moved >>= places
    return moved


def to_spectrum(polynomials: NDArray[np.float64]) -> Spectrum:
    """Coefficients of shape ``(..., N)`` to values of shape ``(..., N/2)``."""
    half = polynomials.shape[-1] // 2
    folded = np.empty((*polynomials.shape[:-1], half), np.complex128)
    folded.real, folded.imag = polynomials[..., :half], polynomials[..., half:]
    folded *= _twist(half)
    return np.fft.fft(folded)


def digit_spectra(digits: Digits) -> Spectrum:
    """Numbers of shape ``(..., N, d)`` to their balanced digits' spectra, ``(..., d, N/2)``."""
    *blocks, n, places = digits.shape
    rows = np.ascontiguousarray(digits).reshape(-1, n, places)
    folded = np.empty((len(rows), places, n // 2), np.complex128)
    kernels.fold_digits(rows, _twist(n // 2), folded)
    return np.fft.fft(folded).reshape(*blocks, places, n // 2)


def from_spectra(spectra: Spectrum) -> NDArray[np.int64]:
    """Spectra of shape ``(..., d, N/2)`` to numbers ``(..., N, d)``, not carried.

    Raises:
        RunError: rounding is not certain, because the product was too large for double precision.
    """
    *blocks, digits, half = spectra.shape
    rows = spectra.reshape(-1, digits, half)
    whole = np.empty((len(rows), 2 * half, digits), np.int64)
    some = max(1, _AT_ONCE // (digits * half))
    for start in range(0, len(rows), some):
        block = slice(start, start + some)
        folded = np.fft.ifft(rows[block])
        if not kernels.round_all(folded, _twist(half), whole[block]) < _MOST_DISTANCE:
            raise RunError("a product of polynomials is too large to be exact in double precision")
    return whole.reshape(*blocks, 2 * half, digits)


def folding(n: int, every: int, first: int) -> Spectrum:
    """What a spectrum is multiplied by before ``every`` parts of it are added: shape ``(n/2,)``.

    The sum over parts of ``n / (2 every)`` values is the spectrum of the coefficients ``first``,
    ``first + every``, …, so that nothing is spent on those that nobody wants.
    """
    powers = (4 * np.arange(n // 2) - 1) * first % (2 * n)
    factors: Spectrum = np.exp(1j * np.pi * powers / n) / every
    return factors


def constant_row(polynomials: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of u, shape ``(..., N, d)``, the row with <row, s> = (u s)[0] for every s."""
    row = np.empty_like(polynomials)
    row[..., 0, :] = polynomials[..., 0, :]
    row[..., 1:, :] = -polynomials[..., :0:-1, :]
    return row


def numbers(digits: Digits) -> list[int]:
    """Carried digits of shape ``(n, d)`` as Python's whole numbers: slow, for checking."""
    return [sum(int(d) << DIGIT_BITS * at for at, d in enumerate(row)) for row in digits]


def digits_of(values: Sequence[int], digits: int) -> Digits:
    """Python's whole numbers modulo 2^(24 d) as digits: slow, for checking."""
    places = range(digits)
    rows = [[value >> DIGIT_BITS * place & _MASK for place in places] for value in values]
    return np.array(rows, np.int64).reshape(-1, digits)


@cache
def _twist(half: int) -> Spectrum:
    """The powers that turn a cyclic transform into one modulo X^N + 1."""
    twist: Spectrum = np.exp(1j * np.pi * np.arange(half) / (2 * half))
    return twist
