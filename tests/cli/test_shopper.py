"""``shopper``: see, take, end; a person erased is gone from every byte under the home folder."""

import json
import shutil
from pathlib import Path

import pytest

from fedguide.cli.app import main
from fedguide.cli.train import cut_datasets
from fedguide.config import load
from fedguide.data.importers import import_data
from tests.cli.test_privacy import asked

RARE_WORDS = "zanzibar-umbrella-wish"


@pytest.fixture
def config(trained: Path, tmp_path: Path) -> str:
    """The shared run in a home of its own."""
    shutil.copytree(trained.parent / "home", tmp_path / "home")
    path = tmp_path / "f.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n[train]\nrounds = 1\npatience = 1\n", "utf-8")
    return str(path)


def holding(folder: Path, text: bytes) -> list[Path]:
    """The files that have a text anywhere in their bytes, or in their name."""
    return [
        path
        for path in folder.rglob("*")
        if text in str(path.relative_to(folder)).encode()
        or (path.is_file() and text in path.read_bytes())
    ]


@pytest.fixture
def own_store(config: str, tmp_path: Path) -> Path:
    """An imported file of three people, one with words that nobody else has."""
    rows = ["user,item,kind,time,query", *(f"bob-{n},i{n},buy,2024-01-0{n},\n" for n in (1, 2))]
    rows += ["ann-7311,i1,buy,2024-01-03,", f"ann-7311,,search,2024-01-04,{RARE_WORDS}"]
    source = tmp_path / "events.csv"
    source.write_text("\n".join(rows), "utf-8")
    store = tmp_path / "stores" / "own.duckdb"
    assert main(["data", "import", str(source), "--out", str(store), "--config", config]) == 0
    return store


