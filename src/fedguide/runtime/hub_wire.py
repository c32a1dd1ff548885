"""What goes over the line between a hub and those who talk to it: bodies, limits, the path names.

Bodies are MessagePack of the structs below, decoded strictly: an unknown or missing field is an
error. What parties and drivers say to each other is opaque here: payloads are bytes with a SHA-256,
and only their receiver reads them, through the codec. A payload of up to ``INLINE_BYTES`` travels
within the body; a larger one goes in chunks of ``CHUNK_BYTES``, each a request of its own, so that
a broken connection loses one chunk and nothing has to be sent twice.

A payload of one chunk is named by its SHA-256, a larger one by the SHA-256 over those of its
chunks: the hash that names it and the ones that its requests are signed over are made in one pass.
The size, which always stands beside the name, tells the two apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from fedguide.errors import MalformedError

CHUNK_BYTES = 1 << 23
INLINE_BYTES = 1 << 18
SMALL_BODY_BYTES = 1 << 16
"""Largest body of a request that carries no payload."""

ENROL_BODY_BYTES = 1024
"""Largest body of somebody who is not known yet: it is read before its signer can be judged."""

ASK_BODY_BYTES = 1 << 22
"""Largest body of a posted ask: inline payloads and who gets which."""

LONGEST_WAIT_S = 25
"""How long a poll may be left hanging; below the minute after which middleboxes drop it."""

MEDIA_TYPE = "application/msgpack"


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """Base of the bodies."""


class Enrol(Struct, frozen=True):
    """Party to hub: the one-time token of an invitation and the key to know the party by."""

    token: bytes
    key: str


class Standing(Struct, frozen=True):
    """Hub to anybody: how it stands with them, and the hub's clock."""

    party: str
    role: str
    status: str
    now_s: float


class Propose(Struct, frozen=True):
    """Driver to hub: a task, as a proposal that its parties can read; the hub cannot."""

    task: str
    proposal: bytes
    max_bytes: int
    parties: tuple[str, ...]


class Offer(Struct, frozen=True):
    """Hub to party: a task it is named in, and what it said to it."""

    task: str
    proposal: bytes
    decision: str
    status: str


class Decide(Struct, frozen=True):
    """Party to hub: yes or no to exactly this proposal."""

    proposal_sha256: bytes
    approved: bool
    reason: str = ""


class TaskView(Struct, frozen=True):
    """Hub to driver: a task's status and what each party said to it."""

    task: str
    status: str
    decisions: tuple[tuple[str, str, str], ...]


class Content(Struct, frozen=True):
    """A payload by its hash and size; ``inline`` is it, or ``None`` where it went in chunks."""

    sha256: bytes
    size: int
    inline: bytes | None = None


class PostAsk(Struct, frozen=True):
    """Driver to hub: one trip; ``to`` gives each party the index of its payload."""

    deadline_s: float
    payloads: tuple[Content, ...]
    to: tuple[tuple[str, int], ...]


class Letter(Struct, frozen=True):
    """Hub to party: a message that waits for its answer."""

    task: str
    trip: int
    sender: str
    content: Content
    left_s: float


class Mail(Struct, frozen=True):
    """Hub to party: the message that waits longest, if any, and what its tasks look like now."""

    letter: Letter | None
    news: bytes


class Have(Struct, frozen=True):
    """Driver to hub: whose replies to a trip it has already."""

    parties: tuple[str, ...]


class Missing(Struct, frozen=True):
    """Hub to sender: the chunks of a payload that are not there yet."""

    chunks: tuple[int, ...]


class Offers(Struct, frozen=True):
    """Hub to party: the tasks it is named in, the newest first."""

    offers: tuple[Offer, ...]


class PostReply(Struct, frozen=True):
    """Party to hub: its answer, or why there is none."""

    ask_sha256: bytes
    content: Content | None
    reason: str = ""
    detail: str = ""


class Reply(Struct, frozen=True):
    """Hub to driver: one party's answer, or why there is none."""

    party: str
    content: Content | None
    reason: str = ""
    detail: str = ""


class Returned(Struct, frozen=True):
    """Hub to driver: what is in of a trip, beyond what the driver said it has."""

    replies: tuple[Reply, ...]
    open: int
    left_s: float


S = TypeVar("S", bound=Struct)


def pack(body: Struct) -> bytes:
    """The bytes of a body."""
    return msgspec.msgpack.encode(body)


def unpack(body: bytes, kind: type[S]) -> S:
    """A body of this kind.

    Raises:
        MalformedError: it is none.
    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"the body is no {kind.__name__}: {error}") from None


def content_of(payload: bytes, *, inline: bool) -> Content:
    """A payload's name and size, and itself if it is to travel inline."""
    name = name_of(chunk_hashes(payload))
    return Content(name, len(payload), payload if inline else None)


def chunk_hashes(payload: bytes) -> list[bytes]:
    """SHA-256 of each of a payload's chunks."""
    view = memoryview(payload)
    starts = range(0, max(1, len(payload)), CHUNK_BYTES)
    return [hashlib.sha256(view[start : start + CHUNK_BYTES]).digest() for start in starts]


def name_of(hashes: Sequence[bytes]) -> bytes:
    """What a payload with these chunks is called."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(b"".join(hashes)).digest()


def chunks_of(size: int) -> int:
    """In how many chunks a payload of this size travels."""
    return max(1, -(-size // CHUNK_BYTES))


def chunk_size(size: int, number: int) -> int:
    """Bytes of one chunk of a payload: all full but the last."""
    return min(CHUNK_BYTES, size - number * CHUNK_BYTES)
