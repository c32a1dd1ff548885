"""What a masked task is: its terms, its members by their identity keys, and a party's consent.

Threat model: the coordinator may be curious and may tell different parties different things; a
party trusts its own policy, its own key, and the identity keys it learned outside of the task.
The terms are canonical bytes signed by the coordinator; a party consents to them once, before
anything of its data goes into an update, and everything it later signs is bound to their digest:
terms that were swapped afterwards, or shown differently to somebody else, fit no signature.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedguide.codec import encode
from fedguide.crypto.signing import PublicKey, SigningKey, sign, verify
from fedguide.errors import ConfigError, RefusedError, SignatureError
from fedguide.horizontal.neighbours import LEAST_COHORT
from fedguide.protocol import Message
from fedguide.ring import check_modulus
from fedguide.values import PartyId

PURPOSE = "masked task/1"


@dataclass(frozen=True)
class Member:
    """A party of a task and the key by which its signatures are known."""

    party: PartyId
    identity: PublicKey


@dataclass(frozen=True)
class TaskTerms(Message):
    """All that the parties of a masked task have to agree on.

    Attributes:
        task: the task's name, the same in no two tasks.
        purpose: what the model is for, in words.
        coordinator: the key that signs terms and rosters.
        members: who may take part, sorted by party; a round's cohort is some of them.
        min_cohort: fewest parties in a sum, at least 3.
        length: coordinates of a vector on the grid, weight and figures included.
        modulus_bits: b; vectors and masks are mod 2^b.
        fraction_bits: one unit of the grid is 2^-fraction_bits.
        max_norm: the longest update in L2; longer ones are shortened to it.
        noise_multiplier: noise of the sum over ``max_norm``; 0 is none.
        deadline_s: seconds after which an answer no longer counts.
        drop_rate: of the cohort, at most this part drops out.
        corrupt_rate: of the cohort, at most this part works with the coordinator.

    Raises:
        ConfigError: a number is out of its range, or members are unsorted or stand there twice.
    """

    task: str
    purpose: str
    coordinator: PublicKey
    members: tuple[Member, ...]
    min_cohort: int
    length: int
    modulus_bits: int
    fraction_bits: int
    max_norm: float
    noise_multiplier: float = 0.0
    deadline_s: float = 600.0
    drop_rate: float = 0.3
    corrupt_rate: float = 0.1

    def __post_init__(self) -> None:
        """Checks the ranges, and that members are told apart by name and by key."""
        names = [member.party for member in self.members]
        if names != sorted(set(names)):
            raise ConfigError("members must be sorted by party and different")
        if len({member.identity for member in self.members}) != len(names):
            raise ConfigError("two members have one identity key")
        if len(names) < LEAST_COHORT:
            raise ConfigError(
                f"a masked sum needs at least {LEAST_COHORT} parties, got {len(names)}: with two, "
                "it tells each the other's update"
            )
        if not LEAST_COHORT <= self.min_cohort <= len(names):
            raise ConfigError(
                f"min_cohort must be in [{LEAST_COHORT}, {len(names)}] for {len(names)} members, "
                f"got {self.min_cohort}"
            )
        if self.length < 1 or self.fraction_bits < 0:
            raise ConfigError(
                f"length must be at least 1 and fraction_bits at least 0, got {self.length} and "
                f"{self.fraction_bits}"
            )
        check_modulus(self.modulus_bits)
        self._check_reals()

    def _check_reals(self) -> None:
        """Checks what is no whole number."""
        for name in ("max_norm", "deadline_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be finite and above 0, got {value}")
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier >= 0):
            raise ConfigError(
                f"noise_multiplier must be finite and at least 0, got {self.noise_multiplier}"
            )
        for name in ("drop_rate", "corrupt_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}")

    @property
    def identities(self) -> dict[PartyId, PublicKey]:
        """The identity key of every member."""
        return {member.party: member.identity for member in self.members}

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes: what all signatures of the task are bound to."""
        return hashlib.sha256(encode(self)).digest()


