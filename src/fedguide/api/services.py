"""What an application may offer beside the guide; each part is handed in, or left out."""

from __future__ import annotations

from dataclasses import dataclass

from fedguide.api.inbox import Inbox
from fedguide.api.keys import KeyBook
from fedguide.api.operation import Operation
from fedguide.api.receiving import EVENTS


@dataclass(frozen=True)
class Services:
    """The parts.

    Attributes:
        keys: who may ask for what needs a key.
        inbox: takes events.
    """

    keys: KeyBook
    inbox: Inbox

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What the parts that are there offer."""
        return (EVENTS,)
