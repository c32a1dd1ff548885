"""The words a catalogue is made of: what a wish can ask of this shop, whatever it sells.

Nothing is listed by hand. Levels of categories and brands are words as they stand; the words of
titles are found by how they are used:

* a run of Chinese characters is a word when what stands before and behind it varies (accessor
  variety; Feng, Chen, Deng and Zheng, "Accessor Variety Criteria for Chinese Word Extraction",
  2004, section 3), and it is not made of shorter words;
* neighbouring Latin words are one phrase when they are hyphenated, or one hardly ever stands
  without the other ("dark roast").
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.search import Lexicon, holders, spans
from fedguide.models.text import is_run, words, words_of_all
from fedguide.values import Catalogue

Key = tuple[str, ...]
"""A word or phrase: Chinese characters one by one, other words whole and folded."""

BRAND, CATEGORY, FEATURE = "brand", "category", "feature"
"""Where a word stands: it is a brand, a level of a category, or stands in titles."""

_LONGEST_RUN = 6
"""Characters of the longest word that is looked for in runs."""

_READ_CHARACTERS = 200_000
"""Runs are read up to this many characters: what they have in common shows long before."""

_READ_TITLES = 20_000
_LEAST, _BOUND = 3, 0.9
"""A pair of words is a phrase when it stands this often, in this part of all that one has."""

_NEAR = 0.84
_HYPHENATED = re.compile(r"[^\W_]+(?:-[^\W_]+)+")
_REMEMBERED = 4096


@dataclass(frozen=True)
class Vocabulary:
    """The words of one shop.

    Attributes:
        known: the field of each word and phrase that is more than one atom, or a brand or category.
        parts: phrases that hold this one as a part; of two atoms and more.
        members: rows of each brand and category level, by field and word.
        bound: Latin words that only stand inside a phrase.
        longest: atoms of the longest phrase.
        held: rows of the items whose text holds a word or phrase, ascending.
        latin: every Latin word of the shop, by its first character.
    """

    known: Mapping[Key, str]
    parts: Mapping[Key, tuple[Key, ...]]
    members: Mapping[tuple[str, Key], NDArray[np.int32]]
    bound: frozenset[str]
    longest: int
    held: Callable[[Key], NDArray[np.int32]]
    latin: Mapping[str, tuple[str, ...]]


def build_vocabulary(
    catalogue: Catalogue, lexicon: Lexicon, function_words: Iterable[Key] = ()
) -> Vocabulary:
    """Finds the words of a catalogue; no phrase begins or ends with a function word."""
    members = {
        **_members(catalogue.categories, CATEGORY),
        **_members(catalogue.brands, BRAND),
    }
    known = {key: field for field, key in members}
    silent = frozenset(key[0] for key in function_words if len(key) == 1)
    titles = list(dict.fromkeys(catalogue.titles))[:_READ_TITLES]
    streams = [words(title) for title in titles]
    _add(known, _hyphenated(titles))
    longest = max(map(len, known), default=1)
    rest = [part for stream in streams for part in _without(stream, known, longest)]
    _add(known, (_trimmed(phrase, silent) for phrase in _collocations(rest)))
    runs = (word for stream in streams for word in stream if is_run(word))
    for run in _words_in_runs(Counter(runs), known):
        known.setdefault(run, FEATURE)
    latin: dict[str, list[str]] = defaultdict(list)
    for term in lexicon.numbers:
        if not is_run(term):
            latin[term[0]].append(term)
    return Vocabulary(
        known=known,
        parts=_parts(known),
        members=members,
        bound=_bound_words(streams, known),
        longest=max(map(len, known), default=1),
        held=lru_cache(_REMEMBERED)(lambda key: _held(catalogue, lexicon, key)),
        latin={first: tuple(some) for first, some in latin.items()},
    )


def key_of(text: str) -> Key:
    """A text as atoms: the characters of runs, other words folded."""
    return tuple(atom for word in words(text) for atom in (word if is_run(word) else (word,)))


def text_of(key: Key) -> str:
    """The atoms as a text, for people: characters without spaces, words with."""
    text = ""
    for atom in key:
        text += atom if not text or is_run(atom) or is_run(text[-1]) else f" {atom}"
    return text


def names_of(text: str) -> tuple[Key, ...]:
    """The names in a text that may be bilingual: "云步 Cloudstep" has one of each script."""
    names: dict[bool, list[str]] = {True: [], False: []}
    for chunk in text.split():
        atoms = key_of(chunk)
        names[any(map(is_run, atoms))].extend(atoms)
    return tuple(tuple(name) for name in names.values() if name)


def title_words(vocabulary: Vocabulary, title: str) -> list[Key]:
    """The words of a title that are no brand and no level of a category, each once."""
    atoms = key_of(title)
    found: dict[Key, None] = {}
    at = 0
    while at < len(atoms):
        longest = min(len(atoms), at + vocabulary.longest)
        stop = next((s for s in range(longest, at, -1) if atoms[at:s] in vocabulary.known), 0)
        key = atoms[at : stop or at + 1]
        if vocabulary.known.get(key, FEATURE) == FEATURE and (stop or not is_run(key[0])):
            found[key] = None
        at = stop or at + 1
    return list(found)


def closest(vocabulary: Vocabulary, word: str) -> str:
    """The word of the shop that this one is a slip of; empty when none is close."""
    if len(word) < 5:
        return ""
    near = [w for w in vocabulary.latin.get(word[0], ()) if abs(len(w) - len(word)) <= 1]
    found = difflib.get_close_matches(word, near, n=1, cutoff=_NEAR)
    return found[0] if found else ""


def beginning(vocabulary: Vocabulary, word: str) -> tuple[str, ...]:
    """Longer words of the shop that begin with this one: "lightweight" for "light"."""
    if len(word) < 4:
        return ()
    some = vocabulary.latin.get(word[0], ())
    return tuple(term for term in some if term.startswith(word) and len(term) > len(word) + 2)


def _members(column: Sequence[str], field: str) -> dict[tuple[str, Key], NDArray[np.int32]]:
    """Rows of each name in a column; a category's levels are names each."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(column):
        if text:
            rows[text].append(row)
    named: dict[tuple[str, Key], list[int]] = defaultdict(list)
    for text, some in rows.items():
        levels = text.split("/") if field == CATEGORY else (text,)
        for name in {name for level in levels for name in names_of(level)}:
            named[field, name].extend(some)
    return {name: np.array(sorted(some), np.int32) for name, some in named.items()}


