"""From the tokens of a wish to what it asks for.

The rules are few and say the same in both languages:

* an amount is a price when something bounds it (under, 以内, between, 左右) or names a currency; an
  amount that only names a currency, or stands "around", means 20 % to either side; one that a
  measure follows (3-6岁, 2 people) is none;
* a refusal (not, 不要, without) reaches the next word of the catalogue, and over "and"/"or" to the
  words that follow; where none follows in its part of the wish, the word before ("黑色的不要");
* "or" joins the words on its sides; "and" does so only where no item is both;
* a category that other categories' names end with ("food" of "cat food") is read as these where
  the rest of the wish leaves nothing of it;
* a word that is a mere part of another kind's name ("bottle" of "baby bottle") and leaves nothing
  of what else is wanted is said to be unknown;
* everything else that is said of an item must hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.admission import rows_of
from fedguide.guide.amounts import CURRENCIES, Amount, unit_of
from fedguide.guide.function_words import (
    ABOUT,
    AND,
    AND_ODD,
    AND_SOME,
    ANY,
    AT_LEAST,
    AT_MOST,
    BETWEEN,
    BETWEEN_AFTER,
    BREAK,
    BUT,
    CHEAP,
    CURRENCY,
    DEAR,
    EITHER,
    EXCEPT_AFTER,
    EXCEPT_END,
    FILLER,
    MEASURES,
    NOT,
    OR,
    OR_A_BIT,
    OR_LESS,
    OR_MORE,
    OR_SO,
    OTHERS,
    RATED,
    SORTS,
    TO,
    VAGUE,
    WITHOUT_AFTER,
)
from fedguide.guide.scripts import simplified
from fedguide.guide.segment import Term, Token, segment
from fedguide.guide.vocabulary import BRAND, CATEGORY, FEATURE, Vocabulary, key_of
from fedguide.guide.wish import Wanted, Wish
from fedguide.models.text import is_run

AROUND = 0.2
"""How far from an amount is still about it."""

_FLIPPED = {AT_MOST: AT_LEAST, AT_LEAST: AT_MOST}
_AFTER = {OR_LESS: AT_MOST, OR_MORE: AT_LEAST, OR_SO: ABOUT, OR_A_BIT: OR_A_BIT}
_EXTREME = {AT_MOST: DEAR, AT_LEAST: CHEAP}
_WITHIN = {AND_SOME: ABOUT, AND_ODD: AND_ODD}


@dataclass
class _Reading:
    """What has been read so far; lives as long as one call of ``understand``."""

    wants: list[list[Term]] = field(default_factory=list)
    linked: list[bool] = field(default_factory=list)
    refusals: list[Term] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    joint: str = ""
    refusing: bool = False
    refused_last: bool = False
    wide: bool = False


def understand(vocabulary: Vocabulary, text: str) -> Wish:
    """What a text asks for; any text can be read, and what was not understood is in ``unknown``."""
    tokens = _with_quantities(vocabulary, segment(vocabulary, text))
    wish, tokens = _prices(vocabulary, tokens)
    reading = _Reading()
    sort = ""
    for at, token in enumerate(tokens):
        roles = _here(tokens, at)
        if token.term is not None:
            _take(vocabulary, reading, token.term)
        elif not roles:
            _take_unknown(reading, token.text)
        elif VAGUE in roles:
            reading.unknown.append(token.text)
        elif set(SORTS) & set(roles):
            if reading.refusing:
                reading.unknown.append(token.text)
            else:
                sort = next(role for role in SORTS if role in roles)
            reading.refusing = False
        else:
            _turn(vocabulary, reading, roles)
    wants, strange = _that_fit(vocabulary, _narrowed(vocabulary, _merged(reading.wants)))
    reading.unknown += strange
    return replace(
        wish,
        wants=wants,
        refusals=tuple(Wanted((term,)) for term in dict.fromkeys(reading.refusals)),
        sort=sort,
        unknown=tuple(dict.fromkeys(reading.unknown)),
        content=" ".join(reading.content),
    )


def _turn(vocabulary: Vocabulary, reading: _Reading, roles: tuple[str, ...]) -> None:
    """What a function word changes for the words that follow (or precede) it."""
    if NOT in roles:
        reading.refusing, reading.joint = True, ""
    elif BUT in roles and reading.wide:
        reading.refusing, reading.wide = True, False
    elif ANY in roles:
        reading.wide = True
    elif EXCEPT_AFTER in roles or WITHOUT_AFTER in roles:
        if not reading.refused_last:
            _refuse_last(reading)
        reading.refusing = reading.refused_last = False
    elif BREAK in roles:
        reading.refusing = reading.refused_last = reading.wide = False
        reading.joint = ""
    elif EITHER in roles:
        _join_either(vocabulary, reading)
    elif OR in roles or AND in roles:
        reading.joint = OR if OR in roles else AND
        reading.refusing = reading.refusing or reading.refused_last


def _join_either(vocabulary: Vocabulary, reading: _Reading) -> None:
    """Makes one want of the last ones that no item is at once ("浅灰白色都可以")."""
    while len(reading.wants) > 1:
        before, last = reading.wants[-2:]
        alike = {term.field for term in (*before, *last)}
        if len(alike) > 1 or CATEGORY in alike or not _never_both(vocabulary, before[-1], last[0]):
            return
        reading.wants[-2:] = [[*before, *last]]
        reading.linked.pop()


def _refuse_last(reading: _Reading) -> None:
    """Refuses what was wanted last, with all that "and" joined to it ("鸡肉和三文鱼的都不要")."""
    linked = True
    while reading.wants and linked:
        terms, linked = reading.wants.pop(), reading.linked.pop()
        reading.refusals += terms
        reading.content = reading.content[: -len(terms)]


def _take(vocabulary: Vocabulary, reading: _Reading, term: Term) -> None:
    """A word of the catalogue: wanted, refused, or one more of those before it."""
    if reading.refusing:
        reading.refusals.append(term)
        reading.refusing, reading.refused_last = False, True
    else:
        reading.content.append(term.text)
        last = reading.wants[-1] if reading.wants else None
        if last is not None and (
            reading.joint == OR
            or (reading.joint == AND and _never_both(vocabulary, last[-1], term))
        ):
            last.append(term)
        else:
            reading.wants.append([term])
            reading.linked.append(reading.joint == AND)
        reading.refused_last = False
    reading.joint = ""


def _take_unknown(reading: _Reading, text: str) -> None:
    reading.unknown.append(text)
    if not reading.refusing:
        reading.content.append(text)
    reading.refused_last = reading.refusing
    reading.refusing, reading.joint = False, ""


def _never_both(vocabulary: Vocabulary, one: Term, other: Term) -> bool:
    """Is no item of the shop both?"""
    ones, others = (
        np.concatenate([vocabulary.held(key) for key in term.keys]) for term in (one, other)
    )
    return not np.isin(ones, others).any()


def _merged(wants: Sequence[Sequence[Term]]) -> tuple[Wanted, ...]:
    """The wants; an item has one brand, so several brands are one want of any of them."""
    merged: list[Wanted] = []
    brands: list[Term] = []
    for terms in wants:
        if all(term.field == BRAND for term in terms):
            brands += terms
        else:
            merged.append(Wanted(tuple(dict.fromkeys(terms))))
    if brands:
        merged.insert(0, Wanted(tuple(dict.fromkeys(brands))))
    return tuple(dict.fromkeys(merged))


def _narrowed(vocabulary: Vocabulary, wants: tuple[Wanted, ...]) -> tuple[Wanted, ...]:
    """The wants, a category read as those whose names it ends where nothing is all of them."""
    if len(wants) < 2 or _fit_together(vocabulary, wants):
        return wants
    for at, wanted in enumerate(wants):
        read = tuple(_ending_in(vocabulary, term) for term in wanted.terms)
        narrowed = (*wants[:at], Wanted(read), *wants[at + 1 :])
        if read != wanted.terms and _fit_together(vocabulary, narrowed):
            return narrowed
    return wants


def _that_fit(
    vocabulary: Vocabulary, wants: tuple[Wanted, ...]
) -> tuple[tuple[Wanted, ...], list[str]]:
    """The wants without a mere part of a kind's name, or a slip, that nothing else goes with.

    Gives what is left and the texts that were taken out.
    """
    if len(wants) < 2 or _fit_together(vocabulary, wants):
        return wants, []
    for at, wanted in enumerate(wants):
        left = (*wants[:at], *wants[at + 1 :])
        beside = any(
            term.field == CATEGORY and set(term.keys) <= set(vocabulary.known)
            for other in left
            for term in other.terms
        )
        mere = _never_of_the_kind(vocabulary, wanted, left) or (
            beside
            and all(_is_head(term) or _is_mere_part(vocabulary, term) for term in wanted.terms)
        )
        if mere and _fit_together(vocabulary, left):
            return left, [term.text for term in wanted.terms]
    return wants, []


def _never_of_the_kind(vocabulary: Vocabulary, wanted: Wanted, others: Sequence[Wanted]) -> bool:
    """Is it no name of the shop as it was said, and of other shelves than a kind that is wanted?"""
    if not all(term.field == FEATURE and _is_guessed(vocabulary, term) for term in wanted.terms):
        return False
    held = np.concatenate([vocabulary.held(key) for term in wanted.terms for key in term.keys])
    kinds = [other for other in others if all(term.field == CATEGORY for term in other.terms)]
    return any(not np.isin(held, _shelf_of(vocabulary, kind)).any() for kind in kinds)


def _shelf_of(vocabulary: Vocabulary, kind: Wanted) -> NDArray[np.int32]:
    """Rows of the items beside a kind: of the smallest category that holds more than it."""
    rows = np.concatenate(
        [rows_of(vocabulary, CATEGORY, key) for term in kind.terms for key in term.keys]
    )
    wider = [
        some
        for (field, _), some in vocabulary.members.items()
        if field == CATEGORY and len(some) > len(rows) and np.isin(rows, some).all()
    ]
    return min(wider, key=len, default=rows)


def _is_guessed(vocabulary: Vocabulary, term: Term) -> bool:
    """Was something else said, or a part of a name alone ("敏感" of "敏感肌")?"""
    key = term.keys[0]
    part = key not in vocabulary.known and (is_run(key[0]) or key[0] in vocabulary.bound)
    return term.slip or part


def _is_head(term: Term) -> bool:
    """Is it one character, read as the end of a kind's name ("油" of 橄榄油)?"""
    return term.field == CATEGORY and len(term.text) == 1 and len(term.keys[0]) > 1


