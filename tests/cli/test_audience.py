"""``audience``: one small synthetic shop end to end, then what is refused and what is erased."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedguide.cli import audience_store
from fedguide.cli.app import main
from fedguide.cli.audience_report import texts
from tests.cli.test_privacy import asked

SMALL = ["--shoppers", "700", "--size", "200", "--target", "buy", "--in", "30d"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one audience, and its settings beside it."""
    folder = tmp_path_factory.mktemp("audience")
    config = folder / "fedguide.toml"
    config.write_text(f"home = '{folder / 'home'}'\n", "utf-8")
    assert main(["shopper", "optout", "shop1-u003", "--config", str(config)]) == 0
    assert main(["audience", "build", *SMALL, "--config", str(config)]) == 0
    return folder


@pytest.fixture
def config(home: Path, tmp_path: Path) -> str:
    """The same in a place of its own."""
    shutil.copytree(home / "home", tmp_path / "home")
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    return str(path)


def listed(config: str, name: str = "buy-30d") -> list[str]:
    path = Path(config).parent / "home" / "audiences" / name / "shoppers.csv"
    return [row["shopper_id"] for row in csv.DictReader(path.read_text("utf-8").splitlines())]


def test_the_list_holds_own_shoppers_best_first_and_nobody_who_opted_out(config, capsys) -> None:
    folder = Path(config).parent / "home" / "audiences" / "buy-30d"
    scores = json.loads((folder / "scores.json").read_text("utf-8"))
    chance = dict(zip(scores["ids"], scores["probabilities"], strict=True))
    chosen = listed(config)
    assert len(chosen) == len(set(chosen)) == 200
    assert "shop1-u003" not in chance
    ranked = [chance[shopper] for shopper in chosen]
    assert ranked == sorted(ranked, reverse=True)
    assert min(ranked) >= max(p for s, p in chance.items() if s not in set(chosen))
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_the_report_was_measured_on_a_later_window(config, capsys) -> None:
    report = asked(["audience", "show", "buy-30d", "--config", config], capsys)
    tested = report["tested"]
    assert report["partners"] == ["logistics", "payment"]
    assert [row["group"] for row in tested["lift"]] == list(range(1, 11))
    assert sum(row["count"] for row in tested["lift"]) == tested["shoppers"]
    # 800 shoppers: the area's error is about 0.02, so that 0.5 is five of them away.
    assert tested["auc"][0] > 0.55
    assert tested["common"]["shoppers"] < tested["shoppers"]
    assert isinstance(tested["common"]["kept"], bool)
    low, value, high = (tested["common"]["difference"][at] for at in (1, 0, 2))
    assert low < value < high
    assert report["chosen"]["shoppers"] == 200


def test_counts_are_charged_once_and_read_for_nothing(config, capsys) -> None:
    first = asked(["audience", "estimate", "--at-least", "0.3", "--config", config], capsys)
    again = asked(["audience", "estimate", "--at-least", "0.3", "--config", config], capsys)
    assert first == again
    assert first["synthetic"]
    assert all(row["shoppers"] is None or row["shoppers"] >= 50 for row in first["counts"])
    ledger = asked(["privacy", "ledger", "--run", "synthetic", "--config", config], capsys)
    text = json.dumps(ledger)
    assert first["ledger_record"] == 1
    assert text.count('"audience"') == 1
    assert "laplace" in text


def test_who_opts_out_later_is_gone_from_the_next_list(config, capsys) -> None:
    gone, *others = listed(config)
    assert main(["shopper", "optout", gone, "--config", config]) == 0
    assert main(["audience", "build", *SMALL, "--config", config, "--lang", "zh"]) == 0
    assert "名单不离开商店" in capsys.readouterr().out
    assert gone not in listed(config)
    assert listed(config)[:-1] == others


def test_who_is_erased_is_in_no_file(config, capsys) -> None:
    gone, *_ = listed(config)
    (kept,) = audience_store.known(Path(config).parent / "home", gone)
    assert kept["audience"] == "buy-30d"
    assert kept["chosen"]
    assert 0 < kept["probability"] < 1
    data = asked(["shopper", "delete", gone, "--config", config], capsys)
    assert data["audiences"] == 1
    folder = Path(config).parent / "home"
    assert not [p for p in folder.rglob("*") if p.is_file() and gone.encode() in p.read_bytes()]
    assert len(listed(config)) == 199
    assert audience_store.known(Path(config).parent / "home", gone) == []


