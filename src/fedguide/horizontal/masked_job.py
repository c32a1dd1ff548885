"""Masked sums for a whole job in one process: terms, keys and consent of everybody.

For simulations and tests: every identity key is derived from one root, so whoever holds it could
sign for everybody. Parties of their own each bring a key (``signing.make_key``), consent to the
coordinator's terms (``roster.consent``) and take part by ``masked_party.masked_party``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fedguide.crypto.signing import SigningKey, key_of
from fedguide.horizontal.masked_party import masked_party
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.packing import weighted_packing
from fedguide.horizontal.roster import (
    Member,
    Policy,
    Seat,
    SignedTerms,
    TaskTerms,
    consent,
    sign_terms,
)
from fedguide.horizontal.sides import Job, Sides
from fedguide.horizontal.summed import Packing, Summation, summed
from fedguide.seeds import derive
from fedguide.values import PartyId

COORDINATOR = "coordinator"

Around: TypeAlias = Callable[[Packing, Summation], Aggregator]
"""What an aggregator makes of a packing and a summation: ``summed``, or a rule over buckets."""


def masked_mean(job: Job) -> Sides:
    """Both sides of the masked weighted mean.

    Raises:
        ConfigError: there are fewer parties than ``min_cohort``, or ``min_cohort`` is below 3.
    """
    return masked_sides(job, weighted_packing(job.bounds))


def masked_sides(job: Job, packing: Packing, around: Around = summed) -> Sides:
    """Both sides of an aggregator around a masked sum.

    Raises:
        ConfigError: there are fewer parties than ``min_cohort``, or ``min_cohort`` is below 3.
    """
    key = simulated_key(job, COORDINATOR, "key")
    signed = sign_terms(terms_of(job), key)

    def party(name: PartyId) -> Aggregator:
        return around(packing, masked_party(simulated_seat(job, name, signed)))

    return Sides(around(packing, masked_sum(signed.terms, key)), party)


def simulated_seat(job: Job, party: PartyId, signed: SignedTerms) -> Seat:
    """The seat of one party of a simulated job, which knows all others."""
    terms, key = signed.terms, simulated_key(job, party)
    policy = Policy(
        party, key.public, terms.coordinator, terms.identities, job.min_cohort, job.max_norm
    )
    return consent(signed, policy, key)


def terms_of(job: Job) -> TaskTerms:
    """The terms of a simulated job."""
    members = tuple(Member(party, simulated_key(job, party).public) for party in job.parties)
    return TaskTerms(
        task=job.task,
        purpose="simulation",
        coordinator=simulated_key(job, COORDINATOR, "key").public,
        members=members,
        min_cohort=job.min_cohort,
        length=job.size + job.figures + 2,
        modulus_bits=job.modulus_bits,
        fraction_bits=job.bounds.grid.fraction_bits,
        max_norm=job.max_norm,
    )


def simulated_key(job: Job, *labels: str) -> SigningKey:
    """An identity key that follows from the job's root: NOT secret from its holder."""
    return key_of(derive(job.root, "identity", job.task, *labels))
