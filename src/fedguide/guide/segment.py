"""A wish cut into tokens: words of the catalogue, function words, amounts, and the rest.

Of all ways to cut, the one that costs least is taken (a shortest path over the atoms): a phrase of
the catalogue costs less than its words, a word less than a part of one, and what nobody knows costs
most. So "无糖" is a word where the shop sells sugar-free things, and "no sugar" elsewhere.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fedguide.guide.amounts import CURRENCIES, FIGURE, Amount, amount_at
from fedguide.guide.function_words import FILLER, TO, role_table
from fedguide.guide.scripts import SIMPLIFIED, simplified
from fedguide.guide.synonyms import OTHERS
from fedguide.guide.vocabulary import (
    BRAND,
    CATEGORY,
    FEATURE,
    Key,
    Vocabulary,
    beginning,
    closest,
    key_of,
    text_of,
)
from fedguide.models.text import is_run, words

ROLES: Mapping[tuple[str, ...], tuple[str, ...]] = role_table(CURRENCIES)
"""Every function word with its roles."""

_LONGEST_FUNCTION = max(map(len, ROLES))
_WORDY = r"[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_GLUED = "|".join(["ish", *(word for word in CURRENCIES if word.isalpha() and word.isascii())])
_ATOM = re.compile(
    rf"(?:{_GLUED})(?=\d)|(?:{FIGURE})(?:[kw]?(?!{_WORDY})|(?=(?:{_GLUED})(?!{_WORDY})))|{_WORDY}+|[^\s_]|\n"
)

_WITH, _WITH_OUT = re.compile(r"\bw/"), re.compile(r"\bw/o\b")

# What a token costs; see the head of the file. Only their order matters.
_PHRASE, _NAME, _AMOUNT, _FUNCTION, _LATIN_PART = 0.9, 1.0, 1.0, 1.0, 1.0
_FILLER, _WORD, _PART, _SHORT = 1.05, 1.1, 1.3, 1.5
_SYNONYM, _AMOUNT_CUT = 1.25, 1.05
_RUN_CHARACTER, _HEAD, _UNKNOWN, _SHADE = 0.9, 1.9, 2.0, 2.5

_SHORTEST_BEGINNING = 4
"""A word nobody knows must have this many letters to be read as the beginning of another."""

_SHORTEST_HALF = 3
"""Letters of either word of two that were written as one ("giftbox")."""

_SHADES = frozenset("色")
"""What makes a colour of the character before it."""

_COLOURS = frozenset("黑白红橙黄绿青蓝紫灰粉棕金银")
"""Characters that are a colour where no other word goes on behind them ("黑或者白的")."""

_ENDS_A_COLOUR = frozenset("的或和与跟及、也都要就")

_DARK, _LIGHT = frozenset("深墨暗藏炭"), frozenset("浅淡嫩樱亮奶")
_SHADING = _DARK | _LIGHT | frozenset("纯大米雪宝天湖军翠酒玫豆银正全哑海")
"""Characters that say which shade of the colour behind them."""

_SAME_COLOUR = {
    "粉红": "粉",
    "藏青": "蓝",
    "桃红": "粉",
    "玫红": "粉",
    "驼": "棕",
    "咖": "棕",
    "卡其": "黄",
}
"""Names of colours that do not end with the colour they are a shade of."""


@dataclass(frozen=True)
class Term:
    """What a wish says of an item: it holds one of these words.

    Attributes:
        field: ``brand``, ``category`` or ``feature``.
        keys: the words or phrases of the catalogue, any of them.
        text: as the shopper said it.
        slip: is it what the shopper probably meant, not what was said?
    """

    field: str
    keys: tuple[Key, ...]
    text: str
    slip: bool = False

    @property
    def label(self) -> str:
        """The words of the catalogue, for people."""
        return " / ".join(map(text_of, self.keys))


@dataclass(frozen=True)
class Token:
    """A part of a wish; of ``term``, ``amount`` and ``roles`` at most one is there.

    Without any of them nobody knows the text. ``apart`` says that a space stands before it.
    """

    text: str
    term: Term | None = None
    amount: Amount | None = None
    roles: tuple[str, ...] = ()
    apart: bool = False


def atoms_of(text: str) -> list[str]:
    """A text as atoms: characters of runs, words, figures and signs, lower-case."""
    return [atom for atom, _ in _atoms_and_gaps(text)]


def _atoms_and_gaps(text: str) -> list[tuple[str, bool]]:
    """The atoms, each with whether a space stands before it."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _WITH.sub("with ", _WITH_OUT.sub("without ", plain))
    found = _ATOM.finditer(plain)
    return [(match[0], plain[match.start() - 1 : match.start()].isspace()) for match in found]


