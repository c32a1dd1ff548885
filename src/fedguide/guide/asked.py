"""What ``ask`` answers with; every part can be shown, and encoded, as it is."""

from __future__ import annotations

import msgspec

from fedguide.guide.answers import Pick

NEAREST, SORTED = "nearest", "sorted"
"""Where a pick comes from, beside what ``answers`` lists: it does not fulfil the whole wish and is
shown because nothing does; it stands where it does by the order that was asked for."""


class Understood(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One constraint that was understood.

    Attributes:
        kind: ``want``, ``refuse``, ``price`` or ``sort``.
        label: for people, in the language of the answer.
        field: of a want or refusal: ``brand``, ``category``, ``feature`` or, where the words of
            one want differ, ``any``.
        words: the words of the catalogue that count, any of them.
        at_least: lower bound of the price, where there is one.
        at_most: upper bound of the price, where there is one.
        chip: the chip it comes from; empty where the text says it.
    """

    kind: str
    label: str
    field: str = ""
    words: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    chip: str = ""


class Chip(msgspec.Struct, frozen=True, gc=False):
    """One more constraint to tap.

    Attributes:
        code: what to send with the next question, beside the chips that were sent before.
        kind: ``brand``, ``category``, ``feature`` or ``price``.
        label: for people.
        count: how many items fulfil the wish, its chips, and this one.
    """

    code: str
    kind: str
    label: str
    count: int


class Relax(msgspec.Struct, frozen=True, gc=False):
    """Constraints to give up where nothing fulfils them all, and how many items then fit."""

    labels: tuple[str, ...]
    count: int


class Asked(msgspec.Struct, frozen=True):
    """The answer to a wish.

    Attributes:
        text: the wish.
        lang: language of the answer, ``zh`` or ``en``.
        said: the answer in one or two sentences.
        understood: every constraint that was applied.
        unknown: what was said and is not in the catalogue; it changed the order at most.
        notes: what else there is to know: a word read as another, a currency that is not known.
        exact: do the picks fulfil every constraint? If not, they are the nearest there are.
        total: how many items fulfil every constraint.
        source: where the order comes from, as in ``Answer``, or ``sorted``; ``nearest``
            where nothing fits.
        picks: the items, best first.
        chips: constraints to add.
        active: the chips that were sent, in their order.
        relax: what to give up where nothing fits, the most fruitful first.
    """

    text: str
    lang: str
    said: str
    understood: tuple[Understood, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool
    total: int
    source: str
    picks: tuple[Pick, ...]
    chips: tuple[Chip, ...]
    active: tuple[str, ...]
    relax: tuple[Relax, ...]
