"""What the coordinator sees tells it the sum, and not which vectors made it.

The masks alone, as the coordinator has them in the end: every party's masked vector less its
own mask, whose seed was shown. ``benchmarks/distinguisher.py`` does it with whole transcripts.
"""

import numpy as np

from fedguide.crypto.masks import mask_of
from fedguide.runtime.distinguish import distinguish
from fedguide.seeds import seeded_entropy

DRAWS = 20_000
# Two sets of three vectors with the same sum, (30, 9).
FIRST = np.array([[10, 1], [10, 4], [10, 4]], np.uint32)
SECOND = np.array([[30, 0], [0, 9], [0, 0]], np.uint32)


def features(words: np.ndarray) -> np.ndarray:
    """Size, and place on the circle, of every word and of every two words' sum mod 2^32."""
    pairs = np.stack([words[:, i] + words[:, j] for i in range(3) for j in range(i)], axis=1)
    turns = np.concatenate([words, pairs], axis=1).reshape(len(words), -1) / 2.0**32
    low = (words & np.uint32(0xFF)).reshape(len(words), -1) / 256.0
    return np.column_stack([turns, np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns), low])


PAIRS = ((0, 1), (0, 2), (1, 2))


def seen(vectors: np.ndarray, seed: int, *, keys: int = 3) -> np.ndarray:
    """What is left of three vectors once their own masks are off, ``DRAWS`` times.

    Each pair's masks of all draws are parts of one keystream; with fewer keys pairs share one.
    """
    entropy, rows = seeded_entropy(seed), np.tile(vectors, (DRAWS, 1, 1))
    shared = [entropy(32) for _ in range(keys)]
    for at, (low, high) in enumerate(PAIRS if keys else ()):
        mask = mask_of(shared[at % keys], 2 * DRAWS).reshape(DRAWS, 2)
        rows[:, low] += mask
        rows[:, high] -= mask
    return rows


def test_equal_sums_cannot_be_told_apart():
    first, second = seen(FIRST, 1), seen(SECOND, 2)
    assert np.array_equal(first.sum(axis=1, dtype=np.uint32), second.sum(axis=1, dtype=np.uint32))
    # m = 10,000 judged of each: sd sqrt((2m + 1) / (12 m^2)) = 0.0041; 0.02 is 4.9 of them (1e-6).
    assert abs(distinguish(features(first), features(second)) - 0.5) < 0.02


def test_without_masks_they_can():
    noise = np.random.default_rng(3).integers(0, 3, (2, DRAWS, 3, 2)).astype(np.uint32)
    first, second = (seen(v, 1, keys=0) + noise[i] for i, v in enumerate((FIRST, SECOND)))
    assert distinguish(features(first), features(second)) > 0.99


def test_a_mask_that_is_used_twice_can_be_told():
    """The mutant: all pairs share one key, so that one party's two masks cancel."""
    first, second = seen(FIRST, 1, keys=1), seen(SECOND, 2, keys=1)
    assert distinguish(features(first), features(second)) > 0.99
