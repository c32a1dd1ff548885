"""Which counts are within a budget, known without asking the accountant each time.

ε never falls when something more is done. So whatever is dominated by counts known to be within
the cap is within it, and whatever dominates counts known to be above it is above it. Asked about
counts it does not know, a frontier tries some way ahead first: half of the way to the nearest
counts known to be too many, or twice as far where none is known. So N charges cost about 2·log₂ N
evaluations, and the decision at the edge is always the accountant's own.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from fedguide.privacy.spend import Counts


class Frontier:
    """Remembers what it learnt about one cap; not shared between threads."""

    def __init__(self, epsilon: Callable[[Counts], float], cap: float) -> None:
        self._epsilon, self._cap = epsilon, cap
        self._within: list[dict[str, int]] = []
        self._above: list[dict[str, int]] = []

    def known(self, counts: Counts) -> bool | None:
        """Are the counts within the cap? ``None`` where that has to be learnt first."""
        if any(_dominates(inside, counts) for inside in reversed(self._within)):
            return True
        if any(_dominates(counts, outside) for outside in reversed(self._above)):
            return False
        return None

    def learn(self, counts: Counts) -> bool:
        """Finds out, with at most two evaluations."""
        said = self.known(counts)
        if said is not None:
            return said
        ahead = _ahead(counts, self._reach(counts))
        if ahead != counts and self._judge(ahead):
            return True
        return self._judge(counts)

    def _judge(self, counts: Counts) -> bool:
        plain = dict(counts)
        if self._epsilon(plain) <= self._cap:
            self._within = [k for k in self._within if not _dominates(plain, k)] + [plain]
            return True
        self._above = [k for k in self._above if not _dominates(k, plain)] + [plain]
        return False

    def _reach(self, counts: Counts) -> Fraction:
        """How far to try ahead, as a factor of the counts."""
        limits = [
            max(Fraction(outside.get(what, 0), times) for what, times in counts.items())
            for outside in self._above
            if set(outside) <= set(counts)
        ]
        return (1 + min(limits)) / 2 if limits else Fraction(2)


def _dominates(more: Counts, less: Counts) -> bool:
    """Is ``more`` at least ``less`` in everything?"""
    return all(more.get(what, 0) >= times for what, times in less.items())


def _ahead(counts: Counts, factor: Fraction) -> dict[str, int]:
    """The counts times a factor, rounded down, never below themselves."""
    return {what: max(times, int(times * factor)) for what, times in counts.items()}
