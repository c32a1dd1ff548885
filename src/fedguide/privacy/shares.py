"""Noise made in shares, one at each party, so that nobody has to be trusted with all of it.

Of n parties some may drop out and some may leave their share out, or know it, which to the others
is the same. The shares of all the rest have to be enough: each is made so that those that are
left add up to the whole noise. When nobody drops out the sum holds more noise than is needed.
When too many do it holds less, and ``with_present`` says what was then really done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.mechanisms import Gaussian, GaussianShares, Laplace, LaplaceShares


@dataclass(frozen=True)
class Split:
    """Among whom the noise is made.

    Attributes:
        parties: all that are asked, n.
        dropouts: how many of them may be missing from the sum.
        withheld: how many of those in the sum may have left their share out, or may have told it
            to whoever looks at the sum, f.

    Raises:
        ConfigError: a number is below 0, or nobody is left.
    """

    parties: int
    dropouts: int = 0
    withheld: int = 0

    def __post_init__(self) -> None:
        """Checks that somebody is left."""
        if min(self.dropouts, self.withheld) < 0:
            raise ConfigError(
                f"dropouts and withheld must be at least 0, got {self.dropouts} and {self.withheld}"
            )
        if self.counted < 1:
            raise ConfigError(
                f"of {self.parties} parties {self.dropouts} may drop out and {self.withheld} "
                "leave their share out: nobody is left to make the noise"
            )

    @property
    def counted(self) -> int:
        """The fewest shares that are there and secret."""
        return self.parties - self.dropouts - self.withheld


def gaussian_shares(mechanism: Gaussian, split: Split, dimension: int) -> GaussianShares:
    """Each party's share of the noise of ``mechanism`` (in units): σ / √counted.

    Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism", 2021, algorithm 1.

    Raises:
        ConfigError: a share is below half a unit, or ``dimension`` below 1.
    """
    return GaussianShares(
        share_sigma=mechanism.sigma / math.sqrt(split.counted),
        sensitivity_l2=mechanism.sensitivity_l2,
        counted=split.counted,
        dimension=dimension,
    )


def laplace_shares(mechanism: Laplace, split: Split) -> LaplaceShares:
    """Each party's share of the noise of ``mechanism`` (in units), of which ``counted`` make it."""
    return LaplaceShares(
        scale=mechanism.scale,
        sensitivity_l1=mechanism.sensitivity_l1,
        divisor=split.counted,
        counted=split.counted,
    )


def with_present(
    planned: GaussianShares | LaplaceShares, split: Split, present: int
) -> GaussianShares | LaplaceShares:
    """What is done when ``present`` of the parties are in the sum: more noise, or less.

    Raises:
        ConfigError: more parties are present than were asked.
        RefusedError: not one share is left that is secret.
    """
    if not 0 <= present <= split.parties:
        raise ConfigError(f"present must be in [0, {split.parties}], got {present}")
    counted = present - split.withheld
    if counted < 1:
        raise RefusedError(
            f"of {present} parties {split.withheld} may leave their share out: "
            "the sum would have no noise",
            hint="wait for more parties, or start the round anew",
        )
    return replace(planned, counted=counted)


def excess_divergence(spec: GaussianShares) -> float:
    """Nats by which the sum of the shares may differ from one discrete Gaussian, d·τ.

    Kairouz, Liu and Steinke, 2021, theorem 1: τ = 10 Σ_{k<n} exp(-2π²σ² k/(k+1)) bounds the
    max divergence of one coordinate, both ways.
    """
    rate = 2 * (math.pi * spec.share_sigma) ** 2
    # k/(k+1) hardly grows from k = 64 on: the rest is at most that many of its first term.
    near = sum(math.exp(-rate * k / (k + 1)) for k in range(1, min(spec.counted, 64)))
    far = max(0, spec.counted - 64) * math.exp(-rate * 64 / 65)
    return 10 * spec.dimension * (near + far)


def pure_epsilon(spec: LaplaceShares) -> float:
    """The ε that is left when ``counted`` Pólya shares of ``divisor`` are in the sum.

    With r = counted/divisor the sum is the difference of two negative binomial numbers of shape
    r (the generalized discrete Laplace law; Harrison and Manurangsi, "Infinitely Divisible Noise
    for Differential Privacy", 2025). For r >= 1 it is discrete Laplace with independent noise on
    top: ε = Δ/b. For r < 1 it is steepest from 0 to 1, and a shopper who moves Δ coordinates by
    one unit each meets that step Δ times.

    Raises:
        ConfigError: scipy is not installed.
    """
    shape = min(1.0, spec.counted / spec.divisor)
    if shape == 1:
        return spec.sensitivity_l1 / spec.scale
    try:
        from scipy.special import hyp2f1
    except ImportError:
        raise ConfigError(
            "too few noise shares are judged with scipy, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from None
    falling = math.exp(-1 / spec.scale)
    # Σ_k nb(k) nb(k + x) for x = 0 and 1, both less the factor (1 - falling)^(2r).
    at_zero = hyp2f1(shape, shape, 1, falling**2)
    at_one = shape * falling * hyp2f1(shape, shape + 1, 2, falling**2)
    return float(spec.sensitivity_l1 * math.log(at_zero / at_one))