def _is_mere_part(vocabulary: Vocabulary, term: Term) -> bool:
    """Is it what stands in names of kinds alone, and is no name itself?"""
    key = term.keys[0]
    if len(term.keys) > 1 or key in vocabulary.known:
        return False
    names = [name for name, field in vocabulary.known.items() if field == CATEGORY]
    inside = [rows_of(vocabulary, CATEGORY, name) for name in names if set(key) <= set(name)]
    return bool(inside) and bool(np.isin(vocabulary.held(key), np.concatenate(inside)).all())


def _fit_together(vocabulary: Vocabulary, wants: Sequence[Wanted]) -> bool:
    """Is some item of the shop all that is wanted?"""
    rows: NDArray[np.int32] | None = None
    for wanted in wants:
        some = [rows_of(vocabulary, term.field, key) for term in wanted.terms for key in term.keys]
        any_of = np.unique(np.concatenate(some))
        rows = any_of if rows is None else np.intersect1d(rows, any_of, assume_unique=True)
    return rows is None or len(rows) > 0


def _ending_in(vocabulary: Vocabulary, term: Term) -> Term:
    """A category as the longer names it is the end of; any other term as it is."""
    ends = {key: len(key) for key in term.keys}
    longer = tuple(
        name
        for field, name in vocabulary.members
        if field == CATEGORY and any(name != e and name[-n:] == e for e, n in ends.items())
    )
    return replace(term, keys=longer) if term.field == CATEGORY and longer else term


