"""Invitations: one string there and back, any slip in copying noticed, no secret shown."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedguide.crypto.invitation import (
    Invitation,
    new_token,
    read_invitation,
    token_hash,
    write_invitation,
)
from fedguide.crypto.signing import PublicKey
from fedguide.errors import ConfigError, ExpiredError
from fedguide.seeds import seeded_entropy

KEY = PublicKey("5a" * 32)
INVITATION = Invitation(
    "market", "shop-a", "https://127.0.0.1:8443", b"certificate" * 30, KEY, bytes(range(16)), 2_000
)
TEXT = write_invitation(INVITATION)


def test_there_and_back():
    assert read_invitation(TEXT, 1_999.0) == INVITATION
    assert "\n" not in TEXT
    assert len(TEXT) < 700


def test_a_mail_program_may_break_it():
    broken = "\n".join(TEXT[i : i + 60] for i in range(0, len(TEXT), 60))
    assert read_invitation(f"  {broken}\n", 0.0) == INVITATION


@given(st.integers(5, len(TEXT) - 1), st.sampled_from("ABCxyz019-_"))
def test_one_wrong_character_is_noticed(place, other):
    wrong = TEXT[:place] + other + TEXT[place + 1 :]
    assume(wrong != TEXT)
    assume(place < len(TEXT) - 1)  # the last character has bits that stand for nothing
    with pytest.raises(ConfigError, match="damaged"):
        read_invitation(wrong, 0.0)


@given(st.text(max_size=80))
def test_junk_is_refused(text):
    for junk in (text, "fgi1." + text):
        with pytest.raises(ConfigError):
            read_invitation(junk, 0.0)


def test_a_missing_end_is_noticed():
    with pytest.raises(ConfigError, match="damaged"):
        read_invitation(TEXT[:-5], 0.0)


def test_an_old_one_is_refused():
    with pytest.raises(ExpiredError, match="expired 10 s ago"):
        read_invitation(TEXT, 2_010.0)


@pytest.mark.parametrize(
    "flawed",
    [
        Invitation("m", "Shop A", "https://h:1", b"c", KEY, bytes(16), 9),
        Invitation("m", "shop-a", "http://h:1", b"c", KEY, bytes(16), 9),
        Invitation("m", "shop-a", "https://h:1", b"c", KEY, bytes(15), 9),
        Invitation("m", "shop-a", "https://h:1", b"c", PublicKey("5a"), bytes(16), 9),
    ],
)
def test_what_cannot_be_used_is_refused(flawed):
    with pytest.raises(ConfigError, match="names no party, no https address, no key or no token"):
        read_invitation(write_invitation(flawed), 0.0)


def test_the_token_is_shown_nowhere_and_kept_as_a_hash():
    token = new_token(seeded_entropy(1))
    shown = repr(Invitation("m", "shop-a", "https://h:1", b"c", KEY, token, 9))
    assert repr(token) not in shown
    assert token.hex() not in shown
    assert len(token) == 16
    assert token_hash(token) != token_hash(bytes(16))
