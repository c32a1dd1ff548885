"""What a party keeps on disk between two messages: its state and its last answer.

State and answer are written in one transaction before the answer leaves: whatever moment the
process dies at, the party has either not answered at all or answers the same bytes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fedguide.codec import Buffer
from fedguide.values import PartyId


@dataclass(frozen=True)
class Answered:
    """A party's last answer: the trip, the SHA-256 of the message, and the reply's bytes."""

    trip: int
    digest: bytes
    reply: bytes = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """What a party answered last: the trip, and the SHA-256 of the message."""

    trip: int
    digest: bytes


class PartyStore(Protocol):
    """Keeps every party's state and last answer of one task."""

    def state(self, party: PartyId) -> bytes | None:
        """The party's state, or ``None`` before its first answer."""
        ...

    def last_asked(self, party: PartyId) -> Asked | None:
        """What the party answered last, without the answer; ``None`` before its first."""
        ...

    def last_answer(self, party: PartyId) -> Answered | None:
        """The party's last answer, or ``None`` before its first."""
        ...

    def put(self, party: PartyId, answered: Answered, state: Sequence[Buffer]) -> None:
        """Keeps both, or neither; they replace what was there.

        The state is a payload in parts (``codec.encode_parts``): what stays the same from answer
        to answer need not be stored again.
        """
        ...


class MemoryPartyStore:
    """Keeps states and answers in memory, as bytes."""

    def __init__(self) -> None:
        self._kept: dict[PartyId, tuple[Answered, bytes]] = {}

    def state(self, party: PartyId) -> bytes | None:
        """The party's state, or ``None`` before its first answer."""
        kept = self._kept.get(party)
        return None if kept is None else kept[1]

    def last_asked(self, party: PartyId) -> Asked | None:
        """What the party answered last, or ``None`` before its first answer."""
        kept = self._kept.get(party)
        return None if kept is None else Asked(kept[0].trip, kept[0].digest)

    def last_answer(self, party: PartyId) -> Answered | None:
        """The party's last answer, or ``None`` before its first."""
        kept = self._kept.get(party)
        return None if kept is None else kept[0]

    def put(self, party: PartyId, answered: Answered, state: Sequence[Buffer]) -> None:
        """Keeps both; they replace what was there."""
        self._kept[party] = (answered, b"".join(state))