def segment(vocabulary: Vocabulary, text: str) -> tuple[Token, ...]:
    """The tokens of a wish, in their order."""
    kept = _without_hyphens(_atoms_and_gaps(text))
    atoms = _in_the_shops_script(vocabulary, [atom for atom, _ in kept])
    plain, gaps = [simplified(atom) for atom in atoms], [gap for _, gap in kept]
    count = len(atoms)
    best: list[tuple[float, int, Token | None]] = [(0.0, 0, None)]
    best += [(float("inf"), 0, None)] * count
    for at in range(count):
        for cost, stop, token in _candidates(vocabulary, atoms, plain, at, gaps):
            # Of equal costs the one found first stays: its first tokens are the longer ones.
            if best[at][0] + cost < best[stop][0] - 1e-9:
                best[stop] = (best[at][0] + cost, at, token)
    tokens: list[Token] = []
    at = count
    while at:
        _, before, chosen = best[at]
        if chosen is not None:
            said = text_of(tuple(atom for atom, _ in kept[before:at]))
            tokens.append(replace(chosen, text=said, apart=gaps[before]))
        at = before
    return tuple(_of_that_kind(vocabulary, token) for token in _joined(tokens[::-1]))


def _in_the_shops_script(vocabulary: Vocabulary, atoms: Sequence[str]) -> list[str]:
    """Traditional characters that stand nowhere in the catalogue as their simplified ones."""
    return [
        SIMPLIFIED[atom] if atom in SIMPLIFIED and not len(vocabulary.held((atom,))) else atom
        for atom in atoms
    ]