def _here(tokens: Sequence[Token], at: int) -> tuple[str, ...]:
    """The roles a token can have where it stands."""
    roles = tokens[at].roles
    if NOT in roles and (_ends_its_part(tokens, at) or _hangs_on(tokens, at)):
        return (FILLER,) if _is_of_others(tokens, at) else (EXCEPT_AFTER,)
    if EXCEPT_AFTER in roles and (_is_of_others(tokens, at) or not _follows_a_term(tokens, at)):
        return (FILLER,)
    if EXCEPT_END in roles:
        return (EXCEPT_AFTER,) if any(NOT in token.roles for token in tokens[:at]) else ()
    if WITHOUT_AFTER in roles and (at == 0 or tokens[at - 1].term is None):
        return (FILLER,)
    return roles


def _ends_its_part(tokens: Sequence[Token], at: int) -> bool:
    """Does a refusal stand behind a word, with nothing left to refuse before the next break?"""
    before = next((t for t in reversed(tokens[:at]) if FILLER not in t.roles), None)
    if before is None or before.term is None:
        return False
    behind = next((t for t in tokens[at + 1 :] if FILLER not in t.roles), None)
    return behind is None or BREAK in behind.roles


def _follows_a_term(tokens: Sequence[Token], at: int) -> bool:
    """Does a word of the catalogue stand before it, fillers aside?"""
    before = next((t for t in reversed(tokens[:at]) if FILLER not in t.roles), None)
    return before is not None and before.term is not None


