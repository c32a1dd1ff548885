"""Where serving keeps its keys and events, and how what it offers beside the guide is made.

HOME/keys/api.key       key of the hashes of API keys (0600)
HOME/serve/serve.db     keys, events and wishes, unless ``[serve] database`` says otherwise
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedguide.api.keys import KeyBook
    from fedguide.api.services import Services
    from fedguide.config import Settings
    from fedguide.guide.engine import Guide
    from fedguide.privacy.tables import Database

KEY = Path("keys") / "api.key"


@contextmanager
def service_database(settings: Settings) -> Iterator[Database]:
    """The serving database, with its tables.

    Raises:
        ConfigError, RunError: see ``open_service``.
    """
    from fedguide.api.tables import open_service

    where = settings.serve.database
    if not where:
        folder = settings.home / "serve"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        where = str(folder / "serve.db")
    database = open_service(where)
    try:
        yield database
    finally:
        database.close()


def key_book(settings: Settings, database: Database) -> KeyBook:
    """The API keys of a serving database."""
    from fedguide.api.keys import KeyBook
    from fedguide.cli.rights import private_key

    return KeyBook(database, private_key(settings.home / KEY), time.time)


@contextmanager
def services_of(
    settings: Settings, guides: Mapping[str, Guide], folder: Path, ads: Path | None = None
) -> Iterator[Services]:
    """What ``serve`` offers beside the guides of the run in ``folder``; ``ads`` are orders.

    Events that were kept count from the start.

    Raises:
        ConfigError, DataError, NotFoundError: see ``market_of``.
    """
    from fedguide.api.inbox import Inbox
    from fedguide.api.services import Services
    from fedguide.cli.ad_desk import market_of
    from fedguide.cli.persons import HomePersons
    from fedguide.cli.rights import private_key, rights_of

    rights = rights_of(settings, lasting=True)
    with market_of(settings, folder, guides, ads) as market, service_database(settings) as database:
        inbox = Inbox(database, guides, rights.keeps)
        inbox.reload()
        persons = HomePersons(settings, inbox, folder)
        secret = private_key(settings.home / KEY)
        yield Services(key_book(settings, database), inbox, secret, persons, market)
