"""Ed25519 signatures: who made a release, and has a byte of it changed since.

Bernstein, Duif, Lange, Schwabe and Yang, "High-speed high-security signatures", 2011; RFC 8032.
Threat model: anybody may read, replace or forge files on the way; only the holder of the secret
key is trusted. A signature proves origin and integrity, not secrecy and not freshness: an older
release of the same signer still verifies. Whoever reads the key file can sign in its owner's
name, so the file is for its owner alone; with a passphrase it is encrypted too (PKCS #8, PBES2),
which is worth what the passphrase is worth. What leaks: the public key and the signed bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from fedguide.errors import ConfigError, NotFoundError, SignatureError

PublicKey = NewType("PublicKey", str)
"""An Ed25519 public key as 64 lower-case hex digits; it may be shown to anybody."""

SIGNATURE_BYTES = 64
_KEY_BYTES = 32


@dataclass(frozen=True, repr=False)
class SigningKey:
    """A secret key; its repr shows the public half only."""

    _secret: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The public half, by which others know the signer."""
        return PublicKey(self._secret.public_key().public_bytes_raw().hex())

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public})"


def make_key() -> SigningKey:
    """A new key from the operating system's entropy."""
    return SigningKey(Ed25519PrivateKey.generate())


def key_of(secret: bytes) -> SigningKey:
    """The key whose secret half is these 32 bytes; whoever knows them signs in its name.

    Raises:
        ConfigError: there are not 32 bytes.
    """
    if len(secret) != _KEY_BYTES:
        raise ConfigError(f"a secret key has {_KEY_BYTES} bytes, got {len(secret)}")
    return SigningKey(Ed25519PrivateKey.from_private_bytes(secret))


def save_key(path: Path, key: SigningKey, passphrase: str | None = None) -> None:
    """Writes the secret key as PEM to a new file that only its owner can read (mode 0600).

    With a passphrase the PEM is encrypted too.

    Raises:
        ConfigError: the file is already there: a key is never written over; or the passphrase
            is empty.
    """
    if passphrase == "":
        raise ConfigError("a passphrase must not be empty", hint="leave it out, or choose one")
    protection = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase.encode())
    )
    pem = key._secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        protection,
    )
    # O_EXCL with the mode in the same call: there is no moment in which others could read it.
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"key file {path} is already there and is not written over",
            hint="use that key, or move the file away first",
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def load_key(path: Path, passphrase: str | None = None) -> SigningKey:
    """Reads a secret key written by ``save_key``; a passphrase that is not needed is not used.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: others can read the file, it holds no Ed25519 key, or the passphrase does
            not open it.
    """
    if not path.is_file():
        raise NotFoundError(f"key file {path} is not there")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            f"key file {path} has mode {mode:04o}, only its owner may read it (0600)",
            hint=f"chmod 600 {path}; if others could read it, make a new key",
        )
    pem = path.read_bytes()
    sealed = b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem
    if sealed and not passphrase:
        raise ConfigError(
            f"key file {path} is encrypted and no passphrase was given",
            hint="set FEDGUIDE_PASSPHRASE",
        )
    password = passphrase.encode() if sealed and passphrase else None
    try:
        secret = serialization.load_pem_private_key(pem, password=password)
    except (ValueError, TypeError):
        if sealed:
            raise ConfigError(
                f"key file {path} does not open with this passphrase",
                hint="set FEDGUIDE_PASSPHRASE to the one it was made with",
            ) from None
        # The parser's own words may quote the file, so they are not chained.
        raise ConfigError(f"key file {path} holds no readable private key") from None
    if not isinstance(secret, Ed25519PrivateKey):
        raise ConfigError(f"key file {path} must hold an Ed25519 key, got another kind")
    return SigningKey(secret)


def sign(key: SigningKey, purpose: str, message: bytes) -> bytes:
    """The signature of ``message`` for one purpose, 64 bytes.

    The purpose is signed too, so that a signature given for one use is worthless for another.

    Raises:
        ConfigError: the purpose is empty or holds a NUL byte.
    """
    return key._secret.sign(_framed(purpose, message))


def verify(signer: PublicKey, purpose: str, message: bytes, signature: bytes) -> None:
    """Returns if ``signature`` is the signer's for this purpose and message.

    Raises:
        SignatureError: it is not, or the key or signature is malformed.
        ConfigError: the purpose is empty or holds a NUL byte.
    """
    framed = _framed(purpose, message)
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"a signature has {SIGNATURE_BYTES} bytes, got {len(signature)}")
    try:
        _public(signer).verify(signature, framed)
    except InvalidSignature:
        raise SignatureError(
            f"the signature is not by {signer[:16]}… or the signed bytes were changed",
            hint="get the release again from its signer",
        ) from None


def _framed(purpose: str, message: bytes) -> bytes:
    if not purpose or "\0" in purpose:
        raise ConfigError(f"a purpose is not empty and holds no NUL byte, got {purpose!r}")
    return b"fedguide/" + purpose.encode() + b"\0" + message


def _public(signer: PublicKey) -> Ed25519PublicKey:
    try:
        raw = bytes.fromhex(signer)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES or raw.hex() != signer:
        raise SignatureError(
            f"a public key is {2 * _KEY_BYTES} lower-case hex digits, got {len(signer)} characters"
        )
    return Ed25519PublicKey.from_public_bytes(raw)