@dataclass(frozen=True)
class SignedTerms(Message):
    """Coordinator to parties, before the first round: the terms and its signature of them."""

    terms: TaskTerms
    signature: bytes


@dataclass(frozen=True)
class Policy:
    """What a party itself demands of a masked task.

    Attributes:
        party: the party's own name.
        identity: its own identity key.
        coordinator: the one key that may sign terms.
        known: identity keys of parties it knows from outside; nobody else may be in a sum with it.
        min_cohort: fewest known parties, itself included, in any sum.
        max_norm: the largest clip bound it accepts.
        least_noise: the smallest noise multiplier it accepts.

    Raises:
        ConfigError: ``min_cohort`` is below 3.
    """

    party: PartyId
    identity: PublicKey
    coordinator: PublicKey
    known: Mapping[PartyId, PublicKey]
    min_cohort: int = LEAST_COHORT
    max_norm: float = math.inf
    least_noise: float = 0.0

    def __post_init__(self) -> None:
        """Checks that a sum hides a single party at all."""
        if self.min_cohort < LEAST_COHORT:
            raise ConfigError(f"min_cohort must be at least {LEAST_COHORT}, got {self.min_cohort}")


@dataclass(frozen=True)
class Seat:
    """A party's place in a task it consented to; its repr holds no secret.

    Attributes:
        party: its own name.
        key: its secret identity key.
        terms: what it consented to.
        digest: of these terms.
        min_cohort: the larger of the terms' and its own.
    """

    party: PartyId
    key: SigningKey = field(repr=False)
    terms: TaskTerms
    digest: bytes
    min_cohort: int


def sign_terms(terms: TaskTerms, key: SigningKey) -> SignedTerms:
    """The terms as the coordinator gives them out.

    Raises:
        ConfigError: the terms name another coordinator.
    """
    if key.public != terms.coordinator:
        raise ConfigError(f"the terms name coordinator {terms.coordinator[:16]}…, not this key")
    return SignedTerms(terms, sign(key, PURPOSE, encode(terms)))


def consent(signed: SignedTerms, policy: Policy, key: SigningKey) -> Seat:
    """The party's seat, if these terms are its coordinator's and its policy allows them.

    Raises:
        RefusedError: they are not, or it does not.
    """
    terms = signed.terms
    if terms.coordinator != policy.coordinator:
        raise RefusedError(f"policy: {terms.coordinator[:16]}… is not this party's coordinator")
    try:
        verify(policy.coordinator, PURPOSE, encode(terms), signed.signature)
    except SignatureError as error:
        raise RefusedError("policy: the terms are not signed by their coordinator") from error
    _check_members(terms, policy)
    if key.public != policy.identity:
        raise RefusedError("policy: the identity key given is not the one in the policy")
    if terms.max_norm > policy.max_norm:
        raise RefusedError(
            f"policy: clip bound of at most {policy.max_norm:g}, the terms have {terms.max_norm:g}"
        )
    if terms.noise_multiplier < policy.least_noise:
        raise RefusedError(
            f"policy: noise multiplier of at least {policy.least_noise:g}, the terms have "
            f"{terms.noise_multiplier:g}"
        )
    return Seat(policy.party, key, terms, terms.digest, max(terms.min_cohort, policy.min_cohort))


def _check_members(terms: TaskTerms, policy: Policy) -> None:
    """Every member is one the party knows, by the key it knows, and they are enough."""
    identities = terms.identities
    if identities.get(policy.party) != policy.identity:
        raise RefusedError(f"policy: {policy.party} is no member under its own key")
    known = {**policy.known, policy.party: policy.identity}
    strangers = [party for party, key in identities.items() if known.get(party) != key]
    if strangers:
        raise RefusedError(
            f"policy: {len(strangers)} of {len(identities)} members are not known by their keys"
        )
    if len(identities) < policy.min_cohort:
        raise RefusedError(
            f"policy: at least {policy.min_cohort} known members, the terms have {len(identities)}"
        )
