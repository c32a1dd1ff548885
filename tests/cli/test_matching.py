"""``fedguide match`` on stores of three shops."""

import csv
import json
from pathlib import Path

import pytest

from fedguide.cli.app import main


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shops that sell items n to n + 8, under ids and spellings of their own."""
    folder = tmp_path_factory.mktemp("shops")
    for name, first, form in (
        ("a", 0, "Lamp {}"),
        ("b", 3, "LAMP  {}!"),
        ("c", 5, "lamp-{}"),
        ("far", 90, "{}"),
    ):
        place = folder / name
        place.mkdir()
        sold = range(first, first + 9)
        with (place / "items.csv").open("w", newline="", encoding="utf-8") as file:
            rows = [[f"{name}{n}", form.format(n), "", "", 1] for n in sold]
            csv.writer(file).writerows([["item_id", "title", "brand", "category", "price"], *rows])
        with (place / "events.csv").open("w", newline="", encoding="utf-8") as file:
            bought = [["u1", f"{name}{n}", "buy", f"2024-01-{n % 9 + 1:02}"] for n in sold]
            csv.writer(file).writerows([["user_id", "item_id", "kind", "time"], *bought])
    return folder


def command(shops: Path, *names: str) -> list[str]:
    others = [part for name in names for part in ("--with", f"{name}={shops / name}")]
    return ["match", str(shops / "a"), "--name", "a", *others]


def test_three_shops_get_one_number_a_product(
    shops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "matches.csv"
    given = [*command(shops, "b", "c"), "--least", "4", "--out", str(target)]
    assert main([*given, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert [(pair["asker"], pair["asked"], pair["common"]) for pair in data["pairs"]] == [
        ("a", "b", 6),
        ("a", "c", 4),
        ("b", "c", 7),
    ]
    assert data["common_items"] == {"a": 6, "b": 9, "c": 7}
    assert data["products"] == 9
    assert [(line["asked"], line["keys"], line["answered"]) for line in data["attempts"]] == [
        ("b", 9, True),
        ("c", 9, True),
        ("c", 9, True),
    ]
    with target.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    number = {row["item_id"]: row["product"] for row in rows}
    assert len(rows) == 22
    assert number["a5"] == number["b5"] == number["c5"]
    assert number["b11"] == number["c11"]
    assert "a0" not in number
    assert len(set(number.values())) == 9


def test_a_pair_with_too_little_in_common_is_refused(
    shops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(shops, "b", "c"), "--least", "5"]) == 0
    shown = capsys.readouterr().out
    assert "refused" in shown
    assert "Nobody sees an item that is not common" in shown
    assert main([*command(shops, "b", "c"), "--least", "5", "--lang", "zh"]) == 0
    assert "已拒绝" in capsys.readouterr().out
    assert main([*command(shops, "far"), "--least", "1"]) != 0
    assert "no two shops have 1 products in common" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ([], "--with is missing"),
        (["--with", "b"], "--with wants NAME=STORE"),
        (["--with", "a=x"], "each name once and not 'a'"),
    ],
)
def test_wrong_usage(
    extra: list[str], text: str, shops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(shops), *extra]) == 4
    assert text in capsys.readouterr().err


def test_an_unknown_way(shops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(shops, "b"), "--by", "brand"]) == 4
    assert "by must be one of either, gtin, title" in capsys.readouterr().err


def test_the_terms_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for term in ("catalogue-matching", "gtin"):
        assert main(["explain", term, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["data"]["text"]
