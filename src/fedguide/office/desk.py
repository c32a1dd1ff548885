"""What pages are handed beside the guides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fedguide.guide.ads import AdDesk
from fedguide.office.federation import Office
from fedguide.office.persons import Persons


class Holder(Protocol):
    """Whoever holds a key, as pages need to know."""

    @property
    def id(self) -> str:
        """The public part of the key."""
        ...

    @property
    def name(self) -> str:
        """What its maker called it."""
        ...

    @property
    def role(self) -> str:
        """What it may do."""
        ...


class Doorkeeper(Protocol):
    """Knows keys."""

    def check(self, text: str) -> Holder:
        """The holder of a key's text.

        Raises:
            NotAuthorizedError: it is not accepted.
        """
        ...

    def still(self, key_id: str) -> Holder | None:
        """The holder of a key that was accepted before, if it still counts."""
        ...


@dataclass(frozen=True)
class Desk:
    """What does the work behind pages that are more than the guide.

    Attributes:
        secret: signs passes and sessions.
        persons: sees to shoppers' rights.
        clock: seconds since 1970.
        keys: who may open the console.
        office: what it shows; without it there is no console.
        reports: gives the reports of kept audiences, oldest first, for the shop's own eyes.
        ads: of the shops that serve ads, by name.
        ad_reports: gives what was released of ads, by shop and order.
    """

    secret: bytes = field(repr=False)
    persons: Persons
    clock: Callable[[], float] = time.time
    keys: Doorkeeper | None = None
    office: Office | None = None
    reports: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    ads: Mapping[str, AdDesk] = field(default_factory=dict)
    ad_reports: Callable[[], Mapping[str, Mapping[str, Mapping[str, Any]]]] = dict