def _hyphenated(titles: Sequence[str]) -> set[Key]:
    found = (match for title in titles for match in _HYPHENATED.findall(title.casefold()))
    return {key_of(match) for match in found}


def _collocations(streams: Sequence[Sequence[str]]) -> set[Key]:
    """Phrases of Latin words one of which hardly ever stands without the other."""
    counts: Counter[str] = Counter(word for stream in streams for word in stream)
    pairs: Counter[tuple[str, str]] = Counter(
        pair for stream in streams for pair in _neighbours(stream)
    )
    bound = {
        (a, b)
        for (a, b), times in pairs.items()
        if times >= _LEAST
        and not (is_run(a) or is_run(b))
        and times >= _BOUND * min(counts[a], counts[b])
    }
    phrases: Counter[Key] = Counter(run for stream in streams for run in _chains(stream, bound))
    return {phrase for phrase, times in phrases.items() if times >= _LEAST}


def _without(stream: Sequence[str], known: Mapping[Key, str], longest: int) -> list[list[str]]:
    """What is left of a title between the phrases that are known: "green" of "green tea" is not."""
    parts: list[list[str]] = [[]]
    at = 0
    while at < len(stream):
        for stop in range(min(len(stream), at + longest), at + 1, -1):
            if tuple(stream[at:stop]) in known:
                parts.append([])
                at = stop
                break
        else:
            parts[-1].append(stream[at])
            at += 1
    return [part for part in parts if part]


def _neighbours(stream: Sequence[str]) -> list[tuple[str, str]]:
    return list(pairwise(stream))


def _chains(stream: Sequence[str], bound: AbstractSet[tuple[str, str]]) -> Iterable[Key]:
    """The longest runs of a stream whose neighbours are all bound."""
    run: list[str] = []
    for word in stream:
        if run and (run[-1], word) not in bound:
            if len(run) > 1:
                yield tuple(run)
            run = []
        run.append(word)
    if len(run) > 1:
        yield tuple(run)


def _add(known: dict[Key, str], phrases: Iterable[Key]) -> None:
    for phrase in phrases:
        if len(phrase) > 1:
            known.setdefault(phrase, FEATURE)


def _trimmed(phrase: Key, silent: frozenset[str]) -> Key:
    start, stop = 0, len(phrase)
    while start < stop and phrase[start] in silent:
        start += 1
    while start < stop and phrase[stop - 1] in silent:
        stop -= 1
    return phrase[start:stop]


