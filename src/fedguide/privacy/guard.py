"""The guard of one private task: what is clipped, what noise goes where, what divides the sum.

Everything here is public and the same for every party of a task: the bound on the grid, the noise
multiplier, who adds the noise, and the number that divides the sum. Nothing is counted at run
time: a count of who took part would itself be a release. The party's half clips and, where noise
is distributed or local, adds its own; the driver's half adds central noise and reads the mean
off the sum (see ``horizontal/private_packing``).

Threat model. Central: the sum is trusted to whoever makes it until its noise is added. Distributed:
nobody is trusted with the bare sum as long as at least ``parties - absent`` parties add their
share; ``absent`` parties may drop out, or leave theirs out. Local: every party's vector carries the
whole noise by itself, and nobody is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.privacy.clip import MOST_UNITS, Bound
from fedguide.privacy.correlated import (
    Correlated,
    Participation,
    Strategy,
    calibrated,
    next_noise,
    prefix_error,
    replay,
    sensitivity,
)
from fedguide.privacy.events import Event, Placement, Unit
from fedguide.privacy.laws import Polya
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    Mechanism,
    Unnoised,
)
from fedguide.privacy.samplers import discrete_gaussian, discrete_laplace, draw
from fedguide.ring import LARGEST
from fedguide.seeds import Root

Noise: TypeAlias = Literal["gaussian", "laplace", "none"]
"""``"none"`` clips and adds nothing: ε is infinite, and a party has to allow it by name."""

MOST_SCALE = 1_000_000
"""Largest standard deviation (or Laplace scale) of one draw, in units of the grid."""

TAIL = 16
"""Standard deviations (Laplace: three times as many scales) that noise may move a sum.

