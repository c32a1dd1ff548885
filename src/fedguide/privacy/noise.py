"""Mechanisms carried out: noise onto vectors of integers, in units of the grid.

What the noise protects is in the spec and is the caller's to keep: a vector in which one shopper
weighs more than the sensitivity is not protected. Where the noise is put on names who is trusted:
central by whoever has the sum, local by every party the whole of it, distributed by every party a
share (``shares``). Addition of integers is exact, so that no low bit of a float gives away what
was below the noise (Mironov, "On Significance of the Least Significant Bits", 2012).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.privacy.inversion import largest
from fedguide.privacy.laws import DiscreteGaussian, DiscreteLaplace, Law, Polya
from fedguide.privacy.mechanisms import Gaussian, GaussianShares, Laplace, LaplaceShares
from fedguide.privacy.samplers import draw
from fedguide.ring import Grid
from fedguide.seeds import Label, Root

Units: TypeAlias = NDArray[np.int64]
"""A vector in units of the grid, shape ``(p,)``."""

Drawn: TypeAlias = Laplace | Gaussian | GaussianShares | LaplaceShares
"""Mechanisms whose noise is drawn anew for every release; figures in units of the grid."""


def laplace_mechanism(
    values: Units, sensitivity_l1: float, epsilon: float, root: Root, *labels: Label
) -> Units:
    """g̃ = g + Lap(Δf / ε): pure ε for whoever moves ``values`` by at most Δf units in L1.

    Dwork, McSherry, Nissim and Smith, "Calibrating Noise to Sensitivity", 2006, proposition 1.

    Raises:
        ConfigError: a figure is not finite and above 0, or Δf / ε is no scale of a table.
    """
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be above 0, got {epsilon}")
    return add_noise(values, Laplace(sensitivity_l1 / epsilon, sensitivity_l1), root, *labels)


def gaussian_mechanism(
    values: Units, sensitivity_l2: float, noise_multiplier: float, root: Root, *labels: Label
) -> Units:
    """The vector g and N(0, (z·Δf)²) for whoever moves ``values`` by at most Δf units in L2.

    Raises:
        ConfigError: a figure is not finite and above 0, or z·Δf is no scale of a table.
    """
    return add_noise(values, Gaussian(noise_multiplier, sensitivity_l2), root, *labels)


def add_noise(values: Units, mechanism: Drawn, root: Root, *labels: Label) -> Units:
    """The values and the noise of one release; of a share mechanism, one party's share.

    Raises:
        ConfigError: ``values`` is no vector of integers, or the noise cannot be drawn.
    """
    if values.ndim != 1 or values.dtype != np.int64:
        raise ConfigError(
            f"noise goes onto int64 vectors of shape (p,), got {values.dtype} {values.shape}"
        )
    return values + noise(mechanism, len(values), root, *labels)


def noise(mechanism: Drawn, size: int, root: Root, *labels: Label) -> Units:
    """The noise alone, shape ``(size,)``; the same again for the same root and labels.

    Raises:
        ConfigError: the noise cannot be drawn.
    """
    if isinstance(mechanism, LaplaceShares):
        law = law_of(mechanism)
        plus = draw(law, size, root, *labels, "plus").astype(np.int64)
        return plus - draw(law, size, root, *labels, "minus")
    return draw(law_of(mechanism), size, root, *labels).astype(np.int64)


def law_of(mechanism: Drawn) -> Law:
    """The law of one draw (of Pólya shares, of each of the two that make a share).

    Raises:
        ConfigError: the scale is outside of what a table can have.
    """
    match mechanism:
        case Laplace():
            return DiscreteLaplace(mechanism.scale)
        case Gaussian():
            return DiscreteGaussian(mechanism.sigma)
        case GaussianShares():
            return DiscreteGaussian(mechanism.share_sigma)
        case LaplaceShares():
            return Polya(mechanism.scale, mechanism.divisor)


def in_units(mechanism: Laplace | Gaussian, grid: Grid) -> Laplace | Gaussian:
    """A spec in real values as one in units of the grid; a Laplace one says its whole units."""
    match mechanism:
        case Laplace():
            sensitivity = mechanism.sensitivity_l1 * grid.scale
            units = math.ceil(sensitivity)
            return Laplace(mechanism.scale * grid.scale, sensitivity, units)
        case Gaussian():
            return replace(mechanism, sensitivity_l2=mechanism.sensitivity_l2 * grid.scale)


def noise_units(mechanism: Drawn, parties: int = 1) -> int:
    """How far noise from ``parties`` parties can move a sum: never more, for ``Grid.noise_units``.

    The tables end where less than 2^-100 is left, so this is a bound and not a likelihood.

    Raises:
        ConfigError: ``parties`` is below 1, or the noise cannot be drawn.
    """
    if parties < 1:
        raise ConfigError(f"parties must be at least 1, got {parties}")
    return parties * largest(law_of(mechanism))
