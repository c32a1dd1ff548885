"""X25519 key agreement: two parties who know each other's public keys share a secret.

Langley, Hamburg and Turner, "Elliptic Curves for Security", RFC 7748, section 6.1; keys are made
from the shared secret by HKDF-SHA256 (RFC 5869). Threat model: whoever reads or changes messages
on the way is an adversary; agreement alone does NOT say with whom one agrees, so a public key
must come signed by its owner (``signing``). Nothing leaks but the public keys. Whoever learns one
secret key can derive every secret agreed with it: keys are made anew for every round.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedguide.errors import ConfigError, MalformedError
from fedguide.seeds import Label, Root, derive

KEY_BYTES = 32


@dataclass(frozen=True, repr=False)
class AgreementKey:
    """A secret key for one round; its repr shows the public half only."""

    _secret: X25519PrivateKey

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._secret.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"AgreementKey(public={self.public.hex()})"


def agreement_key(secret: bytes) -> AgreementKey:
    """The key whose secret half is these 32 bytes.

    Raises:
        ConfigError: there are not 32 bytes.
    """
    if len(secret) != KEY_BYTES:
        raise ConfigError(f"a secret key has {KEY_BYTES} bytes, got {len(secret)}")
    return AgreementKey(X25519PrivateKey.from_private_bytes(secret))


def agree(mine: AgreementKey, theirs: bytes, *labels: Label, size: int = KEY_BYTES) -> bytes:
    """The ``size`` secret bytes that both holders derive for these labels.

    Raises:
        MalformedError: ``theirs`` is not a public key, or one with which every secret is zero.
        ConfigError: no label.
    """
    if len(theirs) != KEY_BYTES:
        raise MalformedError(f"a public key has {KEY_BYTES} bytes, got {len(theirs)}")
    try:
        shared = mine._secret.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:
        # RFC 7748, section 6.1: an all-zero secret means a point of small order, known to all.
        raise MalformedError("a public key of small order agrees on a secret of zeros") from None
    return derive(Root(shared), *labels, size=size)


def check_public(theirs: bytes) -> None:
    """Returns if ``theirs`` is a public key with which a secret can be agreed.

    Raises:
        MalformedError: it is not.
    """
    agree(_PROBE, theirs, "probe")


_PROBE = agreement_key(bytes(range(KEY_BYTES)))  # guards nothing: it only finds bad points
