"""An application with all its services, over a database in a folder, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from fedguide.api.app import create_app
from fedguide.api.inbox import Inbox
from fedguide.api.keys import ROLES, KeyBook
from fedguide.api.services import Services
from fedguide.api.tables import open_service
from fedguide.guide.engine import Guide
from fedguide.office.federation import Office
from fedguide.office.persons import Persons

SECRET = bytes(range(32))
NOW_S = 1_760_000_000


@dataclass(frozen=True)
class Served:
    """The application, its services, and a key of each role."""

    app: FastAPI
    services: Services
    texts: Mapping[str, str]


@contextmanager
def served(
    folder: Path,
    guides: MutableMapping[str, Guide],
    keeps: Callable[[str], bool] = lambda _: True,
    most: int = 256,
    persons: Persons | None = None,
    office: Office | None = None,
) -> Iterator[Served]:
    database = open_service(str(folder / "serve.db"))
    try:
        keys = KeyBook(database, SECRET, lambda: NOW_S)
        inbox = Inbox(database, guides, keeps, most)
        inbox.reload()
        services = Services(keys, inbox, SECRET, persons, office=office)
        texts = {role: keys.create(f"the {role}", role)[1] for role in ROLES}
        yield Served(create_app(guides, services), services, texts)
    finally:
        database.close()
