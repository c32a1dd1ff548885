"""The oblivious function against the vectors of RFC 9497, appendix A.1.1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto.oprf import (
    blind,
    evaluate,
    expand_message,
    finalize,
    hash_to_group,
    outputs,
    secret_scalar,
)
from fedguide.crypto.points import Scalar, inverse, multiply, to_scalar
from fedguide.errors import ConfigError, MalformedError
from fedguide.seeds import seeded_root

KEY = Scalar(bytes.fromhex("5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e"))
BLIND = Scalar(bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"))
VECTORS = [
    (
        "00",
        "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
        "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
        "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
        "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6",
    ),
    (
        "5a" * 17,
        "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
        "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
        "f4a74c9c592497375e796aa837e907b1a045d34306a749db9f34221f7e750cb4"
        "f2a6413a6bf6fa5e19ba6348eb673934a722a7ede2e7621306d18951e7cf2c73",
    ),
]
IDENTITY = np.zeros((1, 32), np.uint8)


@pytest.mark.parametrize(("text", "blinded", "evaluated", "output"), VECTORS)
def test_rfc_9497_appendix_a_1_1(text, blinded, evaluated, output):
    inputs = [bytes.fromhex(text)]
    hidden = blind(inputs, BLIND)
    assert hidden.tobytes().hex() == blinded
    answered = evaluate(KEY, hidden)
    assert answered.tobytes().hex() == evaluated
    assert finalize(inputs, answered, BLIND).tobytes().hex() == output


def test_rfc_9380_expand_message_xmd_sha512():
    # RFC 9380, appendix K.3, first case: msg "", len 0x20
    made = expand_message(b"", b"QUUX-V01-CS02-with-expander-SHA512-256", 32)
    assert made.hex() == "6b9a7312411d92f921c6f68ca0b6380730a1a4d982c507211a90964c394179ba"


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 1000))
def test_both_ways_to_a_value_agree(inputs, seed):
    key, blinding = (secret_scalar(seeded_root(seed), name) for name in ("key", "blind"))
    obliviously = finalize(inputs, evaluate(key, blind(inputs, blinding)), blinding, size=16)
    directly = outputs(inputs, multiply(key, hash_to_group(inputs)), size=16)
    assert obliviously.tobytes() == directly.tobytes()
    assert obliviously.shape == (len(inputs), 16)


def test_several_processes_give_what_one_gives():
    points = hash_to_group([str(i).encode() for i in range(2500)])
    assert multiply(KEY, points, workers=2).tobytes() == multiply(KEY, points).tobytes()


def test_points_that_are_none_are_refused_by_one_process_and_by_several():
    odd = np.full((1, 32), 255, np.uint8)
    for bad in (odd, IDENTITY):
        with pytest.raises(MalformedError, match="legal ristretto255"):
            evaluate(KEY, bad)
    many = np.concatenate([hash_to_group([b"a"] * 2400), odd])
    with pytest.raises(MalformedError, match="legal ristretto255"):
        multiply(KEY, many, workers=2)


def test_scalars_out_of_range():
    with pytest.raises(ConfigError, match="64 bytes, got 3"):
        to_scalar(b"abc")
    with pytest.raises(ConfigError, match="zero scalar"):
        to_scalar(bytes(64))
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        multiply(KEY, IDENTITY, workers=0)


def test_a_multiplication_is_undone_by_the_inverse():
    points = hash_to_group([b"x", b"y"])
    assert multiply(inverse(KEY), multiply(KEY, points)).tobytes() == points.tobytes()


def test_an_input_too_long_for_its_length_bytes_is_refused():
    with pytest.raises(ConfigError, match="65536 bytes"):
        hash_to_group([bytes(65536)])
