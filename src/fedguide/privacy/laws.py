"""Laws of noise on the integers, each with its weights to more than 50 digits.

Every law has weights w(0) = 1, w(1), w(2), … on the magnitudes, none above the one before it; a
symmetric law gets its sign from one more bit. Weights are worked out in decimal arithmetic, which
gives the same digits on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from fedguide.errors import ConfigError

SMALLEST_SCALE, LARGEST_SCALE = 0.25, float(2**30)
MOST_CATEGORIES = 1 << 20

EXACT = Context(prec=80)
"""The arithmetic of weights: a power up to 10^21 leaves 58 digits right, a threshold has 38."""

_STIRLING_FROM = 256  # from here on the terms below leave an error under 10^-80
_STIRLING_TERMS = 24


@dataclass(frozen=True)
class DiscreteGaussian:
    """P(k) ∝ exp(-k² / 2σ²) on all integers; ``sigma`` in units of the grid.

    Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020.

    Raises:
        ConfigError: ``sigma`` is outside [0.25, 2^30].
    """

    sigma: float

    def __post_init__(self) -> None:
        """Checks the scale."""
        _check_scale("sigma", self.sigma)

    def weight(self, magnitude: int) -> Decimal:
        """The weight w(magnitude), inside ``localcontext(EXACT)``."""
        return _exp_inverse(2 * Decimal(self.sigma) ** 2) ** (magnitude**2)


@dataclass(frozen=True)
class DiscreteLaplace:
    """P(k) ∝ exp(-|k| / scale) on all integers; ``scale`` in units of the grid.

    Ghosh, Roughgarden and Sundararajan, "Universally Utility-Maximizing Privacy Mechanisms", 2009.

    Raises:
        ConfigError: ``scale`` is outside [0.25, 2^30].
    """

    scale: float

    def __post_init__(self) -> None:
        """Checks the scale."""
        _check_scale("scale", self.scale)

    def weight(self, magnitude: int) -> Decimal:
        """The weight w(magnitude), inside ``localcontext(EXACT)``."""
        return _exp_inverse(Decimal(self.scale)) ** magnitude


@dataclass(frozen=True)
class Polya:
    """P(k) ∝ Γ(k + 1/divisor) / k! · exp(-k / scale) on 0, 1, 2, …: negative binomial.

    The difference of two sums of ``divisor`` of them each is ``DiscreteLaplace(scale)``.

    Raises:
        ConfigError: ``scale`` is outside [0.25, 2^30], or ``divisor`` is below 1.
    """

    scale: float
    divisor: int

    def __post_init__(self) -> None:
        """Checks both figures."""
        _check_scale("scale", self.scale)
        if self.divisor < 1:
            raise ConfigError(f"divisor must be at least 1, got {self.divisor}")

    def weight(self, magnitude: int) -> Decimal:
        """The weight w(magnitude), inside ``localcontext(EXACT)``."""
        return _rising(self.divisor, magnitude) * _exp_inverse(Decimal(self.scale)) ** magnitude


@dataclass(frozen=True)
class Answers:
    """The truth (0) with probability e^ε / (e^ε + k - 1), each of k - 1 others (1, …) evenly.

    Raises:
        ConfigError: ``categories`` is outside [2, 2^20], or ε is outside (0, 80].
    """

    categories: int
    epsilon: float

    def __post_init__(self) -> None:
        """Checks both figures."""
        if not 2 <= self.categories <= MOST_CATEGORIES:
            raise ConfigError(
                f"categories must be in [2, {MOST_CATEGORIES}], got {self.categories}"
            )
        # Beyond 80 a lie is rarer than the thresholds of a table can say.
        if not 0 < self.epsilon <= 80:
            raise ConfigError(f"epsilon must be in (0, 80], got {self.epsilon}")

    def weight(self, magnitude: int) -> Decimal:
        """The weight w(magnitude), inside ``localcontext(EXACT)``."""
        return Decimal(1) if magnitude == 0 else _exp_inverse(1 / Decimal(self.epsilon))


Law: TypeAlias = DiscreteGaussian | DiscreteLaplace | Polya | Answers


def weight_ratio(law: Law, start: int, place: int) -> Decimal:
    """w(start + place) / w(start), to more than 50 digits."""
    with localcontext(EXACT):
        return law.weight(start + place) / law.weight(start)


def _check_scale(name: str, scale: float) -> None:
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ConfigError(
            f"{name} must be in [{SMALLEST_SCALE:g}, 2^30] units of the grid, got {scale}"
        )


@lru_cache(maxsize=64)
def _exp_inverse(scale: Decimal) -> Decimal:
    """exp(-1 / scale): its integer powers are twenty times quicker than exponentials."""
    with localcontext(EXACT):
        return (-1 / scale).exp()


def _rising(divisor: int, k: int) -> Decimal:
    """Γ(k + r) / (Γ(r) k!) with r = 1/divisor: Π_{i<k} (i + r)/(i + 1)."""
    exact = _rising_products(divisor)
    if k < len(exact):
        return exact[k]
    return exact[-1] * (_log_gammas(divisor, k) - _log_gammas(divisor, _STIRLING_FROM)).exp()


@lru_cache(maxsize=64)
def _rising_products(divisor: int) -> tuple[Decimal, ...]:
    """The product for k = 0 … 256."""
    with localcontext(EXACT):
        products = [Decimal(1)]
        for i in range(_STIRLING_FROM):
            products.append(products[-1] * (i * divisor + 1) / (divisor * (i + 1)))
        return tuple(products)


@lru_cache(maxsize=4096)
def _log_gammas(divisor: int, k: int) -> Decimal:
    """The logarithm of Γ(k + 1/divisor) / Γ(k + 1), by Stirling's series.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, equation 6.1.40.
    """
    with localcontext(EXACT):
        return _stirling(k + Decimal(1) / divisor) - _stirling(Decimal(k + 1))


def _stirling(z: Decimal) -> Decimal:
    """The logarithm of Γ(z), less ln(2π)/2."""
    series, power, square = Decimal(0), z, z * z
    for coefficient in _stirling_coefficients():
        series += coefficient / power
        power *= square
    return (z - Decimal("0.5")) * z.ln() - z + series


@lru_cache(maxsize=1)
def _stirling_coefficients() -> tuple[Decimal, ...]:
    """B_2n / (2n (2n - 1)) for n from 1."""
    numbers = _bernoulli(2 * _STIRLING_TERMS)
    with localcontext(EXACT):
        made = (numbers[2 * n] / (2 * n * (2 * n - 1)) for n in range(1, _STIRLING_TERMS + 1))
        return tuple(Decimal(b.numerator) / b.denominator for b in made)


def _bernoulli(last: int) -> list[Fraction]:
    """B_0 … B_last by their defining recurrence, Σ_k C(m + 1, k) B_k = 0."""
    numbers = [Fraction(1)]
    for m in range(1, last + 1):
        known = sum((math.comb(m + 1, k) * numbers[k] for k in range(m)), Fraction(0))
        numbers.append(-known / (m + 1))
    return numbers
