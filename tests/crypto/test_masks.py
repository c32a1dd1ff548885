"""Masks: AES-256-CTR keystreams, all 256 bits of the key, uniform, gone once subtracted."""

import math

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto.masks import BLOCK_BYTES, add_masks, commitment, mask_of
from fedguide.errors import ConfigError
from fedguide.seeds import seeded_entropy

keys = st.binary(min_size=32, max_size=32)
WORDS = BLOCK_BYTES // 4


def by_single_blocks(key: bytes, size: int) -> np.ndarray:
    """NIST SP 800-38A, section 6.5, written out: each counter enciphered by itself."""
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - it is the standard's definition
    blocks = [encryptor.update(at.to_bytes(16, "big")) for at in range(-(-size // 4))]
    return np.frombuffer(b"".join(blocks), "<u4")[:size]


def test_the_known_answer_of_a_zero_key() -> None:
    # NIST AESAVS, all-zero key and block, AES-256.
    assert mask_of(bytes(32), 4).tobytes().hex() == "dc95c078a2408989ad48a21492842087"


@given(keys, st.integers(0, 40))
def test_it_is_the_counter_mode_of_the_standard(key: bytes, size: int) -> None:
    assert np.array_equal(mask_of(key, size), by_single_blocks(key, size))


@pytest.mark.parametrize("size", [WORDS - 1, WORDS, WORDS + 1, 2 * WORDS + 3])
def test_blocks_join_without_a_seam(size: int) -> None:
    key = bytes(range(32))
    assert np.array_equal(mask_of(key, size), by_single_blocks(key, size))


@given(keys, st.integers(0, 255))
def test_every_bit_of_a_key_counts(key: bytes, bit: int) -> None:
    """Two secrets that a 32-bit seed could not tell apart give different masks."""
    other = bytearray(key)
    other[bit // 8] ^= 1 << bit % 8
    assert not np.array_equal(mask_of(key, 8), mask_of(bytes(other), 8))


@given(st.lists(keys, max_size=5), st.lists(keys, max_size=5), st.integers(0, 9))
def test_masks_add_up_mod_2_32(plus: list[bytes], minus: list[bytes], size: int) -> None:
    start = np.arange(size, dtype=np.uint32)
    expected = start.astype(object)
    for key in plus:
        expected = expected + mask_of(key, size).astype(object)
    for key in minus:
        expected = expected - mask_of(key, size).astype(object)
    vector = start.copy()
    add_masks(vector, plus, minus)
    assert vector.tolist() == [int(value) % 2**32 for value in expected]
    add_masks(vector, minus, plus)
    assert np.array_equal(vector, start)


def test_more_masks_than_are_expanded_at_once() -> None:
    many = [bytes([i % 256, i // 256]) + bytes(30) for i in range(300)]
    vector = np.zeros(5, np.uint32)
    add_masks(vector, many)
    assert np.array_equal(vector, sum((mask_of(key, 5) for key in many), np.zeros(5, np.uint32)))


def chi_square(words: np.ndarray) -> float:
    """Pearson's statistic of the bytes of these words against the uniform law."""
    counts = np.bincount(words.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2 / expected).sum())


# 255 degrees of freedom; Wilson and Hilferty: (X/255)^(1/3) is normal with mean 1 - 2/(9·255) and
# variance 2/(9·255). The two-sided false alarm of 1e-6 is at 4.892 standard deviations.
SPREAD = math.sqrt(2 / (9 * 255))
LOW, HIGH = (255 * (1 - SPREAD**2 + z * SPREAD) ** 3 for z in (-4.892, 4.892))


def test_masked_vectors_are_uniform_whatever_they_hide() -> None:
    """10,000 fresh keys over a constant vector: 160,000 bytes that must not show the constant."""
    entropy = seeded_entropy(3)
    masked = np.full((10_000, 4), 7, np.uint32)
    for row in masked:
        add_masks(row, [entropy(32)])
    assert LOW < chi_square(masked.ravel()) < HIGH


def test_the_law_sees_a_mask_of_too_small_a_range() -> None:
    entropy = seeded_entropy(3)
    masks = np.concatenate([mask_of(entropy(32), 4) for _ in range(10_000)])
    narrow = (masks.astype(np.float64) * 0.9).astype(np.uint32)
    assert not LOW < chi_square(narrow) < HIGH


def test_keys_of_another_length_are_refused() -> None:
    for size in (0, 4, 16, 31, 33):
        with pytest.raises(ConfigError, match=f"32 bytes, got {size}"):
            mask_of(bytes(size), 1)


def test_commitments_tell_seeds_apart() -> None:
    assert commitment(bytes(32)) == commitment(bytes(32))
    assert commitment(bytes(32)) != commitment(bytes(31) + b"\1")
    assert len(commitment(bytes(32))) == 32
