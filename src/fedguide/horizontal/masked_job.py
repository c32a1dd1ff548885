"""A masked mean for a whole job in one process: terms, keys and consent of everybody.

For simulations and tests: every identity key is derived from one root, so whoever holds it could
sign for everybody. Parties of their own each bring a key (``signing.make_key``), consent to the
coordinator's terms (``roster.consent``) and take part by ``masked_party.masked_party``.
"""

from __future__ import annotations

from fedguide.crypto.signing import SigningKey, key_of
from fedguide.horizontal.masked_party import masked_party
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.packing import weighted_packing
from fedguide.horizontal.roster import Member, Policy, TaskTerms, consent, sign_terms
from fedguide.horizontal.sides import Job, Sides
from fedguide.horizontal.summed import summed
from fedguide.seeds import derive
from fedguide.values import PartyId

COORDINATOR = "coordinator"


def masked_mean(job: Job) -> Sides:
    """Both sides of the masked weighted mean.

    Raises:
        ConfigError: there are fewer parties than ``min_cohort``, or ``min_cohort`` is below 3.
    """
    keys = {party: simulated_key(job, party) for party in job.parties}
    coordinator = simulated_key(job, COORDINATOR, "key")
    packing, signed = weighted_packing(job.bounds), sign_terms(terms_of(job), coordinator)
    known = {party: key.public for party, key in keys.items()}

    def party(name: PartyId) -> Policy:
        return Policy(
            name, keys[name].public, coordinator.public, known, job.min_cohort, job.max_norm
        )

    return Sides(
        summed(packing, masked_sum(signed.terms, coordinator)),
        lambda name: summed(packing, masked_party(consent(signed, party(name), keys[name]))),
    )


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