Beyond, which happens less than once in 10^40 draws, the sum wraps around: useless, never unsafe.
"""


@dataclass(frozen=True)
class Adaptive:
    """How the clipping norm follows a quantile of the shoppers' norms.

    Andrew, Thakkar, McMahan and Ramaswamy, "Differentially Private Learning with Adaptive
    Clipping", 2021, algorithm 1 and section 3.1 for the defaults.

    Attributes:
        quantile: γ, the share of vectors that should not be clipped.
        step: η_C of the geometric update.
        noise: σ_b over the expected cohort: 1/20 in the paper.

    Raises:
        ConfigError: a number is out of its range.
    """

    quantile: float = 0.5
    step: float = 0.2
    noise: float = 0.05

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0 < self.quantile < 1:
            raise ConfigError(f"quantile must be in (0, 1), got {self.quantile}")
        for name in ("step", "noise"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be finite and above 0, got {value}")


@dataclass(frozen=True)
class Guard:
    """The public terms of a private task.

    Attributes:
        noise: ``"gaussian"`` on vectors clipped in L2, ``"laplace"`` on vectors clipped in L1, or
            ``"none"`` on vectors clipped in L2.
        multiplier: standard deviation (Laplace: scale) of the noise in the sum over the
            sensitivity; 0 for ``"none"``, and for it alone.
        clip: the clipping norm; the first one where it is adaptive.
        size: trained coordinates, and one more for the bit where clipping is adaptive.
        cohort: shoppers expected in one sum; the public divisor.
        parties: how many hand in a vector.
        placement: who adds the noise.
        absent: under distributed noise, parties whose share may be missing.
        sampling: the probability with which each shopper is in a round.
        unit: whose vector is clipped: a shopper's, or a whole shop's.
        adaptive: ``None`` keeps the clipping norm.
        cycle: a shopper is in every so many rounds, on a schedule that everybody may know.
        strategy: noise that is correlated over the task's rounds; ``None`` is a fresh draw each.

    Raises:
        ConfigError: a field is out of its range, or two do not fit together.
    """

    noise: Noise
    multiplier: float
    clip: float
    size: int
    cohort: int
    parties: int
    placement: Placement = "central"
    absent: int = 0
    sampling: float = 1.0
    unit: Unit = "shopper"
    adaptive: Adaptive | None = None
    cycle: int = 1
    strategy: Strategy | None = None

    def __post_init__(self) -> None:
        """Checks the ranges, then what must hold between the fields."""
        for name, options in (
            ("noise", get_args(Noise)),
            ("placement", get_args(Placement)),
            ("unit", get_args(Unit)),
        ):
            if getattr(self, name) not in options:
                raise ConfigError(f"{name} must be one of {options}, got {getattr(self, name)!r}")
        if not (math.isfinite(self.clip) and self.clip > 0):
            raise ConfigError(f"clip must be finite and above 0, got {self.clip}")
        if not (math.isfinite(self.multiplier) and self.multiplier >= 0):
            raise ConfigError(f"multiplier must be finite and at least 0, got {self.multiplier}")
        if (self.multiplier == 0) != (self.noise == "none"):
            raise ConfigError(
                f"multiplier must be 0 for noise none and above 0 for any other, "
                f"got {self.multiplier:g} for {self.noise}"
            )
        for name in ("size", "cohort", "parties", "cycle"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.sampling <= 1:
            raise ConfigError(f"sampling must be in (0, 1], got {self.sampling}")
        self._check_together()

    def _check_together(self) -> None:
        """What must hold between the fields."""
        if not 0 <= self.absent < self.parties:
            raise ConfigError(f"absent must be in [0, {self.parties}), got {self.absent}")
        if self.absent and self.placement != "distributed":
            raise ConfigError(
                f"absent counts shares of distributed noise, and noise is {self.placement}"
            )
        if self.strategy is not None:
            self._check_strategy()
        elif self.cycle > 1:
            raise ConfigError(
                f"a cycle of {self.cycle} rounds is accounted over all rounds, by a strategy",
                hint="correlated.independent(rounds)",
            )
        if self.adaptive is not None and self.noise != "gaussian":
            raise ConfigError(f"adaptive clipping is for Gaussian noise, got {self.noise}")
        if self.bit_units >= self.units / 2:
            raise ConfigError(
                f"a bit of {self.bit_units} units in a bound of {self.units} leaves no room for "
                f"the vector: a cohort of {self.cohort} is too small for adaptive clipping",
                hint="a larger cohort, or a fixed clip",
            )

    def _check_strategy(self) -> None:
        """One mechanism over all rounds: one adder, one known schedule."""
        if (self.noise, self.placement, self.sampling) != ("gaussian", "central", 1):
            raise ConfigError(
                "correlated noise is Gaussian, central and without sampling, got "
                f"{self.noise}, {self.placement} and {self.sampling:g}"
            )

    @property
    def units(self) -> int:
        """The sensitivity on the grid: the finest power of two that fits, noise included."""
        counted = self.parties - self.absent
        draws = math.sqrt(self.parties) if self.placement == "local" else 1.0
        draws = math.sqrt(self.parties / counted) if self._is_shared else draws
        draws *= self._spread
        share = 1 / math.sqrt(counted) if self._is_shared else 1.0
        # All of the cohort, and ten standard deviations of its size, on one coordinate.
        most = self.cohort + 10 * math.sqrt(self.cohort) if self.sampling < 1 else self.cohort
        tails = TAIL * (3 if self.noise == "laplace" else 1)
        room = LARGEST / (most + tails * self.multiplier * draws + 1)
        # The scale of a Laplace is that of the whole noise in every share.
        drawn = self.multiplier * (share if self.noise == "gaussian" else 1.0) * self._spread
        largest = min(room, MOST_SCALE / max(drawn, 1.0), MOST_UNITS)
        if largest < 2:
            raise ConfigError(
                f"a cohort of {self.cohort} with noise {self.multiplier:g} does not fit on the grid"
            )
        return 1 << int(math.log2(largest))

    @property
    def bit_units(self) -> int:
        """Units that the centred bit, ±1/2, is moved by; 0 without adaptive clipping.

        The noise of the sum on ±bit_units is σ_b on ±1/2: the paper's z_Δ and z_b, as one vector.
        """
        if self.adaptive is None:
            return 0
        sigma_b = max(self.adaptive.noise * self.cohort, 1e-9)
        return max(1, round(self.scale / (2 * sigma_b)))

    @property
    def scale(self) -> float:
        """Standard deviation (Laplace: scale) of one round's noise in units of the grid.

        Of correlated noise it is that of the first round; later ones have a little more.
        """
        own = 1.0 if self.strategy is None else sensitivity(self.strategy, self._participation)
        return self.multiplier * self.units * own

    @property
    def _participation(self) -> Participation:
        """When one shopper can be in a round."""
        rounds = self.cycle if self.strategy is None else self.strategy.rounds
        return Participation(self.cycle, -(-rounds // self.cycle))

    @property
    def _spread(self) -> float:
        """By how much, at most, a strategy makes one round's noise larger."""
        if self.strategy is None:
            return 1.0
        # A round's noise is the difference of two prefix sums.
        most = 2 * float(prefix_error(self.strategy).max())
        return most * sensitivity(self.strategy, self._participation)

    @property
    def bound(self) -> Bound:
        """What one shopper's vector may measure, the bit left out."""
        if self.noise == "laplace":
            return Bound("l1", self.units, self.size)
        room = math.isqrt(self.units**2 - self.bit_units**2)
        return Bound("l2", room, self.size)

    @property
    def mechanism(self) -> Mechanism:
        """What one round releases, in units of the grid."""
        if self.noise == "none":
            return Unnoised()
        if self.strategy is not None:
            return self.correlated
        counted = self.parties - self.absent
        if self.noise == "laplace":
            if self._is_shared:
                return LaplaceShares(self.scale, float(self.units), counted, counted)
            return Laplace(self.scale, float(self.units))
        if self._is_shared:
            sigma = self.scale / math.sqrt(counted)
            return GaussianShares(sigma, float(self.units), counted, self.size)
        return Gaussian(self.multiplier, float(self.units))

    @property
    def correlated(self) -> CorrelatedGaussian:
        """The one mechanism over all rounds.

        Raises:
            ConfigError: there is no strategy.
        """
        if self.strategy is None:
            raise ConfigError("every round of this guard draws its own noise")
        return calibrated(
            self.strategy, self._participation, self.multiplier, float(self.units), self.size
        )

    def charges(self, rounds: int) -> int:
        """How often a task of so many rounds is charged: each round, or once for all."""
        return rounds if self.strategy is None else 1

    @property
    def _is_shared(self) -> bool:
        return self.placement == "distributed"

    def event(self, task: str) -> Event:
        """What one charge is for, as the ledger stores it."""
        return Event(
            task=task,
            mechanism=self.mechanism,
            sampling=self.sampling,
            placement=self.placement,
            unit=self.unit,
        )


