"""One training run over a hub, from its proposal to the model that every party gets.

It can be killed at any moment and started again: the book says with whom it began, the journal
which trips were made, the hub which answers are there already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fedguide.codec import Limits
from fedguide.crypto.signing import SigningKey
from fedguide.errors import FedGuideError, RunError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.choice import Around
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.server import adam
from fedguide.protocol import Coordinator
from fedguide.runtime.approvals import decided, proposed
from fedguide.runtime.charged import charged
from fedguide.runtime.couriers import Clock
from fedguide.runtime.driver import Durable, drive_round, resume
from fedguide.runtime.handover import Adopt, hand_over
from fedguide.runtime.heads import with_exchange
from fedguide.runtime.https import over_https
from fedguide.runtime.hub_client import HubClient
from fedguide.runtime.hub_wire import Propose, TaskView
from fedguide.runtime.journal import Journal
from fedguide.runtime.proposal import (
    ALLOWED,
    Proposal,
    coordinators_aggregator,
    proposal_bytes,
    task_limits,
)
from fedguide.runtime.rounds import RoundReport, RoundsPlan, Run, RunState, run_rounds
from fedguide.runtime.run_book import RunBook
from fedguide.seeds import Root, Roots
from fedguide.values import PartyId, Vector


@dataclass(frozen=True)
class Driving:
    """What a driver needs beside its proposal.

    Attributes:
        client: in the driver's name.
        book: of its runs.
        journal: of its trips and roots.
        roots: draws the root of a round, once.
        clock: seconds that never go back.
        approvals_s: how long owners have to decide.
        key: the coordinator's identity, which signs what masked sums need.
        charge: told of every round before anybody is asked; it may refuse.
        heads: after every round with noise the parties show each other where their ledgers stand.
    """

    client: HubClient
    book: RunBook
    journal: Journal
    roots: Roots
    clock: Clock
    approvals_s: float
    key: SigningKey
    charge: Callable[[Proposal, int], None] = lambda _proposal, _round: None
    heads: bool = False


@dataclass(frozen=True)
class Finished:
    """What a run gave: its history and model, and which parties have the model."""

    run: Run
    has_model: tuple[PartyId, ...]


class StoppedError(RunError):
    """A run ended after a round because its operator asked for it."""

    def __init__(self, task: str, rounds: int) -> None:
        super().__init__(
            f"{task} was stopped after {rounds} rounds", hint=f"fedguide train resume {task}"
        )


def train_task(
    driving: Driving,
    proposal: Proposal,
    params: Vector,
    on_view: Callable[[TaskView], None] = lambda _view: None,
    on_round: Callable[[RoundReport], None] = lambda _report: None,
) -> Finished:
    """Proposes, waits for the owners, trains, and hands the model over.

    Args:
        driving: what the driver needs.
        proposal: the task, written down in the book.
        params: the first model, shape ``(p,)``.
        on_view: told how the owners decide.
        on_round: told of every round.

    Raises:
        RunError: too few owners approved, or a round lost its quorum.
        RefusedError: the operator's own budget does not last.
        StoppedError: the operator asked for it.
        ConnectionFailedError: the hub was away for longer than patience lasts.
    """
    task, book = proposal.task, driving.book
    try:
        cohort = _cohort(driving, proposal, on_view)
        finished = _train(driving, proposal, params, cohort, on_round)
    except StoppedError as error:
        book.set_status(task, "stopped", str(error))
        raise
    except FedGuideError as error:
        book.set_status(task, "failed", str(error))
        raise
    driving.client.call("POST", f"/v1/tasks/{task}/end", task=task)
    book.set_status(task, "done")
    return finished


def algorithm_of(proposal: Proposal, key: SigningKey) -> Algorithm[ServerState]:
    """The proposal's algorithm; ``key`` is the coordinator's identity."""
    waiting = Waiting(proposal.quorum, proposal.deadline_s, proposal.first or None)
    aggregator = coordinators_aggregator(proposal, key)
    if proposal.noising is not None:
        return fedavg(aggregator, server=adam(proposal.noising.learning_rate), waiting=waiting)
    around = Around(
        aggregator,
        proposal.keep_moments,
        proposal.server_momentum,
        proposal.guide.learning_rate,
        waiting,
    )
    return proposal.compression.down(proposal.choice.build(around))


def durable_of(driving: Driving, proposal: Proposal) -> Durable:
    """What makes the run durable; its state holds a history and two models."""
    limits = task_limits(proposal)
    wide = Limits(16 * 4 * proposal.size + (1 << 24), limits.dims, max_header_bytes=1 << 24)
    return Durable(proposal.task, driving.journal, driving.roots, driving.clock, ALLOWED, wide)


def _cohort(
    driving: Driving, proposal: Proposal, on_view: Callable[[TaskView], None]
) -> tuple[PartyId, ...]:
    """Who takes part: written down already, or whoever approves in time."""
    client, task = driving.client, proposal.task
    body = Propose(task, proposal_bytes(proposal), proposal.max_bytes, proposal.parties)
    view = proposed(client, body)
    known = driving.book.get(task).cohort
    if known is not None:
        driving.book.set_status(task, "running")
        return known
    view = decided(client, view, driving.clock, driving.approvals_s, on_view)
    cohort = tuple(PartyId(name) for name, said, _ in view.decisions if said == "approved")
    if len(cohort) < proposal.quorum:
        raise RunError(
            f"{len(cohort)} of {len(proposal.parties)} owners approved {task}, "
            f"its quorum is {proposal.quorum}",
            hint=f"fedguide party approve {task}, at the shops; then fedguide train resume {task}",
        )
    driving.book.set_cohort(task, cohort)
    return cohort


def _train(
    driving: Driving,
    proposal: Proposal,
    params: Vector,
    cohort: tuple[PartyId, ...],
    on_round: Callable[[RoundReport], None],
) -> Finished:
    durable = durable_of(driving, proposal)
    limits = replace(task_limits(proposal), max_bytes=proposal.max_bytes)
    courier = over_https(driving.client, proposal.task, limits, ALLOWED)
    algorithm = charged(
        algorithm_of(proposal, driving.key), lambda number: driving.charge(proposal, number)
    )
    if driving.heads and proposal.noising is not None:
        algorithm = with_exchange(algorithm)

    def after(report: RoundReport) -> None:
        on_round(report)
        if driving.book.get(proposal.task).stop and report.round < proposal.rounds:
            raise StoppedError(proposal.task, report.round)

    run = run_rounds(
        algorithm,
        params,
        cohort,
        courier,
        RoundsPlan(proposal.rounds, patience=None),
        durable=durable,
        on_round=after,
    )
    adopt = Adopt(run.best_round, run.best_params, run.history[-1].parties)

    def give(state: RunState, _root: Root) -> Coordinator[RunState]:
        given = yield from hand_over(adopt, cohort, proposal.deadline_s)
        return replace(state, given=given)

    progress = resume(durable, RunState(algorithm.init(params), params))
    # Killed after its last checkpoint a run has nothing left to do; whom it missed it asks again.
    if set(progress.state.given or ()) != set(cohort):
        progress = drive_round(durable, progress, give, courier)
    return Finished(run, tuple(map(PartyId, progress.state.given or ())))
