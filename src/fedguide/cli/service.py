"""Where serving keeps its keys and events, and how what it offers beside the guide is made.

HOME/keys/api.key       key of the hashes of API keys (0600)
HOME/serve/serve.db     keys, events and wishes, unless ``[serve] database`` says otherwise
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedguide.api.keys import KeyBook
    from fedguide.api.services import Services
    from fedguide.config import Settings
    from fedguide.guide.engine import Guide
    from fedguide.office.desk import Desk
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
    settings: Settings,
    guides: dict[str, Guide],
    places: dict[str, Path],
    folder: Path,
    ads: Path | None = None,
) -> Iterator[Services]:
    """What ``serve`` offers beside the guides of shops whose folders are ``places``.

    Events that were kept count from the start. Where another release is promoted, both mappings
    are changed: the next answer is the new release's. ``ads`` are orders for the run in ``folder``.

    Raises:
        ConfigError, DataError, NotFoundError: see ``market_of``.
    """
    from fedguide.api.inbox import Inbox
    from fedguide.api.services import Services
    from fedguide.api.stocking import with_stock
    from fedguide.cli.ad_desk import market_of
    from fedguide.cli.bureau import HomeOffice
    from fedguide.cli.folders import open_shop
    from fedguide.cli.persons import HomePersons
    from fedguide.cli.registry import promotions, shop_folder
    from fedguide.cli.rights import private_key, rights_of

    rights = rights_of(settings, lasting=True)
    with market_of(settings, folder, guides, ads) as market, service_database(settings) as database:
        guides |= {shop: with_stock(database, guide) for shop, guide in guides.items()}
        inbox = Inbox(database, guides, rights.keeps)
        inbox.reload()

        def on_model(shop: str) -> None:
            if shop in guides:
                version = promotions(settings.home, shop)[-1].version
                places[shop] = shop_folder(settings.home, shop, version)
                guides[shop] = with_stock(database, open_shop(settings, shop, places[shop]))
                inbox.reload(shop)

        persons = HomePersons(settings, inbox, places)
        secret = private_key(settings.home / KEY)
        office = HomeOffice(settings, on_model)
        book = key_book(settings, database)
        yield Services(book, inbox, secret, persons, market, office)


def desk_of(settings: Settings, services: Services) -> Desk | None:
    """What pages are handed of the services."""
    from fedguide.cli.audience_store import names, report_of
    from fedguide.cli.released import all_reports
    from fedguide.office.desk import Desk

    if services.persons is None:
        return None
    home = settings.home
    return Desk(
        services.secret,
        services.persons,
        time.time,
        keys=services.keys,
        office=services.office,
        reports=lambda: [report_of(home, name) for name in names(home)],
        ads={} if services.market is None else services.market.desks,
        ad_reports=lambda: all_reports(home),
    )
