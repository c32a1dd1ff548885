"""The weighted mean as a sum on the grid: updates, figures and the weight side by side.

A party's vector is (w·v/C, w·figures/F, w·loss/F, w) with its weight |w| ≤ 1 as one more
coordinate, so that one sum gives Σ w v and Σ w, and the quotient is the mean (Bonawitz et al.,
"Practical Secure Aggregation", 2017, section 4.4 calls for such a weight). What does not fit is
bounded first: ``v`` is shortened to length C, loss and figures are cut to ±F. Every coordinate is
then within ±1 and the grid is the finest on which the sum of all parties cannot wrap around.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, OversizedError, ProtocolError
from fedguide.horizontal.mean import Mean, Terms, Update, Weighting
from fedguide.horizontal.summed import Packing, Total
from fedguide.ring import WORD_BITS, Grid, RingVector, finest_grid, from_ring, to_ring
from fedguide.seeds import Root, stream
from fedguide.values import Vector

_WITHIN = 1 - 2.0**-50  # so that no rounding of the factor takes a coordinate beyond 1
# Coordinates squared at once: within a core's own cache, and too few for a BLAS to set threads to
# work on, which wait for each other a hundred times longer than the sum takes on a busy machine.
_BLOCK = 1 << 13


@dataclass(frozen=True)
class Bounds:
    """What all parties of a job agree on before the first round.

    Attributes:
        max_norm: C, the longest update in L2; longer ones are shortened to it.
        parties: most vectors in one sum.
        max_examples: most examples one party may weigh; a party with more is refused.
        max_figure: F, the largest absolute loss or figure; larger ones are cut.
        weighting: p_k by ``"num_examples"`` or ``"uniform"``.
        modulus_bits: b; the sum is mod 2^b, and masked vectors travel in b bits a coordinate.

    Raises:
        ConfigError: a number is out of its range, or the weights do not fit on the grid.
    """

    max_norm: float
    parties: int
    max_examples: int = 1 << 20
    max_figure: float = 64.0
    weighting: Weighting = "num_examples"
    modulus_bits: int = WORD_BITS

    def __post_init__(self) -> None:
        """Checks the ranges, and that a single example still moves the sum by a unit."""
        for name in ("max_norm", "max_figure"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be finite and above 0, got {value}")
        for name in ("parties", "max_examples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.weighting not in get_args(Weighting):
            raise ConfigError(f"weighting must be num_examples or uniform, got {self.weighting!r}")
        if self.example_units < 1:
            raise ConfigError(
                f"{self.parties} parties with up to {self.max_examples} examples do not fit on "
                f"a grid of {self.grid.fraction_bits} fraction bits",
                hint="a smaller max_examples",
            )

    @property
    def grid(self) -> Grid:
        """The grid all parties of the job share."""
        return finest_grid(1.0, self.parties, modulus_bits=self.modulus_bits)

    @property
    def example_units(self) -> int:
        """Units one example weighs: a power of two, so that weights are exact on the grid."""
        bits = (self.max_examples - 1).bit_length()
        return (1 << self.grid.fraction_bits) >> bits


def weighted_packing(bounds: Bounds) -> Packing:
    """The packing whose mean is Σ p_k v_k, up to one unit of the grid a party.

    ``pack`` raises ``OversizedError`` when a party has more examples than ``max_examples``.
    """
    grid = bounds.grid

    def pack(update: Update, root: Root) -> RingVector:
        units = _weight_units(update, bounds)
        weight, rounding = units / grid.scale, stream(root, "round to the grid", update.round)
        factor = weight * shortening(update.vector, bounds.max_norm) / bounds.max_norm * _WITHIN
        figures = _cut(np.append(update.figures, update.loss), bounds.max_figure)
        size = len(update.vector)
        packed = np.empty(size + len(figures) + 1, np.uint32)
        to_ring(update.vector, grid, rounding, factor, out=packed[:size])
        to_ring(figures, grid, rounding, weight, out=packed[size:-1])
        packed[-1] = units
        return packed

    def unpack(total: Total, terms: Terms) -> Mean:
        values = from_ring(total.vector, grid)
        weight = values[-1]
        if weight <= 0:  # honest weights are positive and cannot wrap around
            raise ProtocolError(f"weights add up to {weight:g}: a party sent one it may not")
        examples = round(weight * grid.scale) // bounds.example_units
        vector = values[: terms.size] * (bounds.max_norm / weight)
        figures = values[terms.size : -1] * (bounds.max_figure / weight)
        return Mean(
            vector.astype(np.float32),
            examples if bounds.weighting == "num_examples" else len(total.parties),
            float(figures[-1]),
            figures[:-1],
            total.parties,
            total.missing,
        )

    return Packing(lambda terms: terms.size + terms.figures + 2, pack, unpack, bounds.modulus_bits)


def shortened(vector: Vector, max_norm: float) -> Vector:
    """The vector, scaled down to L2 length ``max_norm`` where it is longer."""
    factor = shortening(vector, max_norm)
    return vector if factor == 1 else (vector * factor).astype(vector.dtype)


def shortening(vector: Vector, max_norm: float) -> float:
    """What a vector is multiplied by to be no longer than ``max_norm``; at most 1."""
    squares = 0.0
    for start in range(0, len(vector), _BLOCK):
        part = vector[start : start + _BLOCK].astype(np.float64)
        squares += float(part @ part)
    norm = math.sqrt(squares)
    return max_norm / norm if norm > max_norm else 1.0


def _weight_units(update: Update, bounds: Bounds) -> int:
    """A party's weight in units of the grid."""
    if bounds.weighting == "uniform":
        return 1 << bounds.grid.fraction_bits
    if not 1 <= update.examples <= bounds.max_examples:
        raise OversizedError(
            f"examples must be in [1, {bounds.max_examples}], got {update.examples}"
        )
    return update.examples * bounds.example_units


def _cut(figures: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Figures as fractions of the largest allowed."""
    return np.clip(figures / most, -1, 1)
