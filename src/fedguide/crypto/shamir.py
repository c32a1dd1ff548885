"""Shamir's secret sharing: any t of the shares give the secret, any t−1 give nothing.

Shamir, "How to Share a Secret", 1979, over the field of p = 2^521 − 1, a prime in which a secret
of 256 bits fits. Threat model: up to t−1 holders may put their shares together and still learn
nothing about the secret, whatever they can compute; t holders learn it all. Holders are trusted
to hand back what they were given: a changed share gives another secret, so whoever joins shares
needs another way to recognise the right one. Nothing here is constant-time: sharing and joining
are for a process of its own, not for a host shared with an adversary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from fedguide.errors import ConfigError, MalformedError
from fedguide.seeds import Root, derive

PRIME = 2**521 - 1
SECRET_BYTES = 32
SHARE_BYTES = 66  # 521 bits

_COEFFICIENTS_AT_ONCE = 120  # 7920 bytes, within what one derivation gives


def split(secret: bytes, threshold: int, holders: Sequence[int], root: Root) -> dict[int, bytes]:
    """A share for every holder; holders are told apart by whole numbers from 1.

    Args:
        secret: 32 bytes.
        threshold: t, how many shares give the secret back.
        holders: the numbers of the holders, at least t of them.
        root: what the polynomial is derived from; of this secret alone.

    Raises:
        ConfigError: the secret is not 32 bytes, t is outside [1, holders], or a holder's number
            is below 1 or stands there twice.
    """
    if len(secret) != SECRET_BYTES:
        raise ConfigError(f"a secret to share has {SECRET_BYTES} bytes, got {len(secret)}")
    if not 1 <= threshold <= len(holders):
        raise ConfigError(f"threshold must be in [1, {len(holders)}], got {threshold}")
    if len(set(holders)) != len(holders) or min(holders) < 1:
        raise ConfigError("holders must have different numbers from 1")
    polynomial = [int.from_bytes(secret, "big"), *_coefficients(root, threshold - 1)]
    return {holder: _evaluate(polynomial, holder) for holder in holders}


def join(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret that ``threshold`` of these shares give (those of the lowest holders).

    Raises:
        ConfigError: there are fewer than ``threshold`` shares.
        MalformedError: a share is not one, or together they give no secret of 32 bytes.
    """
    if not 1 <= threshold <= len(shares):
        raise ConfigError(f"threshold must be in [1, {len(shares)}], got {threshold}")
    chosen = tuple(sorted(shares)[:threshold])
    values = [_number(shares[holder]) for holder in chosen]
    weights = _weights(chosen)
    secret = sum(w * v for w, v in zip(weights, values, strict=True)) % PRIME
    if secret >> (8 * SECRET_BYTES):
        raise MalformedError("the shares do not belong to one secret")
    return secret.to_bytes(SECRET_BYTES, "big")


def _coefficients(root: Root, count: int) -> list[int]:
    """Uniform field elements: 521 bits each, and all ones (probability 2^-521) is zero."""
    numbers: list[int] = []
    for start in range(0, count, _COEFFICIENTS_AT_ONCE):
        part = min(_COEFFICIENTS_AT_ONCE, count - start)
        raw = derive(root, "polynomial", start, size=SHARE_BYTES * part)
        numbers += [
            (int.from_bytes(raw[at : at + SHARE_BYTES], "big") & PRIME) % PRIME
            for at in range(0, len(raw), SHARE_BYTES)
        ]
    return numbers


def _evaluate(polynomial: Sequence[int], at: int) -> bytes:
    """The polynomial's value by Horner's rule, as a share."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * at + coefficient) % PRIME
    return value.to_bytes(SHARE_BYTES, "big")


def _number(share: bytes) -> int:
    """A share as a field element."""
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise MalformedError(f"a share is a number below 2^521 - 1 in {SHARE_BYTES} bytes")
    return value


@lru_cache(maxsize=1024)
def _weights(holders: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights at zero: Π x_j / (x_j − x_i) over j ≠ i; the same for all secrets."""
    weights = []
    for mine in holders:
        above, below = 1, 1
        for other in holders:
            if other != mine:
                above *= other
                below *= other - mine
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)
