"""What a language model may say of an answer, and the check that it said no more.

It never learns who asks, what they did, or what they said beyond the catalogue's own words and the
bounds of a price; it never sees an item. It writes a sentence with places in it, ``{wish}``,
``{total}``, ``{1}``, which the engine fills with constraints, the count, and items with their
prices. The sentence is taken only if the rest of it is made of words that claim nothing
(``plain_words``), without a single figure. So no model, however it was trained or attacked, can
name an item, a price or a number that is not the engine's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fedguide.guide.asked import Understood
from fedguide.guide.phrasing import figure, not_applied, pick
from fedguide.guide.plain_words import CHINESE, ENGLISH

ENGINE, MODEL = "engine", "model"
"""Who phrased an answer."""

LONGEST_SENTENCE = 400

_SHOWN = 3
_LONGEST_PLAIN = max(map(len, CHINESE))
_PLACE = re.compile(r"\{(wish|total|[1-9])\}")
_COUNTED = re.compile(
    r"\{total\} ?(?:件|款|个|items?\b|things?\b|products?\b|results?\b|options?\b|match(?:es)?\b)"
)
"""The count must say what it counts: "{1} for {total}" would read as a price."""

_SIGNS = frozenset(" \n,.!?;:'\"()-–—…，。！？；：、（）“”‘’《》")


@dataclass(frozen=True)
class Found:
    """What may be said of an answer.

    Attributes:
        lang: ``zh`` or ``en``.
        labels: the constraints that were understood.
        total: how many items fulfil them all; 0 where nothing does.
        items: the first items as they are named, price included.
        said: the engine's own sentence.
        tail: the engine's words on what was not applied; stays behind whatever is said.
    """

    lang: str
    labels: tuple[str, ...]
    total: int
    items: tuple[str, ...]
    said: str
    tail: str = ""


@dataclass(frozen=True)
class Said:
    """A sentence, who phrased it, and why the model's was not taken (empty where it was)."""

    text: str
    voice: str
    why: str = ""


Voice = Callable[[Found], Awaitable[Said]]
"""Phrases one answer; always gives a sentence."""


def found_of(
    lang: str,
    understood: Sequence[Understood],
    unknown: Sequence[str],
    total: int,
    items: Sequence[tuple[str, float | None]],
    currency: str,
    said: str,
) -> Found:
    """What may be said of an answer; ``items`` are titles and prices, best first."""
    return Found(
        lang,
        tuple(one.label for one in understood),
        total,
        tuple(_named(lang, title, price, currency) for title, price in items[:_SHOWN]),
        said,
        not_applied(unknown, lang),
    )


def spoken(sentence: str, found: Found) -> tuple[str, str]:
    """A model's sentence with its places filled, or an empty text and why it is not taken."""
    sentence = sentence.strip()
    if not 0 < len(sentence) <= LONGEST_SENTENCE:
        return "", f"it has {len(sentence)} characters, 1 to {LONGEST_SENTENCE} are taken"
    places = _PLACE.findall(sentence)
    if not {"wish", "total"} <= set(places):
        return "", "it does not say what was understood and how many items fit"
    if len(_COUNTED.findall(sentence)) != places.count("total"):
        return "", "it does not say what its count counts"
    if any(place.isdigit() and int(place) > len(found.items) for place in places):
        return "", "it names an item that was not found"
    if why := _more_than_plain(unicodedata.normalize("NFKC", _PLACE.sub(" ", sentence))):
        return "", why
    filled = {"wish": pick(found.lang, "，", ", ").join(found.labels), "total": str(found.total)}
    filled |= {str(number): item for number, item in enumerate(found.items, 1)}
    return _PLACE.sub(lambda place: filled[place[1]], sentence) + found.tail, ""


def _more_than_plain(text: str) -> str:
    """Why a text claims something; empty where it cannot."""
    for character in text:
        if character.isnumeric():
            return "it holds a figure of its own"
        if not (character.isalpha() or character in _SIGNS):
            return "it holds a sign that is none of a sentence"
    for word in re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.casefold().replace("’", "'")):
        if not (word in ENGLISH or _is_plain_run(word)):
            return "it holds a word that is not plain"
    return ""


def _is_plain_run(run: str) -> bool:
    """Can a run of characters be laid out with plain words?"""
    reached = {0}
    for stop in range(1, len(run) + 1):
        starts = range(max(0, stop - _LONGEST_PLAIN), stop)
        if any(start in reached and run[start:stop] in CHINESE for start in starts):
            reached.add(stop)
    return len(run) in reached


def _named(lang: str, title: str, price: float | None, currency: str) -> str:
    if price is None:
        return pick(lang, f"“{title}”", f'"{title}"')
    cost = f"{figure(price)} {currency}".strip()
    return pick(lang, f"“{title}”（{cost}）", f'"{title}" ({cost})')
