"""A proposal: what a coordinator wants to train, with whom, why, and what leaves each shop for it.

It is the one description of a task that everybody works from: the owner of a shop reads it before
anything runs, the party's process builds its half from it, and the driver its own. A party's
consent is to the SHA-256 of its bytes, so that nothing can be changed afterwards.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.requests import NAME
from fedguide.errors import ConfigError
from fedguide.horizontal.mean import Aggregator, weighted_mean
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.summed import open_sum, summed
from fedguide.models.plan import GuidePlan
from fedguide.protocol import State
from fedguide.runtime.handover import HANDOVER_WIRE
from fedguide.runtime.rounds import RunState

Aggregation: TypeAlias = Literal["weighted_mean", "open_sum"]
"""How updates become one: each sent in the open, or as vectors on the grid, in the open too."""

PROPOSAL_LIMITS = Limits(max_bytes=1 << 16)
ALLOWED: tuple[type, ...] = (*WIRE, *HANDOVER_WIRE, RunState)
"""Every kind of message and state of a task: what a courier and a party store have to allow."""

_ENVELOPE_BYTES = 1 << 16  # a message's header, figures and short fields, beside its vector
_VECTORS_IN_STATE = 3  # AdamW's two moments, and one more for what an aggregator keeps


@dataclass(frozen=True)
class Proposal(State):
    """One task.

    Attributes:
        task: its name, which nobody else in the federation has used.
        purpose: why it is trained, in the coordinator's words.
        parties: who is asked to take part.
        columns: what of a shop's own data its training reads, on its own machine.
        aggregation: how updates are put together.
        rounds: how many there are; each takes one update of each party.
        quorum: fewest updates a round is made of.
        deadline_s: seconds a round waits.
        server_momentum: of the coordinator.
        keep_moments: a party keeps its optimiser's moments from round to round.
        max_norm: with ``open_sum``, longest update in L2; a longer one is shortened.
        guide: the network, and how long and with what a party trains it in a round.
        seed: of the first parameters, which are public.
        size: length p of the parameters.
        epsilon: price of taking part in ε; ``None`` says that no noise is added, so there is no
            bound on what updates can tell.

    Raises:
        ConfigError: a number is out of range.
    """

    task: str
    purpose: str
    parties: tuple[str, ...]
    columns: tuple[str, ...]
    aggregation: Aggregation
    rounds: int
    quorum: int
    deadline_s: float
    server_momentum: float
    keep_moments: bool
    max_norm: float
    guide: GuidePlan = field(repr=False)
    seed: int
    size: int
    epsilon: float | None = None

    def __post_init__(self) -> None:
        """Checks what no other plan checks."""
        if not NAME.fullmatch(self.task):
            # It names files at every party: nothing else may pass for a name.
            raise ConfigError(
                f"task must be 1 to 64 lower-case letters, digits, dots, dashes, got {self.task!r}"
            )
        if self.aggregation not in get_args(Aggregation):
            raise ConfigError(
                f"aggregation must be one of {get_args(Aggregation)}, got {self.aggregation!r}"
            )
        if not self.purpose.strip():
            raise ConfigError("a proposal says what it is for", hint="--purpose '...'")
        if not 1 <= self.rounds <= 10_000:
            raise ConfigError(f"rounds must be in [1, 10000], got {self.rounds}")
        if not 1 <= self.quorum <= len(self.parties):
            raise ConfigError(f"quorum must be in [1, {len(self.parties)}], got {self.quorum}")
        if not (math.isfinite(self.deadline_s) and self.deadline_s > 0):
            raise ConfigError(f"deadline_s must be finite and above 0, got {self.deadline_s}")
        if not 0 <= self.server_momentum < 1:
            raise ConfigError(f"server_momentum must be in [0, 1), got {self.server_momentum}")
        if self.size < 1:
            raise ConfigError(f"size must be at least 1, got {self.size}")

    @property
    def max_bytes(self) -> int:
        """Most that one message of the task may have: its vector and an envelope."""
        return 4 * self.size + _ENVELOPE_BYTES

    @property
    def leaves(self) -> tuple[str, ...]:
        """What leaves a party's machine, in words."""
        update_ = f"{self.rounds} updates of {self.size:,} numbers ({4 * self.size:,} bytes each)"
        return (update_, "the number of training examples", "the mean training loss")

    @property
    def learns(self) -> tuple[str, ...]:
        """Who learns what, in words."""
        return (
            "coordinator: every single update, in the clear",
            "parties: the model after each round",
        )


def proposal_bytes(proposal: Proposal) -> bytes:
    """The proposal as it travels."""
    return encode(proposal)


def read_proposal(payload: bytes) -> Proposal:
    """The proposal in these bytes.

    Raises:
        PayloadError: they are none, or of another version.
        ConfigError: a number in it is out of range.
    """
    proposal: Proposal = decode(payload, [Proposal], PROPOSAL_LIMITS)
    return proposal


def proposal_digest(payload: bytes) -> bytes:
    """What a party's consent is to."""
    return hashlib.sha256(payload).digest()


def aggregator_of(proposal: Proposal) -> Aggregator:
    """Both sides' aggregator."""
    if proposal.aggregation == "weighted_mean":
        return weighted_mean()
    return summed(weighted_packing(Bounds(proposal.max_norm, len(proposal.parties))), open_sum())


def task_limits(proposal: Proposal) -> Limits:
    """Sizes of a task's messages, and of what a party keeps: its optimiser's state above all."""
    p = proposal.size
    most = _VECTORS_IN_STATE * (4 * p + _ENVELOPE_BYTES)
    # A vector on the grid holds the update, the weight and the loss; AdamW two moments and a count.
    return Limits(most, {"p": p, "n": p + 2, "s": 2 * p + 1})
