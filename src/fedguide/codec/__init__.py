"""Messages and states to bytes and back, for bytes that come from somebody we do not trust.

A payload is: ``FGC``, the format's version (1 byte), the header's length (4 bytes), the header,
then the raw buffers of all arrays and byte strings in the header's order, each at a multiple of 8
bytes. The header is MessagePack: ``[kind, [field, field, ...]]`` in the order of the dataclass, so
that no key can stand there twice; a mapping travels as pairs in ascending order of key. Numbers
are little-endian. One value has exactly one encoding. Nothing is ever unpickled.

A field may be int, float, bool, str, bytes (or ``Buffer``), a ``Literal``, ``None``, any of these,
an array, a dataclass, a tuple or a mapping. A field of type ``Message`` or ``State``, or a union of
dataclasses, travels with its kind. Arrays say what they are:
``params: Annotated[Vector, Array("float32", "p")]``; equal symbols within a payload stand for
equal sizes. Floats must be finite unless the field says otherwise. A field that a kind got later
(``Later``) does not travel at its default.

Every claim in a header is checked against the payload's real length and the task's ``Limits``
before anything of the claimed size is allocated; decoded arrays are read-only views into the
payload.
"""

from __future__ import annotations

from fedguide.codec.cursor import Buffer
from fedguide.codec.declare import DTYPES, Array, Later, Limits, Number
from fedguide.codec.payload import MAGIC, VERSION, decode, encode, encode_parts

__all__ = [
    "DTYPES",
    "MAGIC",
    "VERSION",
    "Array",
    "Buffer",
    "Later",
    "Limits",
    "Number",
    "decode",
    "encode",
    "encode_parts",
]
