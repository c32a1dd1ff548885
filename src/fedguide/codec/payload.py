"""Whole payloads: the frame around header and buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fedguide.codec.cursor import ALIGNMENT, Buffer, Reader, Writer
from fedguide.codec.declare import Limits
from fedguide.codec.wires import read_tagged, write_fields
from fedguide.errors import (
    ConfigError,
    MalformedError,
    OversizedError,
    TruncatedError,
    VersionError,
)
from fedguide.protocol import Message, State

MAGIC = b"FGC"
VERSION = 1
_PREFIX = len(MAGIC) + 1 + 4
_PADDING = tuple(map(bytes, range(ALIGNMENT)))


def encode(value: Message | State) -> bytes:
    """The payload of a message or state; the same value always gives the same bytes.

    Raises:
        PayloadError: a field does not hold what its annotation declares.
        ConfigError: an annotation declares what cannot cross the wire.
    """
    return b"".join(encode_parts(value))


def encode_parts(value: Message | State) -> list[Buffer]:
    """The payload in parts that are not copied together: for what only passes over them.

    Raises:
        PayloadError, ConfigError: as ``encode``.
    """
    writer = Writer()
    nodes = write_fields(value, writer)
    try:
        header = msgspec.msgpack.encode([type(value).__name__, nodes])
    except (UnicodeError, OverflowError) as error:
        raise MalformedError(f"{type(value).__name__} cannot be encoded: {error}") from error
    parts: list[Buffer] = [
        MAGIC + bytes([VERSION]) + len(header).to_bytes(4, "little"),
        header,
    ]
    at = _PREFIX + len(header)
    for buffer in writer.buffers:
        padding = -at % ALIGNMENT
        if padding:
            parts.append(_PADDING[padding])
        parts.append(buffer)
        at += padding + len(buffer)
    return parts


def decode(payload: Buffer, allowed: Sequence[type], limits: Limits) -> Any:
    """The message or state in ``payload``, of one of the ``allowed`` kinds.

    Its arrays are views of the payload, which nobody may write to any more.

    Raises:
        PayloadError: always one of its subclasses, naming what is wrong with the payload.
        ConfigError: two of the allowed kinds have one name.
    """
    header, at = _header(payload, limits)
    try:
        tree = msgspec.msgpack.decode(header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"the header is not MessagePack: {error}") from error
    reader = Reader(payload, at, limits, _by_name(allowed))
    value = read_tagged(tree, reader, tuple(allowed), "payload")
    if reader.at != len(payload):
        raise MalformedError(f"{len(payload) - reader.at} bytes follow the last buffer")
    if msgspec.msgpack.encode(tree) != header:
        raise MalformedError("the header is not in its one canonical form")
    return value


def _header(payload: Buffer, limits: Limits) -> tuple[Buffer, int]:
    """The header's bytes and where it ends, with every length checked first."""
    if len(payload) > limits.max_bytes:
        raise OversizedError(f"payload has {len(payload)} bytes, at most {limits.max_bytes}")
    if payload[: len(MAGIC)] != MAGIC[: len(payload)]:
        raise MalformedError("not a fedguide payload: it does not begin with FGC")
    if len(payload) < _PREFIX:
        raise TruncatedError(f"payload has {len(payload)} bytes, at least {_PREFIX}")
    if payload[len(MAGIC)] != VERSION:
        raise VersionError(f"payload is of version {payload[len(MAGIC)]}, this is {VERSION}")
    size = int.from_bytes(payload[len(MAGIC) + 1 : _PREFIX], "little")
    if size > limits.max_header_bytes:
        raise OversizedError(f"header of {size} bytes, at most {limits.max_header_bytes}")
    if _PREFIX + size > len(payload):
        raise TruncatedError(f"header of {size} bytes, {len(payload) - _PREFIX} are there")
    return payload[_PREFIX : _PREFIX + size], _PREFIX + size


def _by_name(allowed: Sequence[type]) -> dict[str, type]:
    """The allowed kinds by the name they travel under."""
    named = {kind.__name__: kind for kind in allowed}
    if len(named) != len(set(allowed)):
        names = sorted(kind.__name__ for kind in set(allowed))
        raise ConfigError(f"two kinds of one name in {', '.join(names)}")
    return named
