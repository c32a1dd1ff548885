"""What a proposal says about noise: the mechanism itself, from which everybody works out the price.

A coordinator's word for an ε is worth nothing. The proposal names the noise, what it is measured
against and how often it is drawn; each party makes its guard of exactly that, prices it with its
own accountant, and charges its own ledger before anything is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fedguide.codec import Later
from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.models.plan import GuidePlan
    from fedguide.privacy.accounting import Price
    from fedguide.privacy.events import Event
    from fedguide.privacy.guard import Guard
    from fedguide.runtime.private_rounds import PrivatePlan

PURPOSE = "recommend"
"""What a trained guide is used for, as policies and ledgers name it."""

NOISES, PLACEMENTS, UNITS = (
    ("gaussian", "laplace"),
    ("central", "distributed", "local"),
    ("shopper", "shop"),
)


@dataclass(frozen=True)
class Noising:
    """The noise of a task, in the terms of ``privacy.guard.Guard``.

    Attributes:
        noise: ``"gaussian"`` or ``"laplace"``.
        multiplier: standard deviation (Laplace: scale) of a round's noise over the sensitivity.
        clip: longest vector of one shopper in a round; L2 for a Gaussian, L1 for a Laplace.
        cohort: shoppers expected in a sum, which the sum is divided by; a public figure.
        placement: who adds the noise: the coordinator, all together, or each party by itself.
        absent: of noise added together, parties whose share may be missing.
        sampling: the probability with which a shopper is in a round.
        unit: whose presence is hidden.
        delta: the δ at which the price is stated; a Laplace has none.
        part: what of the network is trained, ``"tower"`` or ``"head"``.
        trained: where that lies in the flat parameters: start and stop of each stretch, ascending.
        baskets: most baskets of one shopper in one round.
        learning_rate: of the coordinator's Adam.
        sales: noise of every shop's own table of sales over the length of a shopper's row
            (``privacy.sales``); it is drawn and charged once, before the rounds, and stays at the
            shop, where every loss knows it. 0 leaves sales out of the loss.
        searches: most different texts a shopper searched for that its own loss reads.
        others: what all trained coordinates but the text table's are multiplied by before a vector
            is clipped, and divided by when the sum is read.

    Raises:
        ConfigError: a field is none of its names, or out of its range.
    """

    noise: str
    multiplier: float
    clip: float
    cohort: int
    placement: str
    absent: int
    sampling: float
    unit: str
    delta: float
    part: str
    trained: tuple[tuple[int, int], ...]
    baskets: int
    learning_rate: float
    sales: Annotated[float, Later()] = 0.0
    searches: Annotated[int, Later()] = 0
    others: Annotated[float, Later()] = 1.0

    def __post_init__(self) -> None:
        """Checks the names, and what the guard does not."""
        for name, options in (("noise", NOISES), ("placement", PLACEMENTS), ("unit", UNITS)):
            if getattr(self, name) not in options:
                raise ConfigError(f"{name} must be one of {options}, got {getattr(self, name)!r}")
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta must be in (0, 1), got {self.delta}")
        flat = [number for stretch in self.trained for number in stretch]
        if not flat or flat[0] < 0 or any(a >= b for a, b in self.trained) or flat != sorted(flat):
            raise ConfigError(f"trained must be stretches, ascending and apart, got {self.trained}")
        if self.baskets < 1:
            raise ConfigError(f"baskets must be at least 1, got {self.baskets}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.searches < 0:
            raise ConfigError(f"searches must be at least 0, got {self.searches}")
        if not 0 < self.others <= 1:
            raise ConfigError(f"others must be in (0, 1], got {self.others}")
        if not (math.isfinite(self.sales) and self.sales >= 0):
            raise ConfigError(f"sales must be finite and at least 0, got {self.sales}")
        if self.sales and (self.noise != "gaussian" or self.unit != "shopper"):
            raise ConfigError(
                f"sales go with Gaussian noise for each shopper, got {self.noise} for a {self.unit}"
            )

    @property
    def size(self) -> int:
        """How many coordinates are trained."""
        return sum(stop - start for start, stop in self.trained)

    @property
    def slices(self) -> tuple[slice, ...]:
        """``trained`` as slices."""
        return tuple(slice(start, stop) for start, stop in self.trained)

    def guard(self, parties: int) -> Guard:
        """The guard among so many parties.

        Raises:
            ConfigError: the fields do not make one.
        """
        from fedguide.privacy.guard import Guard

        return Guard(
            self.noise,  # type: ignore[arg-type]  # checked at birth, as the next two
            self.multiplier,
            self.clip,
            self.size,
            self.cohort,
            parties,
            self.placement,  # type: ignore[arg-type]
            self.absent,
            self.sampling,
            self.unit,  # type: ignore[arg-type]
        )

    def price(self, task: str, parties: int, rounds: int) -> Price:
        """The ε of all rounds, by this machine's own accountant.

        Raises:
            ConfigError: dp-accounting is not installed, or the fields make no guard.
        """
        from fedguide.privacy.accounting import price_of

        delta = 0.0 if self.noise == "laplace" else self.delta
        return price_of([*self.before(task), *[self.guard(parties).event(task)] * rounds], delta)

    def before(self, task: str) -> tuple[Event, ...]:
        """What is released once, before the rounds.

        Raises:
            ConfigError: ``sales`` is more noise than can be drawn.
        """
        from fedguide.privacy.sales import sales_event

        return (sales_event(task, self.sales),) if self.sales else ()


def noising_of(private: PrivatePlan, guide: GuidePlan, parties: int) -> Noising:
    """The noise of a plan among so many parties, calibrated to its ε.

    Raises:
        ConfigError: the plan adds no noise, or noise that runs over the network do not offer.
    """
    from fedguide.models.shoppers import trained_slices
    from fedguide.runtime.private_rounds import guard_of

    if private.noise == "none":
        raise ConfigError("a task without noise has no noising", hint="--dp gaussian")
    if private.adaptive or private.is_one:
        raise ConfigError(
            "adaptive clipping and correlated noise are offered by fedguide sim, not over the hub",
            hint="[dp] adaptive = false, cycle = 1, bands = 1",
        )
    guard = guard_of(private, guide, parties)
    trained = trained_slices(guide, private.part)
    return Noising(
        private.noise,
        guard.multiplier,
        guard.clip,
        guard.cohort,
        guard.placement,
        guard.absent,
        guard.sampling,
        guard.unit,
        private.delta,
        private.part,
        tuple((part.start, part.stop) for part in trained),
        private.baskets,
        private.learning_rate,
        private.sales_multiplier,
        private.searches,
        private.others,
    )
