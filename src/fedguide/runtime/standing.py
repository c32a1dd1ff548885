"""What of a party's state stays from answer to answer, and is therefore stored once.

A state's payload comes in parts, one an array. Those that are large are cut out and stored each by
itself; what is left begins with a list of the cuts: where, how many bytes, and a BLAKE2b digest. A
part that was in the last state too, by that digest, is not stored again: of a GLM in shares those
are the hints, nearly all of a state in which little else changes from trip to trip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedguide.codec import Buffer
from fedguide.errors import JournalError

_COUNT_BYTES = 4
_NUMBER_BYTES = 8
DIGEST_BYTES = 32
_CUT_BYTES = 2 * _NUMBER_BYTES + DIGEST_BYTES


@dataclass(frozen=True)
class Cut:
    """A part that lies elsewhere: how many bytes of what is left come before it, and its own."""

    at: int
    size: int
    digest: bytes


class Given:
    """A payload that was put together and handed out, and where its large parts lie in memory.

    Arrays of a decoded state are views of its payload, which nobody can write to. So a part of the
    next state at the same address is the same part, and need not be hashed to know it.
    """

    def __init__(self, payload: bytes, cuts: Sequence[Cut]) -> None:
        self.payload = payload  # as long as it lives, its addresses are nobody else's
        self._cuts: dict[int, Cut] = {}
        address = _address(payload)
        for one in cuts:
            self._cuts[address + one.at] = one
            address += one.size

    def digest_of(self, part: Buffer) -> bytes | None:
        """The digest of a part that lies in this payload; ``None`` for every other."""
        cut = self._cuts.get(_address(part))
        return cut.digest if cut is not None and cut.size == len(part) else None


def cut_out(
    parts: Sequence[Buffer], large_bytes: int, given: Given | None = None
) -> tuple[bytes, list[Cut], dict[bytes, Buffer]]:
    """What is left, its cuts in order, and by digest what was cut out of it.

    ``given`` is the payload that the state before was read from, if it is still there.
    """
    left: list[Buffer] = []
    cuts: list[Cut] = []
    large: dict[bytes, Buffer] = {}
    at = 0
    for part in parts:
        if len(part) < max(1, large_bytes):
            left.append(part)
            at += len(part)
            continue
        known = None if given is None else given.digest_of(part)
        digest = known or hashlib.blake2b(part, digest_size=DIGEST_BYTES).digest()
        cuts.append(Cut(at, len(part), digest))
        large[digest] = part
    return b"".join(left), cuts, large


def listed(left: bytes, cuts: Sequence[Cut]) -> bytes:
    """What is left, with the list of its cuts before it."""
    head = [len(cuts).to_bytes(_COUNT_BYTES, "big")]
    for one in cuts:
        head += [n.to_bytes(_NUMBER_BYTES, "big") for n in (one.at, one.size)]
        head.append(one.digest)
    return b"".join([*head, left])


def unlisted(kept: Buffer) -> tuple[memoryview, list[Cut]]:
    """The other way round.

    Raises:
        JournalError: it is not what ``listed`` gives.
    """
    view = memoryview(kept)
    count = int.from_bytes(view[:_COUNT_BYTES], "big")
    end = _COUNT_BYTES + count * _CUT_BYTES
    if len(view) < max(end, _COUNT_BYTES):
        raise JournalError("a state's list of its large parts is damaged")
    return view[end:], [
        _cut_at(view[start : start + _CUT_BYTES]) for start in range(_COUNT_BYTES, end, _CUT_BYTES)
    ]


def _cut_at(view: memoryview) -> Cut:
    at, size = view[:_NUMBER_BYTES], view[_NUMBER_BYTES : 2 * _NUMBER_BYTES]
    digest = bytes(view[2 * _NUMBER_BYTES :])
    return Cut(int.from_bytes(at, "big"), int.from_bytes(size, "big"), digest)


def put_together(left: Buffer, cuts: Sequence[Cut], large: Sequence[Buffer]) -> bytes:
    """The whole payload of what is left and of the parts that were cut out, in their order.

    That a part has the digest of its cut is for the seal to prove.

    Raises:
        JournalError: there is not a part of the right size for every cut.
    """
    view, parts, at = memoryview(left), [], 0
    if len(cuts) != len(large):
        raise JournalError(f"a state has {len(cuts)} large parts, {len(large)} are there")
    for one, part in zip(cuts, large, strict=True):
        if len(part) != one.size:
            raise JournalError(f"a part of a state has {len(part)} bytes, {one.size} were stored")
        parts += [view[at : one.at], part]
        at = one.at
    return b"".join([*parts, view[at:]])


def _address(buffer: Buffer) -> int:
    """Where its first byte lies in memory."""
    return np.frombuffer(buffer, np.uint8).ctypes.data
