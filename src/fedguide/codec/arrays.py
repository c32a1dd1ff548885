"""Arrays on the wire: every claim is checked before anything of its size is allocated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.codec.cursor import Reader, Wire, Writer, parts_of, shown, size_of
from fedguide.codec.declare import Array, Limits
from fedguide.errors import (
    MalformedError,
    NotFiniteError,
    OversizedError,
    WrongDtypeError,
    WrongShapeError,
)

_FINITE_BLOCK = 1 << 16  # elements looked at at once: a mask of 64 KiB instead of one per array


def array_wire(array: Array, where: str) -> Wire:
    """An array travels as a buffer; the header holds ``[dtype, [size, ...]]``."""
    native = np.dtype(array.dtype)
    wire_dtype = native.newbyteorder("<")

    def write(value: object, writer: Writer) -> object:
        if not isinstance(value, np.ndarray) or value.dtype != native:
            got = value.dtype if isinstance(value, np.ndarray) else shown(value)
            raise WrongDtypeError(f"{where} must be an array of {array.dtype}, got {got}")
        _bind(array, value.shape, writer.dims, where)
        _check_finite(array, value, where)
        flat = np.ascontiguousarray(value, wire_dtype).reshape(-1)
        writer.buffers.append(flat.view(np.uint8).data)
        return [array.dtype, list(value.shape)]

    def read(node: object, reader: Reader) -> object:
        shape = _claimed_shape(array, node, where)
        _bind(array, shape, reader.dims, where)
        _check_size(array, shape, reader.limits, where)
        count = math.prod(shape)
        start = reader.take(count * native.itemsize)
        flat = np.frombuffer(
            reader.payload,
            wire_dtype if array.dtype != "bool" else np.uint8,
            count=count,
            offset=start,
        )
        value = _to_bool(flat, where) if array.dtype == "bool" else flat.astype(native, copy=False)
        _check_finite(array, value, where)
        value = value.reshape(shape)
        value.flags.writeable = False
        return value

    return Wire(write, read)


def _claimed_shape(array: Array, node: object, where: str) -> tuple[int, ...]:
    """The shape in the header, once its dtype is the declared one."""
    dtype, sizes = parts_of(node, where, 2)
    if dtype != array.dtype:
        got = repr(dtype[:16]) if isinstance(dtype, str) else shown(dtype)
        raise WrongDtypeError(f"{where} must be an array of {array.dtype}, got {got}")
    return tuple(size_of(size, where) for size in parts_of(sizes, where))


def _bind(array: Array, shape: tuple[int, ...], dims: dict[str, int], where: str) -> None:
    """Checks the shape against the declared one; a symbol keeps the first size it meets."""
    if len(shape) != len(array.dims):
        raise WrongShapeError(f"{where} must have shape {array.dims}, got {shape}")
    for declared, size in zip(array.dims, shape, strict=True):
        expected = dims.setdefault(declared, size) if isinstance(declared, str) else declared
        if size != expected:
            raise WrongShapeError(
                f"{where} must have shape {array.dims} with {declared} = {expected}, got {shape}"
            )


def _check_size(array: Array, shape: tuple[int, ...], limits: Limits, where: str) -> None:
    """Refuses more than the task allows; an empty array may not claim absurd sizes either."""
    for declared, size in zip(array.dims, shape, strict=True):
        most = limits.dims.get(declared) if isinstance(declared, str) else None
        if most is not None and size > most:
            raise OversizedError(f"{where} has {declared} = {size}, at most {most}")
    claimed = math.prod(max(size, 1) for size in shape) * np.dtype(array.dtype).itemsize
    if claimed > limits.max_bytes:
        raise OversizedError(f"{where} claims {claimed} bytes, at most {limits.max_bytes}")


def _check_finite(array: Array, value: NDArray[Any], where: str) -> None:
    """Refuses NaN and infinities, looking at one block after another."""
    if not array.finite or value.dtype.kind != "f":
        return
    flat = value.reshape(-1)
    for start in range(0, flat.size, _FINITE_BLOCK):
        if not np.isfinite(flat[start : start + _FINITE_BLOCK]).all():
            raise NotFiniteError(f"{where} holds NaN or an infinity")


def _to_bool(flat: NDArray[np.uint8], where: str) -> NDArray[np.bool_]:
    """Bytes as truth values; any byte but 0 and 1 would make numpy misbehave."""
    if flat.size and int(flat.max()) > 1:
        raise MalformedError(f"{where} holds bytes that are neither 0 nor 1")
    return flat.view(np.bool_)
