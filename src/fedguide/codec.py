"""Messages and states to bytes and back, for bytes that come from somebody we do not trust.

A payload is: ``FGC``, the format's version (1 byte), the header's length (4 bytes), the header,
then the raw buffers of all arrays and byte strings in the header's order, each at a multiple of 8
bytes. The header is MessagePack: ``[kind, [field, field, ...]]`` in the order of the dataclass, so
that no key can stand there twice; a mapping travels as pairs in ascending order of key. Numbers
are little-endian. One value has exactly one encoding. Nothing is ever unpickled.

A field may be int, float, bool, str, bytes, a ``Literal``, ``None`` or any of these, an array, a
dataclass, a tuple or a mapping of them. A field of type ``Message`` or ``State``, or a union of
dataclasses, travels with its kind. Arrays say what they are:
``params: Annotated[Vector, Array("float32", "p")]``; equal symbols within a payload stand for
equal sizes. Floats must be finite unless the field says otherwise.

Every claim in a header is checked against the payload's real length and the task's ``Limits``
before anything of the claimed size is allocated; decoded arrays are read-only views into the
payload.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeGuard

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import (
    ConfigError,
    DuplicateKeyError,
    FedGuideError,
    MalformedError,
    NotFiniteError,
    OversizedError,
    PayloadError,
    TruncatedError,
    UnknownKindError,
    VersionError,
    WrongDtypeError,
    WrongShapeError,
)
from fedguide.protocol import Message, State

MAGIC = b"FGC"
VERSION = 1
ALIGNMENT = 8  # widest element, so that no decoded view is misaligned
DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
_PREFIX = len(MAGIC) + 1 + 4
_FINITE_BLOCK = 1 << 16  # elements looked at at once: a mask of 64 KiB instead of one per array


@dataclass(frozen=True)
class Array:
    """Declares an array field: its dtype and shape, by numbers or by symbols.

    Raises:
        ConfigError: the dtype is not one that can cross the wire.
    """

    dtype: str
    dims: tuple[str | int, ...]
    finite: bool

    def __init__(self, dtype: str, *dims: str | int, finite: bool = True) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "dims", dims)
        object.__setattr__(self, "finite", finite)


@dataclass(frozen=True)
class Number:
    """Declares a float field that may hold NaN and infinities, with ``finite=False``."""

    finite: bool = True


@dataclass(frozen=True)
class Limits:
    """How large a payload of the running task may be.

    Attributes:
        max_bytes: the whole payload, and any one array in it.
        dims: largest value of each symbol of array shapes; others are bounded by ``max_bytes``.
        max_header_bytes: everything that is not an array or a byte string.
        max_text: characters in one string.
    """

    max_bytes: int
    dims: Mapping[str, int] = field(default_factory=dict)
    max_header_bytes: int = 1 << 18
    max_text: int = 4096


@dataclass(frozen=True)
class _Writer:
    """Gathers the buffers and the sizes of symbols while a value is written."""

    buffers: list[bytes | memoryview] = field(default_factory=list)
    dims: dict[str, int] = field(default_factory=dict)


@dataclass
class _Reader:
    """Where reading stands: ``at`` is the next unread byte after the header."""

    payload: bytes
    at: int
    limits: Limits
    allowed: Mapping[str, type]
    dims: dict[str, int] = field(default_factory=dict)

    def take(self, size: int) -> int:
        """Where the next buffer of ``size`` bytes begins; moves past it."""
        start = self.at + (-self.at % ALIGNMENT)
        if start + size > len(self.payload):
            raise TruncatedError(
                f"a buffer of {size} bytes at {start} ends after the payload of "
                f"{len(self.payload)} bytes"
            )
        if any(self.payload[self.at : start]):
            raise MalformedError("padding between buffers must be zero")
        self.at = start + size
        return start


@dataclass(frozen=True)
class _Wire:
    """How one annotated field becomes a node of the header, and back."""

    write: Callable[[object, _Writer], object]
    read: Callable[[object, _Reader], object]


def encode(value: Message | State) -> bytes:
    """The payload of a message or state; the same value always gives the same bytes.

    Raises:
        PayloadError: a field does not hold what its annotation declares.
        ConfigError: an annotation declares what cannot cross the wire.
    """
    writer = _Writer()
    nodes = _write_fields(value, writer)
    try:
        header = msgspec.msgpack.encode([type(value).__name__, nodes])
    except (UnicodeError, OverflowError) as error:
        raise MalformedError(f"{type(value).__name__} cannot be encoded: {error}") from error
    parts: list[bytes | memoryview] = [
        MAGIC + bytes([VERSION]) + len(header).to_bytes(4, "little"),
        header,
    ]
    at = _PREFIX + len(header)
    for buffer in writer.buffers:
        padding = bytes(-at % ALIGNMENT)
        parts += [padding, buffer]
        at += len(padding) + len(buffer)
    return b"".join(parts)


def decode(payload: bytes, allowed: Sequence[type], limits: Limits) -> Any:
    """The message or state in ``payload``, of one of the ``allowed`` kinds.

    Raises:
        PayloadError: always one of its subclasses, naming what is wrong with the payload.
        ConfigError: two of the allowed kinds have one name.
    """
    header, at = _header(payload, limits)
    try:
        tree = msgspec.msgpack.decode(header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"the header is not MessagePack: {error}") from error
    reader = _Reader(payload, at, limits, _by_name(allowed))
    value = _read_tagged(tree, reader, tuple(allowed), "payload")
    if reader.at != len(payload):
        raise MalformedError(f"{len(payload) - reader.at} bytes follow the last buffer")
    if msgspec.msgpack.encode(tree) != header:
        raise MalformedError("the header is not in its one canonical form")
    return value


def _header(payload: bytes, limits: Limits) -> tuple[bytes, int]:
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


def _shown(node: object) -> str:
    """A node from outside as it may stand in an error: its type, never its content."""
    return "nothing" if node is None else f"a {type(node).__name__}"


def _list(node: object, where: str, size: int | None = None) -> list[object]:
    """The node, if it is a list (of ``size`` nodes)."""
    if not isinstance(node, list):
        raise WrongDtypeError(f"{where} must be a list, got {_shown(node)}")
    if size is not None and len(node) != size:
        raise MalformedError(f"{where} must have {size} parts, got {len(node)}")
    return node


# Dataclasses


@cache
def _fields(kind: type) -> tuple[tuple[str, _Wire], ...]:
    """The fields of a dataclass with their wires, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(
        (f.name, _wire(hints[f.name], f"{kind.__name__}.{f.name}")) for f in fields(kind) if f.init
    )


