"""What an application may offer beside the guide; each part is handed in, or left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedguide.api.inbox import Inbox
from fedguide.api.keys import KeyBook
from fedguide.api.marketing import MARKETING, Market
from fedguide.api.offices import OFFICE
from fedguide.api.operation import Operation
from fedguide.api.receiving import EVENTS
from fedguide.api.shoppers import SHOPPERS
from fedguide.api.stocking import STOCK
from fedguide.office.federation import Office
from fedguide.office.persons import Persons


@dataclass(frozen=True)
class Services:
    """The parts.

    Attributes:
        keys: who may ask for what needs a key.
        inbox: takes events.
        secret: signs passes and sessions.
        persons: sees to shoppers' rights.
        market: ads and audiences.
        office: shows the federation.
    """

    keys: KeyBook
    inbox: Inbox
    secret: bytes = field(repr=False)
    persons: Persons | None = None
    market: Market | None = None
    office: Office | None = None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What the parts that are there offer."""
        return (
            EVENTS,
            STOCK,
            *(() if self.persons is None else SHOPPERS.values()),
            *(() if self.market is None else MARKETING.values()),
            *(() if self.office is None else OFFICE.values()),
        )
