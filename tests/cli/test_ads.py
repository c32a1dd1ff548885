"""``ads`` on a small run: ranked and labelled, then reported noised, charged and under a floor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedguide.cli import ad_desk
from fedguide.cli.app import main
from fedguide.guide.ad_book import AdBook
from tests.cli.test_privacy import asked


@pytest.fixture
def config(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shared run in a home of its own; a short made-up log."""
    monkeypatch.setattr(ad_desk, "INVENTED_VIEWS", 1800)
    shutil.copytree(trained.parent / "home", tmp_path / "home")
    path = tmp_path / "f.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    return str(path)


def test_ads_are_ranked_labelled_noted_and_forgotten(config, tmp_path, capsys) -> None:
    data = asked(["ads", "rank", "shop1-u00", "--slots", "3", "--config", config], capsys)
    assert data["personal"]
    assert data["synthetic"]
    assert [item["slot"] for item in data["items"]] == [1, 2, 3]
    assert {item["source"] for item in data["items"]} == {"ad"}
    worth = [item["bid_fen"] * item["click_probability"] for item in data["items"]]
    assert worth == sorted(worth, reverse=True)
    with AdBook(tmp_path / "home" / "ads" / "shop1.db") as book:
        assert book.reached(data["items"][0]["ad"])[0] == {"shop1-u00"}
    kept = asked(["shopper", "export", "shop1-u00", "--config", config], capsys)
    assert [view["slot"] for view in kept["ad_views"]] == [1, 2, 3]
    assert kept["audiences"] == []
    gone = asked(["shopper", "delete", "shop1-u00", "--config", config], capsys)
    assert gone["ad_views"] == 3
    assert not [
        path for path in (tmp_path / "home" / "ads").iterdir() if b"shop1-u00" in path.read_bytes()
    ]


def test_who_opted_out_gets_what_nobody_gets(config, capsys) -> None:
    assert main(["shopper", "optout", "shop1-u01", "--config", config]) == 0
    made = []
    for user in (["shop1-u01"], []):
        data = asked(["ads", "rank", *user, "--shop", "shop1", "--config", config], capsys)
        assert not data["personal"]
        made.append([(item["ad"], item["click_probability"]) for item in data["items"]])
    assert made[0] == made[1]
    assert main(["ads", "rank", "--config", config, "--lang", "zh"]) == 0
    assert "对所有人相同" in capsys.readouterr().out


def test_a_report_is_noised_charged_and_floored(config, capsys) -> None:
    data = asked(["ads", "report", "ad-03", "--shop", "shop1", "--config", config], capsys)
    assert set(data["counts"]) == {"shown", "clicked", "bought"}
    # 40 shoppers in all: the floor of 50 lets nothing through but by rare noise, and never less.
    assert all(value is None or value >= 50 for value in data["counts"].values())
    assert data["half_width"] > 30
    assert data["charged"]
    command = ["ads", "report", "ad-03", "--shop", "shop1", "--config", config]
    # Read again it is the same release, and nothing is charged; to somebody else it is none.
    assert asked(command, capsys) == {**data, "charged": False}
    assert main([*command, "--lang", "zh"]) == 0
    assert data["made"] in (said := capsys.readouterr()).err
    assert "本次不记账" in said.err
    assert main([*command, "--recipient", "acme"]) == 4
    assert "--again" in capsys.readouterr().err
    again = asked([*command, "--again", "--recipient", "acme"], capsys)
    assert again["ledger_record"] == data["ledger_record"] + 1
    assert again["recipient"] == "acme"
    assert asked(command, capsys)["ledger_record"] == again["ledger_record"]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["report", "none"], 4, "no ad 'none'"),
        (["rank", "--slots", "0"], 4, "slots must be"),
        (["rank", "--ads", "none.csv"], 4, "no file none.csv"),
        (["report", "ad-01", "--epsilon", "2"], 4, "(0, 1]"),
    ],
)
def test_bad_input(command, code, said, config, capsys) -> None:
    assert main(["ads", *command, "--config", config]) == code
    assert said in capsys.readouterr().err


def test_an_ad_for_what_the_shop_does_not_sell(config, tmp_path, capsys) -> None:
    path = tmp_path / "ads.csv"
    path.write_text("ad_id,item_id,bid,budget\nx,nothing,1,10\n", "utf-8")
    assert main(["ads", "rank", "--ads", str(path), "--config", config]) == 4
    assert "not sold by shop1" in capsys.readouterr().err
    assert main(["serve", "--ads", str(path), "--port", "0", "--config", config]) == 4
    assert "no shop served here sells all items" in capsys.readouterr().err
