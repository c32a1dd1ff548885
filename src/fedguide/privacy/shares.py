"""Noise made in shares, one at each party: how far their sum is from the law that is wanted."""

from __future__ import annotations

import math

from fedguide.errors import ConfigError
from fedguide.privacy.mechanisms import GaussianShares, LaplaceShares


def excess_divergence(spec: GaussianShares) -> float:
    """Nats by which the sum of the shares may differ from one discrete Gaussian, d·τ.

    Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning
    with Secure Aggregation", 2021, theorem 1: τ = 10 Σ_{k<n} exp(-2π²σ² k/(k+1)) bounds the
    max divergence of one coordinate, both ways.
    """
    per_share = 2 * (math.pi * spec.share_sigma) ** 2
    # From k = 64 on the terms hardly fall; the rest is bounded by its largest, the first.
    near = sum(math.exp(-per_share * k / (k + 1)) for k in range(1, min(spec.counted, 64)))
    far = max(0, spec.counted - 64) * math.exp(-per_share * 64 / 65)
    return 10 * spec.dimension * (near + far)


def pure_epsilon(spec: LaplaceShares) -> float:
    """The ε that is left when ``counted`` Pólya shares of ``divisor`` are in the sum.

    With r = counted/divisor the sum is the difference of two negative binomial numbers of shape
    r. For r >= 1 it is discrete Laplace and independent noise on top: ε = Δ/b. For r < 1 its law
    is log-convex on each side of 0 (a mixture of geometric laws), so its steepest step is the one
    from 0 to 1; a shopper who moves Δ coordinates by one unit each meets that step Δ times.

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
    ratio = math.exp(-1 / spec.scale)
    # P(0) and P(1) of the difference are these series times the same (1 - ratio)^(2r).
    at_zero = hyp2f1(shape, shape, 1, ratio**2)
    at_one = shape * ratio * hyp2f1(shape, shape + 1, 2, ratio**2)
    return spec.sensitivity_l1 * math.log(at_zero / at_one)