def _write_fields(value: Any, writer: _Writer) -> list[object]:
    """A dataclass as the list of its fields."""
    kind: type = type(value)
    return [wire.write(getattr(value, name), writer) for name, wire in _fields(kind)]


def _read_fields(kind: type, node: object, reader: _Reader) -> object:
    """A dataclass from the list of its fields."""
    wires = _fields(kind)
    nodes = _list(node, kind.__name__, len(wires))
    values = {
        name: wire.read(part, reader) for (name, wire), part in zip(wires, nodes, strict=True)
    }
    try:
        return kind(**values)
    except (FedGuideError, ValueError, TypeError) as error:
        if isinstance(error, PayloadError):
            raise
        raise MalformedError(f"{kind.__name__} refuses its fields: {error}") from error


def _read_tagged(node: object, reader: _Reader, bases: tuple[type, ...], where: str) -> object:
    """A dataclass that travels with its kind, which must be among, or below, ``bases``."""
    if not isinstance(node, list) or len(node) != 2 or not isinstance(node[0], str):
        raise MalformedError(f"{where} must be a kind and its fields, got {_shown(node)}")
    kind = reader.allowed.get(node[0])
    if kind is None:
        kind = next((base for base in bases if base.__name__ == node[0]), None)
    if kind is None or not issubclass(kind, bases):
        names = sorted(name for name, k in reader.allowed.items() if issubclass(k, bases))
        raise UnknownKindError(
            f"{where} is of kind {node[0][:40]!r}, allowed: {', '.join(names) or 'none'}"
        )
    return _read_fields(kind, node[1], reader)


def _tagged_wire(bases: tuple[type, ...], where: str) -> _Wire:
    """A field that holds any dataclass among, or below, ``bases``."""

    def write(value: object, writer: _Writer) -> object:
        if not is_dataclass(value) or not isinstance(value, bases):
            names = " or ".join(base.__name__ for base in bases)
            raise WrongDtypeError(f"{where} must be a {names}, got {_shown(value)}")
        return [type(value).__name__, _write_fields(value, writer)]

    return _Wire(write, lambda node, reader: _read_tagged(node, reader, bases, where))


