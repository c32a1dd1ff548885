"""``fedguide fit``: one shop by itself, from its file to a signed release that answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedguide.cli.app import main
from tests.e2e.orders import write_orders

_SIZES = {"events": 1500, "shoppers": 60}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ``fit`` named ``own``; gives the config file that leads to it."""
    folder = tmp_path_factory.mktemp("fit")
    write_orders(folder / "orders.csv", **_SIZES)
    path = folder / "fedguide.toml"
    path.write_text(f"home = '{folder / 'home'}'\n[train]\nrounds = 2\npatience = 1\n", "utf-8")
    data = str(folder / "orders.csv")
    assert main(["fit", "--data", data, "--config", str(path), "--name", "own"]) == 0
    return path


def test_the_release_says_that_nobody_else_took_part(fitted: Path) -> None:
    run = fitted.parent / "home" / "runs" / "own"
    card = json.loads((run / "shops" / "orders" / "release" / "card.json").read_text("utf-8"))
    assert card["shops"] == ["orders"]
    assert card["chosen"] == "alone"
    assert card["bytes_sent"] == 0
    assert card["synthetic"] is False
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert 1 <= record["rounds"] <= 2
    assert {m["slate"] for m in record["metrics"]} == {"all", "discovery"}
    assert all(m["low"] <= m["ndcg10"] <= m["high"] for m in record["metrics"])


def test_it_answers_shoppers_and_wishes(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(fitted), "--json"]
    assert main(["recommend", "C00007", *config]) == 0
    assert main(["ask", "red mug under 60", "--user", "C00007", *config]) == 0
    recommended, asked = map(json.loads, capsys.readouterr().out.splitlines())
    assert recommended["data"]["source"] == "personal"
    assert asked["data"]["voice"] == "engine"
    assert all("red mug" in item["title"] for item in asked["data"]["items"])


def test_a_name_is_taken_once_and_a_market_is_no_shop(
    fitted: Path, market_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(fitted.parent / "orders.csv")
    assert main(["fit", "--data", data, "--config", str(fitted), "--name", "own"]) == 4
    assert "already there" in capsys.readouterr().err
    assert main(["fit", "--data", str(market_folder), "--config", str(fitted)]) == 4
    assert "a party is one" in capsys.readouterr().err


def test_without_the_package_for_training_it_says_so(
    fitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fedguide.runtime.arms", None)
    data = str(fitted.parent / "orders.csv")
    assert main(["fit", "--data", data, "--config", str(fitted)]) == 4
    assert "fedguide[train]" in capsys.readouterr().err