def _is_of_others(tokens: Sequence[Token], at: int) -> bool:
    """Does a refusal behind a word speak of all others ("灶台记，别的牌子不要")?"""
    for token in reversed(tokens[:at]):
        if simplified(token.text) in OTHERS:
            return True
        if FILLER not in token.roles:
            return False
    return False


def _hangs_on(tokens: Sequence[Token], at: int) -> bool:
    """Is a refusal written onto the word before it, and a space behind it ("沐野不要 控油")?"""
    before, start = at - 1, at
    while before >= 0 and FILLER in tokens[before].roles and not tokens[start].apart:
        before, start = before - 1, before
    hung = before >= 0 and tokens[before].term is not None and not tokens[start].apart
    behind = tokens[at + 1] if at + 1 < len(tokens) else None
    return hung and behind is not None and behind.apart and is_run(tokens[at].text[0])


def _with_quantities(vocabulary: Vocabulary, tokens: Sequence[Token]) -> list[Token]:
    """The tokens, an amount or range with its measure as one that is no amount."""
    read: list[Token] = []
    at = 0
    while at < len(tokens):
        stop = at + 1
        if tokens[at].amount is not None:
            if stop < len(tokens) and TO in tokens[stop].roles:
                found = _amount_behind(tokens, stop)
                stop = stop if found is None else found[0] + 1
            if stop < len(tokens) and _is_measure(tokens[stop]):
                joint = "" if TO in tokens[at + 1].roles or is_run(tokens[stop].text[0]) else " "
                said = joint.join(token.text for token in tokens[at : stop + 1])
                read.append(_plain(vocabulary, Token(said)))
                at = stop + 1
                continue
            stop = at + 1
        read += tokens[at:stop]
        at = stop
    return read