def _nested_wire(kind: type, where: str) -> _Wire:
    """A field that holds exactly this dataclass: no kind travels."""

    def write(value: object, writer: _Writer) -> object:
        if type(value) is not kind:
            raise WrongDtypeError(f"{where} must be a {kind.__name__}, got {_shown(value)}")
        return _write_fields(value, writer)

    return _Wire(write, lambda node, reader: _read_fields(kind, node, reader))


# Which wire an annotation gets


def _wire(hint: Any, where: str) -> _Wire:  # noqa: PLR0911 - one line a kind of annotation
    """The wire of an annotation.

    Raises:
        ConfigError: the annotation declares what cannot cross the wire.
    """
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated_wire(arguments[0], arguments[1:], where)
    if origin in (typing.Union, types.UnionType):
        return _union_wire(arguments, where)
    if origin is Literal:
        return _literal_wire(arguments, where)
    if origin is tuple:
        return _tuple_wire(arguments, where)
    if origin in (dict, Mapping):
        return _mapping_wire(_wire(arguments[0], where), _wire(arguments[1], where), where)
    if hint in (Message, State):
        return _tagged_wire((hint,), where)
    if hint is float:
        return _float_wire(finite=True, where=where)
    if hint is bytes:
        return _bytes_wire(where)
    if hint in (int, bool, str):
        return _scalar_wire(hint, where)
    if _is_dataclass_type(hint):
        return _nested_wire(hint, where)
    raise ConfigError(
        f"{where} is annotated {hint!r}, which cannot cross the wire",
        hint='arrays are declared Annotated[..., Array("float32", "p")]',
    )


def _is_dataclass_type(hint: object) -> TypeGuard[type]:
    """Is it a dataclass, not an instance of one?"""
    return isinstance(hint, type) and is_dataclass(hint)


def _annotated_wire(hint: Any, marks: tuple[object, ...], where: str) -> _Wire:
    """The wire of ``Annotated[hint, mark, ...]``."""
    for mark in marks:
        if isinstance(mark, Array):
            return _array_wire(mark, where)
        if isinstance(mark, Number) and hint is float:
            return _float_wire(finite=mark.finite, where=where)
    return _wire(hint, where)


def _union_wire(arguments: tuple[Any, ...], where: str) -> _Wire:
    """``X | None``, or several dataclasses, or both."""
    some = tuple(argument for argument in arguments if argument is not types.NoneType)
    if len(some) == 1:
        inner = _wire(some[0], where)
    elif all(_is_dataclass_type(argument) for argument in some):
        inner = _tagged_wire(some, where)
    else:
        raise ConfigError(f"{where}: a union may hold dataclasses and None only, got {arguments}")
    if len(some) == len(arguments):
        return inner
    return _Wire(
        lambda value, writer: None if value is None else inner.write(value, writer),
        lambda node, reader: None if node is None else inner.read(node, reader),
    )


# Scalars, strings, bytes


def _scalar_wire(kind: type, where: str) -> _Wire:
    """An int, bool or str; a bool is not an int here."""

    def check(value: object) -> object:
        if kind is int and isinstance(value, np.integer):
            value = int(value)
        if type(value) is not kind:
            raise WrongDtypeError(f"{where} must be a {kind.__name__}, got {_shown(value)}")
        return value

    def read(node: object, reader: _Reader) -> object:
        value = check(node)
        if isinstance(value, str) and len(value) > reader.limits.max_text:
            raise OversizedError(
                f"{where} has {len(value)} characters, at most {reader.limits.max_text}"
            )
        return value

    return _Wire(lambda value, _writer: check(value), read)


def _float_wire(*, finite: bool, where: str) -> _Wire:
    """A float; an int is taken for one when written, not when read."""

    def check(value: float) -> float:
        if finite and not math.isfinite(value):
            raise NotFiniteError(f"{where} must be finite, got {value}")
        return value

    def write(value: object, _writer: _Writer) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongDtypeError(f"{where} must be a float, got {_shown(value)}")
        return check(float(value))

    def read(node: object, _reader: _Reader) -> object:
        if not isinstance(node, float):
            raise WrongDtypeError(f"{where} must be a float, got {_shown(node)}")
        return check(node)

    return _Wire(write, read)


def _literal_wire(options: tuple[object, ...], where: str) -> _Wire:
    """One of a few values, told apart by type as well: ``True`` is not ``1``."""

    def check(value: object) -> object:
        if not any(value == option and type(value) is type(option) for option in options):
            raise WrongDtypeError(f"{where} must be one of {options}, got {_shown(value)}")
        return value

    return _Wire(lambda value, _writer: check(value), lambda node, _reader: check(node))


