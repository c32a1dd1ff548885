"""An aggregator's two sides: what the coordinator runs and what each party runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fedguide.errors import ConfigError
from fedguide.horizontal.mean import Aggregator, Weighting
from fedguide.horizontal.packing import Bounds
from fedguide.ring import WORD_BITS
from fedguide.seeds import Root
from fedguide.values import PartyId


@dataclass(frozen=True)
class Job:
    """What an aggregator is built for.

    Attributes:
        task: name of the task.
        parties: who can be asked, sorted.
        size: length p of an update.
        root: what the identity keys of a simulated job are derived from.
        figures: how many figures ride along with an update.
        max_norm: the longest update in L2, where updates are bounded.
        max_examples: most examples one party may weigh.
        weighting: p_k by ``"num_examples"`` or ``"uniform"``.
        min_cohort: fewest parties in a masked sum.
        modulus_bits: b, for sums mod 2^b.

    Raises:
        ConfigError: there is no party, or they are unsorted or stand there twice.
    """

    task: str
    parties: tuple[PartyId, ...]
    size: int
    root: Root = field(repr=False)
    figures: int = 0
    max_norm: float = 100.0
    max_examples: int = 1 << 20
    weighting: Weighting = "num_examples"
    min_cohort: int = 3
    modulus_bits: int = WORD_BITS

    def __post_init__(self) -> None:
        """Checks the parties."""
        if not self.parties or list(self.parties) != sorted(set(self.parties)):
            raise ConfigError(f"parties must be sorted and different, got {len(self.parties)}")

    @property
    def bounds(self) -> Bounds:
        """The bounds of vectors on the grid.

        Raises:
            ConfigError: a number is out of its range.
        """
        return Bounds(
            self.max_norm,
            len(self.parties),
            self.max_examples,
            weighting=self.weighting,
            modulus_bits=self.modulus_bits,
        )


@dataclass(frozen=True)
class Sides:
    """The coordinator's aggregator, and each party's own.

    For sums in the open both are one and the same; under masks a party's holds its secret key.
    """

    coordinator: Aggregator
    party: Callable[[PartyId], Aggregator]

    def through(self, wrap: Callable[[Aggregator], Aggregator]) -> Sides:
        """Both sides with the same done to each."""
        return Sides(wrap(self.coordinator), lambda name: wrap(self.party(name)))


def both(aggregator: Aggregator) -> Sides:
    """The same aggregator for the coordinator and for every party."""
    return Sides(aggregator, lambda _party: aggregator)
