"""What crosses in a masked sum, in the order of its steps, and what a party keeps between them.

Everything is signed by its sender over its canonical bytes (a masked vector is tagged instead).
These name the round and, from the roster on, the roster's digest: what is of another round,
attempt, task or cohort fits nowhere. No message and no state shows a secret in its repr.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, encode
from fedguide.crypto.signing import PublicKey, SigningKey, sign, verify
from fedguide.errors import SignatureError
from fedguide.protocol import Message, State
from fedguide.ring import RingVector
from fedguide.values import PartyId

PURPOSE = "masked sum/1"


@dataclass(frozen=True)
class MaskKeys(Message):
    """Party to coordinator, with its first reply: fresh public keys for this round alone.

    Attributes:
        round: the round they are for.
        terms: digest of the terms the party consented to.
        mask_key: X25519, for masks; its secret half is shared out.
        box_key: X25519, for boxes and tags; its secret half never leaves.
        commitment: to the seed of the party's own mask.
        signature: the party's.
    """

    round: int
    terms: bytes
    mask_key: bytes
    box_key: bytes
    commitment: bytes
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class MaskRoster(Message):
    """Coordinator to cohort: whose keys are in (sorted), and its own key for tags."""

    round: int
    terms: bytes
    box_key: bytes
    parties: tuple[PartyId, ...]
    keys: tuple[MaskKeys, ...]
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class SealedShares(Message):
    """Party to coordinator: for each neighbour a box with its shares of the party's secrets."""

    round: int
    roster: bytes
    boxes: Mapping[PartyId, bytes] = field(repr=False)
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class RelayedShares(Message):
    """Coordinator to party: who shared out, and the boxes for this party by their senders."""

    round: int
    roster: bytes
    sharers: tuple[PartyId, ...]
    boxes: Mapping[PartyId, bytes] = field(repr=False)
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class MaskedInput(Message):
    """Party to coordinator: its vector under all its masks, b bits a coordinate.

    Attributes:
        round: the round it is of.
        roster: digest of the roster.
        vector: shape ``(bits_bytes(length, b),)``.
        tag: the party's, for the coordinator; a signature would need a hash of it all.
    """

    round: int
    roster: bytes
    vector: Annotated[NDArray[np.uint8], Array("uint8", "bytes")] = field(repr=False)
    tag: bytes = field(repr=False)


@dataclass(frozen=True)
class Survivors(Message):
    """Coordinator to those whose vectors are in: who they are."""

    round: int
    roster: bytes
    survivors: tuple[PartyId, ...]
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class SurvivorsAgreed(Message):
    """Party to coordinator: these sharers and these survivors, and no others, in this roster."""

    round: int
    roster: bytes
    sharers: bytes
    survivors: bytes
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class UnmaskRequest(Message):
    """Coordinator to survivors: the signatures under the one set of survivors."""

    round: int
    roster: bytes
    signatures: Mapping[PartyId, bytes] = field(repr=False)
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class UnmaskShares(Message):
    """Party to coordinator: of each neighbour one share, of its seed **or** of its mask key."""

    round: int
    roster: bytes
    seeds: Mapping[PartyId, bytes] = field(repr=False)
    keys: Mapping[PartyId, bytes] = field(repr=False)
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class AwaitingRoster(State):
    """Keys are out; the vector waits, unmasked, shape ``(length,)``."""

    round: int
    vector: Annotated[RingVector, Array("uint32", "n")] = field(repr=False)


@dataclass(frozen=True)
class AwaitingShares(State):
    """Shares are out, but for the party's own of its own secrets; the vector still waits.

    ``digest`` is the roster's. ``own`` is the party's share of the seed, then of the mask key;
    ``openers`` are the keys of the boxes that its neighbours will have sealed for it.
    """

    round: int
    vector: Annotated[RingVector, Array("uint32", "n")] = field(repr=False)
    roster: MaskRoster
    digest: bytes
    own: bytes = field(repr=False)
    openers: Mapping[PartyId, bytes] = field(repr=False)


@dataclass(frozen=True)
class AwaitingSurvivors(State):
    """The masked vector is out and the vector forgotten; shares are held.

    ``cohort`` is the number of parties in the roster, ``digest`` the roster's. ``shares`` are those
    of each neighbour whose box opened, and of the party itself: of the seed, then of the mask key.
    """

    round: int
    cohort: int
    digest: bytes
    sharers: tuple[PartyId, ...]
    shares: Mapping[PartyId, bytes] = field(repr=False)


@dataclass(frozen=True)
class AwaitingUnmask(State):
    """One set of survivors is signed, and no other will be."""

    round: int
    cohort: int
    digest: bytes
    sharers: tuple[PartyId, ...]
    survivors: tuple[PartyId, ...]
    shares: Mapping[PartyId, bytes] = field(repr=False)


@dataclass(frozen=True)
class Unmasked(State):
    """Shares were handed back, once; those that were not are forgotten."""

    round: int


MASKED_WIRE: tuple[type, ...] = (
    *(MaskKeys, MaskRoster, SealedShares, RelayedShares, MaskedInput),
    *(Survivors, SurvivorsAgreed, UnmaskRequest, UnmaskShares),
    *(AwaitingRoster, AwaitingShares, AwaitingSurvivors, AwaitingUnmask, Unmasked),
)
"""Every kind of message and state of a masked sum."""

Signed: TypeAlias = (
    MaskKeys
    | MaskRoster
    | SealedShares
    | RelayedShares
    | Survivors
    | SurvivorsAgreed
    | UnmaskRequest
    | UnmaskShares
)
"""The messages that carry a signature."""

M = TypeVar("M", bound=Signed)


def signed(message: M, key: SigningKey) -> M:
    """The message with its sender's signature."""
    return replace(message, signature=sign(key, PURPOSE, digest_of(message)))


def check_signed(message: Signed, sender: PublicKey) -> None:
    """Returns if the message is its sender's.

    Raises:
        SignatureError: it is not.
    """
    verify(sender, PURPOSE, digest_of(message), message.signature)


def is_signed(sender: PublicKey, digest: bytes, signature: bytes) -> bool:
    """Is this the sender's signature under the digest of a message?"""
    try:
        verify(sender, PURPOSE, digest, signature)
    except SignatureError:
        return False
    return True


def digest_of(message: Signed) -> bytes:
    """SHA-256 of a message's canonical bytes without its signature."""
    return hashlib.sha256(encode(replace(message, signature=b""))).digest()


def set_digest(parties: Sequence[PartyId]) -> bytes:
    """SHA-256 of a sorted set of parties, each name with its length before it."""
    parts = [name.encode() for name in parties]
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(framed).digest()
