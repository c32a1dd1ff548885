"""``fedguide data`` on files a user might bring."""

import json
from pathlib import Path

import pytest

from fedguide.cli.app import main

BAD = """customer,sku,when,phone
a,1,2024-01-01,13800138000
b,,2024-01-02,13800138001
c,4,2044-01-01,13912345678
"""


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    body = json.loads(capsys.readouterr().out)
    assert set(body) == {"ok", "command", "data", "seconds"}
    data: dict[str, object] = body["data"]
    return data


def test_check_names_rows_and_fixes_and_withholds_phones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD, "utf-8")
    assert main(["data", "check", str(path), "--column", "time=when", "--json"]) == 0
    printed = capsys.readouterr().out
    assert "13800138000" not in printed
    (report,) = json.loads(printed)["data"]["reports"]
    assert report["withheld"] == ["phone"]
    by_code = {finding["code"]: finding for finding in report["findings"]}
    assert all(finding["fix"] for finding in report["findings"])
    rows = {row for finding in by_code.values() for row in finding["rows"]}
    assert {2, 3} <= rows


def test_check_of_an_unusable_file_is_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD, "utf-8")
    assert main(["data", "check", str(path), "--lang", "zh"]) == 4
    assert "--column time=when" in capsys.readouterr().out


def test_import_then_profile_of_the_store(
    market_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "shop.duckdb"
    capsys.readouterr()
    source = str(market_folder / "shop1")
    assert main(["data", "import", source, "--out", str(store), "--json"]) == 0
    (made,) = _json(capsys)["stores"]  # type: ignore[misc]
    assert main(["data", "profile", source, "--json"]) == 0
    (from_files,) = _json(capsys)["profiles"]  # type: ignore[misc]
    assert main(["data", "profile", str(store), "--json"]) == 0
    (from_store,) = _json(capsys)["profiles"]  # type: ignore[misc]
    assert made["events"] == from_files["events"] > 0
    assert from_store == from_files
    assert main(["data", "import", source, "--out", str(store)]) == 4
    assert "already there" in capsys.readouterr().err


def test_synth_writes_nothing_over(market_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "synth", "--out", str(market_folder)]) == 4
    assert "is not an empty folder" in capsys.readouterr().err
