"""FedNova: parties that take different numbers of steps, and none that pulls harder for it.

Wang, Liu, Liang, Joshi and Poor, "Tackling the Objective Inconsistency Problem in Heterogeneous
Federated Optimization", 2020, equation 3 and algorithm in section 4. A party hands in its change
for each step, d_k = Δ_k / ‖a_k‖₁, and how many it took, τ_k = ‖a_k‖₁; the coordinator moves by

    θ ← θ + τ_eff Σ p_k d_k        τ_eff = Σ p_k τ_k

For plain SGD ‖a_k‖₁ is the number of steps; for SGD with momentum ρ it is
(τ − ρ (1 − ρ^τ) / (1 − ρ)) / (1 − ρ). Steps of an adaptive optimiser (AdamW) are counted plainly,
a deviation: the paper's analysis has no such optimisers. With equal steps it is FedAvg, up to
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fedguide.errors import ConfigError, OversizedError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.averaging import Reading, averaging
from fedguide.horizontal.fitting import Steering
from fedguide.horizontal.mean import Aggregator, Mean
from fedguide.horizontal.messages import Normalise
from fedguide.horizontal.server import ServerOptimizer
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.values import Vector

MOST_UNITS = 64.0
"""Largest figure that sums on the grid carry (``packing.Bounds.max_figure``); a larger count of
steps would be cut there, and the model would move too little."""


def fednova(
    aggregator: Aggregator,
    momentum: float = 0.0,
    *,
    unit: float = 16.0,
    server: ServerOptimizer | None = None,
    keep_moments: bool = False,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm.

    Args:
        aggregator: makes the mean of the updates.
        momentum: ρ of the parties' SGD; 0 counts steps plainly.
        unit: steps counted by one unit of the figure that travels; at most 64 units.
        server: what the mean change does to the model; the default adds it.
        keep_moments: parties keep their optimisers' moments from round to round.
        figures: names of figures about the model a round begins with, to be handed in.
        waiting: quorum and deadline of a round.

    Raises:
        ConfigError: a number is out of its range.
    """
    if not 0 <= momentum < 1:
        raise ConfigError(f"momentum must be in [0, 1), got {momentum}")
    if not (math.isfinite(unit) and unit > 0):
        raise ConfigError(f"unit must be finite and above 0, got {unit}")
    names = tuple(figures)

    def step(mean: Mean) -> Vector:
        steps = unit * float(mean.figures[-1])
        return (mean.vector.astype(np.float64) * steps).astype(np.float32)

    return averaging(
        lambda number, params: Normalise(number, params, momentum, unit, keep_moments, names),
        aggregator,
        server,
        waiting,
        Reading(step, figures=1),
    )


def normalised(trainer: Trainer, message: Normalise) -> Done:
    """A party's half: the change for each step leaves, and how many there were.

    Raises:
        OversizedError: more steps than the figure can count.
    """
    how = Steering(most_steps=trainer.most_steps)
    fitted = trainer.bent()(message.params, trainer.moments, trainer.seed, how)
    length = path_length(fitted.steps, message.momentum)
    if length > MOST_UNITS * message.unit:
        raise OversizedError(
            f"{length:g} steps in a round, at most {MOST_UNITS * message.unit:g} can be counted",
            hint="a larger unit",
        )
    change = (fitted.params - message.params).astype(np.float64) / length
    figures = (length / message.unit,)
    vector = change.astype(np.float32)
    moments, steps = fitted.optimizer_state, fitted.steps
    return Done(vector, fitted.examples, fitted.loss, figures, moments, steps=steps)


def path_length(steps: int, momentum: float) -> float:
    """‖a_k‖₁ of SGD with momentum (section 4); the number of steps without.

    Raises:
        ConfigError: no step was taken.
    """
    if steps < 1:
        raise ConfigError(f"a fit takes at least 1 step, got {steps}")
    if not momentum:
        return float(steps)
    return (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)