def test_show_says_what_is_known_and_whether_it_is_used(
    config: str, own_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["shopper", "show", "ann-7311", "--config", config], capsys)
    assert (data["said"], data["used"]) == (None, True)
    (store,) = data["stores"]
    assert store["store"] == str(own_store)
    assert store["kinds"] == {"buy": 1, "search": 1}
    assert store["first"] == "2024-01-03T00:00:00+00:00"
    assert store["latest"][-1]["query"] == RARE_WORDS
    assert main(["shopper", "show", "shop1-u03", "--config", config, "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert "使用中" in printed
    # The run of the fixture was trained without noise: nothing bounds what it remembers.
    assert "no bound (trained without noise: first)" in printed
    assert asked(["shopper", "show", "nobody-1", "--config", config], capsys, 4)["code"] == "FG404"


def test_export_is_everything(
    config: str, own_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["shopper", "export", "ann-7311", "--config", config], capsys)
    (store,) = data["stores"]
    assert [row["kind"] for row in store["events"]] == ["buy", "search"]
    assert store["events"][0]["item"] == "i1"
    target = tmp_path / "ann.json"
    command = ["shopper", "export", "ann-7311", "--out", str(target), "--config", config]
    assert main(command) == 0
    assert json.loads(target.read_text("utf-8")) == data
    assert main(command) == 4
    assert "already there" in capsys.readouterr().err
    assert main(["shopper", "export", "nobody-1", "--config", config]) == 4
    assert main(["shopper", "export", "ann-7311", "--config", config]) == 0
    assert RARE_WORDS in capsys.readouterr().out


def test_an_erased_shopper_is_in_no_byte(
    config: str, own_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [tmp_path / "home", own_store.parent]
    assert any(holding(place, b"ann-7311") for place in places)
    assert any(holding(place, RARE_WORDS.encode()) for place in places)
    data = asked(["shopper", "delete", "ann-7311", "--config", config], capsys)
    assert (data["erased"], data["events"], data["stores"]) == (True, 2, [str(own_store)])
    assert data["residual"] == "nothing was trained"
    for place in places:
        assert holding(place, b"ann-7311") == []
        assert holding(place, RARE_WORDS.encode()) == []
    assert holding(own_store.parent, b"bob-1")
    # An import of the same file does not bring her back.
    again = own_store.with_name("again.duckdb")
    source = str(tmp_path / "events.csv")
    assert main(["data", "import", source, "--out", str(again), "--config", config]) == 0
    assert holding(own_store.parent, b"ann-7311") == []
    assert holding(own_store.parent, b"bob-2")
    # The ledger has a line of it, and the line does not name her.
    capsys.readouterr()
    last = asked(["privacy", "ledger", "--config", config], capsys)["records"][-1]
    assert (last["kind"], last["residual"]) == ("erasure", "nothing was trained")
    assert len(last["task"]) == 64
    show = asked(["shopper", "show", "ann-7311", "--config", config], capsys)
    assert (show["said"], show["used"], show["stores"]) == ("erased", False, [])
    assert asked(["shopper", "optout", "ann-7311", "off", "--config", config], capsys, 4)
    assert asked(["shopper", "delete", "ann-7311", "--config", config], capsys)["events"] == 0


def test_an_erased_shopper_is_gone_from_a_run_that_serves(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["recommend", "shop1-u03", "--config", config]
    assert asked(ask, capsys)["source"] == "personal"
    data = asked(["shopper", "delete", "shop1-u03", "--config", config], capsys)
    # A test before may have left a run of its own: she is erased from every one.
    assert any("runs/first" in store for store in data["stores"])
    assert data["residual"].startswith("no bound (trained without noise: first")
    assert holding(tmp_path / "home", b"shop1-u03") == []
    assert asked(ask, capsys)["source"] == "popular"
    assert asked(["recommend", "shop1-u04", "--config", config], capsys)["source"] == "personal"


def test_a_store_in_use_is_named_and_the_tombstone_stands(
    config: str, own_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import subprocess
    import sys

    hold = (
        "import sys; from pathlib import Path; from fedguide.data.store import Store\n"
        "with Store(Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(own_store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "open\n"
        error = asked(["shopper", "delete", "ann-7311", "--config", config], capsys, 4)
        assert "could not be rewritten" in error["message"]
        assert "in use" in error["message"]
        holder.stdin.close()
        holder.wait()
    show = asked(["shopper", "show", "ann-7311", "--config", config], capsys)
    assert (show["said"], show["used"]) == ("erased", False)
    assert asked(["shopper", "delete", "ann-7311", "--config", config], capsys)["events"] == 2


def test_an_opt_out_counts_in_training_and_in_serving(
    config: str, market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = asked(["shopper", "optout", "shop1-u03", "--config", config], capsys)
    assert (data["optout"], data["used"], data["changed"]) == ("on", False, True)
    ask = ["recommend", "shop1-u03", "--config", config]
    out = asked(ask, capsys)
    assert out["source"] == "popular"
    assert main(ask) == 0
    assert "personalisation is off" in capsys.readouterr().err
    train = ["sim", "--data", str(market_folder), "--name", "second", "--config", config]
    run = asked(train, capsys)
    shoppers = [len(shop.events.user_ids) for shop in import_data(market_folder)]
    assert [shop["shoppers"] for shop in run["shops"]] == [shoppers[0] - 1, shoppers[1]]
    assert holding(tmp_path / "home" / "runs" / "second", b"shop1-u03") == []
    assert holding(tmp_path / "home" / "runs" / "second", b"shop1-u04")
    back = asked(["shopper", "optout", "shop1-u03", "off", "--config", config], capsys)
    assert (back["optout"], back["used"]) == ("off", True)
    # The first run's own store still had the events: they are used again.
    assert asked([*ask, "--run", "first"], capsys)["source"] == "personal"
    assert asked(["shopper", "optout", "x", "maybe", "--config", config], capsys, 4)


def test_where_consent_is_needed_silence_is_no(
    config: str, market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(config).open("a", encoding="utf-8") as file:
        file.write("[privacy]\nconsent = 'opt-in'\n")
    assert asked(["recommend", "shop1-u03", "--config", config], capsys)["source"] == "popular"
    train = ["sim", "--data", str(market_folder), "--name", "second", "--config", config]
    assert "shoppers may be used" in asked(train, capsys, 4)["message"]
    names = sorted(
        name for shop in import_data(market_folder) for name in shop.events.user_ids[:30]
    )
    listed = tmp_path / "yes.txt"
    listed.write_text("\n".join(["", *names, ""]), "utf-8-sig")
    said = asked(["shopper", "consent", str(listed), "--config", config], capsys)
    assert said == {"shoppers": 60, "changed": 60}
    settings = load(Path(config))
    shops = cut_datasets(settings, market_folder, None, None, None, None, "", 7)
    assert sorted(name for shop in shops for name in shop.events.user_ids) == names
    assert asked(["recommend", names[0], "--config", config], capsys)["source"] == "personal"
    listed.write_bytes(b"\xff\xfe\x00")
    assert main(["shopper", "consent", str(listed), "--config", config]) == 4
    assert main(["shopper", "consent", "absent.txt", "--config", config]) == 4


def test_a_lost_key_stops_training_and_serving(
    config: str, market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shopper", "optout", "shop1-u03", "--config", config]) == 0
    key = tmp_path / "home" / "keys" / "shoppers.key"
    kept = key.read_bytes()
    train = ["sim", "--data", str(market_folder), "--name", "second", "--config", config]
    for damage in (key.unlink, lambda: (key.write_bytes(bytes(32)), key.chmod(0o600))):
        damage()
        for command in (["recommend", "shop1-u04", "--config", config], train):
            assert main(command) == 4
            assert "key" in capsys.readouterr().err
    key.write_bytes(kept)
    key.chmod(0o644)
    assert main(["recommend", "shop1-u04", "--config", config]) == 4
    assert "can be read by others" in capsys.readouterr().err
    key.chmod(0o600)
    assert main(["recommend", "shop1-u04", "--config", config]) == 0
