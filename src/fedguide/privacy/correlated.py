"""Noise for many rounds that partly cancels in their sum, where sampling cannot be trusted.

A model is the prefix sum of its updates. Noise y = C⁻¹z, with z independent and C a public
lower-triangular strategy, errs less in prefix sums than independent noise of the same ε, because
what is released, x + C⁻¹z, is a function of Cx + z: one Gaussian mechanism whose sensitivity is
that of Cx (Denisov, McMahan, Rush, Smith and Thakurta, "Improved Differential Privacy for SGD via
Optimal Private Linear Operators on Adaptive Streams", 2022; Choquette-Choo et al., "(Amplified)
Banded Matrix Factorization", 2023, algorithm 9 for Toeplitz C).

On the grid. All is integers, in units 2^-10 of the grid's: y_t = z_t - R(Σ_{k>0} c_k y_{t-k}),
with z discrete Gaussian, c_k on a grid of 2^-20 and R rounding to the next integer, which the
paper does not have. Outputs and z determine each other, and a shopper who moves x by Δ moves z by
CΔ and by less than one unit more in each coordinate, for R(a + b) - R(a) - b is within (-1, 1).
So the sensitivity is ‖CΔ‖ + √(rounds · p) units, and nothing is left to the rounding of a float.
At last y is rounded to the grid, which is after the mechanism.

Threat model: central placement; who adds the noise knows z and is trusted, with the state too,
between rounds. The cohort is fixed and each shopper takes part as the participation says, at
least ``separation`` rounds apart and at most ``times``. When every shopper is in every round,
correlated noise gains nothing over independent noise; from a separation of the number of bands on
it gains all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, ProtocolError
from fedguide.privacy.mechanisms import CorrelatedGaussian
from fedguide.privacy.noise import Units
from fedguide.privacy.samplers import discrete_gaussian
from fedguide.seeds import Root

FINE_BITS = 10
"""The noise is made in units of 2^-10 of the grid's."""

COEFFICIENT_BITS = 20
_ONE = 1 << COEFFICIENT_BITS


@dataclass(frozen=True)
class Strategy:
    """A public lower-triangular Toeplitz matrix C for so many rounds.

    Attributes:
        rounds: its size n.
        coefficients: the first column, in units of 2^-20; 2^20 first, none above the one before
            and none below 0; what is not there is 0 (a banded matrix).

    Raises:
        ConfigError: it is not of this shape.
    """

    rounds: int
    coefficients: tuple[int, ...]

    def __post_init__(self) -> None:
        """Checks the shape."""
        c = self.coefficients
        if not 1 <= len(c) <= self.rounds:
            raise ConfigError(
                f"a strategy of {self.rounds} rounds has 1 to {self.rounds} coefficients, "
                f"got {len(c)}"
            )
        if c[0] != _ONE or c[-1] < 0 or any(b > a for a, b in pairwise(c)):
            raise ConfigError(
                f"coefficients begin with {_ONE}, never rise and never fall below 0, got {c[:4]}…"
            )

    @property
    def values(self) -> NDArray[np.float64]:
        """The coefficients as real numbers, shape ``(bands,)``."""
        return np.array(self.coefficients, np.float64) / _ONE


@dataclass(frozen=True)
class Participation:
    """When one shopper can be in a round: at most ``times``, at least ``separation`` apart.

    Raises:
        ConfigError: a number is below 1.
    """

    separation: int
    times: int

    def __post_init__(self) -> None:
        """Checks both numbers."""
        if min(self.separation, self.times) < 1:
            raise ConfigError(
                f"separation and times must be at least 1, got {self.separation} and {self.times}"
            )


ONCE = Participation(separation=1, times=1)
"""Every shopper is in one round only."""


def independent(rounds: int) -> Strategy:
    """The identity: noise that is not correlated, for comparison."""
    return Strategy(rounds, (_ONE,))


def toeplitz(rounds: int) -> Strategy:
    """C with C·C = prefix sums: the least possible largest error for one participation.

    Fichtenberger, Henzinger and Upadhyay, "Constant Matters", 2023, equation 4: binom(2k, k) / 4^k.
    Its state is all rounds before; that of ``banded`` is shorter.

    Raises:
        ConfigError: ``rounds`` is below 1.
    """
    if rounds < 1:
        raise ConfigError(f"rounds must be at least 1, got {rounds}")
    column = [_ONE]
    exact = _ONE << 64
    for k in range(1, rounds):
        exact = exact * (2 * k - 1) // (2 * k)
        column.append(exact >> 64)
    return Strategy(rounds, tuple(column))


def banded(rounds: int, bands: int) -> Strategy:
    """The banded Toeplitz C of the least mean squared error of prefix sums, by optimisation.

    Who makes it publishes it: another machine may find other last digits.

    Raises:
        ConfigError: ``bands`` is outside [1, rounds], or jax-privacy is not installed.
    """
    if not 1 <= bands <= rounds:
        raise ConfigError(f"bands must be in [1, {rounds}], got {bands}")
    found = np.asarray(_library().optimize_banded_toeplitz(rounds, bands), np.float64)
    falling = np.minimum.accumulate(np.maximum(found / found[0], 0))
    return Strategy(rounds, tuple(int(c) for c in np.floor(falling * _ONE)))