def _bytes_wire(where: str) -> _Wire:
    """Bytes travel as a buffer; the header holds their length."""

    def write(value: object, writer: _Writer) -> object:
        if not isinstance(value, bytes):
            raise WrongDtypeError(f"{where} must be bytes, got {_shown(value)}")
        writer.buffers.append(value)
        return len(value)

    def read(node: object, reader: _Reader) -> object:
        size = _size(node, where)
        if size > reader.limits.max_bytes:
            raise OversizedError(f"{where} has {size} bytes, at most {reader.limits.max_bytes}")
        start = reader.take(size)
        return reader.payload[start : start + size]

    return _Wire(write, read)


def _size(node: object, where: str) -> int:
    """A length or dimension from the header."""
    if type(node) is not int or node < 0:
        raise MalformedError(f"a size in {where} must be a whole number from 0, got {_shown(node)}")
    return node


# Tuples and mappings


def _tuple_wire(arguments: tuple[Any, ...], where: str) -> _Wire:
    """``tuple[X, ...]`` of any length, or ``tuple[X, Y]`` of a fixed one."""
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        every = _wire(arguments[0], where)
        return _Wire(
            lambda value, writer: [every.write(part, writer) for part in _tuple(value, where)],
            lambda node, reader: tuple(every.read(part, reader) for part in _list(node, where)),
        )
    wires = [_wire(argument, where) for argument in arguments]

    def write(value: object, writer: _Writer) -> object:
        pairs = zip(wires, _tuple(value, where, len(wires)), strict=True)
        return [wire.write(part, writer) for wire, part in pairs]

    def read(node: object, reader: _Reader) -> object:
        pairs = zip(wires, _list(node, where, len(wires)), strict=True)
        return tuple(wire.read(part, reader) for wire, part in pairs)

    return _Wire(write, read)


def _tuple(value: object, where: str, size: int | None = None) -> tuple[object, ...]:
    """The value, if it is a tuple (of ``size`` parts)."""
    if not isinstance(value, tuple) or size not in (None, len(value)):
        expected = "a tuple" if size is None else f"a tuple of {size}"
        raise WrongDtypeError(f"{where} must be {expected}, got {_shown(value)}")
    return value


def _mapping_wire(key: _Wire, item: _Wire, where: str) -> _Wire:
    """Pairs in ascending order of key; read back as a dict in that order."""

    def write(value: object, writer: _Writer) -> object:
        if not isinstance(value, Mapping):
            raise WrongDtypeError(f"{where} must be a mapping, got {_shown(value)}")
        return [
            [key.write(name, writer), item.write(value[name], writer)] for name in sorted(value)
        ]

    def read(node: object, reader: _Reader) -> object:
        pairs: dict[Any, object] = {}
        last: Any = None
        for pair in _list(node, where):
            parts = _list(pair, where, 2)
            name: Any = key.read(parts[0], reader)
            if name in pairs:
                raise DuplicateKeyError(f"{where} names one key twice")
            if pairs and not last < name:
                raise MalformedError(f"the keys of {where} must ascend")
            last = name
            pairs[name] = item.read(parts[1], reader)
        return pairs

    return _Wire(write, read)


# Arrays


def _array_wire(array: Array, where: str) -> _Wire:
    """An array travels as a buffer; the header holds ``[dtype, [size, ...]]``."""
    native = np.dtype(array.dtype)
    wire_dtype = native.newbyteorder("<")

    def write(value: object, writer: _Writer) -> object:
        if not isinstance(value, np.ndarray) or value.dtype != native:
            got = value.dtype if isinstance(value, np.ndarray) else _shown(value)
            raise WrongDtypeError(f"{where} must be an array of {array.dtype}, got {got}")
        _bind(array, value.shape, writer.dims, where)
        _check_finite(array, value, where)
        flat = np.ascontiguousarray(value, wire_dtype).reshape(-1)
        writer.buffers.append(flat.view(np.uint8).data)
        return [array.dtype, list(value.shape)]

    def read(node: object, reader: _Reader) -> object:
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

    return _Wire(write, read)


def _claimed_shape(array: Array, node: object, where: str) -> tuple[int, ...]:
    """The shape in the header, once its dtype is the declared one."""
    dtype, sizes = _list(node, where, 2)
    if dtype != array.dtype:
        got = repr(dtype[:16]) if isinstance(dtype, str) else _shown(dtype)
        raise WrongDtypeError(f"{where} must be an array of {array.dtype}, got {got}")
    return tuple(_size(size, where) for size in _list(sizes, where))


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
