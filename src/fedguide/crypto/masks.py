"""Masks: a 256-bit key stretched to a vector of numbers mod 2^32 that cancels in a sum.

The mask of a key is its AES-256-CTR keystream (NIST SP 800-38A, section 6.5) from counter zero,
read as little-endian words. Threat model: whoever does not know the key cannot tell the masked
vector from a uniform one, whatever it hides; whoever knows the key can take the mask off. A key
makes ONE mask: two vectors under the same mask show their difference. All 256 bits of a key count.
A commitment to a seed (SHA-256) binds its owner and hides a seed that is uniform; it is NOT
hiding for anything that could be guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fedguide.ring import RingVector
from fedguide.seeds import keystream

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

# Keystream, its plaintext of zeros and the part of the sum stay in a core's own cache (2 MiB),
# and a call into the cipher costs less than a tenth of its block.
BLOCK_BYTES = 1 << 17
_WORD_BYTES = 4
_ZEROS = bytes(BLOCK_BYTES)
_AT_ONCE = 256  # streams; more would keep too many cipher states in memory


def add_masks(vector: RingVector, plus: Sequence[bytes], minus: Sequence[bytes] = ()) -> None:
    """Adds the masks of some keys to a vector and subtracts others', mod 2^32, in place.

    Raises:
        ConfigError: a key is not 32 bytes long.
    """
    for start in range(0, len(plus), _AT_ONCE):
        _add(vector, [keystream(key) for key in plus[start : start + _AT_ONCE]], np.add)
    for start in range(0, len(minus), _AT_ONCE):
        _add(vector, [keystream(key) for key in minus[start : start + _AT_ONCE]], np.subtract)


def _add(vector: RingVector, streams: Sequence[CipherContext], combine: np.ufunc) -> None:
    """Combines keystreams with a vector in place, block after block.

    All streams of a block before the next block: the part of the vector stays in the cache.
    """
    buffer = bytearray(min(BLOCK_BYTES, _WORD_BYTES * len(vector)))
    block = np.frombuffer(buffer, "<u4")
    words = BLOCK_BYTES // _WORD_BYTES
    for start in range(0, len(vector), words):
        part = vector[start : start + words]
        zeros = memoryview(_ZEROS)[: _WORD_BYTES * len(part)]
        mask = block[: len(part)]
        for stream in streams:
            stream.update_into(zeros, buffer)
            combine(part, mask, out=part)


def mask_of(key: bytes, size: int) -> RingVector:
    """The mask of one key, shape ``(size,)``.

    Raises:
        ConfigError: the key is not 32 bytes long.
    """
    mask = np.zeros(size, np.uint32)
    add_masks(mask, [key])
    return mask


def commitment(seed: bytes) -> bytes:
    """The 32 bytes by which others recognise a seed once it is shown to them."""
    return hashlib.sha256(b"fedguide/seed commitment/1" + seed).digest()