def _without_hyphens(atoms: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Leaves out signs that are inside a word, such as a hyphen or an apostrophe."""
    kept = []
    for at, (atom, gap) in enumerate(atoms):
        inside = 0 < at < len(atoms) - 1 and not (
            atoms[at - 1][0][0].isdigit() or atoms[at + 1][0][0].isdigit()
        )
        if len(atom) == 1 and not atom.isalnum():
            hyphen = (atom,) in ROLES and TO in ROLES[(atom,)]
            if (hyphen and inside) or (atom,) not in ROLES:
                continue
        kept.append((atom, gap))
    return kept


def _candidates(
    vocabulary: Vocabulary,
    atoms: Sequence[str],
    plain: Sequence[str],
    at: int,
    gaps: Sequence[bool],
) -> Iterator[tuple[float, int, Token]]:
    """What can start at an atom: its cost, where it ends, and the token.

    ``plain`` are the atoms in simplified characters, which the grammar's own words are.
    """
    atom = atoms[at]
    for cost, amount in _amounts(plain, at, gaps):
        stop = at + amount.atoms
        yield cost, stop, Token(text_of(tuple(atoms[at:stop])), amount=amount)
    longest = min(len(atoms), at + max(vocabulary.longest, _LONGEST_FUNCTION))
    for stop in range(longest, at, -1):
        yield from _of_function(plain, at, stop)
        yield from _of_catalogue(vocabulary, atoms, at, stop)
    if is_run(atom):
        yield from _of_character(vocabulary, atoms, at)
        yield from _of_shade(vocabulary, atoms, at)
    yield _UNKNOWN, at + 1, _other(vocabulary, atom)


def _amounts(plain: Sequence[str], at: int, gaps: Sequence[bool]) -> Iterator[tuple[float, Amount]]:
    """The amount at an atom, and in characters the one without the last ("两百三文鱼")."""
    amount = amount_at(plain, at)
    if amount is None:
        return
    if is_run(plain[at]):
        # A space ends a number in characters: "两百 三文鱼".
        inside = range(at + 1, at + amount.atoms)
        cut = next((place for place in inside if gaps[place]), at + amount.atoms)
        shorter = (amount_at(plain[:stop], at) for stop in range(at + 1, cut))
        yield from ((_AMOUNT_CUT, one) for one in shorter if one is not None)
        amount = amount_at(plain[:cut], at)
    if amount is not None:
        yield _AMOUNT, amount


def _of_function(atoms: Sequence[str], at: int, stop: int) -> Iterator[tuple[float, int, Token]]:
    key = tuple(atoms[at:stop])
    roles = ROLES.get(key)
    if roles is None:
        return
    # A single character is a part of many words that are none of the grammar's.
    short = stop - at == 1 and is_run(key[0])
    cost = _SHORT if short else _FILLER if roles == (FILLER,) else _FUNCTION
    yield cost, stop, Token(text_of(key), roles=roles)


def _of_catalogue(
    vocabulary: Vocabulary, atoms: Sequence[str], at: int, stop: int
) -> Iterator[tuple[float, int, Token]]:
    said = text_of(tuple(atoms[at:stop]))
    key = key_of(said)
    if len(key) != stop - at:
        return
    run = is_run(key[0])
    field = vocabulary.known.get(key)
    if field is not None:
        cost = _PHRASE if len(key) > 1 and not run else _SHORT if run and len(key) == 1 else _NAME
        yield cost, stop, Token(said, Term(field, (key,), said))
    elif len(key) > 1 and key in vocabulary.parts:
        fields = {vocabulary.known[whole] for whole in vocabulary.parts[key]}
        part = Term(fields.pop() if len(fields) == 1 else FEATURE, (key,), said)
        yield _PART if run else _LATIN_PART, stop, Token(said, part)
    elif run and len(key) > 1 and len(vocabulary.held(key)):
        yield _RUN_CHARACTER * len(key), stop, Token(said, Term(FEATURE, (key,), said))
    elif not run and len(key) == 1 and len(vocabulary.held(key)):
        longer = beginning(vocabulary, key[0]) if key[0] in vocabulary.bound else ()
        keys = (key, *((word,) for word in longer))
        yield _WORD, stop, Token(said, Term(FEATURE, keys, said))
    elif not run and len(key) == 2 and len(vocabulary.held(("".join(key),))):
        whole = ("".join(key),)
        yield _WORD, stop, Token(said, Term(FEATURE, (whole,), said))
    elif not run and len(key) == 1 and (apart := _apart(vocabulary, key[0])):
        yield _WORD, stop, Token(said, Term(vocabulary.known.get(apart, FEATURE), (apart,), said))
    elif others := _other_names(vocabulary, key):
        field = vocabulary.known.get(others[0], FEATURE)
        yield _SYNONYM, stop, Token(said, Term(field, others, said, slip=True))


def _other_names(vocabulary: Vocabulary, key: Key) -> tuple[Key, ...]:
    """What the catalogue calls a thing that is known by other names; nothing where it has none."""
    others = OTHERS.get(key, ())
    if len(vocabulary.held(key)) or not others:
        return ()
    known = tuple(other for other in others if other in vocabulary.known)
    ending = tuple(
        name
        for name, field in vocabulary.known.items()
        if field == CATEGORY and any(name[-len(other) :] == other for other in others)
    )
    held = (other for other in others if len(vocabulary.held(other)))
    found = known or ending or tuple(itertools.islice(held, 1))
    # Names in the shopper's script come first: the first ones are shown.
    return tuple(sorted(found, key=lambda name: (is_run(name[0]) != is_run(key[0]), name)))


def _apart(vocabulary: Vocabulary, word: str) -> Key:
    """The two words of the shop, side by side, that were written as one; or nothing."""
    cuts = range(_SHORTEST_HALF, len(word) - _SHORTEST_HALF + 1)
    pairs = (key_of(f"{word[:cut]} {word[cut:]}") for cut in cuts)
    return next((pair for pair in pairs if len(vocabulary.held(pair))), ())


def _of_character(
    vocabulary: Vocabulary, atoms: Sequence[str], at: int
) -> Iterator[tuple[float, int, Token]]:
    """A single character: the head of a kind of product (茶 of 绿茶), or a shade (粉色)."""
    atom = atoms[at]
    ending = [key for key in vocabulary.known if key[-1] == atom and is_run(key[0])]
    if at + 1 < len(atoms) and atoms[at + 1] in _SHADES:
        shades = tuple(k for k in ending if vocabulary.known[k] == FEATURE and len(k) <= 3)
        said = text_of((atom, atoms[at + 1]))
        if shades:
            yield _PART, at + 2, Token(said, Term(FEATURE, shades, said))
        else:
            yield _SHADE, at + 2, Token(said)
        return
    behind = atoms[at + 1] if at + 1 < len(atoms) else ""
    if atom in _COLOURS and (behind in _ENDS_A_COLOUR or not is_run(behind[:1] or " ")):
        named = ending + [key for key in ((atom, "色"),) if key in vocabulary.known]
        shades = tuple(k for k in named if vocabulary.known[k] == FEATURE and len(k) <= 3)
        if shades:
            yield _HEAD, at + 1, Token(atom, Term(FEATURE, shades, atom))
    kinds = tuple(key for key in ending if vocabulary.known[key] == CATEGORY)
    # A doubled character is a word of its own: 宝宝 is no 充电宝.
    if kinds and atom not in (*atoms[max(at - 1, 0) : at], *atoms[at + 1 : at + 2]):
        yield _HEAD, at + 1, Token(atom, Term(CATEGORY, kinds, atom))


def _of_shade(
    vocabulary: Vocabulary, atoms: Sequence[str], at: int
) -> Iterator[tuple[float, int, Token]]:
    """Shades that the shop has under another name of the same colour: 藏青 for 海军蓝."""
    for stop in range(at + 2, min(at + 5, len(atoms) + 1)):
        said = "".join(atoms[at:stop])
        name = said.removesuffix("色")
        if set(name) <= _COLOURS and len(name) > 1 and name not in _SAME_COLOUR:
            shades = _shades(vocabulary, name)
            if len(shades) > 1:
                yield _PART, stop, Token(said, Term(FEATURE, shades, said, slip=True))
            continue
        colour = _SAME_COLOUR.get(name) or (
            name[-1:] if set(name[:-1]) <= _SHADING and name[-1:] in _COLOURS else ""
        )
        if not colour or len(vocabulary.held(tuple(name))):
            continue
        other = _LIGHT if name[0] in _DARK else _DARK if name[0] in _LIGHT else frozenset[str]()
        shades = tuple(key for key in _shades(vocabulary, colour) if key[0] not in other)
        if shades:
            yield _PART, stop, Token(said, Term(FEATURE, shades, said, slip=True))


def _shades(vocabulary: Vocabulary, colours: str) -> tuple[Key, ...]:
    """The shop's shades of these colours: 黑色 and 白色 for "黑白"."""
    return tuple(
        key
        for key, field in vocabulary.known.items()
        if field == FEATURE
        and 1 < len(key) <= 3
        and "".join(key).removesuffix("色")[-1:] in tuple(colours)
    )


def _other(vocabulary: Vocabulary, atom: str) -> Token:
    """A word nobody knows, or what it is a slip of."""
    if is_run(atom):
        return Token(atom)
    folded = words(atom)
    near = _meant(vocabulary, folded[0]) if folded else ""
    if not near:
        return Token(atom)
    field = BRAND if vocabulary.known.get((near,)) == BRAND else FEATURE
    return Token(atom, Term(field, ((near,),), atom, slip=True))


def _meant(vocabulary: Vocabulary, word: str) -> str:
    """The shop's word that a slip is close to, or the only one that begins so ("refurb")."""
    longer = beginning(vocabulary, word) if len(word) >= _SHORTEST_BEGINNING else ()
    return closest(vocabulary, word) or (longer[0] if len(longer) == 1 else "")


def _joined(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Neighbouring characters that nobody knows are one text, and so is a head behind them."""
    joined: list[Token] = []
    for token in tokens:
        stranger = _nobody_knows(token) or (len(token.text) == 1 and token.term is not None)
        if joined and stranger and is_run(token.text) and _is_strange_run(joined[-1]):
            joined[-1] = Token(joined[-1].text + token.text)
        elif joined and _nobody_knows(token) and _nobody_knows(joined[-1]):
            joined[-1] = Token(text_of((joined[-1].text, token.text)))
        else:
            joined.append(token)
    return tuple(joined)


def _of_that_kind(vocabulary: Vocabulary, token: Token) -> Token:
    """A strange run that shares most characters with a kind's name, in its order and to its end.

    So "跑步鞋" is meant for 越野跑鞋, as a slip that the answer shows.
    """
    if not (_is_strange_run(token) and is_run(token.text[0]) and len(token.text) > 2):
        return token
    said = "".join(_in_the_shops_script(vocabulary, token.text))
    kinds = tuple(
        key
        for key, field in vocabulary.known.items()
        if field == CATEGORY and key[-1] == said[-1] and _shares_most(said, key)
    )
    return Token(token.text, Term(CATEGORY, kinds, token.text, slip=True)) if kinds else token


def _shares_most(said: str, name: Key) -> bool:
    rest = iter(name)
    shared = sum(character in rest for character in said if character in name)
    return 2 * shared > len(said)


def _is_strange_run(token: Token) -> bool:
    return _nobody_knows(token) and is_run(token.text[-1])


def _nobody_knows(token: Token) -> bool:
    return token.term is None and token.amount is None and not token.roles
