"""What pages are handed beside the guides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fedguide.office.persons import Persons


@dataclass(frozen=True)
class Desk:
    """What does the work behind pages that are more than the guide.

    Attributes:
        secret: signs passes and sessions.
        persons: sees to shoppers' rights.
        clock: seconds since 1970.
    """

    secret: bytes = field(repr=False)
    persons: Persons
    clock: Callable[[], float] = time.time
