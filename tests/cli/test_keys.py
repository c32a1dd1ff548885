"""``fedguide keys``: a key is shown once, listed without its secret, and revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedguide import config
from fedguide.cli.app import main
from fedguide.cli.service import key_book, service_database


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    data: dict[str, object] = json.loads(capsys.readouterr().out)["data"]
    return data


def test_a_key_from_its_making_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    at = ["--config", str(path), "--json"]
    assert main(["keys", "create", "till 1", "--role", "shop", *at]) == 0
    made = told(capsys)
    assert main(["keys", "list", *at]) == 0
    text = capsys.readouterr().out
    assert str(made["id"]) in text
    assert str(made["key"]) not in text
    settings = config.load(path)
    with service_database(settings) as database:
        book = key_book(settings, database)
        assert book.check(str(made["key"])).name == "till 1"
        assert main(["keys", "revoke", str(made["id"]), *at]) == 0
        assert told(capsys)["revoked_s"] is not None
        assert book.still(str(made["id"])) is None
    for private in (settings.home / "keys" / "api.key", settings.home / "serve"):
        assert private.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["create", "x", "--role", "king"], "FG401"),
        (["revoke", "none"], "FG404"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: str
) -> None:
    path = tmp_path / "fedguide.toml"
    path.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    assert main(["keys", *command, "--config", str(path), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
