"""Roots, keys derived from them, and streams."""

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.seeds import (
    Root,
    derive,
    fresh_root,
    fresh_roots,
    seeded_entropy,
    seeded_root,
    seeded_roots,
    shuffled,
    stream,
)

ROOT = Root(bytes(range(32)))
labels = st.lists(st.text(max_size=6) | st.integers() | st.binary(max_size=6), min_size=1)


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 written out with hmac alone."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    block, out, number = b"", b"", 0
    while len(out) < size:
        number += 1
        block = hmac.new(key, block + info + bytes([number]), hashlib.sha256).digest()
        out += block
    return out[:size]


def test_derive_is_hkdf_with_labels_spelled_out():
    info = b"b\0\0\0\x03key" + b"s\0\0\0\x04mask" + b"i\0\0\0\x012"
    assert derive(ROOT, "mask", 2, size=80) == hkdf(ROOT.value, b"fedguide/seeds/1", info, 80)


def test_reference_hkdf_agrees_with_rfc_5869_case_1():
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@given(labels, labels)
def test_other_labels_give_another_key(left, right):
    same_labels = [(type(x), x) for x in left] == [(type(x), x) for x in right]
    assert (derive(ROOT, *left) == derive(ROOT, *right)) == same_labels


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("ab", "c"), ("a", "bc")),
        ((1, 2), (12,)),
        (("1",), (1,)),
        ((b"1",), ("1",)),
        (("",), ("", "")),
    ],
)
def test_labels_that_look_alike_are_told_apart(left, right):
    assert derive(ROOT, *left) != derive(ROOT, *right)


def test_another_root_gives_another_key():
    assert derive(ROOT, "mask") != derive(Root(bytes(32)), "mask")


@pytest.mark.parametrize("size", [0, -1, 8161])
def test_size_out_of_range_is_refused(size):
    with pytest.raises(ConfigError, match="size must be in"):
        derive(ROOT, "mask", size=size)


def test_no_label_is_refused():
    with pytest.raises(ConfigError, match="at least one label"):
        derive(ROOT)


def test_root_of_wrong_length_is_refused_without_showing_it():
    with pytest.raises(ConfigError, match="32 bytes, got 31") as error:
        Root(b"s" * 31)
    assert "sss" not in str(error.value)


def test_root_is_not_in_its_repr():
    assert repr(Root(b"secret--" * 4)) == "Root()"


def test_fresh_root_takes_all_its_bytes_from_entropy():
    asked = []

    def entropy(size):
        asked.append(size)
        return bytes([len(asked)]) * size

    roots = fresh_roots(entropy)
    assert [fresh_root(entropy).value[0], roots("t", 0).value[0], roots("t", 0).value[0]] == [
        1,
        2,
        3,
    ]
    assert asked == [32, 32, 32]


@given(labels)
def test_stream_repeats_in_another_generator(some):
    assert stream(ROOT, *some).random(5).tolist() == stream(ROOT, *some).random(5).tolist()


def test_stream_of_another_label_differs_and_children_repeat():
    draws = stream(ROOT, "shuffle", 1).integers(0, 2**63, 4)
    assert not np.array_equal(draws, stream(ROOT, "shuffle", 2).integers(0, 2**63, 4))
    first, second = (stream(ROOT, "x").spawn(1)[0].random(3) for _ in range(2))
    assert np.array_equal(first, second)


def test_stream_is_not_seeded_with_the_key_of_its_label():
    seed = int.from_bytes(derive(ROOT, "x"), "big")
    other = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    assert stream(ROOT, "x").random() != other.random()


def test_stream_is_uniform():
    """Mean of 100,000 uniform draws: sd = sqrt(1/12/n); 5 sd is a false alarm of 6e-7."""
    n = 100_000
    assert abs(stream(ROOT, "u").random(n).mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5


def test_seeded_entropy_repeats_and_moves_on():
    left, right = seeded_entropy(3), seeded_entropy(3)
    first = [left(32), left(32), left(7)]
    assert first == [right(32), right(32), right(7)]
    assert first[0] != first[1]
    assert first[0] != seeded_entropy(4)(32)


def test_seeded_roots_do_not_depend_on_what_was_asked_before():
    roots = seeded_roots(5)
    roots("task", 0)
    assert roots("task", 3) == seeded_roots(5)("task", 3) == seeded_root(5, "task", 3)
    assert len({roots("task", 3).value, roots("task", 4).value, roots("other", 3).value}) == 3
    assert seeded_root(5) == seeded_root(5) != seeded_root(6)


def test_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="at least 0, got -1"):
        seeded_entropy(-1)


def test_a_shuffle_is_the_same_alone_and_with_others() -> None:
    seeds, counts = np.array([5, 0, 2**31 - 1, 5]), np.array([7, 1, 0, 12])
    order, owner = shuffled(seeds, counts, 3)
    for k in range(4):
        alone, _ = shuffled(seeds[k : k + 1], counts[k : k + 1], 3)
        np.testing.assert_array_equal(order[owner == k], alone)
        assert sorted(alone) == list(range(counts[k]))
    other, _ = shuffled(seeds[3:], counts[3:], 4)
    assert other.tolist() != order[owner == 3].tolist()


def test_all_orders_of_a_shuffle_are_equally_likely() -> None:
    draws = 24_000
    order, _ = shuffled(np.arange(draws), np.full(draws, 4))
    _, found = np.unique(order.reshape(draws, 4) @ [64, 16, 4, 1], return_counts=True)
    assert len(found) == 24
    # Chi-squared with 23 degrees: above 83.0 with probability 1e-8.
    assert ((found - 1000.0) ** 2 / 1000).sum() < 83.0
