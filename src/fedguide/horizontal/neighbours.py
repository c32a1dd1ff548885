"""Who shares secrets with whom, and how many shares give one back: (k, t) and the graph.

Up to 50 parties everybody is everybody's neighbour (Bonawitz et al., "Practical Secure
Aggregation", 2017). Above, each has k neighbours on a circle in random order (Bell, Bonawitz,
Gascón, Lepoint and Raykova, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead",
2020, section 3: a Harary graph on permuted nodes), with t = k/2 + 1 and the least even k for which

- Pr[somebody's secret cannot be recovered] < 2^-20: among the k neighbours of a party that
  dropped fewer than t are left, or among those of one that is there (and holds a share of its
  own) fewer than t − 1;
- Pr[some party has t corrupt neighbours] < 2^-40.

Both are unions over the cohort of hypergeometric tails, computed exactly. Everybody computes
(k, t) and the order by itself from the signed roster: a coordinator cannot choose them, only try
rosters, and q tries make the second bound q · 2^-40.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from fedguide.errors import ConfigError
from fedguide.seeds import Root, stream
from fedguide.values import PartyId

FULL_UP_TO = 50
LEAST_COHORT = 3  # with two, the sum tells each the other's update
FAILURE = Fraction(1, 2**20)
CORRUPTION = Fraction(1, 2**40)


@dataclass(frozen=True)
class Shape:
    """What a cohort of n parties has to keep to.

    Attributes:
        degree: k, each party's neighbours.
        threshold: t, how many shares give a secret back.
        agreement: how many parties of the whole cohort must have signed one set of survivors.
    """

    degree: int
    threshold: int
    agreement: int


@lru_cache(maxsize=256)
def shape_of(parties: int, min_cohort: int, drop_rate: float, corrupt_rate: float) -> Shape:
    """The shape for this many parties.

    ``agreement`` makes two different sets of survivors impossible: signed by more than
    (n + c) / 2 of n, each, they would share an honest signer (up to 50 parties c < n/3).

    Raises:
        ConfigError: the cohort is smaller than ``min_cohort`` or than 3, or no k below n − 1 meets
            both bounds at these rates.
    """
    if parties < max(min_cohort, LEAST_COHORT):
        raise ConfigError(
            f"a cohort has at least {max(min_cohort, LEAST_COHORT)} parties, got {parties}"
        )
    if parties <= FULL_UP_TO:
        threshold = max(min_cohort, 2 * parties // 3 + 1)
        return Shape(parties - 1, threshold, threshold)
    dropped, corrupt = _share(drop_rate, parties), _share(corrupt_rate, parties)
    agreement = max(min_cohort, (parties + corrupt) // 2 + 1)
    for degree in range(2, parties - 1, 2):
        threshold = degree // 2 + 1
        if (
            failure(parties, degree, threshold, dropped) < FAILURE
            and corruption(parties, degree, threshold, corrupt) < CORRUPTION
        ):
            return Shape(degree, threshold, agreement)
    raise ConfigError(
        f"no graph on {parties} parties stands {dropped} that drop out and {corrupt} corrupt ones",
        hint="a lower drop_rate or corrupt_rate",
    )


def failure(parties: int, degree: int, threshold: int, dropped: int) -> Fraction:
    """Bound on the probability that some party's secret cannot be recovered."""
    others, left = parties - 1, parties - dropped
    gone = _below(others, left, degree, threshold)
    there = _below(others, left - 1, degree, threshold - 1)
    return dropped * gone + left * there


def corruption(parties: int, degree: int, threshold: int, corrupt: int) -> Fraction:
    """Bound on the probability that some honest party has ``threshold`` corrupt neighbours."""
    return (parties - corrupt) * (1 - _below(parties - 1, corrupt, degree, threshold))


def neighbours_of(
    cohort: Sequence[PartyId], shape: Shape, seed: bytes
) -> dict[PartyId, tuple[PartyId, ...]]:
    """Everybody's neighbours, sorted; who is one's neighbour has one as a neighbour.

    Args:
        cohort: the parties, sorted.
        shape: of a cohort of this size.
        seed: 32 public bytes that follow from all parties' keys.
    """
    if shape.degree >= len(cohort) - 1:
        return {party: _all_but(cohort, party) for party in cohort}
    circle = _circle(cohort, seed)
    return {party: _beside(circle, at, shape.degree) for at, party in enumerate(circle)}


def neighbours_around(
    party: PartyId, cohort: Sequence[PartyId], shape: Shape, seed: bytes
) -> tuple[PartyId, ...]:
    """One party's neighbours: its entry in ``neighbours_of``, without making all the others'."""
    if shape.degree >= len(cohort) - 1:
        return _all_but(cohort, party)
    circle = _circle(cohort, seed)
    return _beside(circle, circle.index(party), shape.degree)


def _all_but(cohort: Sequence[PartyId], party: PartyId) -> tuple[PartyId, ...]:
    """Everybody else, sorted as the cohort is."""
    return tuple(other for other in cohort if other != party)


def _circle(cohort: Sequence[PartyId], seed: bytes) -> list[PartyId]:
    """The cohort in an order that nobody chose."""
    return [cohort[i] for i in stream(Root(seed), "circle").permutation(len(cohort))]


def _beside(circle: Sequence[PartyId], at: int, degree: int) -> tuple[PartyId, ...]:
    """The ``degree`` nearest of one place on the circle, sorted."""
    half = degree // 2
    steps = (step for step in range(-half, half + 1) if step != 0)
    return tuple(sorted(circle[(at + step) % len(circle)] for step in steps))


def _share(rate: float, parties: int) -> int:
    """So many of the parties, rounded up; 0.07 of 100 is 7 whatever binary fractions say."""
    return math.ceil(round(rate * parties, 6))


def _below(population: int, marked: int, drawn: int, bound: int) -> Fraction:
    """Pr[X < bound] for X marked ones among ``drawn`` without replacement."""
    least = max(0, drawn - (population - marked))
    ways = sum(
        math.comb(marked, x) * math.comb(population - marked, drawn - x)
        for x in range(least, min(bound, drawn + 1))
    )
    return Fraction(ways, math.comb(population, drawn))
