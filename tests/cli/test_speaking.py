"""The voice a configuration names, and that its key is shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedguide import config
from fedguide.cli.app import main
from fedguide.cli.speaking import said_of, voice_from
from fedguide.config import VoiceSettings
from fedguide.errors import ConfigError
from fedguide.guide.ask import ask
from fedguide.guide.voice import ENGINE, MODEL, Found, Said
from tests.guide.sample import a_guide

KEY = "sk-not-to-be-seen-4711"
ADDRESS = {"address": "https://model.example", "model": "tiny"}


def test_without_an_address_there_is_no_voice() -> None:
    assert voice_from(config.load(None).voice) is None
    answer = ask(a_guide(), "mug")
    assert said_of(None, answer, "CNY") == Said(answer.said, ENGINE)


def test_a_voice_speaks_of_the_answer() -> None:
    async def model(found: Found) -> Said:
        return Said(f"{found.labels} {found.total}", MODEL)

    answer = ask(a_guide(), "mug under 300")
    said = said_of(model, answer, "CNY")
    assert said == Said(f"('mug', 'up to 300') {answer.total}", MODEL)


def test_the_key_comes_of_a_variable_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDGUIDE_SET__VOICE__KEY", KEY)
    settings = config.load(None)
    assert settings.voice.key.get_secret_value() == KEY
    assert KEY not in repr(settings)
    assert KEY not in settings.model_dump_json()
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="ascii")
    assert voice_from(VoiceSettings.model_validate({**ADDRESS, "key_file": file})) is not None


@pytest.mark.parametrize("content", [None, b"", b"\n", b"x" * 5000, "钥匙".encode()])
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="key_file"):
        voice_from(VoiceSettings.model_validate({**ADDRESS, "key_file": file}))


def test_a_key_and_a_file_are_one_too_many(tmp_path: Path) -> None:
    values = {**ADDRESS, "key": KEY, "key_file": tmp_path / "key"}
    with pytest.raises(ConfigError, match="one of them") as raised:
        voice_from(VoiceSettings.model_validate(values))
    assert KEY not in str(raised.value)


def test_config_show_and_errors_hide_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fedguide.toml"
    file.write_text(f'[voice]\nkey = "{KEY}"\n', encoding="utf-8")
    assert main(["config", "show", "--config", str(file)]) == 0
    assert main(["config", "show", "--json", "--config", str(file)]) == 0
    file.write_text("[voice]\nkey = 4711\n", encoding="utf-8")
    assert main(["config", "show", "--config", str(file)]) == 4
    shown = capsys.readouterr()
    assert "voice.key" in shown.err
    assert "4711" not in shown.out + shown.err
