"""The driver's half of a guard: what a sum of clipped vectors becomes on its way to a mean.

The party's half (``private_fit``) runs in the order clip → compress → noise; nothing is compressed
yet. This half runs in reverse: noise where it is central, then the public divisor. The mean comes
in lengths of the clipping norm: a cohort of vectors that all point the same way and are all clipped
gives a mean of length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, ProtocolError
from fedguide.horizontal.mean import Mean, Terms, Update
from fedguide.horizontal.summed import Packing, Total
from fedguide.privacy.guard import Guard, central_noise, correlated_noise
from fedguide.ring import RingVector
from fedguide.seeds import Root


def private_packing(
    guard: Guard,
    trained: Sequence[slice],
    roots: Callable[[int], Root] | None = None,
    scales: Sequence[float] | None = None,
) -> Packing:
    """The packing of guarded vectors; ``trained`` says where they lie in the parameters.

    ``roots`` are the driver's own of each round, for noise that is correlated; a party that only
    packs has none. ``scales`` say what each of ``trained`` was multiplied by before the clip: the
    mean is divided by it.

    ``pack`` raises ``ProtocolError`` for an update that did not come through a guard; ``unpack``
    for a sum with fewer noise shares than the guard counts on, which is then never read.

    Raises:
        ConfigError: the trained coordinates are not as many as the guard's.
    """
    over_rounds = (
        None if guard.strategy is None or roots is None else correlated_noise(guard, roots)
    )
    places = coordinates(trained)
    if len(places) != guard.size:
        raise ConfigError(f"{len(places)} coordinates are trained, the guard has {guard.size}")
    lengths = [part.stop - part.start for part in trained]
    if scales is not None and len(scales) != len(lengths):
        raise ConfigError(f"{len(lengths)} stretches are trained, {len(scales)} have a scale")
    scaled = 1.0 if scales is None else np.repeat(np.asarray(scales, np.float64), lengths)

    def pack(update: Update, _root: Root) -> RingVector:
        if update.units is None or update.units.shape != (guard.size,):
            raise ProtocolError("nothing but guarded vectors may leave under a guard")
        return update.units

    def unpack(total: Total, terms: Terms) -> Mean:
        if guard.placement == "distributed" and len(total.parties) < guard.parties - guard.absent:
            raise ProtocolError(
                f"the sum holds {len(total.parties)} noise shares, at least "
                f"{guard.parties - guard.absent} are needed"
            )
        if guard.strategy is not None and over_rounds is None:
            raise ConfigError("correlated noise needs the driver's roots of all rounds")
        noise = (
            central_noise(guard, terms.root, terms.round)
            if over_rounds is None
            else over_rounds(terms.round)
        )
        noised = with_noise(total.vector, noise)
        mean = np.zeros(terms.size, np.float32)
        mean[places] = noised.view(np.int32) / (guard.bound.target * guard.cohort * scaled)
        # No loss was handed in, and no count: the divisor is what everybody knew before.
        return Mean(mean, guard.cohort, 0.0, np.zeros(0), total.parties, total.missing)

    return Packing(lambda _terms: guard.size, pack, unpack)


def coordinates(trained: Sequence[slice]) -> NDArray[np.int64]:
    """The coordinates of these slices, in order."""
    return np.concatenate([np.arange(part.start, part.stop) for part in trained]).astype(np.int64)


def with_noise(vector: RingVector, noise: NDArray[np.int64] | None) -> RingVector:
    """The sum of both on the grid, mod 2^32; the vector itself where there is no noise."""
    return vector if noise is None else vector + noise.astype(np.uint32)