def _words_in_runs(runs: Mapping[str, int], known: Mapping[Key, str]) -> list[Key]:
    """The words that runs of characters are made of, found by accessor variety."""
    before: dict[str, set[str]] = defaultdict(set)
    behind: dict[str, set[str]] = defaultdict(set)
    times: Counter[str] = Counter()
    # A name of one character is a part of too many words to be cut out of them.
    whole = ("".join(key) for key in known if is_run(key[0]) and len(key) > 1)
    names = sorted(whole, key=len, reverse=True)
    named = re.compile("|".join(map(re.escape, names)) or r"(?!)")
    read = 0
    pieces = ((piece, often) for text, often in runs.items() for piece in named.split(text))
    for run, often in pieces:
        read += len(run)
        if read > _READ_CHARACTERS:
            break
        for start in range(len(run)):
            for stop in range(start + 2, min(start + _LONGEST_RUN, len(run)) + 1):
                part = run[start:stop]
                times[part] += often
                before[part].add(run[start - 1] if start else "")
                behind[part].add(run[stop] if stop < len(run) else "")
    found: set[str] = set()
    opens: set[str] = set()
    ends: set[str] = set()
    for part in sorted(times, key=len):
        varied = all("" in some or len(some) > 1 for some in (before[part], behind[part]))
        if times[part] > 1 and varied and not _is_made_of(part, found, opens, ends):
            found.add(part)
            opens |= {part[:stop] for stop in range(1, len(part) + 1)}
            ends |= {part[start:] for start in range(len(part))}
    return [tuple(word) for word in sorted(found)]


def _is_made_of(part: str, found: set[str], opens: set[str], ends: set[str]) -> bool:
    """Is it the end of a word, words, and the beginning of another, one after the other?"""
    reached = {0, *(at for at in range(1, len(part)) if part[:at] in ends)}
    for stop in range(2, len(part) + 1):
        if any(part[at:stop] in found for at in reached if at < stop):
            reached.add(stop)
    return any(part[at:] in opens or at == len(part) for at in reached if at)


def _parts(known: Mapping[Key, str]) -> dict[Key, tuple[Key, ...]]:
    held: dict[Key, list[Key]] = defaultdict(list)
    for key in known:
        for start in range(len(key)):
            for stop in range(start + 2, len(key) + 1):
                if stop - start < len(key):
                    held[key[start:stop]].append(key)
    return {part: tuple(keys) for part, keys in held.items()}


def _bound_words(streams: Sequence[Sequence[str]], known: Mapping[Key, str]) -> frozenset[str]:
    """Latin words of titles that never stand outside a phrase of titles."""
    phrases: dict[str, list[Key]] = defaultdict(list)
    for key, field in known.items():
        if len(key) > 1 and field == FEATURE and not is_run(key[0]):
            phrases[key[0]].append(key)
    inside: set[str] = set()
    free: set[str] = set()
    for stream in streams:
        covered = -1
        for at, word in enumerate(stream):
            for key in phrases.get(word, ()):
                if tuple(stream[at : at + len(key)]) == key:
                    covered = max(covered, at + len(key) - 1)
            (inside if at <= covered else free).add(word)
    return frozenset(word for word in inside - free if not is_run(word))


def _held(catalogue: Catalogue, lexicon: Lexicon, key: Key) -> NDArray[np.int32]:
    """Rows of the items whose title, brand or category holds these atoms, one after the other."""
    pairs = [a + b for a, b in _neighbours(key) if is_run(a) and is_run(b)]
    rows = holders(lexicon, key[0])
    for term in (*pairs, *key[1:]):
        rows = np.intersect1d(rows, holders(lexicon, term), assume_unique=True)
    if not len(rows) or len(key) == 1 or (len(key) == 2 and pairs):
        return rows
    held = np.zeros(len(rows), np.bool_)
    for column in (catalogue.titles, catalogue.brands, catalogue.categories):
        texts = list(dict.fromkeys(column[row] for row in rows.tolist()))
        holding = {texts[at] for at in np.flatnonzero(_stand_together(texts, key)).tolist()}
        held |= np.array([column[row] in holding for row in rows.tolist()], np.bool_)
    return rows[held]


def _stand_together(texts: Sequence[str], key: Key) -> NDArray[np.bool_]:
    """Which texts hold all atoms of a phrase one after the other, ``(len(texts),)``."""
    found, which, text = words_of_all(texts)
    numbers = {atom: number for number, atom in enumerate(dict.fromkeys(key))}
    spelled = [[numbers.get(a, -1) for a in (w if is_run(w) else (w,))] for w in found]
    widths = np.array([len(some) for some in spelled], np.int64)
    flat = np.fromiter((number for some in spelled for number in some), np.int64)
    atoms, owner = flat[spans(widths, which)], np.repeat(text, widths[which])
    starts = max(len(atoms) - len(key) + 1, 0)
    here = owner[:starts] == owner[len(owner) - starts :]
    for at, atom in enumerate(key):
        here &= atoms[at : at + starts] == numbers[atom]
    held = np.zeros(len(texts), np.bool_)
    held[owner[:starts][here]] = True
    return held
