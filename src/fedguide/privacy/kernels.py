"""The inner loop of the samplers, compiled by numba; imported when noise is first drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from fedguide.privacy.inversion import GAUSSIAN, GUIDE_BITS, POLYA

FILLED, HUNGRY, UNSURE = 0, 1, 2
"""Why ``fill`` returns: all is drawn; fewer words than a draw takes; a ratio is wanted exactly."""

WORDS_A_DRAW = 4

_ONE, _LAST_BITS, _GUIDE_SHIFT = np.uint64(1), np.uint64(11), np.uint64(64 - GUIDE_BITS)
_UNIFORM = 2.0**-53


def compiled(function: Callable[..., Any]) -> Any:
    """The function in machine code, kept on disk for the next process where that can be.

    What numba keeps lies beside the module or in the user's own cache folder, as Python's own
    byte code does, and is made anew when the source changes.
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # there is no folder that can be written
        return numba.njit(nogil=True)(function)


@compiled
def log_gammas(k: float, shape: float) -> float:
    """The logarithm of Γ(k + shape) / Γ(k + 1), less (shape - 1)(ln(k + 1) - 1), within 1/(180 k³).

    Stirling's series to its first term, arranged so that nothing large cancels.
    """
    logs = (k + shape - 0.5) * math.log1p((shape - 1) / (k + 1))
    return logs + (1 / (k + shape) - 1 / (k + 1)) / 12


@compiled
def ratio(table: Any, k: int, place: int) -> float:
    """w(k + place) / w(k), within ``table.slack``."""
    if table.kind == GAUSSIAN:
        return math.exp(-float(place * (2 * k + place)) * table.rate)
    if table.kind == POLYA:
        rising = log_gammas(float(k + place), table.shape) - log_gammas(float(k), table.shape)
        rising += (table.shape - 1) * math.log1p(place / (k + 1))
        return math.exp(rising - place * table.rate)
    return math.exp(-place * table.rate)


@compiled
def fill(table: Any, out: Any, done: int, words: Any, used: int) -> Any:
    """Draws ``out[done:]`` from ``words[used:]``; gives ``done``, ``used`` and why it returned.

    A draw takes two words for its block and sign, and two more for its place in a block of more
    than one magnitude.
    """
    last = words.size - WORDS_A_DRAW
    while done < out.size:
        if used > last:
            return done, used, HUNGRY
        high, low = words[used], words[used + 1] >> _ONE
        i = table.guide[high >> _GUIDE_SHIFT]
        while high > table.high[i] or (high == table.high[i] and low >= table.low[i]):
            i += 1
        k = table.start[i]
        taken = 2
        if table.shift[i] > 0:
            taken = 4
            mask = (_ONE << np.uint64(table.shift[i])) - _ONE
            place = np.int64(words[used + 2] & mask)
            draw = np.float64(words[used + 3] >> _LAST_BITS) * _UNIFORM
            if draw >= table.surely[i]:
                kept = ratio(table, k, place)
                if draw > kept + table.slack:
                    used += taken
                    continue
                if draw > kept - table.slack:
                    return done, used, UNSURE
            k += place
        out[done] = -k if table.signed and words[used + 1] & _ONE else k
        done += 1
        used += taken
    return done, used, FILLED
