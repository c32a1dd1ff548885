"""Numbers, texts, bytes and literals on the wire."""

from __future__ import annotations

import math

import numpy as np

from fedguide.codec.cursor import Reader, Wire, Writer, shown, size_of
from fedguide.errors import NotFiniteError, OversizedError, WrongDtypeError


def scalar_wire(kind: type, where: str) -> Wire:
    """An int, bool or str; a bool is not an int here."""

    def check(value: object) -> object:
        if kind is int and isinstance(value, np.integer):
            value = int(value)
        if type(value) is not kind:
            raise WrongDtypeError(f"{where} must be a {kind.__name__}, got {shown(value)}")
        return value

    def read(node: object, reader: Reader) -> object:
        value = check(node)
        if isinstance(value, str) and len(value) > reader.limits.max_text:
            raise OversizedError(
                f"{where} has {len(value)} characters, at most {reader.limits.max_text}"
            )
        return value

    return Wire(lambda value, _writer: check(value), read)


def float_wire(*, finite: bool, where: str) -> Wire:
    """A float; an int is taken for one when written, not when read."""

    def check(value: float) -> float:
        if finite and not math.isfinite(value):
            raise NotFiniteError(f"{where} must be finite, got {value}")
        return value

    def write(value: object, _writer: Writer) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongDtypeError(f"{where} must be a float, got {shown(value)}")
        return check(float(value))

    def read(node: object, _reader: Reader) -> object:
        if not isinstance(node, float):
            raise WrongDtypeError(f"{where} must be a float, got {shown(node)}")
        return check(node)

    return Wire(write, read)


def literal_wire(options: tuple[object, ...], where: str) -> Wire:
    """One of a few values, told apart by type as well: ``True`` is not ``1``."""

    def check(value: object) -> object:
        if not any(value == option and type(value) is type(option) for option in options):
            raise WrongDtypeError(f"{where} must be one of {options}, got {shown(value)}")
        return value

    return Wire(lambda value, _writer: check(value), lambda node, _reader: check(node))


def bytes_wire(where: str) -> Wire:
    """Bytes travel as a buffer; the header holds their length. They are read as ``bytes``."""

    def write(value: object, writer: Writer) -> object:
        if not isinstance(value, (bytes, memoryview)):
            raise WrongDtypeError(f"{where} must be bytes, got {shown(value)}")
        writer.buffers.append(value)
        return len(value)

    def read(node: object, reader: Reader) -> object:
        size = size_of(node, where)
        if size > reader.limits.max_bytes:
            raise OversizedError(f"{where} has {size} bytes, at most {reader.limits.max_bytes}")
        start = reader.take(size)
        return bytes(reader.payload[start : start + size])

    return Wire(write, read)
