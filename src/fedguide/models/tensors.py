"""Tensors of a safetensors file as views of its bytes: nothing is copied, nothing is trusted.

The library copies every tensor it reads; the neighbours of 100,000 items are 80 MB that a server
would then hold twice. The format is small enough to read in place: eight bytes of length, a JSON
header, and the tensors one after the other without gaps.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import MalformedError

Raw: TypeAlias = "bytes | memoryview"

_LARGEST_HEADER_BYTES = 1 << 20
_METADATA = "__metadata__"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
}


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor in the header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def tensors(raw: Raw) -> dict[str, NDArray[Any]]:
    """The tensors by name, read-only views of ``raw``.

    Raises:
        MalformedError: it is not a safetensors file, or its tensors overlap, leave gaps or do not
            fill it.
    """
    if len(raw) < 8:
        raise MalformedError(f"a safetensors file has at least 8 bytes, got {len(raw)}")
    length = int.from_bytes(raw[:8], "little")
    if length > min(_LARGEST_HEADER_BYTES, len(raw) - 8):
        raise MalformedError(f"the header must fit into the file's {len(raw)} bytes, got {length}")
    data = memoryview(raw)[8 + length :]
    entries = _header(bytes(raw[8 : 8 + length]))
    arrays, end = {}, 0
    for name, entry in sorted(entries.items(), key=lambda pair: pair[1].data_offsets):
        start, stop = entry.data_offsets
        dtype = _dtype(name, entry)
        if start != end or stop - start != math.prod(entry.shape) * dtype.itemsize:
            raise MalformedError(f"{name!r} {entry.shape} does not lie in {start}:{stop}")
        if stop > len(data):
            raise MalformedError(f"{name!r} ends at {stop}, the data at {len(data)}")
        arrays[name] = np.frombuffer(data[start:stop], dtype).reshape(entry.shape)
        arrays[name].flags.writeable = False
        end = stop
    if end != len(data):
        raise MalformedError(f"the tensors end at {end}, the data at {len(data)}")
    return arrays


def _header(text: bytes) -> dict[str, _Entry]:
    try:
        parts = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        parts.pop(_METADATA, None)
        return {name: msgspec.json.decode(part, type=_Entry) for name, part in parts.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"the header is no list of tensors: {error}") from error


def _dtype(name: str, entry: _Entry) -> np.dtype[Any]:
    if entry.dtype not in _DTYPES:
        raise MalformedError(f"{name!r} must be one of {sorted(_DTYPES)}, got {entry.dtype!r}")
    if any(size < 0 for size in entry.shape):
        raise MalformedError(f"{name!r} must have sizes of 0 and up, got {entry.shape}")
    return np.dtype(_DTYPES[entry.dtype])
