"""The server process of the page tests: two shops from signed releases, on a free port.

Its console shows the home folder that ``tests.office.home`` fills. Prints its address, then a key
of each role as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import random
import secrets
import shutil
import sys
import time
from pathlib import Path

from fedguide.api.app import create_app
from fedguide.api.inbox import Inbox
from fedguide.api.keys import ROLES, KeyBook
from fedguide.api.server import listen, serve
from fedguide.api.services import Services
from fedguide.api.tables import open_service
from fedguide.cli import ad_desk
from fedguide.cli.bureau import HomeOffice
from fedguide.cli.service import desk_of
from fedguide.guide.ad_book import AdBook
from fedguide.guide.ads import AdDesk
from fedguide.guide.engine import open_guide
from fedguide.web.pages import add_pages
from tests.guide.sample import LAST_DAY, a_card, a_model, a_release, some_histories
from tests.guide.test_ads import ADS, the_model
from tests.office.home import settings_of
from tests.office.rights import MemoryPersons


def names() -> str:
    """Of placements of ads."""
    return secrets.token_hex(16)


def main(folder: Path) -> None:
    guides, persons = {}, MemoryPersons(epsilon=2.0)
    for seed, shop in enumerate(("north", "南店")):
        release_folder = folder / f"shop-{seed}"
        shutil.rmtree(release_folder, ignore_errors=True)
        release = a_release(release_folder, a_model(seed, copies=3), a_card(shop))
        histories = some_histories(release.model, seed=seed)
        guides[shop] = open_guide(release, histories, lambda: LAST_DAY + 1, allows=persons.allows)
    database = open_service(str(folder / "serve.db"))
    keys = KeyBook(database, bytes(range(32)), time.time)
    inbox = Inbox(database, guides, lambda _: True)
    inbox.reload()
    home = folder / "home"
    office = HomeOffice(settings_of(home), lambda _: None) if home.is_dir() else None
    services = Services(keys, inbox, bytes(range(32)), persons, office=office)
    app = create_app(guides, services)
    desk = desk_of(settings_of(home), services)
    if desk is not None and home.is_dir():
        book = AdBook(home / "ads" / "南店.db")
        # Without pacing: the same ads are there at any hour.
        ads = AdDesk(ADS, the_model(), book, ad_desk.now, random.random, names, paced=False)
        desk = dataclasses.replace(desk, ads={"南店": ads})
    add_pages(app, guides, demo=True, desk=desk)
    listening = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201
    print(json.dumps({role: keys.create("e2e", role)[1] for role in ROLES}), flush=True)  # noqa: T201
    serve(app, listening)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
