"""Safetensors in place: the same arrays as the library's, without a copy, and nothing illegal."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fedguide.errors import MalformedError
from fedguide.models.tensors import tensors

ARRAYS = {
    "vectors": np.arange(12, dtype=np.float32).reshape(3, 4),
    "rows": np.array([[1, -1], [7, 2]], np.int32),
    "empty": np.zeros((0, 5), np.float32),
    "one": np.float32([2.5]),
}
RAW = save(ARRAYS)


def file_of(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@settings(max_examples=60)
@given(
    shapes=st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.tuples(
            st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1"]),
            st.lists(st.integers(0, 4), max_size=3),
        ),
        max_size=5,
    )
)
def test_what_the_library_writes_comes_back(shapes: dict[str, tuple[str, list[int]]]) -> None:
    rng = np.random.default_rng(len(shapes))
    arrays = {
        name: np.asarray(rng.normal(size=tuple(shape)) * 50).astype(dtype)
        for name, (dtype, shape) in shapes.items()
    }
    raw = save(arrays)
    found = tensors(raw)
    assert set(found) == set(arrays) == set(load(raw))
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_nothing_is_copied_and_nothing_can_be_written() -> None:
    raw = bytearray(RAW)
    found = tensors(memoryview(raw))
    before = found["vectors"][0, 1]
    at = raw.index(np.float32(before).tobytes(), 8)
    raw[at : at + 4] = np.float32(77).tobytes()
    assert found["vectors"][0, 1] == 77
    with pytest.raises(ValueError, match="read-only"):
        found["vectors"][0, 0] = 1


def test_metadata_is_passed_over() -> None:
    assert set(tensors(save(ARRAYS, {"made": "today"}))) == set(ARRAYS)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "at least 8 bytes, got 0"),
        (b"1234567", "at least 8 bytes, got 7"),
        ((1 << 40).to_bytes(8, "little"), "must fit"),
        (file_of(b"[]"), "no list of tensors"),
        (file_of(b"{"), "no list of tensors"),
        (file_of(b"\xff\xff"), "no list of tensors"),
        (file_of(b'{"a":' * 5000), "no list of tensors"),
        (file_of({"a": {"dtype": "F32", "shape": [1]}}, b"1234"), "no list of tensors"),
        (file_of({"a": entry("F32", [1], 0, 4) | {"more": 1}}, b"1234"), "no list of tensors"),
        (file_of({"a": entry("F33", [1], 0, 4)}, b"1234"), "'F33'"),
        (file_of({"a": entry("F32", [-1, -1], 0, 4)}, b"1234"), "0 and up"),
        (file_of({"a": entry("F32", [2], 0, 4)}, b"1234"), "does not lie in 0:4"),
        (file_of({"a": entry("F32", [1], 4, 8)}, b"12345678"), "does not lie in 4:8"),
        (file_of({"a": entry("F32", [1], -4, 0)}, b"1234"), "does not lie in -4:0"),
        (file_of({"a": entry("F32", [1], 0, 4)}, b"12"), "ends at 4, the data at 2"),
        (file_of({"a": entry("F32", [1], 0, 4)}, b"123456"), "end at 4, the data at 6"),
        (
            file_of({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, b"1234"),
            "does not lie in 0:4",
        ),
    ],
)
def test_an_illegal_file_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        tensors(raw)


@settings(max_examples=200)
@given(st.integers(0, len(RAW) - 1), st.integers(0, 7))
def test_a_changed_bit_is_refused_or_read_as_the_library_reads_it(at: int, bit: int) -> None:
    raw = bytearray(RAW)
    raw[at] ^= 1 << bit
    try:
        found = tensors(bytes(raw))
    except MalformedError:
        return
    try:
        theirs = load(bytes(raw))
    except (SafetensorError, KeyError):  # a name or type of theirs that we do not have, or worse
        pytest.fail("we took what the library refuses")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in theirs.items()
    }
