"""Settings: defaults, the file, variables, and errors that name what is near."""

import re
from pathlib import Path

import pytest

from fedguide import config
from fedguide.errors import ConfigError


def _file(folder: Path, text: str) -> Path:
    path = folder / "fedguide.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file() -> None:
    assert config.load(None).train.rounds == 60


def test_a_variable_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path, "lang = 'zh'\n[serve]\nport = 1\nhost = '127.0.0.2'\n")
    monkeypatch.setenv("FEDGUIDE_SET__SERVE__PORT", "99")
    settings = config.load(path)
    assert (settings.lang, settings.serve.port, settings.serve.host) == ("zh", 99, "127.0.0.2")


def test_the_data_folder_variable_of_the_tests_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEDGUIDE_DATA", "somewhere")
    assert config.load(None).model_dump() == config.Settings().model_dump()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[train]\nround = 3\n", "unknown config key 'train.round'; nearest known key: rounds"),
        ("langg = 'zh'\n", "unknown config key 'langg'; nearest known key: lang"),
        ("[trian]\nrounds = 3\n", "unknown config key 'trian'; nearest known key: train"),
        ("[train]\nrounds = 0\n", "'train.rounds': Input should be greater than or equal to 1"),
        ("lang = 'fr'\n", "'lang': Input should be 'zh' or 'en', got 'fr'"),
        ("lang", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        config.load(_file(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml is not there"):
        config.load(tmp_path / "absent.toml")


def test_the_schema_lists_every_section() -> None:
    assert {"home", "lang", "data", "train", "serve"} <= set(config.schema()["properties"])
