"""Signatures: origin, integrity, purpose; and the key file is for its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto.signing import (
    PublicKey,
    SigningKey,
    load_key,
    make_key,
    save_key,
    sign,
    verify,
)
from fedguide.errors import ConfigError, NotFoundError, SignatureError

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def test_rfc_8032_public_key() -> None:
    # RFC 8032, section 7.1, TEST 1.
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert SigningKey(Ed25519PrivateKey.from_private_bytes(secret)).public == public


@given(st.binary(max_size=200))
def test_a_signature_verifies(message: bytes) -> None:
    verify(KEY.public, "release/1", message, sign(KEY, "release/1", message))


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_changed_bit_is_refused(message: bytes, data: st.DataObject) -> None:
    signature = sign(KEY, "release/1", message)
    bit = data.draw(st.integers(0, 8 * (len(message) + 64) - 1))
    both = bytearray(message + signature)
    both[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError):
        verify(KEY.public, "release/1", bytes(both[:-64]), bytes(both[-64:]))


def test_another_signer_and_another_purpose_are_refused() -> None:
    signature = sign(KEY, "release/1", b"m")
    with pytest.raises(SignatureError, match="not by"):
        verify(OTHER.public, "release/1", b"m", signature)
    with pytest.raises(SignatureError):
        verify(KEY.public, "release/2", b"m", signature)


def test_a_purpose_cannot_run_into_the_message() -> None:
    with pytest.raises(SignatureError):
        verify(KEY.public, "a", b"bc", sign(KEY, "ab", b"c"))
    for purpose in ("", "a\0b"):
        with pytest.raises(ConfigError, match="purpose"):
            sign(KEY, purpose, b"c")


@pytest.mark.parametrize("signer", ["", "zz", "00" * 31, "AB" * 32, " " + "00" * 32])
def test_malformed_public_keys_are_refused(signer: str) -> None:
    with pytest.raises(SignatureError, match="public key"):
        verify(PublicKey(signer), "p", b"m", bytes(64))


def test_short_signatures_are_refused() -> None:
    with pytest.raises(SignatureError, match="64 bytes, got 3"):
        verify(KEY.public, "p", b"m", b"abc")


def test_the_key_file_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    save_key(path, KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path).public == KEY.public


def test_a_passphrase_seals_the_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    save_key(path, KEY, "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert load_key(path, "correct horse").public == KEY.public
    with pytest.raises(ConfigError, match="no passphrase") as caught:
        load_key(path)
    assert "FEDGUIDE_PASSPHRASE" in caught.value.hint
    with pytest.raises(ConfigError, match="does not open") as caught:
        load_key(path, "wrong horse")
    assert "horse" not in str(caught.value)


def test_a_passphrase_that_is_not_needed_does_no_harm(tmp_path: Path) -> None:
    save_key(tmp_path / "key.pem", KEY)
    assert load_key(tmp_path / "key.pem", "any").public == KEY.public
    with pytest.raises(ConfigError, match="empty"):
        save_key(tmp_path / "other.pem", KEY, "")


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    save_key(path, KEY)
    with pytest.raises(ConfigError, match="already there"):
        save_key(path, OTHER)
    assert load_key(path).public == KEY.public


def test_a_readable_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    save_key(path, KEY)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="0644") as caught:
        load_key(path)
    assert "chmod 600" in caught.value.hint


def test_missing_and_foreign_key_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(NotFoundError):
        load_key(path)
    path.write_bytes(b"nonsense")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no readable private key"):
        load_key(path)
    path.write_bytes(
        X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with pytest.raises(ConfigError, match="Ed25519"):
        load_key(path)


def test_the_secret_is_not_in_the_repr() -> None:
    key = make_key()
    secret = key._secret.private_bytes_raw()
    shown = f"{key!r} {key} {[key]}"
    assert key.public in shown
    assert secret.hex() not in shown
    assert repr(secret) not in shown


def test_two_made_keys_differ() -> None:
    assert make_key().public != make_key().public
