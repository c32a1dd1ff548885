"""The words of the pages in Chinese and English: two tables with the same keys.

A text is looked up by key; ``{name}`` in it is filled in. There is no plural machinery: the few
texts that need a singular have a key of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]
Tables: TypeAlias = Mapping[str, Mapping[str, str]]

LANGUAGES: tuple[Language, ...] = ("zh", "en")
HTML_LANG: Mapping[str, str] = {"zh": "zh-CN", "en": "en"}


def load_tables() -> Tables:
    """The texts of every language, by language and key."""
    folder = resources.files("fedguide.web").joinpath("locale")
    return {
        lang: json.loads(folder.joinpath(f"{lang}.json").read_text("utf-8")) for lang in LANGUAGES
    }


def say(tables: Tables, lang: Language, key: str, **values: object) -> str:
    """The text of ``key``, filled in.

    Raises:
        KeyError: no such key, or a value is missing: our defect, found by the tests.
    """
    return tables[lang][key].format(**values)


def pick_language(asked: str, remembered: str, header: str, default: Language) -> Language:
    """The language of a page: asked for in the address, remembered, the browser's, the shop's."""
    for choice in (asked, remembered):
        if choice in LANGUAGES:
            return "zh" if choice == "zh" else "en"
    for part in header.lower().split(","):
        tag, _, quality = part.strip().partition(";")
        if quality.replace(" ", "") in ("q=0", "q=0.0"):
            continue
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return default