def sensitivity(strategy: Strategy, participation: Participation) -> float:
    """How much C multiplies what one shopper does: max ‖CΔ‖ for rounds with ‖Δ_t‖ <= 1.

    Kalinin and Lampert, "Banded Square Root Matrix Factorization for Differentially Private Model
    Training", 2024, theorem 2: where coefficients never rise and are not below 0, the worst is to
    take part as early and as often as can be.
    """
    moved = np.zeros(strategy.rounds)
    last = min(strategy.rounds, participation.separation * participation.times)
    for start in range(0, last, participation.separation):
        column = strategy.values[: strategy.rounds - start]
        moved[start : start + len(column)] += column
    return float(np.linalg.norm(moved))


def prefix_error(strategy: Strategy) -> NDArray[np.float64]:
    """Standard deviation of the noise in the sum of rounds 0 … t, for z of 1; shape ``(n,)``."""
    return np.sqrt(np.cumsum(np.cumsum(_inverse(strategy)) ** 2))


def calibrated(
    strategy: Strategy,
    participation: Participation,
    noise_multiplier: float,
    sensitivity_l2: float,
    dimension: int,
) -> CorrelatedGaussian:
    """The mechanism over all rounds, in units of the grid; its rounding is in the sensitivity.

    ``noise_multiplier`` is that of the one Gaussian mechanism, from
    ``accounting.noise_multiplier_for(epsilon, delta, rounds=1)``.

    Raises:
        ConfigError: a figure is out of its range, or the noise does not fit into 63 bits.
    """
    rounding = math.sqrt(strategy.rounds * dimension) / (1 << FINE_BITS) / sensitivity_l2
    spec = CorrelatedGaussian(
        noise_multiplier=noise_multiplier,
        sensitivity_l2=sensitivity_l2,
        strategy_sensitivity=sensitivity(strategy, participation) + rounding,
        steps=strategy.rounds,
    )
    # No draw is beyond 14σ, y no further than Σ|C⁻¹| times that, and its sum with C is taken.
    reach = 14 * fine_sigma(spec) * np.abs(_inverse(strategy)).sum()
    if reach * sum(strategy.coefficients) >= 2**62:
        raise ConfigError(
            f"σ must be so small that the noise fits into 63 bits, got {spec.sigma:g} units",
            hint="a coarser grid",
        )
    return spec


def fine_sigma(spec: CorrelatedGaussian) -> float:
    """σ of z, in the fine units of 2^-10."""
    return spec.sigma * (1 << FINE_BITS)


@dataclass(frozen=True)
class Correlated:
    """What is kept between rounds, by whoever adds the noise and by nobody else.

    Attributes:
        round: the next round.
        history: y of the rounds before, the latest first, as many as the strategy looks back;
            each of shape ``(p,)``, in fine units.
    """

    round: int
    history: tuple[Units, ...] = field(repr=False)


def start() -> Correlated:
    """Before the first round."""
    return Correlated(0, ())


def next_noise(
    strategy: Strategy, spec: CorrelatedGaussian, state: Correlated, dimension: int, root: Root
) -> tuple[Correlated, Units]:
    """The noise of the next round in units of the grid, shape ``(dimension,)``.

    ``root`` is that of the round: the same roots give the same noise again.

    Raises:
        ProtocolError: all rounds are done, or spec, state or dimension are of another strategy.
        ConfigError: numba is not installed.
    """
    if spec.steps != strategy.rounds:
        raise ProtocolError(f"noise for {spec.steps} rounds, strategy for {strategy.rounds}")
    if state.round >= strategy.rounds:
        raise ProtocolError(f"all {strategy.rounds} rounds of this noise are done")
    if any(len(y) != dimension for y in state.history):
        raise ProtocolError(f"the noise before had other dimensions than {dimension}")
    z = discrete_gaussian(fine_sigma(spec), dimension, root, "correlated", state.round)
    before = np.zeros(dimension, np.int64)
    for c, y in zip(strategy.coefficients[1:], state.history, strict=False):
        before += c * y
    y = z - _rounded(before, COEFFICIENT_BITS)
    kept = (y, *state.history)[: len(strategy.coefficients) - 1]
    return Correlated(state.round + 1, kept), _rounded(y, FINE_BITS)


def replay(
    strategy: Strategy,
    spec: CorrelatedGaussian,
    dimension: int,
    root_of: Callable[[int], Root],
    rounds: int,
) -> Correlated:
    """The state after so many rounds, made again from the roots of each.

    Raises:
        ProtocolError: as ``next_noise``.
    """
    state = start()
    for t in range(rounds):
        state, _ = next_noise(strategy, spec, state, dimension, root_of(t))
    return state


def _rounded(values: Units, bits: int) -> Units:
    """The next integer to values / 2^bits, in integers."""
    return (values + (1 << (bits - 1))) >> bits


def _inverse(strategy: Strategy) -> NDArray[np.float64]:
    """The first column of C⁻¹, shape ``(n,)``."""
    inverse = np.zeros(strategy.rounds)
    c = strategy.values[1:]
    inverse[0] = 1.0
    for t in range(1, strategy.rounds):
        k = min(t, len(c))
        inverse[t] = -c[:k] @ inverse[t - k : t][::-1]
    return inverse


def _library() -> Any:
    """``jax_privacy``'s Toeplitz strategies, imported when one is optimised and not before."""
    try:
        from jax_privacy.matrix_factorization import toeplitz as library
    except ImportError:
        raise ConfigError(
            "a banded strategy is optimised with jax-privacy, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from None
    return library
