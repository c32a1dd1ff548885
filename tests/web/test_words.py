"""Both languages have the same texts, and the pages use no text that is not there."""

from __future__ import annotations

import re
import string
from importlib import resources

import pytest

from fedguide.web.words import LANGUAGES, load_tables, pick_language, say

TABLES = load_tables()
FOLDER = resources.files("fedguide.web")


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    assert list(TABLES["zh"]) == list(TABLES["en"])


@pytest.mark.parametrize("key", sorted(TABLES["en"]))
def test_both_languages_fill_in_the_same_values(key: str) -> None:
    fields = [
        {name for _, name, _, _ in string.Formatter().parse(TABLES[lang][key]) if name}
        for lang in LANGUAGES
    ]
    assert fields[0] == fields[1]
    assert all(TABLES[lang][key].strip() for lang in LANGUAGES)


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = [*FOLDER.joinpath("templates").iterdir(), *FOLDER.iterdir()]
    code = "\n".join(
        one.read_text("utf-8") for one in sources if one.name.endswith((".py", ".html"))
    )
    named = set(re.findall(r"""(?:\bt|\bsay)\(\s*["']([a-z_]+(?:\.\w+)*)["']\s*[,)]""", code))
    assert named <= set(TABLES["en"])
    # Texts whose key is put together: the kinds of events, of reasons, of errors.
    for key in set(TABLES["en"]) - named:
        assert (
            key in code
            or f'"{key.rpartition(".")[0]}.' in code
            or key.startswith(("kind.", "why.", "error.", "setting."))
        ), key


@pytest.mark.parametrize(
    ("asked", "remembered", "header", "expected"),
    [
        ("zh", "en", "en", "zh"),
        ("en", "zh", "zh", "en"),
        ("", "zh", "en", "zh"),
        ("", "", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "", "fr-FR, en-GB;q=0.8, zh;q=0.5", "en"),
        ("", "", "en;q=0, zh", "zh"),
        ("", "", "fr", "zh"),
        ("", "", "", "zh"),
        ("xx", "<script>", "", "zh"),
    ],
)
def test_the_language_of_a_page(asked: str, remembered: str, header: str, expected: str) -> None:
    assert pick_language(asked, remembered, header, "zh") == expected


def test_a_missing_text_is_a_defect() -> None:
    with pytest.raises(KeyError):
        say(TABLES, "en", "no.such.key")
