"""``fedguide sim --match``: shops find their common products before they train together."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedguide.cli.app import main
from fedguide.runtime import compare


@pytest.fixture(scope="module")
def spelled(market_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shops with the shoppers of one, ids of their own, and titles of their own spelling.

    The last ten items are sold by the first two shops alone.
    """
    folder = tmp_path_factory.mktemp("spelled")
    one = market_folder / "shop1"
    with (one / "items.csv").open(encoding="utf-8") as file:
        items = list(csv.DictReader(file))
    with (one / "events.csv").open(encoding="utf-8") as file:
        events = list(csv.DictReader(file))
    everybody = sorted({row["user_id"] for row in events})
    only = {row["item_id"] for row in items[-10:]}
    for at, spell in enumerate((str, str.upper, lambda title: f"{title}!")):
        place = folder / f"shop{at}"
        place.mkdir()
        gone = only if at == 2 else set()
        mine = [row for row in items if row["item_id"] not in gone]
        sold = [
            row
            for row in events
            if everybody.index(row["user_id"]) % 3 == at and row["item_id"] not in gone
        ]
        for name, rows in (("items", mine), ("events", sold)):
            with (place / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                for row in rows:
                    number = f"{at}-{row['item_id']}" if row["item_id"] else ""
                    other = {"title": spell(row["title"])} if name == "items" else {}
                    writer.writerow(row | {"item_id": number} | other)
    return folder


def test_matched_shops_train_and_say_what_they_have_in_common(
    spelled: Path,
    config_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    got: list[dict[str, Any]] = []
    whole = compare.compare

    def spied(*given: Any) -> Any:
        got.append(given[5])  # what other shops counted of a shop's items
        return whole(*given)

    monkeypatch.setattr(compare, "compare", spied)
    command = ["sim", "--data", str(spelled), "--config", str(config_file), "--json"]
    assert main([*command, "--name", "matched", "--match", "title"]) == 0
    matched = json.loads(capsys.readouterr().out)["data"]["match"]
    assert matched == {"by": "title", "common_items": {"shop0": 30, "shop1": 30, "shop2": 20}}
    counts = got[0]
    assert {shop: table.shape[0] for shop, table in counts.items()} == matched["common_items"]
    assert all(table.any() for table in counts.values())
    # Ten items are sold by two shops alone: their table would be the other's own.
    alone = (counts["shop0"] == 0).all(axis=1)
    assert alone[-10:].all()
    assert not alone[:-10].all()


def test_what_cannot_be_matched_says_why(
    market_folder: Path, spelled: Path, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sim", "--data", str(market_folder), "--config", str(config_file)]
    assert main([*command, "--match", "title"]) != 0
    error = capsys.readouterr().err
    assert "no two shops have 10 products in common" in error
    assert "--least" not in error  # an option of ``fedguide match`` alone
    command = ["sim", "--data", str(spelled), "--config", str(config_file)]
    assert main([*command, "--match", "colour"]) == 4
    assert "colour" in capsys.readouterr().err
    assert main([*command, "--match", "title", "--dp", "gaussian"]) == 4
    assert "--match shares counts without noise" in capsys.readouterr().err
    assert main(["sim", "--clients", "10", "--match", "title"]) == 4
    assert "match" in capsys.readouterr().err