def party_noise(guard: Guard, root: Root, round_number: int) -> NDArray[np.int64] | None:
    """The noise a party adds to its vector in a round, shape ``(size,)``; ``None`` if central."""
    if guard.placement == "central" or guard.noise == "none":
        return None
    return _drawn(guard, root, round_number)


def central_noise(guard: Guard, root: Root, round_number: int) -> NDArray[np.int64] | None:
    """The noise the driver adds to the sum; ``None`` where the parties have.

    Raises:
        ConfigError: the noise is correlated, and comes from ``correlated_noise``.
    """
    if guard.strategy is not None:
        raise ConfigError("correlated noise is not drawn round by round")
    if guard.placement != "central" or guard.noise == "none":
        return None
    return _drawn(guard, root, round_number)


def correlated_noise(
    guard: Guard, roots: Callable[[int], Root]
) -> Callable[[int], NDArray[np.int64]]:
    """``noise(round)`` of correlated rounds; ``roots(round)`` is the adder's own of each.

    The noise of a round is made of those before: what is kept of them here can be lost, and is
    made again from their roots.

    Raises:
        ConfigError: the guard has no strategy.
    """
    spec, strategy, size = guard.correlated, guard.strategy, guard.size
    if strategy is None:
        raise ConfigError("every round of this guard draws its own noise")
    kept: list[Correlated] = []

    def noise(round_number: int) -> NDArray[np.int64]:
        if kept and kept[0].round == round_number:
            before = kept[0]
        else:
            before = replay(strategy, spec, size, roots, round_number)
        after, drawn = next_noise(strategy, spec, before, size, roots(round_number))
        kept[:] = [after]
        return drawn.astype(np.int64, copy=False)

    return noise


def whole_noise(guard: Guard, root: Root, number: int) -> NDArray[np.int64]:
    """Noise as a whole sum has it, whoever adds it in the task; for an audit of the claim."""
    if guard.noise == "none":
        return np.zeros(guard.size, np.int64)
    if guard.strategy is not None:  # the least it can be: that of the first round
        return discrete_gaussian(guard.scale, guard.size, root, "guard", number).astype(np.int64)
    return _drawn(replace(guard, placement="central", absent=0), root, number)


def _drawn(guard: Guard, root: Root, round_number: int) -> NDArray[np.int64]:
    """One actor's draw of what the guard's mechanism names."""
    labels = ("guard", round_number)
    drawn: NDArray[np.int32] | NDArray[np.int64]
    match guard.mechanism:
        case Gaussian(sigma=sigma) | GaussianShares(share_sigma=sigma):
            drawn = discrete_gaussian(sigma, guard.size, root, *labels)
        case Laplace(scale=scale):
            drawn = discrete_laplace(scale, guard.size, root, *labels)
        case LaplaceShares(scale=scale, divisor=divisor):
            law = Polya(scale, divisor)
            drawn = draw(law, guard.size, root, *labels, "up")
            drawn = drawn - draw(law, guard.size, root, *labels, "down")
        case other:
            raise ConfigError(f"a guard draws no noise of {type(other).__name__}")
    return drawn.astype(np.int64, copy=False)
