"""An audience: the shop's own shoppers who most likely do what a campaign wants.

Selection from scores that were made elsewhere (``runtime.propensity``). The list stays in the shop
and names its own shoppers only; what a partner or an advertiser gets to know is how many there are
by bands of probability, noised (``counts``). The bands are fixed, so that no band tells anything
by where it ends, and every threshold among them is read off one release for nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError, RefusedError
from fedguide.guide.counts import NoisyCounts

Floats = NDArray[np.float64]

PURPOSE = "audience"
"""What a party's policy must allow."""

BANDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Where bands of probability begin, and the end."""


@dataclass(frozen=True)
class Audience:
    """Who was chosen, best first; ids never leave the shop.

    Attributes:
        shoppers: their ids.
        probabilities: of each, shape ``(size,)``.
    """

    shoppers: tuple[str, ...] = field(repr=False)
    probabilities: Floats = field(repr=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.shoppers)

    @property
    def expected(self) -> float:
        """How many of them are expected to do it."""
        return float(self.probabilities.sum())


@dataclass(frozen=True)
class Released:
    """The counts of an audience that were released, as others may ask for them."""

    name: str
    counts: NoisyCounts
    synthetic: bool


def choose(ids: Sequence[str], probabilities: Floats, size: int, floor: int) -> Audience:
    """The most likely ``size`` of the eligible; equals go by id, so that nobody's row decides.

    Args:
        ids: of the eligible: who opted out is not among them.
        probabilities: of each.
        size: how many are wanted; fewer where there are fewer.
        floor: fewest shoppers of an audience.

    Raises:
        RefusedError: the audience would be smaller than the floor.
        DataError: ids and probabilities are not as many, or one is no probability.
    """
    if len(ids) != len(probabilities) or not _are_probabilities(probabilities):
        raise DataError(f"{len(ids)} shoppers need as many probabilities in [0, 1]")
    if min(size, len(ids)) < floor:
        raise RefusedError(
            f"policy: an audience of {min(size, len(ids))} is below the floor of {floor}",
            hint="a larger --size, or [privacy] least_audience in fedguide.toml",
        )
    order = sorted(range(len(ids)), key=lambda row: (-probabilities[row], ids[row]))[:size]
    return Audience(tuple(ids[row] for row in order), probabilities[order])


def banded(probabilities: Floats) -> NDArray[np.int64]:
    """How many are in each band, shape ``(len(BANDS) - 1,)``; everybody in exactly one."""
    places = np.searchsorted(np.array(BANDS[1:-1]), probabilities, side="right")
    return np.bincount(places, minlength=len(BANDS) - 1).astype(np.int64)


def reach(counts: NoisyCounts, at_least: float) -> tuple[int, float]:
    """Noised shoppers of at least that probability, and half of the noise's 95 % interval.

    Raises:
        ConfigError: it is not where a band begins.
        RefusedError: they are fewer than the floor.
    """
    if at_least not in BANDS[:-1]:
        raise ConfigError(
            f"at_least must be where a band begins: {', '.join(f'{b:g}' for b in BANDS[:-1])}; "
            f"got {at_least:g}"
        )
    first = BANDS.index(at_least)
    return counts.total(slice(first, None)), counts.half_width(len(counts.values) - first)


def _are_probabilities(values: Floats) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())
