"""An oblivious pseudorandom function: one side has the key, the other the inputs.

Davidson, Faz-Hernández, Sullivan and Wood, "Oblivious Pseudorandom Functions (OPRFs) Using
Prime-Order Groups", RFC 9497, 2023: the suite ristretto255-SHA512, mode OPRF. One deviation: a
batch is blinded by one fresh scalar instead of one for each input; under the decisional
Diffie-Hellman assumption in the random-oracle model the blinded batch still looks like random
points, which is what private set intersection has relied on since Huberman, Franklin and Hogg
1999. Threat model: the holder of the key, even malicious, learns how many inputs there are and
nothing else; the other side learns the function's value at its inputs, one for each evaluation,
and nothing about the key. A malicious holder may use another key: the outputs are then wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.points import (
    WIDE_BYTES,
    Points,
    Scalar,
    from_hashes,
    inverse,
    multiply,
    to_scalar,
)
from fedguide.errors import ConfigError
from fedguide.seeds import Label, Root, derive

CONTEXT = b"OPRFV1-\x00-ristretto255-SHA512"
MAX_INPUT_BYTES = 65535

_TO_GROUP = b"HashToGroup-" + CONTEXT
_BLOCK_BYTES = 128  # of SHA-512: RFC 9380, section 5.3.1, s_in_bytes


def secret_scalar(root: Root, *labels: Label) -> Scalar:
    """The scalar that belongs to these labels of a root.

    Raises:
        ConfigError: no label.
    """
    return to_scalar(derive(root, *labels, size=WIDE_BYTES))


def hash_to_group(inputs: Sequence[bytes]) -> Points:
    """The point of each input, shape ``(n, 32)`` (RFC 9497, section 4.1).

    Raises:
        ConfigError: an input is longer than 65,535 bytes.
    """
    wide = b"".join(expand_message(_checked(one), _TO_GROUP, WIDE_BYTES) for one in inputs)
    return from_hashes(np.frombuffer(wide, np.uint8).reshape(-1, WIDE_BYTES))


def blind(inputs: Sequence[bytes], blinding: Scalar, workers: int = 1) -> Points:
    """The blinded inputs, shape ``(n, 32)``; ``blinding`` must be fresh for every batch."""
    return multiply(blinding, hash_to_group(inputs), workers)


def evaluate(key: Scalar, blinded: Points, workers: int = 1) -> Points:
    """The key holder's half, shape ``(n, 32)``.

    Raises:
        MalformedError: a point is not a legal element.
    """
    return multiply(key, blinded, workers)


def finalize(
    inputs: Sequence[bytes],
    evaluated: Points,
    blinding: Scalar,
    workers: int = 1,
    size: int = 64,
) -> NDArray[np.uint8]:
    """The function's value at each input, cut to ``size`` bytes: shape ``(n, size)``.

    Raises:
        MalformedError: a point is not a legal element.
    """
    return outputs(inputs, multiply(inverse(blinding), evaluated, workers), size)


def outputs(inputs: Sequence[bytes], elements: Points, size: int = 64) -> NDArray[np.uint8]:
    """The function's value from each input and its element, shape ``(n, size)``."""
    parts = [
        hashlib.sha512(
            len(one).to_bytes(2, "big") + one + b"\x00\x20" + element.tobytes() + b"Finalize"
        ).digest()[:size]
        for one, element in zip(inputs, elements, strict=True)
    ]
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, size)


def expand_message(message: bytes, tag: bytes, size: int) -> bytes:
    """``size`` ≤ 64 uniform bytes from a message (expand_message_xmd, RFC 9380, section 5.3.1)."""
    suffix = tag + bytes([len(tag)])
    first = hashlib.sha512(
        bytes(_BLOCK_BYTES) + message + size.to_bytes(2, "big") + b"\x00" + suffix
    ).digest()
    return hashlib.sha512(first + b"\x01" + suffix).digest()[:size]


def _checked(one: bytes) -> bytes:
    """An input, once it is known to be short enough for its two length bytes."""
    if len(one) > MAX_INPUT_BYTES:
        raise ConfigError(f"an input has {len(one)} bytes, at most {MAX_INPUT_BYTES}")
    return one
