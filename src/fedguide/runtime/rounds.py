"""A whole horizontal run: round after round, judged, checkpointed, ended when it stops helping.

A round whose model the judge finds worse by more than a tolerance may be undone: the run goes on
from the state before it, and its report names who took part.

Every round goes through the durable driver, so a run that died goes on where it was under the
same task name, with its history and its best model so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from fedguide.codec import Array, Later, Limits
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
        tolerance: how far the score may fall below the best so far (at first: below that of the
            first model); a round that falls farther is undone. ``None`` undoes nothing.
        most_undone: the run ends when so many of its rounds were undone: who harms so often
            would otherwise make the parties work for nothing.

    Raises:
        ConfigError: a number is out of its range.
    """

    rounds: int = 60
    patience: int | None = 9
    cohort_size: int | None = None
    tolerance: float | None = None
    most_undone: int = 5

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise ConfigError(f"tolerance must be finite and at least 0, got {self.tolerance}")
        for name in ("rounds", "patience", "cohort_size", "most_undone"):
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
        undone: the round did harm, and the next one began where this one had.
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
    undone: bool = False


@dataclass(frozen=True)
class RunState(State):
    """What a run keeps from round to round: the algorithm's state, the best model, the history.

    ``best_round`` 0 means that no round is done yet; ``best_params`` has shape ``(p,)``. ``given``
    names the parties that the model was handed to at the end, once it was.
    """

    server: ServerState
    best_params: Annotated[Vector, Array("float32", "p")]
    best_round: int = 0
    history: tuple[RoundReport, ...] = ()
    given: Annotated[tuple[str, ...] | None, Later()] = None


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
        judge: scores the model after each round; without one there is no early stopping and
            nothing is undone.
        on_round: told of every round after its checkpoint.

    Raises:
        CutShortError: a round lost its quorum.
        RunError: the judge gave a score that is not a finite number.
        JournalError: the journal and this run do not fit together.
        ConfigError: the cohort is larger than the parties there are, or the plan has a
            tolerance and there is no judge to hold against it.
    """
    if plan.tolerance is not None and judge is None:
        raise ConfigError("a tolerance needs a judge", hint="judge on validation data")
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
        score, undone = (None, False) if judge is None else _judged(judge, plan, state, server)
        judging_s = durable.clock() - start_s
        return _after(state, server, score, undone, trips, judging_s)

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


def _judged(
    judge: Judge, plan: RoundsPlan, state: RunState, server: ServerState
) -> tuple[float, bool]:
    """The new model's score, and whether it is worse than the plan tolerates."""
    if plan.tolerance is None:
        return _score(judge, server), False
    best = _best_score(state)
    if best is None:  # no round was kept yet: the model that this one began with
        best = _score(judge, state.server)
    score = _score(judge, server)
    return score, score < best - plan.tolerance


def _score(judge: Judge, server: ServerState) -> float:
    """What the judge says of a model."""
    score = float(judge(server.params))
    if not math.isfinite(score):
        raise RunError(f"the judge must give a finite score, got {score} in round {server.round}")
    return score


def _after(
    state: RunState,
    server: ServerState,
    score: float | None,
    undone: bool,
    trips: Sequence[TripReport],
    judging_s: float,
) -> RunState:
    """The run's state after a round; the first of equal scores stays the best.

    After a round that is undone only its number stays: the next one gets another, so that no
    party answers two different questions of one round.
    """
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
        undone=undone,
    )
    if undone:
        before = replace(state.server, round=server.round)
        return replace(state, server=before, history=(*state.history, done))
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
    """Has the run had its rounds, waited long enough for a better one, or undone too many?"""
    done = len(state.history)
    waited = plan.patience is not None and done - state.best_round >= plan.patience
    undone = sum(report.undone for report in state.history)
    return done >= plan.rounds or waited or undone >= plan.most_undone


def _run(state: RunState) -> Run:
    """What is there to give."""
    return Run(state.best_params, state.best_round, state.history)
