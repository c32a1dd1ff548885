"""Shamir: t shares give the secret, t - 1 fit every secret; hand-worked and by properties."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto import shamir
from fedguide.crypto.shamir import PRIME, SHARE_BYTES, join, split
from fedguide.errors import ConfigError, MalformedError
from fedguide.seeds import seeded_root

ROOT = seeded_root(1)
secrets = st.binary(min_size=32, max_size=32)


def share(value: int) -> bytes:
    return value.to_bytes(SHARE_BYTES, "big")


def test_a_line_worked_out_by_hand() -> None:
    # f(x) = 5 + 3x: f(1) = 8, f(2) = 11, f(4) = 17; two points give f(0) = 5.
    secret = (5).to_bytes(32, "big")
    assert join({1: share(8), 2: share(11)}, 2) == secret
    assert join({2: share(11), 4: share(17)}, 2) == secret
    # f(x) = 7 - x + 2x^2: f(1) = 8, f(3) = 22, f(5) = 52.
    assert join({5: share(52), 1: share(8), 3: share(22)}, 3) == (7).to_bytes(32, "big")


def test_the_prime_is_one_and_holds_a_secret() -> None:
    assert PRIME.bit_length() == 521
    assert pow(3, PRIME - 1, PRIME) == 1  # Fermat; 2^521 - 1 is Mersenne's thirteenth
    assert (PRIME >> 256) > 0
    top = bytes([255]) * 32  # does not fit into 2^255 - 19
    assert join(split(top, 2, [1, 2, 3], ROOT), 2) == top


@given(secrets, st.integers(1, 8), st.data())
def test_any_t_of_them_give_it_back(secret: bytes, threshold: int, data: st.DataObject) -> None:
    holders = data.draw(
        st.lists(st.integers(1, 1000), min_size=threshold, max_size=12, unique=True)
    )
    shares = split(secret, threshold, holders, ROOT)
    assert sorted(shares) == sorted(holders)
    chosen = data.draw(st.permutations(holders))[:threshold]
    assert join({holder: shares[holder] for holder in chosen}, threshold) == secret


@given(secrets, secrets, st.integers(2, 6))
def test_one_fewer_fits_every_secret(secret: bytes, other: bytes, threshold: int) -> None:
    """The known shares with any other secret lie on a polynomial of the same degree."""
    shares = split(secret, threshold, range(1, threshold + 1), ROOT)
    known = {holder: int.from_bytes(shares[holder], "big") for holder in range(1, threshold)}
    points = {0: int.from_bytes(other, "big"), **known}

    def at(x: int) -> int:
        value = 0
        for i, y in points.items():
            weight = 1
            for j in points:
                if j != i:
                    weight = weight * (x - j) * pow(i - j, -1, PRIME) % PRIME
            value = (value + y * weight) % PRIME
        return value

    forged = {**{h: shares[h] for h in known}, threshold: share(at(threshold))}
    assert join(forged, threshold) == other


def test_shares_do_not_repeat_between_secrets() -> None:
    """One polynomial for two secrets would show their difference."""
    first = split(bytes(32), 3, [1, 2, 3], seeded_root(1, "a"))
    second = split(bytes(32), 3, [1, 2, 3], seeded_root(1, "b"))
    assert not set(first.values()) & set(second.values())


@given(secrets, st.integers(1, 3), st.integers(1, PRIME - 1))
def test_a_changed_share_gives_another_secret_or_none(secret: bytes, who: int, by: int) -> None:
    shares = split(secret, 3, [1, 2, 3], ROOT)
    changed = share((int.from_bytes(shares[who], "big") + by) % PRIME)
    given_back = None
    with suppress(MalformedError):
        given_back = join({**shares, who: changed}, 3)
    assert given_back != secret


@pytest.mark.parametrize("bad", [b"", bytes(65), bytes(67), share(PRIME), b"\xff" * 66])
def test_what_is_no_share_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedError, match="a share is"):
        join({1: bad, 2: share(1)}, 2)


def test_many_coefficients() -> None:
    holders = range(1, 131)
    shares = split(bytes(range(32)), 130, holders, ROOT)
    assert join(shares, 130) == bytes(range(32))


def test_coefficients_are_fresh_beyond_one_derivation() -> None:
    numbers = shamir._coefficients(ROOT, 250)
    assert len(set(numbers)) == 250
    assert all(0 <= number < PRIME for number in numbers)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((bytes(31), 1, [1]), "32 bytes, got 31"),
        ((bytes(32), 0, [1]), r"\[1, 1\], got 0"),
        ((bytes(32), 3, [1, 2]), r"\[1, 2\], got 3"),
        ((bytes(32), 2, [1, 1]), "different"),
        ((bytes(32), 2, [0, 1]), "from 1"),
    ],
)
def test_numbers_out_of_range(arguments, text) -> None:
    with pytest.raises(ConfigError, match=text):
        split(*arguments, ROOT)
    with pytest.raises(ConfigError, match="threshold"):
        join({1: share(1)}, 2)
