"""A party's half of a guard: who is in the round, each one's slope, clipped, summed, noised.

Poisson sampling with a secret draw (Abadi et al., "Deep Learning with Differential Privacy", 2016,
section 3.1): every shopper is in a round with the same probability, on its own, and only the shop
knows who is. The noise belongs to the round and to nothing else: a round that is asked for again
gives the same vector again, so that it is spent once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.horizontal.fitting import Guarded
from fedguide.horizontal.private_packing import coordinates, with_noise
from fedguide.privacy.bits import Bits
from fedguide.privacy.clip import clipped_sum
from fedguide.privacy.guard import Guard, party_noise
from fedguide.ring import RingVector
from fedguide.seeds import Label, Root, derive
from fedguide.values import Vector


class Slopes(Protocol):
    """What a model gives: each shopper's own slope of the loss."""

    @property
    def shoppers(self) -> NDArray[np.int64]:
        """The shop's shoppers that have something to learn from, shape ``(n,)``."""
        ...

    @property
    def places(self) -> NDArray[np.int64]:
        """Which coordinates of the parameters a slope holds, ascending, shape ``(a,)``."""
        ...

    @property
    def each(
        self,
    ) -> Callable[[Vector, NDArray[np.int64], int], Iterator[NDArray[np.float32]]]:
        """``each(params, chosen, seed)``: the slopes of chosen rows of ``shoppers``."""
        ...


def guarded_fit(slopes: Slopes, guard: Guard, trained: Sequence[slice]) -> Guarded:
    """The party's fit under the guard.

    With adaptive clipping the last parameter is the logarithm of the clipping norm, and the last
    coordinate of the sum that of the bits.

    Raises:
        ConfigError: a slope has coordinates that are not trained.
    """
    trains = coordinates(trained)
    at = np.searchsorted(trains, slopes.places)
    if not np.array_equal(trains[np.minimum(at, len(trains) - 1)], slopes.places):
        raise ConfigError("slopes have coordinates outside of what is trained")

    def guarded(params: Vector, round_number: int, root: Root) -> RingVector:
        clip, model = guard.clip, params
        if guard.adaptive is not None:
            clip, model = math.exp(params[-1]), params[:-1]
        chosen = _chosen(slopes.shoppers, guard, root, round_number)
        each = slopes.each(model, chosen, _seed(root, round_number, "loss"))
        vectors = _one(each) if guard.unit == "shop" else each
        found = clipped_sum(vectors, clip, guard.bound, _seed(root, round_number, "rounding"))
        summed = np.zeros(guard.size, np.int64)
        if found.count:
            summed[at] = -found.units  # downhill
        if guard.adaptive is not None:
            summed[-1] = guard.bit_units * (2 * found.within - found.count)
        noise = party_noise(guard, root, round_number)
        return with_noise(summed.astype(np.uint32), noise)

    return guarded


def drawn(count: int, probability: float, root: Root, *labels: Label) -> NDArray[np.int64]:
    """Which of ``count`` are in: each with the probability, on its own, by secret bits."""
    if probability == 1:
        return np.arange(count)
    bits, words = Bits(root, "cohort", *labels), [np.zeros(0, np.uint64)]
    while sum(map(len, words)) < count:
        words.append(bits.chunk())
    threshold = min(int(probability * 2.0**64), 2**64 - 1)
    return np.flatnonzero(np.concatenate(words)[:count] < np.uint64(threshold))


def _chosen(
    shoppers: NDArray[np.int64], guard: Guard, root: Root, round_number: int
) -> NDArray[np.int64]:
    """Places of one round's shoppers; where shops are the unit, all of them or none.

    On a cycle it is each one's own number that says when, so that nobody's turn depends on who
    else is there.
    """
    if guard.cycle > 1:
        return np.flatnonzero(shoppers % guard.cycle == round_number % guard.cycle)
    if guard.unit == "shopper":
        return drawn(len(shoppers), guard.sampling, root, round_number)
    is_in = len(drawn(1, guard.sampling, root, round_number)) > 0
    return np.arange(len(shoppers) if is_in else 0)


def _one(each: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The mean of all vectors as one vector; nothing of nothing."""
    total: NDArray[np.float64] | None = None
    count = 0
    for some in each:
        added = some.sum(axis=0, dtype=np.float64)
        total = added if total is None else total + added
        count += len(some)
    if total is not None:
        yield (total / count).astype(np.float32)[None]


def _seed(root: Root, round_number: int, label: str) -> int:
    """A seed for what need not be secret."""
    return int.from_bytes(derive(root, round_number, label, size=4), "big") >> 1
