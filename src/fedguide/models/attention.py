"""A causal Transformer over the latest events, in plain numpy; its twin is ``transformer.py``.

Kang and McAuley, "Self-Attentive Sequential Recommendation", 2018, with three deviations: ages
in place of positions, and a mask that hides only younger events, so that the order of lines
within a basket cannot matter; and one more token at the end, which asks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

LAST = 50
"""Events it reads: its cost grows with their square."""

HEADS, BLOCKS = 2, 2

TINY = np.float32(1e-4)
"""Added to a variance, so that a vector of zeros stays one."""

NEVER = np.float32(-1e9)


def attend(
    arrays: Mapping[str, Matrix],
    events: Matrix,
    there: NDArray[np.bool_],
    kinds: NDArray[np.uint8],
    ages: Matrix,
    fading: Matrix,
) -> Matrix:
    """Shopper vectors ``(m, d)`` of m shoppers with l events each, oldest first.

    Args:
        arrays: the network's parameters.
        events: ``(m, l, d)``.
        there: ``(m, l)``, is there an event?
        kinds: ``(m, l)``.
        ages: ``(m, l)``, days.
        fading: ``(m, l, s)``, the ages on s scales.
    """
    places = _latest(there)
    there = np.take_along_axis(there, places, axis=1)
    kinds = np.take_along_axis(kinds, places, axis=1)
    ages = np.take_along_axis(ages, places, axis=1)
    x = np.take_along_axis(events, places[:, :, None], axis=1)
    fading = np.take_along_axis(fading, places[:, :, None], axis=1)
    x = x + arrays["of_kind"][kinds] + fading @ arrays["of_age"]
    asking = np.broadcast_to(arrays["asking"], (len(x), 1, x.shape[2]))
    x = np.concatenate([x, asking], axis=1).astype(np.float32)
    ages = np.pad(ages, ((0, 0), (0, 1)), constant_values=-1)
    there = np.pad(there, ((0, 0), (0, 1)), constant_values=True)
    seen = there[:, None, :] & (ages[:, None, :] >= ages[:, :, None])
    for block in range(BLOCKS):
        x = _block(arrays, block, x, seen)
    vectors: Matrix = _normed(x[:, -1]) @ arrays["shopper"] + arrays["start"]
    return vectors


def _latest(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places of the latest events of each row, oldest first, empty places before them."""
    order = np.argsort(there, axis=1, kind="stable")
    return order[:, max(there.shape[1] - LAST, 0) :]


def _block(arrays: Mapping[str, Matrix], block: int, x: Matrix, seen: NDArray[np.bool_]) -> Matrix:
    """Attention and a two-layer network, each added to what it read."""
    y, size = _normed(x), x.shape[2] // HEADS
    q, k, v = (y @ arrays[f"{part}{block}"] for part in ("q", "k", "v"))
    mixed: list[Matrix] = []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        fits = q[..., own] @ k[..., own].swapaxes(1, 2) / np.float32(np.sqrt(size))
        fits = np.where(seen, fits, np.float32(NEVER))
        spread: Matrix = np.exp(fits - fits.max(axis=2, keepdims=True))
        mixed.append(spread / spread.sum(axis=2, keepdims=True) @ v[..., own])
    x = x + np.concatenate(mixed, axis=2) @ arrays[f"out{block}"]
    added: Matrix = x + np.maximum(_normed(x) @ arrays[f"up{block}"], 0) @ arrays[f"down{block}"]
    return added


def _normed(x: Matrix) -> Matrix:
    """Layer normalisation (Ba, Kiros and Hinton, 2016) without gain or bias."""
    centred = x - x.mean(axis=-1, keepdims=True)
    normed: Matrix = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + TINY)
    return normed