def _is_measure(token: Token) -> bool:
    """Is it a unit that is no currency? Behind "岁" and the long ones other words may hang."""
    # 片 is the end of 燕麦片, but "一千片" is a quantity.
    head = token.term is not None and len(token.text) == 1 and is_run(token.text)
    said = simplified(token.text)
    if token.term is not None and token.term.slip and said in MEASURES:
        return True
    if (token.term is not None and not head) or token.amount or CURRENCY in token.roles:
        return False
    return said in MEASURES or any(
        said.startswith(unit)
        for unit in MEASURES
        if unit == "岁" or (not unit.isascii() and len(unit) > 1)
    )


def _prices(vocabulary: Vocabulary, tokens: list[Token]) -> tuple[Wish, list[Token]]:
    """The bounds of the price, and the tokens that are left without them."""
    wish, used = Wish(), set[int]()
    at = 0
    while at < len(tokens):
        amount = tokens[at].amount
        if amount is None:
            at += 1
            continue
        if _is_rating(tokens, at):
            at += 1
            continue
        span, low, high, about = _bounds(tokens, at, amount)
        currency = next(
            (_currency(tokens[place]) for place in span if _currency(tokens[place])), ""
        )
        if low == -math.inf and high == math.inf:
            at += 1
            continue
        used |= span
        wish = replace(
            wish,
            at_least=max(wish.at_least, low),
            at_most=min(wish.at_most, high),
            about=about if math.isfinite(about) else wish.about,
            currency=currency or wish.currency,
        )
        at = max(span) + 1
    left = [
        _plain(vocabulary, t) if t.amount else t
        for place, t in enumerate(tokens)
        if place not in used
    ]
    return wish, left


def _is_rating(tokens: Sequence[Token], at: int) -> bool:
    """Does an amount say how good something is judged?"""
    aside = {FILLER, BREAK, AT_LEAST}
    before = next((t for t in reversed(tokens[:at]) if not aside & set(t.roles)), None)
    return before is not None and simplified(before.text) in RATED


def _bounds(
    tokens: Sequence[Token], at: int, amount: Amount
) -> tuple[set[int], float, float, float]:
    """The tokens of one price, its bounds, and the amount it is about."""
    before, left = _before(tokens, at)
    behind, right = _behind(tokens, at)
    span = {at, *left, *right}
    to = next((p for p in (max(span) + 1,) if p < len(tokens) and _is_to(tokens, p, before)), None)
    if to is not None and (found := _amount_behind(tokens, to)) is not None:
        other, second = found
        _, more = _behind(tokens, other)
        span |= {to, *range(to, other + 1), *more}
        low, high = sorted((amount.low, second.high))
        return span, low, high, math.nan
    named = ABOUT if any(_currency(tokens[place]) for place in span) else ""
    # "预算两百上下": what is said behind is the closer word.
    loose = bool(behind) and any(OR_LESS in tokens[place].roles for place in left)
    closer = (behind if loose else before) or behind or named
    # "预算三四百" is a budget of 300 to 400, "不超过三四百" is not.
    open_range = math.isfinite(amount.low) and amount.low < amount.high
    if closer == AT_MOST and open_range and any(OR_LESS in tokens[p].roles for p in left):
        closer = ""
    bounds = _bounded(closer, amount)
    return ({at}, -math.inf, math.inf, math.nan) if bounds is None else (span, *bounds)


def _bounded(role: str, amount: Amount) -> tuple[float, float, float] | None:
    """The bounds that a role makes of an amount, and the amount they are about."""
    if role == AT_MOST:
        return -math.inf, amount.high, math.nan
    if role == AT_LEAST:
        return amount.low, math.inf, math.nan
    if role == OR_A_BIT:
        return amount.low, round((1 + AROUND) * amount.high, 6), math.nan
    if role == AND_ODD:
        return amount.low, amount.high + unit_of(amount.high), math.nan
    if amount.low < amount.high:
        return amount.low, amount.high, math.nan
    value = amount.low
    about = round((1 - AROUND) * value, 6), round((1 + AROUND) * value, 6), value
    return about if role == ABOUT else None


