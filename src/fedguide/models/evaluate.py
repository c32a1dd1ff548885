"""Honest questions out of a shop's cases, and what a model's answers to them are worth.

The protocol is ours: one case is the first basket of a shopper after the cut; a model sees
everything the shopper did before it and ranks **all** items of the shop. Two settings stand side
by side, because almost half of a basket is bought again:

- ``all``: every bought item of the basket is wanted, every item is ranked;
- ``discovery``: what the shopper bought before is taken out of the ranking *and* out of the
  targets; a case with no target left is not asked at all.

The mean over shops is the mean over shoppers: all shops' cases in one bag. Shoppers without any
earlier basket are no cases; ``ShopData.cold`` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.models.metrics import METRICS, Metrics, Targets, measure
from fedguide.values import BUY, Baskets, Cases

SETTINGS = ("all", "discovery")
"""Ways to ask; see the module's head."""

CHUNK = 512
"""Cases scored at a time, so that a large shop needs no (cases, items) array as a whole."""

Scorer = Callable[[Cases], NDArray[np.float32]]
"""Scores of every item for every case, shape ``(c, n)``; higher is better."""


def take(cases: Cases, rows: NDArray[np.int64] | slice) -> Cases:
    """Only these cases, in this order, over the same baskets."""
    return replace(cases, targets=cases.targets[rows], starts=cases.starts[rows])


def lines_between(
    baskets: Baskets, first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lines of baskets ``first[i]:last[i]``: the index i of each, and the line itself."""
    start, end = baskets.offsets[first], baskets.offsets[last]
    owner = np.repeat(np.arange(len(start)), end - start)
    before = np.cumsum(end - start) - (end - start)
    return owner, np.arange(len(owner)) - before[owner] + start[owner]


def bought(
    baskets: Baskets, first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Purchases in baskets ``first[i]:last[i]``: their index i, their item, their line."""
    owner, line = lines_between(baskets, first, last)
    keep = baskets.kinds[line] == BUY
    owner, line = owner[keep], line[keep]
    return owner, baskets.items[line].astype(np.int64), line


def bought_before(cases: Cases, items: int) -> NDArray[np.bool_]:
    """Did the shopper buy it before the case's basket? Shape ``(c, items)``."""
    owner, item, _ = bought(cases.baskets, cases.starts, cases.targets)
    mask = np.zeros((len(cases), items), np.bool_)
    mask[owner, item] = True
    return mask


@dataclass(frozen=True)
class Questions:
    """The questions of one setting; ``rows`` says which cases are asked.

    Attributes:
        setting: one of ``SETTINGS``.
        cases: the q cases asked.
        rows: int64 ``(q,)``, their place among the cases they were made from.
        targets: what is right, per question.
        items: number of items n in the shop.
    """

    setting: str
    cases: Cases
    rows: NDArray[np.int64]
    targets: Targets
    items: int

    def __len__(self) -> int:
        """Number of questions q."""
        return len(self.cases)


def questions(cases: Cases, items: int, setting: str) -> Questions:
    """Makes the questions of one setting from cases in a shop of ``items`` items.

    Raises:
        ConfigError: the setting is not one of ``SETTINGS``.
    """
    if setting not in SETTINGS:
        raise ConfigError(f"setting must be one of {', '.join(SETTINGS)}, got {setting!r}")
    owner, item, _ = bought(cases.baskets, cases.targets, cases.targets + 1)
    if setting == "discovery":
        old, old_item, _ = bought(cases.baskets, cases.starts, cases.targets)
        new = ~np.isin(owner * items + item, old * items + old_item)
        owner, item = owner[new], item[new]
    count = np.bincount(owner, minlength=len(cases))
    rows = np.flatnonzero(count)
    offsets = np.concatenate([[0], np.cumsum(count[rows])])
    return Questions(setting, take(cases, rows), rows, Targets(offsets, item), items)


def hide_bought(asked: Questions, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores with everything that is not ranked in this setting at ``-inf``."""
    if asked.setting == "all":
        return scores
    return np.where(bought_before(asked.cases, asked.items), np.float32(-np.inf), scores)


def judge(scores: NDArray[np.float32], asked: Questions) -> Metrics:
    """The worth of scores of shape ``(q, n)``, one row a question.

    Raises:
        WrongShapeError, DataError: as ``metrics.measure``.
    """
    if scores.shape != (len(asked), asked.items):
        raise WrongShapeError(
            f"scores must have shape ({len(asked)}, {asked.items}), got {scores.shape}"
        )
    return measure(hide_bought(asked, scores), asked.targets)


def part(asked: Questions, rows: slice) -> Questions:
    """Some of the questions; ``rows`` has a start and a stop within them."""
    offsets = asked.targets.offsets[rows.start : rows.stop + 1]
    return replace(
        asked,
        cases=take(asked.cases, rows),
        rows=asked.rows[rows],
        targets=Targets(offsets - offsets[0], asked.targets.items[offsets[0] : offsets[-1]]),
    )


def some_of(asked: Questions, cells: int, rng: np.random.Generator) -> Questions:
    """At most ``cells`` / n questions (but at least one), drawn at random, in order.

    A choice on validation needs no more; a table never uses this.
    """
    most = max(cells // max(asked.items, 1), 1)
    if len(asked) <= most:
        return asked
    rows = np.sort(rng.choice(len(asked), most, replace=False))
    counts = np.diff(asked.targets.offsets)
    keep = np.zeros(len(asked), np.bool_)
    keep[rows] = True
    targets = Targets(
        np.concatenate([[0], np.cumsum(counts[rows])]),
        asked.targets.items[np.repeat(keep, counts)],
    )
    return replace(asked, cases=take(asked.cases, rows), rows=asked.rows[rows], targets=targets)


def chunks(asked: Questions) -> Iterator[Questions]:
    """All questions in order, at most ``CHUNK`` at a time."""
    for start in range(0, len(asked), CHUNK):
        yield part(asked, slice(start, min(start + CHUNK, len(asked))))


def evaluate(scorer: Scorer, asked: Questions) -> Metrics:
    """Asks a model every question, some hundreds at a time.

    Raises:
        WrongShapeError, DataError: as ``judge``.
    """
    return joined([judge(scorer(some.cases), some) for some in chunks(asked)])


def joined(parts: Sequence[Metrics]) -> Metrics:
    """The questions of several shops (or chunks) in one bag, in order."""
    return Metrics(
        **{m: np.concatenate([getattr(p, m) for p in parts] or [np.zeros(0)]) for m in METRICS}
    )


def means(metrics: Metrics) -> dict[str, float]:
    """The mean of every metric over its questions; NaN where nobody was asked."""
    return {
        m: float(np.mean(getattr(metrics, m))) if len(metrics) else float("nan") for m in METRICS
    }
