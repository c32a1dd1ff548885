"""Rights over a run that is served: what was received counts with what the store keeps."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fedguide import config
from fedguide.api.inbox import Received
from fedguide.cli.folders import open_guides, run_folder
from fedguide.cli.service import services_of
from fedguide.data.store import read_store
from fedguide.guide.histories import history_for


def test_a_shopper_is_known_exported_and_erased_everywhere(trained: Path) -> None:
    settings = config.load(trained)
    folder = run_folder(settings.home, None)
    guides = open_guides(settings, folder)
    shop, guide = next(iter(guides.items()))
    store = folder / "shops" / shop / "store.duckdb"
    shopper = read_store(store).events.user_ids[-1]
    item = guide.release.model.catalogue.ids[0]
    places = {name: folder / "shops" / name for name in guides}
    with services_of(settings, guides, places, folder) as services:
        persons = services.persons
        assert persons is not None
        before = persons.known(shop, shopper, 3)
        assert (before.said, before.used) == (None, True)
        assert len(before.latest) == min(3, before.events)
        event = Received("e1", shopper, "buy", item, "", 1_760_000_000, guide.today())
        asyncio.run(services.inbox.take(guide, [event]))
        after = persons.known(shop, shopper, 1)
        assert after.events == before.events + 1
        assert after.latest[0].item == item
        assert after.epsilon is None
        exported = persons.export(shop, shopper)
        assert len(exported["events"]) == after.events
        persons.ignore(shop, shopper, [item])
        assert persons.known(shop, shopper, 0).ignored == (item,)
        assert persons.personalise(shopper, wanted=False) is False
        gone = persons.erase(shopper)
        assert gone.events >= after.events
        assert persons.known(shop, shopper, 3).events == 0
        assert not guide.allows(shopper)
    assert shopper not in read_store(store).events.user_ids
    again = open_guides(settings, folder)[shop]
    assert history_for(again.histories, shopper) is None
