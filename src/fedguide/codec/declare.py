"""What a message declares of its fields, and a task of the sizes it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedguide.errors import ConfigError

DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)


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
class Later:
    """Declares a field at a kind's end that the kind did not always have.

    At its default it does not travel, so that values that do not use it keep the bytes, and the
    digests, they had before. The default is one plain value, never an array.
    """


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
