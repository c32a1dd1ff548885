"""A whole horizontal run: round after round, judged, checkpointed, ended when it stops helping.

Every round goes through the durable driver, so a run that died goes on where it was under the
same task name, with its history and its best model so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from fedguide.codec import Array, Limits
from fedguide.errors import ConfigError, QuorumLostError, RunError
from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.horizontal.names import WIRE
from fedguide.protocol import Coordinator, Courier, Missing, State
from fedguide.runtime.couriers import Clock
from fedguide.runtime.driver import Durable, TripReport, drive_round, resume
from fedguide.runtime.journal import MemoryJournal
from fedguide.seeds import Root, Roots, stream
from fedguide.values import PartyId, Vector

Judge: TypeAlias = Callable[[Vector], float]
"""Scores a model on validation data; higher is better. Must be deterministic."""


@dataclass(frozen=True)
class RoundsPlan:
    """How long a run goes on and whom it asks.

    Attributes:
        rounds: most rounds.
        patience: rounds without a better score after which the run ends; ``None`` never.
        cohort_size: parties asked in a round, drawn anew each time; ``None`` asks all.

    Raises:
        ConfigError: a number is below 1.
    """

    rounds: int = 60
    patience: int | None = 9
    cohort_size: int | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("rounds", "patience", "cohort_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True)
class RoundReport(State):
    """What one round cost and brought.

    Attributes:
        round: its number; the first is 1.
        seconds: its trips, and the judging of its model.
        loss: Σ p_k times the loss the parties handed in.
        examples: Σ n_k over the parties that answered.
        score: what the judge gave; ``None`` without a judge.
        parties: who answered.
        missing: who did not, and why.
        bytes_down: encoded messages to the parties, together.
        bytes_up: encoded replies, together.
    """

    round: int
    seconds: float
    loss: float
    examples: int
    score: float | None
    parties: tuple[PartyId, ...]
    missing: tuple[Missing, ...]
    bytes_down: int
    bytes_up: int


@dataclass(frozen=True)
class RunState(State):
    """What a run keeps from round to round: the algorithm's state, the best model, the history.

    ``best_round`` 0 means that no round is done yet; ``best_params`` has shape ``(p,)``.
    """

    server: ServerState
    best_params: Annotated[Vector, Array("float32", "p")]
    best_round: int = 0
    history: tuple[RoundReport, ...] = ()


@dataclass(frozen=True)
class Run:
    """What a run gives: its best model (the last one without a judge) and its history."""

    best_params: Vector
    best_round: int
    history: tuple[RoundReport, ...]


class CutShortError(RunError):
    """A round lost its quorum; ``run`` holds what was reached, and the task can be gone on with."""

    def __init__(self, lost: QuorumLostError, run: Run) -> None:
        super().__init__(
            f"the run ended after {len(run.history)} rounds: {lost}",
            hint="start it again with the same task name to go on",
        )
        self.run = run


def run_rounds(
    algorithm: Algorithm[ServerState],
    params: Vector,
    parties: Sequence[PartyId],
    courier: Courier,
    plan: RoundsPlan,
    *,
    durable: Durable,
    judge: Judge | None = None,
    on_round: Callable[[RoundReport], None] = lambda _report: None,
) -> Run:
    """Runs the algorithm until it has its rounds, or a judge sees no more progress.

    Args:
        algorithm: what a round is.
        params: the first model, shape ``(p,)``; a task with a checkpoint goes on from that one.
        parties: who can be asked.
        courier: carries every trip.
        plan: how long, and whom to ask.
        durable: task name, journal and roots; see ``in_memory`` for simulations.
        judge: scores the model after each round; without one there is no early stopping.
        on_round: told of every round after its checkpoint.

    Raises:
        CutShortError: a round lost its quorum.
        RunError: the judge gave a score that is not a finite number.
        JournalError: the journal and this run do not fit together.
        ConfigError: the cohort is larger than the parties there are.
    """
    if plan.cohort_size is not None and plan.cohort_size > len(parties):
        raise ConfigError(f"cohort_size must be in [1, {len(parties)}], got {plan.cohort_size}")
    trips: list[TripReport] = []

    def on_trip(report: TripReport) -> None:
        trips.append(report)
        durable.on_trip(report)

    def make(state: RunState, root: Root) -> Coordinator[RunState]:
        trips.clear()
        cohort = _cohort(parties, plan.cohort_size, root)
        server = yield from algorithm.next_round(state.server, cohort, root)
        start_s = durable.clock()
        score = _score(judge, server)
        judging_s = durable.clock() - start_s
        return _after(state, server, score, trips, judging_s)

    watched = replace(durable, on_trip=on_trip)
    progress = resume(watched, RunState(algorithm.init(params), params))
    while not _is_over(progress.state, plan):
        try:
            progress = drive_round(watched, progress, make, courier)
        except QuorumLostError as lost:
            raise CutShortError(lost, _run(progress.state)) from lost
        on_round(progress.state.history[-1])
    return _run(progress.state)


def in_memory(task: str, roots: Roots, clock: Clock, size: int) -> Durable:
    """A journal that is gone with its process, for simulations: models of up to ``size`` numbers.

    Args:
        task: name of the run.
        roots: ``seeds.seeded_roots(seed)`` for a run that can be repeated.
        clock: seconds; ``time.monotonic`` outside of tests.
        size: length p of the parameters.
    """
    # An optimiser keeps at most a few vectors of the model's length; a run keeps two models.
    max_bytes = 16 * 4 * size + (1 << 24)
    limits = Limits(max_bytes, dims={"p": size}, max_header_bytes=1 << 24)
    return Durable(task, MemoryJournal(), roots, clock, (*WIRE, RunState), limits)


def _cohort(parties: Sequence[PartyId], size: int | None, root: Root) -> list[PartyId]:
    """The parties of one round, sorted; the draw need not be secret."""
    names = sorted(parties)
    if size is None:
        return names
    chosen = stream(root, "cohort").choice(len(names), size, replace=False)
    return [names[i] for i in sorted(chosen)]


def _score(judge: Judge | None, server: ServerState) -> float | None:
    """What the judge says of the new model."""
    if judge is None:
        return None
    score = float(judge(server.params))
    if not math.isfinite(score):
        raise RunError(f"the judge must give a finite score, got {score} in round {server.round}")
    return score


def _after(
    state: RunState,
    server: ServerState,
    score: float | None,
    trips: Sequence[TripReport],
    judging_s: float,
) -> RunState:
    """The run's state after a round; the first of equal scores stays the best."""
    report = server.report
    if report is None:
        raise RunError(f"the algorithm gave no report of round {server.round}")
    done = RoundReport(
        round=server.round,
        seconds=sum(trip.seconds for trip in trips) + judging_s,
        loss=report.loss,
        examples=report.examples,
        score=score,
        parties=report.parties,
        missing=report.missing,
        bytes_down=sum(trip.bytes_down for trip in trips),
        bytes_up=sum(trip.bytes_up for trip in trips),
    )
    best = _best_score(state)
    is_better = score is None or best is None or score > best
    return RunState(
        server,
        server.params if is_better else state.best_params,
        server.round if is_better else state.best_round,
        (*state.history, done),
    )


def _best_score(state: RunState) -> float | None:
    """The score of the best round so far."""
    return state.history[state.best_round - 1].score if state.best_round else None


def _is_over(state: RunState, plan: RoundsPlan) -> bool:
    """Has the run had its rounds, or waited long enough for a better one?"""
    done = len(state.history)
    waited = plan.patience is not None and done - state.best_round >= plan.patience
    return done >= plan.rounds or waited


def _run(state: RunState) -> Run:
    """What is there to give."""
    return Run(state.best_params, state.best_round, state.history)