def _before(tokens: Sequence[Token], at: int) -> tuple[str, set[int]]:
    """What bounds an amount from the front, and the tokens that do."""
    seen, place = set[int](), at - 1
    while place >= 0:
        roles = tokens[place].roles
        if CURRENCY in roles:
            seen.add(place)
        elif BETWEEN in roles:
            return BETWEEN, seen | {place}
        elif role := next((r for r in (AT_MOST, AT_LEAST, ABOUT) if r in roles), ""):
            seen.add(place)
            denied = place - 1
            while denied > 0 and FILLER in tokens[denied].roles:
                denied -= 1
            if place and NOT in tokens[denied].roles and role in _FLIPPED:
                return _FLIPPED[role], seen | {denied}
            # "最贵不超过八百" asks for no order.
            if place and _EXTREME.get(role) in tokens[place - 1].roles:
                seen.add(place - 1)
            return role, seen
        elif FILLER not in roles:
            break
        place -= 1
    return "", seen


def _behind(tokens: Sequence[Token], at: int) -> tuple[str, set[int]]:
    """What bounds an amount from behind, and the tokens that do."""
    seen, place, within = set[int](), at + 1, ""
    while place < len(tokens):
        roles = tokens[place].roles
        if CURRENCY in roles:
            seen.add(place)
        elif role := next((r for r in _AFTER if r in roles), ""):
            if _AFTER[role] in roles and _opens_a_bound(tokens, place):
                break
            return _AFTER[role], seen | {place}
        elif place == at + 1 and (role := _within(tokens, place)):
            within, seen = role, seen | {place}
        elif FILLER not in roles:
            break
        place += 1
    return within, seen


def _opens_a_bound(tokens: Sequence[Token], place: int) -> bool:
    """Does a word that can bound from either side ("预算") stand before another amount?"""
    behind = (t for t in tokens[place + 1 :] if not {FILLER, CURRENCY} & set(t.roles))
    following = next(behind, None)
    return following is not None and following.amount is not None


def _within(tokens: Sequence[Token], place: int) -> str:
    """What a word between an amount and its currency says of it ("三百来块", "一百多的")."""
    role = next((r for r in _WITHIN if r in tokens[place].roles), "")
    behind = tokens[place + 1].roles if place + 1 < len(tokens) else (BREAK,)
    ends = (CURRENCY,) if role == AND_SOME else (CURRENCY, FILLER, BREAK)
    return _WITHIN[role] if role and set(ends) & set(behind) else ""


def _is_to(tokens: Sequence[Token], place: int, before: str) -> bool:
    roles = tokens[place].roles
    return TO in roles or (AND in roles and (before == BETWEEN or _ends_between(tokens, place)))


def _ends_between(tokens: Sequence[Token], place: int) -> bool:
    """Is what follows an amount and then 之间 ("100和200之间")?"""
    found = _amount_behind(tokens, place)
    behind = tokens[found[0] + 1 :] if found else ()
    closing = next((token for token in behind if CURRENCY not in token.roles), None)
    return closing is not None and BETWEEN_AFTER in closing.roles


def _amount_behind(tokens: Sequence[Token], place: int) -> tuple[int, Amount] | None:
    """The place and amount right behind a token, a currency sign aside."""
    place += 1
    while place < len(tokens) and {TO, CURRENCY} & set(tokens[place].roles):
        place += 1
    amount = tokens[place].amount if place < len(tokens) else None
    return None if amount is None else (place, amount)


def _currency(token: Token) -> str:
    return CURRENCIES.get(simplified(token.text), "") if CURRENCY in token.roles else ""


def _plain(vocabulary: Vocabulary, token: Token) -> Token:
    """An amount that is no price is a word like others: "3 tier"."""
    if token.term is not None or token.roles:
        return token
    key = key_of(token.text)
    if key and len(vocabulary.held(key)):
        term = Term(vocabulary.known.get(key, FEATURE), (key,), token.text)
        return Token(token.text, term)
    return Token(token.text)