def test_below_the_floor_is_refused_with_exit_code_6(config, capsys) -> None:
    assert main(["audience", "build", "--size", "49", "--config", config]) == 6
    assert "below the floor of 50" in capsys.readouterr().err
    assert main(["audience", "estimate", "--at-least", "0.9", "--config", config]) == 6
    assert "floor" in capsys.readouterr().err


def own_data(folder: Path) -> Path:
    """100 days of 60 shoppers of one's own, and a partner that knows most of them."""
    rows = ["user_id,item_id,kind,time"]
    rows += [
        f"c{user},i{day % 7},buy,2024-0{1 + day // 30}-{1 + day % 30:02d}"
        for user in range(60)
        for day in range(user % 5, 89, 5 + user % 11)
    ]
    path = folder / "events.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def test_own_data_need_the_purpose_in_the_policy(config, tmp_path, capsys) -> None:
    command = ["audience", "build", "--data", str(own_data(tmp_path)), "--config", config]
    assert main([*command, "--name", "own"]) == 6
    said = capsys.readouterr().err
    assert "purpose 'audience' is not allowed here" in said
    assert "[privacy] purposes" in said
    assert not (tmp_path / "home" / "audiences" / "own").exists()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--in", "soon"], 4, "--in wants days or weeks"),
        (["--name", "../up"], 4, "a name has 1 to 64 letters"),
        (["--target", "cart", "--name", "buy-30d"], 4, "is of buy within 30 days, asked for cart"),
        (["--category", "Meat"], 4, "asked for buy within 30 days in Meat"),
        (["--partner", "bank=b.csv", "--name", "x"], 4, "--partner goes with --data"),
        (["--epsilon", "3", "--name", "x"], 4, "in (0, 1]"),
    ],
)
def test_bad_input(more, code, said, config, capsys) -> None:
    assert main(["audience", "build", "--config", config, *more]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") <= 4


def test_data_that_are_too_short_say_how_many_days_are_needed(config, tmp_path, capsys) -> None:
    allowed = Path(config)
    allowed.write_text(allowed.read_text() + "[privacy]\npurposes = ['audience']\n", "utf-8")
    command = ["audience", "build", "--data", str(own_data(tmp_path)), "--config", config]
    assert main([*command, "--name", "own", "--in", "60d"]) == 4
    said = capsys.readouterr().err
    assert "needs 181" in said
    assert "--in 29d" in said


def test_no_audience_is_said_so(config, capsys) -> None:
    assert main(["audience", "show", "autumn", "--config", config]) == 4
    assert "no audience 'autumn'" in capsys.readouterr().err
    data = asked(["audience", "show", "--config", config], capsys)
    assert [one["name"] for one in data["audiences"]] == ["buy-30d"]


@pytest.mark.parametrize(
    ("gap", "kept", "word"),
    [
        ((0.02, 0.01, 0.03), {}, "partners help"),
        ((0.0, -0.01, 0.01), {"kept": True}, "no significant difference"),
        ((-0.02, -0.03, -0.01), {"kept": True}, "build it without --partner"),
        ((-0.02, -0.03, -0.01), {"kept": False}, "the list is by them"),
    ],
)
def test_the_verdict_says_what_to_do_when_partners_harm(gap, kept, word) -> None:
    report = {
        "name": "buy-30d",
        "target": "buy",
        "days": 30,
        "category": None,
        "tested_from": "2024-01-01",
        "counts": {"floor": 50, "cells": [], "values": [], "epsilon": 0.25},
        "tested": {
            "shoppers": 900,
            "rate": 0.5,
            "auc": (0.7, 0.6, 0.8),
            "common": {
                "shoppers": 9,
                "alone": (0.7,),
                "together": (0.6,),
                "difference": gap,
                **kept,
            },
            "calibration": [],
            "calibration_error": 0.01,
            "lift": [],
        },
    }
    english = SimpleNamespace(pick=lambda text, _: text)
    assert texts(english, report)[1].endswith(word)
