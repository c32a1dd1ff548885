"""How much a private round leaks, measured: canaries through the guard that really runs.

One-shot estimation of Andrew, Kairouz, Oh, Oprea, McMahan and Suriyakumar, "One-shot Empirical
Privacy Estimation for Federated Learning", 2024 (algorithm 1, and section 4 for canaries that take
part in several rounds): many canaries, random directions far longer than the clipping norm, are
put in among the shoppers of one shop; a few rounds are run at the model of the finished run; how
well the released sums point to the canaries, against canaries that were not in, gives an ε. Next
to it stand the Clopper-Pearson bound (jax-privacy's ``CanaryScoreAuditor``), which is sure but
low, and a comparison of two rounds, because noise that comes twice leaves every single round
looking sound and its difference bare.

Deviations: a canary is drawn on the coordinates its shop trains, which are known to the auditor.
Where shoppers are sampled, the rounds are run with a known cohort of that size and held against
the insider's ε: what sampling adds is mathematics, what can be broken is in the round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.horizontal.mean import Terms, Update
from fedguide.horizontal.private_fit import Slopes, guarded_fit
from fedguide.horizontal.private_packing import coordinates, private_packing
from fedguide.horizontal.summed import Total
from fedguide.privacy.accounting import epsilon_of
from fedguide.privacy.events import Event
from fedguide.privacy.guard import Guard
from fedguide.privacy.mechanisms import Gaussian
from fedguide.ring import total
from fedguide.runtime.private_rounds import Actors
from fedguide.seeds import seeded_root, stream
from fedguide.values import PartyId, Vector

TOLERANCE = 1.5
"""An estimate surely above so many times the claim is a defect."""

SURENESS = 0.05
"""The Clopper-Pearson bound is wrong with this probability."""

LONG = 10.0
"""Length of a canary over the clipping norm: an honest guard cuts it, a broken one shows it."""


@dataclass(frozen=True)
class Leak:
    """What the canaries found.

    Attributes:
        estimate: ε by the one-shot estimate.
        cautious: the same with the gap made smaller by twice its standard error: with few
            canaries, or a small ε, the estimate itself may be off by far.
        least: ε that is exceeded for sure, but for ``SURENESS``.
        claimed: ε that the accountant gives for the same rounds.
        delta: of all three.
        rounds: how many rounds were run.
        canaries: in the rounds; as many were kept out.
        fresh: square of the difference of two rounds over what fresh noise alone makes; ``None``
            where the guard adds no noise.
        least_fresh: below it the noise of the two rounds is not fresh, or too small.
    """

    estimate: float
    cautious: float
    least: float
    claimed: float
    delta: float
    rounds: int
    canaries: int
    fresh: float | None
    least_fresh: float

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the claim; empty for an honest guard."""
        found = []
        # Both: with few canaries the estimate alone is off by chance, its lower end alone misses a
        # noise of half the size.
        if self.estimate > TOLERANCE * self.claimed and self.cautious > self.claimed:
            found.append(
                f"estimate {self.estimate:.3g}, at least {self.cautious:.3g} > "
                f"{TOLERANCE:g} x {self.claimed:.3g}"
            )
        if self.least > self.claimed:
            found.append(f"least {self.least:.3g} > claimed {self.claimed:.3g}")
        if self.fresh is not None and self.fresh < self.least_fresh:
            found.append(f"two rounds differ by {self.fresh:.3g} of fresh noise")
        return tuple(found)


@dataclass(frozen=True)
class Cohort:
    """A share of a shop's shoppers, at least one: those that are in every round of an audit."""

    own: Slopes
    share: float

    @property
    def shoppers(self) -> NDArray[np.int64]:
        """The first of the shop's own."""
        return self.own.shoppers[: math.ceil(self.share * len(self.own.shoppers))]

    @property
    def places(self) -> NDArray[np.int64]:
        """The shop's own."""
        return self.own.places

    def each(
        self, params: Vector, chosen: NDArray[np.int64], seed: int
    ) -> Iterator[NDArray[np.float32]]:
        """The shop's own."""
        return self.own.each(params, chosen, seed)


@dataclass(frozen=True)
class Canaries:
    """A shop's slopes with canaries behind its own shoppers.

    Attributes:
        own: the shop's.
        directions: gives canary j, a unit vector ``(a,)``.
        count: how many.
        length: of each.
    """

    own: Slopes
    directions: Callable[[int], NDArray[np.float32]]
    count: int
    length: float

    @property
    def shoppers(self) -> NDArray[np.int64]:
        """The shop's own, then the canaries."""
        return np.arange(len(self.own.shoppers) + self.count)

    @property
    def places(self) -> NDArray[np.int64]:
        """The shop's own."""
        return self.own.places

    def each(
        self, params: Vector, chosen: NDArray[np.int64], seed: int
    ) -> Iterator[NDArray[np.float32]]:
        """The shoppers' slopes, then the canaries'."""
        real = len(self.own.shoppers)
        yield from self.own.each(params, chosen[chosen < real], seed)
        for number in (chosen[chosen >= real] - real).tolist():
            yield (self.length * self.directions(number))[None]


