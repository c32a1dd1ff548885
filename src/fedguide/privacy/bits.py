"""Secret random words for noise: the AES-256-CTR keystream under a key derived from a root.

Threat model: whoever knows neither the root nor the derived key cannot tell the words from
uniform ones (AES is a pseudorandom permutation; NIST SP 800-90A keeps to the same bound of 2^48
blocks a key that nobody reaches here). Whoever knows the root knows the noise: it stays with the
actor that drew it. The same root and labels give the same words again, so that a replay after a
crash releases the same noise and not a second sample of it; other labels give an independent key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedguide.seeds import Label, Root, derive, keystream

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

Words = NDArray[np.uint64]
"""Uniform random 64-bit words, shape ``(n,)``."""

_CHUNK_BYTES = 1 << 17  # stays in a core's cache on the way from the cipher to the sampler


class Bits:
    """A keystream that is read once, from its start; its repr shows nothing."""

    def __init__(self, root: Root, *labels: Label) -> None:
        """Keyed by the root under the label "noise" and these ``labels``."""
        key = derive(root, "noise", *labels)
        self._cipher: CipherContext = keystream(key)
        self._zeros = bytes(_CHUNK_BYTES)

    def chunk(self) -> Words:
        """The next 2^14 words, little-endian on every machine."""
        words = np.empty(_CHUNK_BYTES // 8, np.dtype("<u8"))
        self._cipher.update_into(self._zeros, words.view(np.uint8).data)
        return words.astype(np.uint64, copy=False)

    def __repr__(self) -> str:
        return "Bits()"
