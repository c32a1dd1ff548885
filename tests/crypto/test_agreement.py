"""X25519 against RFC 7748; keys derived from the secret by HKDF, written out after RFC 5869."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto.agreement import agree, agreement_key, check_public
from fedguide.errors import ConfigError, MalformedError
from fedguide.seeds import Root, derive

# RFC 7748, section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
# RFC 7748, section 5: u = 0 and u = 1 are of small order; so is 2^255 - 19, another form of 0.
SMALL = [bytes(32), (1).to_bytes(32, "little"), (2**255 - 19).to_bytes(32, "little")]
secrets = st.binary(min_size=32, max_size=32)


def test_rfc_7748_public_keys() -> None:
    assert agreement_key(ALICE).public.hex() == ALICE_PUBLIC
    assert agreement_key(BOB).public.hex() == BOB_PUBLIC


def test_rfc_7748_shared_secret() -> None:
    expected = derive(Root(SHARED), "use")
    assert agree(agreement_key(ALICE), bytes.fromhex(BOB_PUBLIC), "use") == expected
    assert agree(agreement_key(BOB), bytes.fromhex(ALICE_PUBLIC), "use") == expected


def hkdf(key: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869, sections 2.2 and 2.3, from HMAC alone."""
    extracted = hmac.digest(salt, key, "sha256")
    block, made, counter = b"", b"", 1
    while len(made) < size:
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        made, counter = made + block, counter + 1
    return made[:size]


def test_rfc_5869_case_1() -> None:
    """The oracle below is itself held against the standard."""
    made = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert made.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_keys_are_hkdf_of_the_shared_secret() -> None:
    info = b"b\0\0\0\x03key" + b"s\0\0\0\x03use" + b"b\0\0\0\x02\x01\x02"
    expected = hkdf(SHARED, b"fedguide/seeds/1", info, 64)
    mine = agreement_key(ALICE)
    assert agree(mine, bytes.fromhex(BOB_PUBLIC), "use", b"\x01\x02", size=64) == expected


@given(secrets, secrets, st.text(max_size=8))
def test_both_sides_agree(a: bytes, b: bytes, label: str) -> None:
    first, second = agreement_key(a), agreement_key(b)
    assert agree(first, second.public, label) == agree(second, first.public, label)


def test_other_labels_give_other_keys() -> None:
    mine, theirs = agreement_key(ALICE), bytes.fromhex(BOB_PUBLIC)
    assert len({agree(mine, theirs, *labels) for labels in (("a", "b"), ("ab",), ("b", "a"))}) == 3


@pytest.mark.parametrize("public", SMALL)
def test_points_of_small_order_are_refused(public: bytes) -> None:
    with pytest.raises(MalformedError, match="small order"):
        agree(agreement_key(ALICE), public, "use")
    with pytest.raises(MalformedError, match="small order"):
        check_public(public)


def test_an_honest_public_key_passes() -> None:
    check_public(bytes.fromhex(ALICE_PUBLIC))


def test_lengths_are_checked() -> None:
    with pytest.raises(ConfigError, match="32 bytes, got 31"):
        agreement_key(bytes(31))
    with pytest.raises(MalformedError, match="32 bytes, got 33"):
        agree(agreement_key(ALICE), bytes(33), "use")


def test_the_secret_is_not_in_the_repr() -> None:
    shown = repr(agreement_key(ALICE))
    assert ALICE_PUBLIC in shown
    assert ALICE.hex() not in shown
    assert repr(ALICE) not in shown
    assert hashlib.sha256(ALICE).hexdigest() not in shown
