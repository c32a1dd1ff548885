"""The keystream behind the noise."""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from fedguide.privacy.bits import Bits
from fedguide.seeds import Root, derive

ROOT = Root(bytes(range(32)))


def test_words_are_the_encrypted_counter_under_the_derived_key():
    """NIST SP 800-38A, section 6.5, with a counter from 0: block i is AES(key, i)."""
    counters = b"".join(i.to_bytes(16, "big") for i in range(2**14))
    key = derive(ROOT, "noise", "label", 7)
    stream = Cipher(AES(key), ECB()).encryptor().update(counters)  # noqa: S305 - one block each
    bits = Bits(ROOT, "label", 7)
    found = np.concatenate([bits.chunk(), bits.chunk()])
    assert found.dtype == np.uint64
    assert found.astype("<u8").tobytes() == stream


def test_other_labels_and_roots_give_other_words():
    streams = [Bits(ROOT, "a"), Bits(ROOT, "b"), Bits(ROOT, "a", 0), Bits(Root(bytes(32)), "a")]
    assert len({bits.chunk().tobytes() for bits in streams}) == 4


def test_words_are_evenly_spread():
    """Each of 64 bits of n words is 1 with p = 1/2: sd 1/sqrt(4n).

    5.9 sd is a false alarm of 4e-9 a bit, under 1e-6 for all 64 and the mean of the words.
    """
    words = np.concatenate([bits.chunk() for bits in [Bits(ROOT, "u")] * 8])
    n = len(words)
    for bit in range(64):
        share = ((words >> np.uint64(bit)) & np.uint64(1)).mean()
        assert abs(share - 0.5) < 5.9 / (4 * n) ** 0.5
    assert abs((words / 2**64).mean() - 0.5) < 5.9 / (12 * n) ** 0.5


def test_nothing_shows_in_the_repr():
    assert repr(Bits(ROOT, "a")) == "Bits()"
