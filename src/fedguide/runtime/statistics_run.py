"""A statistic over several holders in one process: real messages, masks, and a ledger for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Limits, encode
from fedguide.data.people import MOST_CELLS, Breakdown, People, counted
from fedguide.horizontal.masked_job import COORDINATOR, simulated_key, simulated_seat, terms_of
from fedguide.horizontal.masked_messages import MASKED_WIRE
from fedguide.horizontal.masked_party import masked_party
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.neighbours import LEAST_COHORT
from fedguide.horizontal.roster import sign_terms
from fedguide.horizontal.sides import Job
from fedguide.horizontal.summed import Addend, Summation, open_sum
from fedguide.horizontal.tally import (
    TALLY_WIRE,
    Noised,
    Tally,
    TallyEnv,
    TallyState,
    answer,
    mechanism_of,
    tally,
)
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.mechanisms import LaplaceShares
from fedguide.privacy.policy import Policy, TaskTerms, charge_of, judge
from fedguide.protocol import Ask, Replies, run
from fedguide.runtime.couriers import Clock, Party, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import Entropy, Root, derive, fresh_root
from fedguide.values import PartyId

LIMITS = Limits(8 * MOST_CELLS + (1 << 20))


@dataclass(frozen=True)
class Holder:
    """Who holds a table: its people, its ledger, its policy."""

    people: People
    ledger: Ledger
    policy: Policy


@dataclass(frozen=True)
class Poll:
    """One statistic: its task, its purpose, and who takes part."""

    task: str
    purpose: str
    holders: tuple[Holder, ...]

    @property
    def names(self) -> tuple[PartyId, ...]:
        """The holders, sorted."""
        return tuple(sorted(PartyId(holder.people.name) for holder in self.holders))

    @property
    def masked(self) -> bool:
        """Is the sum under masks? A sum of two tells each the other's."""
        return len(self.holders) >= LEAST_COHORT


def asking(poll: Poll, clock: Clock, entropy: Entropy) -> Callable[[Breakdown, float], Noised]:
    """What puts one question after another to all holders, each a round of the task.

    With three holders or more the sums are under masks, and nobody sees one holder's counts; with
    fewer each holder's vector is seen with its share of the noise.

    Raises (when asked):
        RefusedError: a holder's policy or budget does not allow the question.
        QuorumLost: a holder failed.
    """
    by_name = {PartyId(holder.people.name): holder for holder in poll.holders}
    roots = {name: fresh_root(entropy) for name in (*poll.names, PartyId(COORDINATOR))}
    asked = 0
    store = MemoryPartyStore()
    trips = 0

    def ask(breakdown: Breakdown, epsilon: float) -> Noised:
        nonlocal asked, trips
        message = Tally(asked, breakdown, epsilon, len(poll.names))
        for holder in poll.holders:  # before anybody has charged anything
            judge(holder.policy, _terms(poll, holder, message), holder.ledger, holder.people.name)
        sides = _sides(poll, breakdown, Root(derive(roots[PartyId(COORDINATOR)], "job", asked)))
        parties = {
            name: Party(_env(poll, holder, roots[name], sides[1](name)), answer, TallyState)
            for name, holder in by_name.items()
        }
        courier = through_bytes(parties, clock, store, LIMITS, (*TALLY_WIRE, Addend, *MASKED_WIRE))
        first = trips

        def numbered(question: Ask) -> Replies:
            nonlocal trips
            replies = courier(replace(question, trip=first + question.trip))
            trips = first + question.trip + 1
            return replies

        root = Root(derive(roots[PartyId(COORDINATOR)], "round", asked))
        found = run(tally(message, poll.names, root, sides[0]), numbered)
        asked += 1
        return found

    return ask


def _env(poll: Poll, holder: Holder, root: Root, summation: Summation) -> TallyEnv:
    """A holder's half."""

    def count(breakdown: Breakdown) -> NDArray[np.int64]:
        return counted(holder.people, breakdown)

    def permit(message: Tally, _mechanism: LaplaceShares) -> None:
        terms = _terms(poll, holder, message)
        question = hashlib.sha256(encode(message)).hexdigest()
        charge = charge_of(terms, holder.people.name, message.round, question)
        holder.ledger.charge(charge, holder.policy.budget)

    def roots(task: str, number: int) -> Root:
        return Root(derive(root, task, number))

    return TallyEnv(poll.task, roots, summation, count, permit)


def _terms(poll: Poll, holder: Holder, message: Tally) -> TaskTerms:
    """What one question asks of a holder."""
    event = Event(poll.task, mechanism_of(message), placement="distributed")
    return TaskTerms(
        task=poll.task,
        purpose=poll.purpose,
        cohort=len(poll.names),
        shoppers=holder.people.count,
        events=(event,),
        clip=float(message.breakdown.most),
        rounds=1,
        norm="l1",
    )


def _sides(
    poll: Poll, breakdown: Breakdown, root: Root
) -> tuple[Summation, Callable[[PartyId], Summation]]:
    """The summation's both sides for vectors of this many cells."""
    if not poll.masked:
        return open_sum(), lambda _name: open_sum()
    # A vector of the job is two longer than its updates (weight and loss): here it is all cells.
    job = Job(poll.task, poll.names, max(breakdown.cells - 2, 1), root)
    key = simulated_key(job, COORDINATOR, "key")
    signed = sign_terms(replace(terms_of(job), length=breakdown.cells), key)
    coordinator = masked_sum(signed.terms, key)
    return coordinator, lambda name: masked_party(simulated_seat(job, name, signed))
