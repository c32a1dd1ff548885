"""Writing and reading step by step: gathered buffers, the place reached, checks of single nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fedguide.codec.declare import Limits
from fedguide.errors import MalformedError, TruncatedError, WrongDtypeError

ALIGNMENT = 8  # widest element, so that no decoded view is misaligned

Buffer: TypeAlias = bytes | memoryview
"""Bytes, or a view of them as bytes."""


@dataclass(frozen=True)
class Writer:
    """Gathers the buffers and the sizes of symbols while a value is written."""

    buffers: list[Buffer] = field(default_factory=list)
    dims: dict[str, int] = field(default_factory=dict)


@dataclass
class Reader:
    """Where reading stands: ``at`` is the next unread byte after the header."""

    payload: Buffer
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
class Wire:
    """How one annotated field becomes a node of the header, and back."""

    write: Callable[[object, Writer], object]
    read: Callable[[object, Reader], object]


def shown(node: object) -> str:
    """A node from outside as it may stand in an error: its type, never its content."""
    return "nothing" if node is None else f"a {type(node).__name__}"


def parts_of(node: object, where: str, size: int | None = None) -> list[object]:
    """The node, if it is a list (of ``size`` nodes)."""
    if not isinstance(node, list):
        raise WrongDtypeError(f"{where} must be a list, got {shown(node)}")
    if size is not None and len(node) != size:
        raise MalformedError(f"{where} must have {size} parts, got {len(node)}")
    return node


def size_of(node: object, where: str) -> int:
    """A length or dimension from the header."""
    if type(node) is not int or node < 0:
        raise MalformedError(f"a size in {where} must be a whole number from 0, got {shown(node)}")
    return node
