"""The coordinator's own ledger: what a run releases is charged before a round asks for it.

Each party judges and pays for itself (``permits``); this record is the operator's evidence of what
went through its hands, and a second, independent cap. A round that is replayed after a crash is in
the ledger already and costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.mechanisms import Unnoised
from fedguide.privacy.spend import Budget, Charge
from fedguide.protocol import Coordinator
from fedguide.runtime.noising import PURPOSE
from fedguide.runtime.proposal import Proposal
from fedguide.seeds import Root
from fedguide.values import PartyId


def charged(
    algorithm: Algorithm[ServerState], charge: Callable[[int], None]
) -> Algorithm[ServerState]:
    """The algorithm, whose every round is charged before anybody is asked.

    A round raises what ``charge(round)`` raises, and then asks nobody.
    """

    def next_round(
        state: ServerState, cohort: Sequence[PartyId], root: Root
    ) -> Coordinator[ServerState]:
        charge(state.round)
        after = yield from algorithm.next_round(state, cohort, root)
        return after

    return Algorithm(algorithm.init, next_round)


def bare_charge(ledger: Ledger, budget: Budget, account: str) -> Callable[[str, int], None]:
    """What charges a round of a task without noise: ``charge(task, round)``.

    It is recorded as such, as ε = ∞: whether it may run is for the shops to say, whose rows they
    are.

    Args:
        ledger: of who drives the task.
        budget: its cap.
        account: the federation.
    """
    permitting = replace(budget, allow_unnoised=True)

    def charge(task: str, round_number: int) -> None:
        events = (Event(task, Unnoised()),)
        ledger.charge(
            Charge(account, task, round_number, PURPOSE, events, recipient="parties"), permitting
        )

    return charge


def operators_charge(
    ledger: Ledger, budget: Budget, account: str
) -> Callable[[Proposal, int], None]:
    """What charges a round of a proposal to the operator's ledger.

    A task without noise is charged by ``bare_charge``. With noise the budget's cap holds.

    Args:
        ledger: the operator's.
        budget: its cap.
        account: the federation.
    """
    permitting = replace(budget, allow_unnoised=True)
    bare = bare_charge(ledger, budget, account)

    def charge(proposal: Proposal, round_number: int) -> None:
        if proposal.noising is None:
            bare(proposal.task, round_number)
            return
        event = proposal.noising.guard(len(proposal.parties)).event(proposal.task)
        events = (*(proposal.noising.before(proposal.task) if round_number == 0 else ()), event)
        ledger.charge(
            Charge(account, proposal.task, round_number, PURPOSE, events, recipient="parties"),
            permitting,
        )

    return charge
