"""The examples of each party of a process: read from what a user has, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError
from fedguide.values import PartyId

FederatedData: TypeAlias = Mapping[str, Any] | Iterable[Any]
"""Party to ``(x, y)`` arrays or to a sequence of ``(x, y)`` batches; or a plain list of those."""


@dataclass(frozen=True)
class Shard:
    """One party's examples: ``x`` and ``y`` with n rows each, n at least 1.

    ``cuts`` are the ends of the batches where the party has cut them itself; they are then
    trained on in that order. With ``None`` the examples are shuffled before each epoch.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    cuts: tuple[int, ...] | None = None


def read_shards(data: FederatedData) -> dict[PartyId, Shard]:
    """Every party's examples, checked and sorted by party.

    Raises:
        DataError: there are no parties, a party's data are not ``(x, y)`` arrays of equal
            length or batches of those, are empty, are not finite numbers, or do not look like the
            other parties'.
    """
    if not isinstance(data, Mapping):
        values = list(data) if isinstance(data, Iterable) else []
        digits = len(str(len(values)))
        data = {f"party-{i:0{digits}d}": value for i, value in enumerate(values)}
    if not data:
        raise DataError("federated_data needs at least one party, got none")
    shards = {PartyId(str(name)): _shard(str(name), data[name]) for name in data}
    if len(shards) < len(data):
        raise DataError(f"parties must have different names, got {[str(name) for name in data]}")
    first, *others = sorted(shards)
    for party in others:
        _check_alike(first, shards[first], party, shards[party])
    return {party: shards[party] for party in (first, *others)}


def _shard(party: str, value: Any) -> Shard:
    """One party's examples, whatever way they came."""
    if _is_pair(value):
        x, y = _arrays(party, value)
        return Shard(x, y)
    batches = list(value) if isinstance(value, Iterable) and not hasattr(value, "shape") else None
    if batches is None or not all(_is_pair(batch) for batch in batches):
        raise DataError(
            f"{party}: needs (x, y) arrays, or a sequence of (x, y) batches, "
            f"got a {type(value).__name__}"
        )
    if not batches:
        raise DataError(f"{party}: there are no examples")
    arrays = [_arrays(party, batch) for batch in batches]
    try:
        x, y = (np.concatenate([pair[i] for pair in arrays]) for i in (0, 1))
    except ValueError as error:
        raise DataError(f"{party}: batches do not fit together: {error}") from error
    return Shard(x, y, tuple(int(end) for end in np.cumsum([len(pair[0]) for pair in arrays])))


def _is_pair(value: Any) -> bool:
    """Is it ``(x, y)``, both arrays?"""
    is_two = isinstance(value, tuple | list) and len(value) == 2
    return is_two and all(hasattr(part, "shape") and hasattr(part, "dtype") for part in value)


def _arrays(party: str, pair: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """``x`` and ``y`` as numpy arrays of at most 32 bits, checked."""
    x, y = (_narrow(f"{party}: {name}", part) for name, part in zip("xy", pair, strict=True))
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(
            f"{party}: x and y must have as many rows, got {list(x.shape)} and {list(y.shape)}"
        )
    if not len(x):
        raise DataError(f"{party}: there are no examples")
    return x, y


def _narrow(what: str, part: Any) -> NDArray[Any]:
    """Finite numbers of at most 32 bits; JAX would cut wider integers without a word."""
    array = np.asarray(part)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} must hold numbers, got {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{what} holds NaN or infinities")
    if array.dtype.itemsize < 8:
        return array
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    if array.size and (array.min() < low or array.max() > high):
        raise DataError(
            f"{what} must be within [{low}, {high}], got [{array.min()}, {array.max()}]"
        )
    return array.astype(np.int32)


def _check_alike(first: PartyId, one: Shard, party: PartyId, other: Shard) -> None:
    """All parties' rows have one shape and type: one compiled step fits all."""
    for name, a, b in (("x", one.x, other.x), ("y", one.y, other.y)):
        if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype:
            raise DataError(
                f"{party}: rows of {name} are {b.dtype}{list(b.shape[1:])}, "
                f"those of {first} are {a.dtype}{list(a.shape[1:])}"
            )
