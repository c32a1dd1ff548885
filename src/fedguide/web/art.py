"""Line art for items, drawn by our own code: shops rarely hand over pictures they may share.

The last word of a title that names a drawable thing picks the shape (the head noun stands last
in English and in Chinese); else the category does, from leaf to root; else one of a few plain
shapes. A word that mostly says how a thing is ("light grey", "family pack") is weak: it counts when
nothing else does. The colour is one of ``HUES``, the same for a whole category. The shapes lie in
``drawings.json`` on a 120 x 120 canvas (class ``a`` filled and outlined, ``b`` filled lighter,
``l`` line only) and stand once on a page as ``<symbol>``, so that a card costs about 150 bytes.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from markupsafe import Markup

HUES = 12
"""Number of colour classes ``h0`` … ``h11`` in the style sheet."""

_PLAIN = ("tag", "cube", "waves", "hexagon", "box")
_LATIN_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


@dataclass(frozen=True)
class Vocabulary:
    """The shape of each word, English and Chinese apart."""

    latin: Mapping[str, str]
    han: Mapping[str, str]
    longest_han: int


@dataclass(frozen=True)
class Drawings:
    """All shapes as SVG by name, and the words that call for them."""

    svg: Mapping[str, str]
    words: Vocabulary
    weak: Vocabulary


@dataclass(frozen=True)
class Art:
    """What to draw for one item: the name of a shape and a colour in ``0 … HUES - 1``."""

    shape: str
    hue: int


def load_drawings() -> Drawings:
    """The drawings that come with the package."""
    text = resources.files("fedguide.web").joinpath("drawings.json").read_text("utf-8")
    table = json.loads(text)
    return Drawings(
        svg={name: row["svg"] for name, row in table.items()},
        words=_vocabulary({name: row["words"] for name, row in table.items()}),
        weak=_vocabulary({name: row.get("weak", "") for name, row in table.items()}),
    )


def _vocabulary(lists: Mapping[str, str]) -> Vocabulary:
    shapes = {word: name for name, words in lists.items() for word in words.split()}
    han = {word: name for word, name in shapes.items() if not word.isascii()}
    latin = {word: name for word, name in shapes.items() if word.isascii()}
    return Vocabulary(latin, han, max(map(len, han), default=0))


def art_for(drawings: Drawings, title: str, category: str) -> Art:
    """The drawing for an item; the same texts always give the same drawing."""
    levels = [level.strip() for level in category.split("/") if level.strip()]
    hue = zlib.crc32((levels[-1] if levels else title).casefold().encode()) % HUES
    for vocabulary in (drawings.words, drawings.weak):
        for text in (title, *reversed(levels)):
            shape = _named(vocabulary, text.casefold())
            if shape is not None:
                return Art(shape, hue)
    return Art(_PLAIN[zlib.crc32((category or title).encode()) % len(_PLAIN)], hue)


def symbols(drawings: Drawings, shapes: set[str]) -> Markup:
    """The ``<symbol>`` elements of some shapes, to stand once on a page."""
    return Markup("").join(
        Markup("<symbol id='art-{}' viewBox='0 0 120 120'>{}</symbol>").format(
            name,
            Markup(drawings.svg[name]),  # noqa: S704 - our own file, no outside text in it
        )
        for name in sorted(shapes)
    )


def _named(vocabulary: Vocabulary, text: str) -> str | None:
    """The shape of the last drawable word in case-folded ``text``."""
    best, at = None, -1
    for match in _LATIN_WORD.finditer(text):
        shape = _of_word(vocabulary, match.group())
        if shape is not None:
            best, at = shape, match.end()
    for start in range(len(text)):
        for length in range(min(vocabulary.longest_han, len(text) - start), 0, -1):
            shape = vocabulary.han.get(text[start : start + length])
            if shape is not None and start + length > at:
                best, at = shape, start + length
                break
    return best


def _of_word(vocabulary: Vocabulary, word: str) -> str | None:
    """The shape of an English word, of its singular, or of its last hyphenated part."""
    for form in (word, word.removesuffix("s"), word.removesuffix("es"), word.rpartition("-")[2]):
        if form in vocabulary.latin:
            return vocabulary.latin[form]
    return None
