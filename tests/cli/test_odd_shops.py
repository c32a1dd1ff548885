"""A shop with nobody in it, or with one shopper: an answer or a clear error, never a traceback."""

import json
import shutil
from pathlib import Path

import pytest

from fedguide.cli.app import main

HEAD = "user_id,item_id,kind,time,query,quantity,price,basket,country\n"
BEFORE, AFTER = "2024-01-09", "2024-04-09"


def with_shops(market: Path, folder: Path, shops: dict[str, str]) -> Path:
    """A copy of the market with more shops, whose events are these lines."""
    made = folder / "market"
    shutil.copytree(market, made)
    for name, events in shops.items():
        (made / name).mkdir()
        shutil.copy(market / "shop1" / "items.csv", made / name)
        (made / name / "events.csv").write_text(events, "utf-8")
    return made


def bought(*days: str, kind: str = "buy") -> str:
    """One shopper, one item a day."""
    lines = [f"solo,shop1-{n:02},{kind},{day}T10:00:00Z,,1,5.0,,\n" for n, day in enumerate(days)]
    return HEAD + "".join(lines)


@pytest.mark.parametrize("command", [["sim"], ["eval", "compare"]])
@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("", "is empty"),
        (HEAD, "shop3: no row can be used"),
        (bought(AFTER), "shop3 has nothing before the first cut"),
        (bought(BEFORE, kind="view"), "shop3 has no purchase"),
    ],
)
def test_a_shop_with_nothing_to_learn_from_is_named(
    command: list[str],
    events: str,
    said: str,
    market_folder: Path,
    config_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = with_shops(market_folder, tmp_path, {"shop3": events})
    assert main([*command, "--data", str(data), "--config", str(config_file)]) == 4
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_shops_of_one_shopper_get_an_answer(
    market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One who comes back and is a test case, one who never does; both shops get a release."""
    days = [f"2024-{month:02}-{day:02}" for month in (1, 2, 3, 4) for day in (2, 9, 16, 23)]
    shops = {"solo": bought(*days), "once": bought(BEFORE)}
    data = with_shops(market_folder, tmp_path, shops)
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n[train]\nrounds = 1\n", "utf-8")
    assert main(["sim", "--data", str(data), "--config", str(path), "--name", "odd", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    rows = {(r["model"], r["setting"], r["shop"]): r for r in found["rows"]}
    assert rows["together", "discovery", "once"]["cases"] == 0
    assert rows["together", "discovery", "once"]["ndcg10"] is None
    assert rows["together", "discovery", "solo"]["cases"] == 1
    # Of one shopper nothing is known about the error of a mean.
    gaps = {(g["shop"], g["setting"]): g for g in found["shop_differences"]}
    assert gaps["solo", "discovery"]["se"] is None
    assert main(["recommend", "solo", "--config", str(path)]) == 0


@pytest.mark.parametrize("shops", ["0", "1", "41"])
def test_a_number_of_shops_that_cannot_be_is_refused(
    shops: str, market_folder: Path, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = market_folder / "shop1" / "events.csv"
    command = ["sim", "--data", str(events), "--shops", shops, "--config", str(config_file)]
    assert main(command) in (2, 4)
    error = capsys.readouterr().err
    assert "shops" in error
    assert "Traceback" not in error
