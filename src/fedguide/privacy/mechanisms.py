"""What a mechanism is: frozen specs that say what noise is added to what.

A spec is a fact about a release, made before it and kept after it; it draws nothing and judges
nothing. Noise is discrete, on the integer grid of ``fedguide.ring``; a sensitivity is the most
that one unit of privacy (a shopper) can move the released sum, in the norm its name says. All
figures of one spec are in one scale: real values, or units of the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from fedguide.errors import ConfigError


@dataclass(frozen=True)
class Laplace:
    """Discrete Laplace noise of ``scale`` on every coordinate: pure ε = sensitivity / scale.

    Dwork, McSherry, Nissim and Smith, "Calibrating Noise to Sensitivity", 2006, with the
    two-sided geometric law of Ghosh, Roughgarden and Sundararajan, 2009.

    Attributes:
        scale: of the noise.
        sensitivity_l1: the most that one shopper moves the vector.
        units: the sensitivity in whole units of the grid, for the exact law of many releases at
            δ > 0; 0 has the continuous law judged instead, whose ε may be 2/scale² (in units)
            too small there. At δ = 0 the two are the same.

    Raises:
        ConfigError: a figure is not finite and above 0, or ``units`` is below 0.
    """

    scale: float
    sensitivity_l1: float
    units: int = 0

    def __post_init__(self) -> None:
        """Checks every figure."""
        _check_positive("scale", self.scale)
        _check_positive("sensitivity_l1", self.sensitivity_l1)
        if self.units < 0:
            raise ConfigError(f"units must be at least 0, got {self.units}")

    @property
    def epsilon(self) -> float:
        """The pure ε of one release."""
        return self.sensitivity_l1 / self.scale


@dataclass(frozen=True)
class Gaussian:
    """Discrete Gaussian noise of σ = noise_multiplier · sensitivity on every coordinate.

    Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020.

    Raises:
        ConfigError: a figure is not finite and above 0.
    """

    noise_multiplier: float
    sensitivity_l2: float

    def __post_init__(self) -> None:
        """Checks both figures."""
        _check_positive("noise_multiplier", self.noise_multiplier)
        _check_positive("sensitivity_l2", self.sensitivity_l2)

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise, in the scale of the sensitivity."""
        return self.noise_multiplier * self.sensitivity_l2


@dataclass(frozen=True)
class GaussianShares:
    """Discrete Gaussian shares, one drawn at each party, that add up to the noise.

    Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism", 2021. The sum of
    discrete Gaussians is not one, only very near to it; the accountant charges the difference.

    Attributes:
        share_sigma: σ of one share, in units of the grid; at least 1/2, where the paper's bound
            begins.
        sensitivity_l2: in units of the grid.
        counted: shares in the sum that the adversary does not know.
        dimension: coordinates of the vector.

    Raises:
        ConfigError: a figure is not finite and above 0, ``share_sigma`` is below 1/2, or a count
            is below 1.
    """

    share_sigma: float
    sensitivity_l2: float
    counted: int
    dimension: int

    def __post_init__(self) -> None:
        """Checks every figure."""
        if not (math.isfinite(self.share_sigma) and self.share_sigma >= 0.5):
            raise ConfigError(f"share_sigma must be at least 0.5 units, got {self.share_sigma}")
        _check_positive("sensitivity_l2", self.sensitivity_l2)
        _check_count("counted", self.counted)
        _check_count("dimension", self.dimension)

    @property
    def noise_multiplier(self) -> float:
        """σ of the counted sum over the sensitivity."""
        return self.share_sigma * math.sqrt(self.counted) / self.sensitivity_l2


@dataclass(frozen=True)
class LaplaceShares:
    """Pólya shares, one drawn at each party, of which ``divisor`` add up to discrete Laplace.

    A share is the difference of two negative binomial numbers of shape 1/divisor; the sum of
    ``divisor`` of them is the two-sided geometric law (Goryczka and Xiong, "A Comprehensive
    Comparison of Multiparty Secure Additions with Differential Privacy", 2017, section 5).

    Attributes:
        scale: of the whole discrete Laplace noise, in units of the grid.
        sensitivity_l1: in units of the grid.
        divisor: how many shares make the whole noise.
        counted: shares in the sum that the adversary does not know; below ``divisor`` the noise
            is too little, and the accountant charges what is left of the protection.

    Raises:
        ConfigError: a figure is not finite and above 0, or a count is below 1.
    """

    scale: float
    sensitivity_l1: float
    divisor: int
    counted: int

    def __post_init__(self) -> None:
        """Checks every figure."""
        _check_positive("scale", self.scale)
        _check_positive("sensitivity_l1", self.sensitivity_l1)
        _check_count("divisor", self.divisor)
        _check_count("counted", self.counted)


@dataclass(frozen=True)
class CorrelatedGaussian:
    """Noise of many rounds that is one Gaussian mechanism seen through a public strategy matrix.

    Denisov, McMahan, Rush, Smith and Thakurta, "Improved Differential Privacy for SGD via Optimal
    Private Linear Operators on Adaptive Streams", 2022, theorem 2.1.

    Attributes:
        noise_multiplier: σ over (strategy_sensitivity · sensitivity_l2).
        sensitivity_l2: of one round.
        strategy_sensitivity: how much the strategy multiplies what one shopper does in all rounds.
        steps: rounds that the one mechanism covers.

    Raises:
        ConfigError: a figure is not finite and above 0, or ``steps`` is below 1.
    """

    noise_multiplier: float
    sensitivity_l2: float
    strategy_sensitivity: float
    steps: int

    def __post_init__(self) -> None:
        """Checks every figure."""
        _check_positive("noise_multiplier", self.noise_multiplier)
        _check_positive("sensitivity_l2", self.sensitivity_l2)
        _check_positive("strategy_sensitivity", self.strategy_sensitivity)
        _check_count("steps", self.steps)

    @property
    def sigma(self) -> float:
        """Standard deviation of each independent draw, in the scale of the sensitivity."""
        return self.noise_multiplier * self.strategy_sensitivity * self.sensitivity_l2


@dataclass(frozen=True)
class Unnoised:
    """No noise at all: ε = ∞. A plan has to ask for it by name."""


@dataclass(frozen=True)
class RandomisedResponse:
    """Each shopper tells the truth with a known probability, else another answer at random.

    Warner, "Randomized Response", 1965; for k answers Kairouz, Bonawitz and Ramage, "Discrete
    Distribution Estimation under Local Privacy", 2016, section 3. The ε is local: it holds
    against everybody, the party that asks included, and is of another kind than a central ε.

    Raises:
        ConfigError: fewer than 2 categories, or ε is not finite and above 0.
    """

    categories: int
    epsilon: float

    def __post_init__(self) -> None:
        """Checks both figures."""
        if self.categories < 2:
            raise ConfigError(f"categories must be at least 2, got {self.categories}")
        _check_positive("epsilon", self.epsilon)

    @property
    def truth_probability(self) -> float:
        """Probability of the true answer, e^ε / (e^ε + k - 1)."""
        return 1 / (1 + (self.categories - 1) * math.exp(-self.epsilon))


Mechanism: TypeAlias = (
    Laplace | Gaussian | GaussianShares | LaplaceShares | CorrelatedGaussian | Unnoised
)
"""Mechanisms of a trusted or distributed sum; their ε add up. Local ones are another type."""


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be finite and above 0, got {value}")


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, got {value}")
