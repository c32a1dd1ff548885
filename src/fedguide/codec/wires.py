"""Which wire an annotation gets: dataclasses, unions, tuples and mappings are made of others."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeGuard

from fedguide.codec.arrays import array_wire
from fedguide.codec.cursor import Buffer, Reader, Wire, Writer, parts_of, shown
from fedguide.codec.declare import Array, Later, Number
from fedguide.codec.scalars import bytes_wire, float_wire, literal_wire, scalar_wire
from fedguide.errors import (
    ConfigError,
    DuplicateKeyError,
    FedGuideError,
    MalformedError,
    PayloadError,
    UnknownKindError,
    WrongDtypeError,
)
from fedguide.protocol import Message, State


@cache
def _fields(kind: type) -> tuple[tuple[str, Wire], ...]:
    """The fields of a dataclass with their wires, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(
        (f.name, _wire(hints[f.name], f"{kind.__name__}.{f.name}")) for f in fields(kind) if f.init
    )


@cache
def _later(kind: type) -> tuple[object, ...]:
    """The defaults of the fields at the end that the kind got later, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    known = [f for f in fields(kind) if f.init]
    marked = [_is_later(hints[f.name]) for f in known]
    count = sum(marked)
    if not all(marked[len(marked) - count :]):
        raise ConfigError(f"{kind.__name__}: fields that came later stand at the end")
    return tuple(_default(f, kind) for f in known[len(known) - count :])


def _is_later(hint: Any) -> bool:
    """Is the annotation marked ``Later``?"""
    return any(isinstance(mark, Later) for mark in getattr(hint, "__metadata__", ()))


def _default(field: Field[Any], kind: type) -> object:
    """The plain default of a field that came later."""
    if not isinstance(field.default, int | float | str | None):
        raise ConfigError(f"{kind.__name__}.{field.name} came later and needs a plain default")
    return field.default


def _is_default(value: object, default: object) -> bool:
    """Is it the default itself? 0 is not False nor -0.0, and an array equals nothing here."""
    if isinstance(value, float) and isinstance(default, float):
        return value.hex() == default.hex()
    return type(value) is type(default) and value == default


def write_fields(value: Any, writer: Writer) -> list[object]:
    """A dataclass as the list of its fields, without later ones at the end at their defaults."""
    kind: type = type(value)
    wires, later = list(_fields(kind)), list(_later(kind))
    while later and _is_default(getattr(value, wires[-1][0]), later[-1]):
        wires.pop()
        later.pop()
    return [wire.write(getattr(value, name), writer) for name, wire in wires]


def _read_fields(kind: type, node: object, reader: Reader) -> object:
    """A dataclass from the list of its fields."""
    wires, later = _fields(kind), _later(kind)
    nodes = parts_of(node, kind.__name__)
    least = len(wires) - len(later)
    if not least <= len(nodes) <= len(wires):
        raise MalformedError(f"{kind.__name__} must have {len(wires)} parts, got {len(nodes)}")
    values = {
        name: wire.read(part, reader)
        for (name, wire), part in zip(wires[: len(nodes)], nodes, strict=True)
    }
    if len(nodes) > least:
        name = wires[len(nodes) - 1][0]
        if _is_default(values[name], later[len(nodes) - least - 1]):
            raise MalformedError(f"{kind.__name__}.{name} is at its default and may not travel")
    try:
        return kind(**values)
    except (FedGuideError, ValueError, TypeError) as error:
        if isinstance(error, PayloadError):
            raise
        raise MalformedError(f"{kind.__name__} refuses its fields: {error}") from error


def read_tagged(node: object, reader: Reader, bases: tuple[type, ...], where: str) -> object:
    """A dataclass that travels with its kind, which must be among, or below, ``bases``."""
    if not isinstance(node, list) or len(node) != 2 or not isinstance(node[0], str):
        raise MalformedError(f"{where} must be a kind and its fields, got {shown(node)}")
    kind = reader.allowed.get(node[0])
    if kind is None:
        kind = next((base for base in bases if base.__name__ == node[0]), None)
    if kind is None or not issubclass(kind, bases):
        names = sorted(name for name, k in reader.allowed.items() if issubclass(k, bases))
        raise UnknownKindError(
            f"{where} is of kind {node[0][:40]!r}, allowed: {', '.join(names) or 'none'}"
        )
    return _read_fields(kind, node[1], reader)


def _tagged_wire(bases: tuple[type, ...], where: str) -> Wire:
    """A field that holds any dataclass among, or below, ``bases``."""

    def write(value: object, writer: Writer) -> object:
        if not is_dataclass(value) or not isinstance(value, bases):
            names = " or ".join(base.__name__ for base in bases)
            raise WrongDtypeError(f"{where} must be a {names}, got {shown(value)}")
        return [type(value).__name__, write_fields(value, writer)]

    return Wire(write, lambda node, reader: read_tagged(node, reader, bases, where))


def _nested_wire(kind: type, where: str) -> Wire:
    """A field that holds exactly this dataclass: no kind travels."""

    def write(value: object, writer: Writer) -> object:
        if type(value) is not kind:
            raise WrongDtypeError(f"{where} must be a {kind.__name__}, got {shown(value)}")
        return write_fields(value, writer)

    return Wire(write, lambda node, reader: _read_fields(kind, node, reader))


def _wire(hint: Any, where: str) -> Wire:  # noqa: PLR0911 - one line a kind of annotation
    """The wire of an annotation.

    Raises:
        ConfigError: the annotation declares what cannot cross the wire.
    """
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    if hint == Buffer:
        return bytes_wire(where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated_wire(arguments[0], arguments[1:], where)
    if origin in (typing.Union, types.UnionType):
        return _union_wire(arguments, where)
    if origin is Literal:
        return literal_wire(arguments, where)
    if origin is tuple:
        return _tuple_wire(arguments, where)
    if origin in (dict, Mapping):
        return _mapping_wire(_wire(arguments[0], where), _wire(arguments[1], where), where)
    if hint in (Message, State):
        return _tagged_wire((hint,), where)
    if hint is float:
        return float_wire(finite=True, where=where)
    if hint is bytes:
        return bytes_wire(where)
    if hint in (int, bool, str):
        return scalar_wire(hint, where)
    if _is_dataclass_type(hint):
        return _nested_wire(hint, where)
    raise ConfigError(
        f"{where} is annotated {hint!r}, which cannot cross the wire",
        hint='arrays are declared Annotated[..., Array("float32", "p")]',
    )


def _is_dataclass_type(hint: object) -> TypeGuard[type]:
    """Is it a dataclass, not an instance of one?"""
    return isinstance(hint, type) and is_dataclass(hint)


def _annotated_wire(hint: Any, marks: tuple[object, ...], where: str) -> Wire:
    """The wire of ``Annotated[hint, mark, ...]``."""
    for mark in marks:
        if isinstance(mark, Array):
            return array_wire(mark, where)
        if isinstance(mark, Number) and hint is float:
            return float_wire(finite=mark.finite, where=where)
    return _wire(hint, where)


def _union_wire(arguments: tuple[Any, ...], where: str) -> Wire:
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
    return Wire(
        lambda value, writer: None if value is None else inner.write(value, writer),
        lambda node, reader: None if node is None else inner.read(node, reader),
    )


def _tuple_wire(arguments: tuple[Any, ...], where: str) -> Wire:
    """``tuple[X, ...]`` of any length, or ``tuple[X, Y]`` of a fixed one."""
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        every = _wire(arguments[0], where)
        return Wire(
            lambda value, writer: [every.write(part, writer) for part in _tuple(value, where)],
            lambda node, reader: tuple(every.read(part, reader) for part in parts_of(node, where)),
        )
    wires = [_wire(argument, where) for argument in arguments]

    def write(value: object, writer: Writer) -> object:
        pairs = zip(wires, _tuple(value, where, len(wires)), strict=True)
        return [wire.write(part, writer) for wire, part in pairs]

    def read(node: object, reader: Reader) -> object:
        pairs = zip(wires, parts_of(node, where, len(wires)), strict=True)
        return tuple(wire.read(part, reader) for wire, part in pairs)

    return Wire(write, read)


def _tuple(value: object, where: str, size: int | None = None) -> tuple[object, ...]:
    """The value, if it is a tuple (of ``size`` parts)."""
    if not isinstance(value, tuple) or size not in (None, len(value)):
        expected = "a tuple" if size is None else f"a tuple of {size}"
        raise WrongDtypeError(f"{where} must be {expected}, got {shown(value)}")
    return value


def _mapping_wire(key: Wire, item: Wire, where: str) -> Wire:
    """Pairs in ascending order of key; read back as a dict in that order."""

    def write(value: object, writer: Writer) -> object:
        if not isinstance(value, Mapping):
            raise WrongDtypeError(f"{where} must be a mapping, got {shown(value)}")
        return [
            [key.write(name, writer), item.write(value[name], writer)] for name in sorted(value)
        ]

    def read(node: object, reader: Reader) -> object:
        pairs: dict[Any, object] = {}
        last: Any = None
        for pair in parts_of(node, where):
            parts = parts_of(pair, where, 2)
            name: Any = key.read(parts[0], reader)
            if name in pairs:
                raise DuplicateKeyError(f"{where} names one key twice")
            if pairs and not last < name:
                raise MalformedError(f"the keys of {where} must ascend")
            last = name
            pairs[name] = item.read(parts[1], reader)
        return pairs

    return Wire(write, read)