def canary_leak(
    slopes: Mapping[str, Slopes],
    guard: Guard,
    trained: Sequence[slice],
    params: Vector,
    actors: Actors,
    *,
    delta: float,
    rounds: int = 2,
    canaries: int = 200,
    seed: int = 0,
) -> Leak:
    """Runs some rounds with canaries in the first shop, all at ``params``, and reads the sums.

    The cohort is the same in all of them.

    With adaptive clipping ``params`` ends with the logarithm of the clipping norm and ``trained``
    with its coordinate, as in the run.

    Raises:
        ConfigError: fewer than 2 rounds or 10 canaries, which nothing can be told from.
    """
    if rounds < 2 or canaries < 10:
        raise ConfigError(
            f"at least 2 rounds and 10 canaries are needed, got {rounds} and {canaries}"
        )
    if guard.sampling < 1:
        slopes = {name: Cohort(one, guard.sampling) for name, one in slopes.items()}
        guard = replace(guard, sampling=1.0)
    first = min(slopes)
    own = slopes[first]
    clip = guard.clip if guard.adaptive is None else math.exp(params[-1])

    def direction(number: int) -> NDArray[np.float32]:
        drawn = stream(seeded_root(seed), "canary", number).standard_normal(
            len(own.places), np.float32
        )
        return drawn / np.linalg.norm(drawn)

    salted = {**slopes, first: Canaries(own, direction, canaries, LONG * clip)}
    released = [release(salted, guard, trained, params, actors, number) for number in range(rounds)]
    at = own.places
    summed = np.stack(released).sum(axis=0)[at]
    scores = np.array([-(direction(n) @ summed) for n in range(2 * canaries)])
    inside, outside = scores[:canaries], scores[canaries:]
    # Without noise there is no claim to hold an estimate against; the δ of a Laplace is 0, and
    # an ε at δ = 0 cannot be estimated from a Gaussian.
    event = guard.event("audit")
    claimed = epsilon_of([replace(event, rounds=rounds)], delta, "insider")
    return Leak(
        one_shot_epsilon(inside, outside, delta),
        one_shot_epsilon(inside, outside, delta, errors=2.0),
        _least(inside, outside, delta),
        claimed,
        delta,
        rounds,
        canaries,
        _freshness(released[0], released[1], guard, trained),
        1 - 6 * math.sqrt(2 / guard.size),
    )


def release(
    slopes: Mapping[str, Slopes],
    guard: Guard,
    trained: Sequence[slice],
    params: Vector,
    actors: Actors,
    round_number: int,
) -> NDArray[np.float64]:
    """The mean that one round releases, in clipping norms of one vector: not divided, (p,).

    Made by the same halves of the guard as in a run.
    """
    packing = private_packing(guard, trained)
    vectors = {}
    for name, one in slopes.items():
        root = actors.roots(name)("audit", round_number)
        units = guarded_fit(one, guard, trained)(params, round_number, root)
        nothing = np.zeros(0, np.float32)
        update = Update(round_number, nothing, 0, 0.0, np.zeros(0), units)
        vectors[PartyId(name)] = packing.pack(update, root)
    terms = Terms(round_number, len(params), 0, actors.roots("")("audit", round_number))
    whole = total(vectors.values(), guard.size)
    mean = packing.unpack(Total(whole, tuple(vectors), ()), terms)
    return mean.vector.astype(np.float64) * guard.cohort


def one_shot_epsilon(
    inside: NDArray[np.float64],
    outside: NDArray[np.float64],
    delta: float,
    *,
    errors: float = 0.0,
) -> float:
    """ε of two Gaussians fitted to the scores of canaries that were in and that were out.

    Their distance over the deviation is the μ of a Gaussian mechanism, whose ε the accountant
    knows. Both deviations are pooled: they are of the same noise. ``errors`` standard errors of
    the distance are taken off it.
    """
    deviation = math.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
    error = deviation * math.sqrt(1 / len(inside) + 1 / len(outside))
    gap = float(inside.mean() - outside.mean()) - errors * error
    if gap <= 0:
        return 0.0
    if deviation < 1e-4 * gap:  # no noise worth the name
        return math.inf
    return epsilon_of([Event("audit", Gaussian(deviation / gap, 1.0))], delta, "insider")


def _least(inside: NDArray[np.float64], outside: NDArray[np.float64], delta: float) -> float:
    """The Clopper-Pearson lower bound over all thresholds."""
    from jax_privacy.auditing import CanaryScoreAuditor

    return float(CanaryScoreAuditor(inside, outside).epsilon_clopper_pearson(SURENESS, delta))


def _freshness(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    guard: Guard,
    trained: Sequence[slice],
) -> float | None:
    """‖S₁ − S₂‖² over 2 · size · σ²: at least about 1 if each round has its own noise.

    At one and the same model what the shoppers say is nearly the same in both rounds; where it is
    not, the difference only grows.
    """
    if guard.noise == "none":
        return None
    difference = (first - second)[coordinates(trained)]
    variance = (guard.scale / guard.bound.target) ** 2 * (2 if guard.noise == "laplace" else 1)
    return float(difference @ difference / (2 * guard.size * variance))
