"""What drop-outs leave of the protection: told in ε before a sum is opened, refused if too little.

Noise that is made in shares is judged before the coordinator may add them up: once the sum is
known it is too late. The planned event was charged; when fewer parties are there than it counts
on, less noise is in the sum and the ε would be larger than what was charged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.accounting import epsilon_of
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import GaussianShares, LaplaceShares
from fedguide.privacy.shares import Split, with_present


@dataclass(frozen=True)
class Present:
    """A round of noise shares as it turned out.

    Attributes:
        event: what is really done if the sum is opened.
        epsilon: what that costs, against insiders, over all rounds of the event.
        charged: what the planned event costs.
    """

    event: Event
    epsilon: float
    charged: float

    @property
    def enough(self) -> bool:
        """Whether the sum holds at least the noise that was charged for."""
        return self.epsilon <= self.charged


def judge_present(planned: Event, split: Split, present: int, delta: float) -> Present:
    """What it costs to open the sum of ``present`` parties, beside what was charged.

    Raises:
        ConfigError: the event has no shares, or more are present than were asked.
        RefusedError: not one secret share is left.
    """
    if not isinstance(planned.mechanism, GaussianShares | LaplaceShares):
        raise ConfigError(f"only noise shares drop out, got {type(planned.mechanism).__name__}")
    event = replace(planned, mechanism=with_present(planned.mechanism, split, present))
    return Present(
        event,
        epsilon=epsilon_of([event], delta, "insider"),
        charged=epsilon_of([planned], delta, "insider"),
    )


def check_present(planned: Event, split: Split, present: int, delta: float) -> Event:
    """The event that is really done, if it costs no more than was charged.

    Raises:
        ConfigError: as ``judge_present``.
        RefusedError: too few parties are present; the text says what it would cost.
    """
    judged = judge_present(planned, split, present, delta)
    if not judged.enough:
        raise RefusedError(
            f"{present} of {split.parties} parties are present and {split.dropouts} may be "
            f"missing: ε would be {judged.epsilon:.4g} instead of the {judged.charged:.4g} charged",
            hint="wait for more parties, or start the round anew",
        )
    return judged.event
