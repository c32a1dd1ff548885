"""A proposal: what a coordinator wants to train, with whom, why, and what leaves each shop for it.

It is the one description of a task that everybody works from: the owner of a shop reads it before
anything runs, the party's process builds its half from it, and the driver its own. A party's
consent is to the SHA-256 of its bytes, so that nothing can be changed afterwards.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias, get_args

from fedguide.codec import Later, Limits, decode, encode
from fedguide.crypto.requests import NAME
from fedguide.crypto.signing import PublicKey, SigningKey
from fedguide.errors import ConfigError
from fedguide.horizontal.choice import Choice, read_choice
from fedguide.horizontal.compatible import check_together
from fedguide.horizontal.compression import Compression, read_compression
from fedguide.horizontal.masked_party import masked_party
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.mean import Aggregator, weighted_mean
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.neighbours import LEAST_COHORT
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.roster import Member, Seat, SignedTerms, TaskTerms, sign_terms
from fedguide.horizontal.summed import Packing, open_sum, summed
from fedguide.models.plan import GuidePlan
from fedguide.protocol import State
from fedguide.ring import WORD_BITS
from fedguide.runtime.handover import HANDOVER_WIRE
from fedguide.runtime.heads import HEADS_WIRE
from fedguide.runtime.noising import Noising
from fedguide.runtime.rounds import RunState
from fedguide.values import PartyId

Aggregation: TypeAlias = Literal["weighted_mean", "open_sum", "masked_sum"]
"""How updates become one: sent in the open, as vectors on the grid, or these under masks."""

PROPOSAL_LIMITS = Limits(max_bytes=1 << 16)
ALLOWED: tuple[type, ...] = (*WIRE, *HANDOVER_WIRE, *HEADS_WIRE, RunState)
"""Every kind of message and state of a task: what a courier and a party store have to allow."""

_ENVELOPE_BYTES = 1 << 16  # a message's header, figures and short fields, beside its vector
_EXTRA = 2  # a vector on the grid holds the weight and the loss beside the update
# AdamW's two moments, one for what an aggregator keeps, and two for what an algorithm does.
_VECTORS_IN_STATE = 5
# The models of two rounds, and what was left out before and after the last answer, for who takes
# up to twice as many numbers.
_VECTORS_COMPRESSED = 6


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
        max_norm: with sums on the grid, longest update in L2; a longer one is shortened.
        guide: the network, and how long and with what a party trains it in a round.
        seed: of the first parameters, which are public.
        size: length p of the parameters that cross.
        terms: with ``masked_sum``, what its parties consent to, signed by the coordinator: who is
            in a sum by which key, and how few may be.
        algorithm: what a round is, ``NAME`` or ``NAME:NUMBER`` (``choice.OFFERS``).
        first: a round ends with so many updates though all parties are asked, and later ones are
            dropped; 0 waits for everybody until the deadline.
        fit_s: seconds that a party's local training should take at most, which it keeps to by
            fewer steps once it knows how fast it is; 0 is no limit.
        compress: how updates and models are sent in fewer bytes (``compression.COMPRESSIONS``).
        noising: the noise that is added, from which each party works out its price; ``None`` says
            that none is, so there is no bound on what updates can tell.

    Raises:
        ConfigError: a number is out of range, or the terms are of another task.
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
    terms: SignedTerms | None = None
    algorithm: Annotated[str, Later()] = "fedavg"
    noising: Annotated[Noising | None, Later()] = None
    first: Annotated[int, Later()] = 0
    fit_s: Annotated[float, Later()] = 0.0
    compress: Annotated[str, Later()] = "none"

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
        noise = () if self.noising is None else (self.noising.noise,)
        compress = self.compression.name
        check_together(self.choice.name, self.aggregation, compress, *noise)
        self._check_pace()
        if self.choice.offer.personal == "within":
            raise ConfigError(
                f"{self.choice.name} has no model to hand over at the end of a run over the hub",
                hint="fedguide sim --algorithm fedper, or ditto here",
            )
        self._check_terms()
        self._check_noising()

    def _check_pace(self) -> None:
        """When a round ends, and how long a party trains."""
        if self.first and not self.quorum <= self.first <= len(self.parties):
            raise ConfigError(
                f"first must be in [{self.quorum}, {len(self.parties)}], got {self.first}"
            )
        if self.first and self.choice.name == "fedbuff":
            raise ConfigError(
                "FedBuff ends its rounds itself, with as many answers as its number says",
                hint=f"--algorithm fedbuff:{self.first}",
            )
        if not (math.isfinite(self.fit_s) and self.fit_s >= 0):
            raise ConfigError(f"fit_s must be finite and at least 0, got {self.fit_s}")
        if self.fit_s and self.choice.name != "fednova":
            raise ConfigError(
                f"with {self.choice.name}, who takes fewer steps pulls less; fednova makes up "
                "for that",
                hint="--algorithm fednova",
            )

    def _check_noising(self) -> None:
        """Noise is of sums of vectors that carry nothing from round to round."""
        noising = self.noising
        if noising is None:
            return
        if self.aggregation == "weighted_mean":
            raise ConfigError(
                "noise goes with sums on the grid, got weighted_mean",
                hint="--aggregation masked_sum",
            )
        if self.algorithm != "fedavg":
            raise ConfigError(
                f"noise goes with fedavg alone, got {self.algorithm}", hint="--algorithm fedavg"
            )
        if self.keep_moments or self.server_momentum:
            raise ConfigError(
                "under noise no moments are kept, and the coordinator's step is Adam's: "
                "keep_moments must be false and server_momentum 0"
            )
        if noising.clip != self.max_norm:
            raise ConfigError(f"max_norm {self.max_norm:g} is not the clip {noising.clip:g}")
        if noising.trained[-1][1] > self.size:
            raise ConfigError(f"noise is for {noising.trained}, there are {self.size} parameters")
        if noising.placement == "distributed" and self.quorum < len(self.parties) - noising.absent:
            raise ConfigError(
                f"quorum {self.quorum} is below the {len(self.parties) - noising.absent} noise "
                "shares that a sum needs",
                hint="--quorum, or [dp] absent",
            )

    def _check_terms(self) -> None:
        """A masked sum has terms, of this very task; nothing else has any."""
        if (self.terms is not None) != (self.aggregation == "masked_sum"):
            raise ConfigError(f"terms belong to a masked_sum, and only there: {self.aggregation}")
        if self.terms is None:
            return
        terms = self.terms.terms
        same = (
            (terms.task, terms.purpose, terms.max_norm) == (self.task, self.purpose, self.max_norm)
            and tuple(member.party for member in terms.members) == self.parties
            and (terms.length, terms.modulus_bits) == (self.grid_length, WORD_BITS)
            and terms.fraction_bits == self.bounds.grid.fraction_bits
            and terms.noise_multiplier == _noise_multiplier(self)
        )
        if not same:
            raise ConfigError("the terms of the masked sum are not those of its proposal")

    @property
    def choice(self) -> Choice:
        """The algorithm."""
        return read_choice(self.algorithm)

    @property
    def compression(self) -> Compression:
        """How updates and models are sent in fewer bytes."""
        return read_compression(self.compress)

    @property
    def update_size(self) -> int:
        """Numbers of one update."""
        return self.choice.offer.size(self.size)

    @property
    def grid_length(self) -> int:
        """Coordinates of one update as a vector on the grid; a noised one has no figures."""
        if self.noising is not None:
            return self.noising.size
        return self.compression.size(self.update_size) + self.choice.offer.figures + _EXTRA

    @property
    def bounds(self) -> Bounds:
        """Of vectors on the grid."""
        return Bounds(self.max_norm, len(self.parties))

    @property
    def max_bytes(self) -> int:
        """Most that one message of the task may have: its vector and an envelope."""
        return 4 * self.choice.offer.vectors * self.size + _ENVELOPE_BYTES

    @property
    def leaves(self) -> tuple[str, ...]:
        """What leaves a party's machine, in words."""
        if self.noising is not None:
            count = self.noising.size
            clipped = f"each {self.noising.unit}'s part at most {self.noising.clip:g} long"
            if self.noising.sales:
                clipped += ", made with the shop's sales as noised for it, which stay there"
            return (
                f"{self.rounds} sums of {count:,} numbers ({4 * count:,} bytes each), {clipped}",
            )
        size = self.update_size
        update_ = f"{self.rounds} updates of {size:,} numbers ({4 * size:,} bytes each)"
        if not self.compression.is_plain:
            update_ = f"{self.rounds} updates of {size:,} numbers, sent as {self.compress}"
        return (update_, "the number of training examples", "the mean training loss")

    @property
    def learns(self) -> tuple[str, ...]:
        """Who learns what, in words."""
        model = "parties: the model after each round"
        placement = "" if self.noising is None else self.noising.placement
        noise = ", noised" if placement in ("distributed", "local") else ""
        if self.terms is None:
            # Shares of a distributed noise protect the sum; one share alone is less than promised.
            said = "noised by itself" if placement == "local" else "in the clear"
            return (f"coordinator: every single update, {said}", model)
        least = self.terms.terms.min_cohort
        return (f"coordinator: sums of at least {least} updates{noise}, never a single one", model)

    @property
    def noise_in_words(self) -> str:
        """What is added, by whom, per whom; without the price."""
        n = self.noising
        if n is None:
            return "none"
        return (
            f"{n.noise}, {n.multiplier:.4g} x the clip {n.clip:g}, {n.placement}, per {n.unit}, "
            f"{self.rounds} rounds"
            + ("" if n.sampling == 1 else f", sampling {n.sampling:g}")
            + (f"; sales once, {n.sales:.4g} x a shopper's row" if n.sales else "")
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
    proposal: Proposal = decode(payload, [Proposal, SignedTerms], PROPOSAL_LIMITS)
    return proposal


def proposal_digest(payload: bytes) -> bytes:
    """What a party's consent is to."""
    return hashlib.sha256(payload).digest()


def masked_terms(
    proposal: Proposal, identities: Mapping[str, PublicKey], key: SigningKey
) -> SignedTerms:
    """The terms of a masked task, signed by the coordinator.

    Args:
        proposal: the task, as an ``open_sum``; ``replace`` makes it masked with the terms.
        identities: every party's key, from its enrolment.
        key: the coordinator's.

    Raises:
        ConfigError: there are fewer than three parties, or two have one key.
    """
    members = tuple(Member(PartyId(name), identities[name]) for name in proposal.parties)
    terms = TaskTerms(
        task=proposal.task,
        purpose=proposal.purpose,
        coordinator=key.public,
        members=members,
        min_cohort=max(LEAST_COHORT, proposal.quorum),
        length=proposal.grid_length,
        modulus_bits=WORD_BITS,
        fraction_bits=proposal.bounds.grid.fraction_bits,
        max_norm=proposal.max_norm,
        noise_multiplier=_noise_multiplier(proposal),
        deadline_s=proposal.deadline_s,
    )
    return sign_terms(terms, key)


def _noise_multiplier(proposal: Proposal) -> float:
    return 0.0 if proposal.noising is None else proposal.noising.multiplier


def coordinators_aggregator(proposal: Proposal, key: SigningKey) -> Aggregator:
    """The coordinator's side; ``key`` is the one that the terms of a masked task name.

    Raises:
        ConfigError: they name another.
    """
    up = proposal.compression.up
    if proposal.terms is None:
        return up(_in_the_open(proposal))
    return up(summed(_packing(proposal), masked_sum(proposal.terms.terms, key)))


def partys_aggregator(proposal: Proposal, seat: Callable[[SignedTerms], Seat]) -> Aggregator:
    """A party's side; ``seat`` consents to the terms of a masked task, or refuses them.

    Raises:
        RefusedError: it refuses.
    """
    up = proposal.compression.up
    if proposal.terms is None:
        return up(_in_the_open(proposal))
    return up(summed(_packing(proposal), masked_party(seat(proposal.terms))))


def _in_the_open(proposal: Proposal) -> Aggregator:
    if proposal.aggregation == "weighted_mean":
        return weighted_mean()
    return summed(_packing(proposal), open_sum())


def _packing(proposal: Proposal) -> Packing:
    if proposal.noising is None:
        return weighted_packing(proposal.bounds)
    from fedguide.horizontal.private_packing import private_packing

    noising, scales = proposal.noising, None
    if noising.others != 1:
        from fedguide.models.shoppers import trained_scales

        scales = trained_scales(proposal.guide, noising.part, noising.others)
    return private_packing(noising.guard(len(proposal.parties)), noising.slices, scales=scales)


def task_limits(proposal: Proposal) -> Limits:
    """Sizes of a task's messages, and of what a party keeps: its optimiser's state above all."""
    p = proposal.size
    vectors = _VECTORS_IN_STATE + (0 if proposal.compression.is_plain else _VECTORS_COMPRESSED)
    most = vectors * (4 * p + _ENVELOPE_BYTES)
    # A vector on the grid holds the update, the weight and the loss; AdamW two moments and a count.
    grid, longest = proposal.grid_length, max(p, proposal.update_size)
    dims = {"p": longest, "u": longest, "n": grid, "b": p, "s": 2 * p + 1, "bytes": 4 * grid}
    return Limits(most, dims)
