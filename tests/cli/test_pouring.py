"""``fedguide data pour``: received events reach training, each once, and serving counts no two."""

import json
from pathlib import Path

import pytest

from fedguide import config
from fedguide.api.inbox import Inbox, Received
from fedguide.cli.app import main
from fedguide.cli.folders import open_guides, run_folder
from fedguide.cli.service import service_database
from fedguide.cli.shop import one_dataset
from fedguide.data.store import read_store
from fedguide.guide.histories import history_for

DAY_S = 86_400
PHONE = "ring 13800138000"


def received(name: str, user: str, item: str, day: int, query: str = "") -> Received:
    kind = "search" if query else "buy"
    return Received(name, user, kind, item, query, day * DAY_S + 7, day, None)


def taken(settings: config.Settings, shop: str, events: list[Received]) -> None:
    with service_database(settings) as database:
        Inbox(database, {}, lambda _: True)._write([(shop, events)])


def poured(store: Path, config_file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(["data", "pour", str(store), "--config", str(config_file), "--json"]) == 0
    data: dict[str, object] = json.loads(capsys.readouterr().out)["data"]
    return data


def test_received_events_are_trained_on_once(
    market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, home = tmp_path / "fedguide.toml", tmp_path / "home"
    path.write_text(f"home = '{home}'\n", "utf-8")
    settings = config.load(path)
    store = tmp_path / "orders.duckdb"
    source = str(market_folder / "shop1")
    assert main(["data", "import", source, "--out", str(store), "--config", str(path)]) == 0
    before = read_store(store)
    shop, known = before.name, before.catalogue.ids[0]
    ann, bob = before.events.user_ids[:2]
    day = int(before.events.days.max()) + 1
    events = [
        received("a", ann, known, day),
        received("b", "newcomer", "brand-new", day),
        received("c", bob, known, day),
        received("d", ann, "", day, "red mug"),
        received("e", ann, "", day, PHONE),
    ]
    taken(settings, shop, events)
    said = ["shopper", "delete", bob, "--config", str(path)]
    assert main(said) == 0
    taken(settings, shop, [received("c2", bob, known, day)])
    before = read_store(store)
    told = poured(store, path, capsys)
    assert (told["added"], told["known"], told["left_out"]) == (3, 0, 2)
    first = read_store(store)
    assert len(first.events) == len(before.events) + 3
    assert bob not in first.events.user_ids
    assert PHONE not in first.events.query_texts
    assert "red mug" in first.events.query_texts
    assert set(first.catalogue.ids) == {*before.catalogue.ids, "brand-new"}
    # What is known of an item or a shopper is not overwritten by an event's bare id.
    assert first.catalogue.titles[first.catalogue.ids.index(known)] == before.catalogue.titles[0]
    groups = dict(zip(before.events.user_ids, before.events.groups, strict=True))
    after = dict(zip(first.events.user_ids, first.events.groups, strict=True))
    assert after[ann] == groups[ann]

    told = poured(store, path, capsys)
    assert (told["added"], told["known"]) == (0, 3)
    taken(settings, shop, [received("f", ann, known, day + 1)])
    assert poured(store, path, capsys)["added"] == 1
    assert len(read_store(store).events) == len(before.events) + 4
    # What `party start` reads: the newcomer, until they say no.
    assert "newcomer" in one_dataset(settings, store).events.user_ids
    assert main(["shopper", "optout", "newcomer", "--config", str(path)]) == 0
    assert "newcomer" not in one_dataset(settings, store).events.user_ids
    # Forgetting leaves nothing of the shopper's ids behind, so a new store can be made of it.
    assert main(["shopper", "delete", ann, "--config", str(path)]) == 0
    assert poured(store, path, capsys)["added"] == 0
    assert ann not in read_store(store).events.user_ids


def test_what_was_poured_into_a_served_store_counts_once(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config.load(trained)
    folder = run_folder(settings.home, "first")
    guide = next(iter(open_guides(settings, folder).values()))
    user, item = "pourer", guide.release.model.catalogue.ids[3]
    day = guide.histories.last_day
    taken(settings, guide.shop, [received("p", user, item, day)])

    def counted() -> int:
        opened = open_guides(settings, folder, guide.shop)
        with service_database(settings) as database:
            Inbox(database, opened, lambda _: True).reload()
        history = history_for(opened[guide.shop].histories, user)
        return 0 if history is None else len(history)

    assert counted() == 1
    store = folder / "shops" / guide.shop / "store.duckdb"
    try:
        assert poured(store, trained, capsys)["added"] == 1
        assert counted() == 1
    finally:
        with service_database(settings) as database:
            Inbox(database, {}, lambda _: True).forget(user)


def test_pour_wants_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    assert main(["data", "pour", "--config", str(path)]) == 4
    assert main(["data", "pour", "orders.csv", "--config", str(path)]) == 4
    missing = str(tmp_path / "none.duckdb")
    assert main(["data", "pour", missing, "--config", str(path)]) != 0
    assert "no store at" in capsys.readouterr().err
