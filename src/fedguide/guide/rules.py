"""A shop's own rules over an answer: pin, bury, leave out, cap, and how varied it should be.

Every item a rule put where it stands says so in its ``source``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.guide.diversity import varied
from fedguide.models.encoders import Matrix
from fedguide.values import Catalogue

PINNED, BURIED, VARIED = "pinned", "buried", "varied"
"""Sources of items that a rule put where they stand; ``varied`` is in the answer for variety."""

MOST_RULED = 10_000
"""Items that one rule may name."""


@dataclass(frozen=True)
class Rules:
    """What a shop's configuration says; items it does not sell are passed over.

    Attributes:
        pinned: ids of items that stand first, in this order, wherever they fit.
        buried: ids of items that stand behind all others.
        out_of_stock: ids of items that are never answered.
        category_caps: most items of a category in one answer, by any level's name or path.
        relevance: Carbonell and Goldstein's lambda; 1 is the order of the scores alone.

    Raises:
        ConfigError: a value is out of range.
    """

    pinned: tuple[str, ...] = ()
    buried: tuple[str, ...] = ()
    out_of_stock: tuple[str, ...] = ()
    category_caps: Mapping[str, int] = field(default_factory=dict)
    relevance: float = 1.0

    def __post_init__(self) -> None:
        """Checks the ranges once."""
        if not 0 < self.relevance <= 1:
            raise ConfigError(f"relevance must be in (0, 1], got {self.relevance}")
        for name in ("pinned", "buried", "out_of_stock"):
            if len(getattr(self, name)) > MOST_RULED:
                raise ConfigError(
                    f"{name} may name {MOST_RULED} items, got {len(getattr(self, name))}"
                )
        for category, most in self.category_caps.items():
            if most < 0:
                raise ConfigError(f"the cap of {category[:64]!r} must be at least 0, got {most}")


@dataclass(frozen=True)
class Ruled:
    """Rules by rows of one catalogue.

    Attributes:
        pinned: rows, in their order.
        buried: rows.
        gone: rows that are never answered.
        caps: the rows of each capped category, and the most of them.
        relevance: as in ``Rules``.
    """

    pinned: tuple[int, ...]
    buried: frozenset[int]
    gone: frozenset[int]
    caps: tuple[tuple[frozenset[int], int], ...]
    relevance: float

    def __bool__(self) -> bool:
        """Is there any rule?"""
        named = self.pinned or self.buried or self.gone or self.caps
        return bool(named) or self.relevance < 1


def ruled(rules: Rules, catalogue: Catalogue, rows: Mapping[str, int]) -> Ruled:
    """The rules of one catalogue; ``rows`` is the row of each item id."""
    gone = frozenset(rows[item] for item in rules.out_of_stock if item in rows)
    buried = frozenset(rows[item] for item in rules.buried if item in rows) - gone
    pinned = dict.fromkeys(rows[item] for item in rules.pinned if item in rows)
    caps = []
    for name, most in rules.category_caps.items():
        some = (r for r, text in enumerate(catalogue.categories) if _belongs(text, name))
        caps.append((frozenset(some), most))
    return Ruled(
        tuple(row for row in pinned if row not in gone and row not in buried),
        buried,
        gone,
        tuple(caps),
        rules.relevance,
    )


def arranged(
    rules: Ruled,
    vectors: Matrix,
    rows: Sequence[int],
    scores: Sequence[float],
    k: int,
    *,
    ordered: bool = False,
) -> tuple[NDArray[np.int64], dict[int, str]]:
    """The k rows to answer with, and the source of those a rule put there.

    Args:
        rules: the rules.
        vectors: float32 ``(n, d)``, the item vectors.
        rows: candidates, best first; pinned items are pinned only when they are among them.
        scores: of each candidate.
        k: how many.
        ordered: was the order asked for (by price)? Then nothing is pinned, buried or varied.
    """
    left = [(row, score) for row, score in zip(rows, scores, strict=True) if row not in rules.gone]
    if ordered:
        return np.array(_capped(rules, [row for row, _ in left], k), np.int64), {}
    there = {row for row, _ in left}
    pinned = [row for row in rules.pinned if row in there]
    placed = rules.buried.union(pinned)
    plain = [(r, s) for r, s in left if r not in placed]
    by_score = [row for row, _ in plain]
    if rules.relevance < 1:
        order = varied(vectors, by_score, [s for _, s in plain], rules.relevance, k)
        first = dict.fromkeys(by_score[at] for at in order)
        by_variety = [*first, *(row for row in by_score if row not in first)]
    else:
        by_variety = by_score
    buried = [row for row, _ in left if row in rules.buried]
    chosen = _capped(rules, [*pinned, *by_variety, *buried], k)
    usual = set(_capped(rules, [*pinned, *by_score, *buried], k))
    sources = {row: VARIED for row in chosen if row not in usual}
    sources |= dict.fromkeys(pinned, PINNED) | dict.fromkeys(buried, BURIED)
    return np.array(chosen, np.int64), {row: sources[row] for row in chosen if row in sources}


def joined(rules: Ruled, chosen: Sequence[int], more: Sequence[int], k: int) -> NDArray[np.int64]:
    """What was arranged, with more rows behind it that no rule forbids; k at most."""
    allowed = [row for row in more if row not in rules.gone]
    return np.array(_capped(rules, [*chosen, *allowed], k), np.int64)


def _capped(rules: Ruled, rows: Sequence[int], k: int) -> list[int]:
    """The first k rows that no cap forbids."""
    chosen: list[int] = []
    counts = [0] * len(rules.caps)
    for row in rows:
        if len(chosen) == k:
            break
        inside = [at for at, (some, _) in enumerate(rules.caps) if row in some]
        if any(counts[at] >= rules.caps[at][1] for at in inside):
            continue
        for at in inside:
            counts[at] += 1
        chosen.append(row)
    return chosen


def _belongs(category: str, name: str) -> bool:
    levels = [level.strip() for level in category.split("/")]
    return name in levels or category == name
