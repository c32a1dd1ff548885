"""From the serving database into a shop's store: what was received is trained on.

Events stay in the serving database too: serving counts them from there until the next release,
whose store has them, and after it does not count them twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from fedguide.api.inbox import Received
    from fedguide.config import Settings
    from fedguide.data.received import ReceivedRow


@dataclass(frozen=True)
class Poured:
    """What became of a shop's received events."""

    shop: str
    added: int
    known: int
    left_out: int


def pour(settings: Settings, path: Path, shop: str | None = None) -> Poured:
    """Brings a shop's received events into the store at ``path``; a second time adds nothing.

    Nobody who was erased comes in, nor a search with personal data in it; whether somebody may be
    trained on is asked at every training, as of every store.

    Raises:
        NotFoundError: there is no store at ``path``.
        DataError: it is in use, empty, or its events have no times.
        ConfigError, RunError: the serving database or the register cannot be used.
    """
    from fedguide.api.inbox import Inbox
    from fedguide.cli.rights import remember_store, rights_of
    from fedguide.cli.service import service_database
    from fedguide.data.received import received_dataset, without_personal
    from fedguide.data.store import Store

    keeps = rights_of(settings).keeps
    with Store(path) as store, service_database(settings) as database:
        name = shop or store.name
        inbox = Inbox(database, {}, keeps)
        events = list(inbox.received_by(name))
        kept = without_personal([_row(event) for event in events if keeps(event.shopper)])
        ids = [row.id for row in kept]
        added = store.pour(name, ids, received_dataset(store.name, kept))
    remember_store(settings.home, path)
    return Poured(name, added, len(kept) - added, len(events) - len(kept))


def _row(event: Received) -> ReceivedRow:
    from fedguide.data.received import ReceivedRow

    price = math.nan if event.price is None else event.price
    return ReceivedRow(
        event.id, event.shopper, event.kind, event.item, event.query, event.time_s, price
    )
