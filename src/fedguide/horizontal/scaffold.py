"""SCAFFOLD: control variates take the parties' drift out of local training.

Karimireddy, Kale, Mohri, Reddi, Stich and Suresh, "SCAFFOLD: Stochastic Controlled Averaging for
Federated Learning", 2020, algorithm 1. A party's local steps follow g_k(y) − c_k + c; then

    c_k⁺ = mean of its own gradients g_k over the path just taken
    θ ← θ + η_g Σ p_k Δy_k        c ← c + |S|/N Σ p_k Δc_k

For plain local SGD that c_k⁺ is the paper's option II, c_k − c + (θ − y_k) / (K η_l); said by
gradients it also holds for local optimisers whose steps are not gradients. Two more deviations:
p_k follows the aggregator (the paper has 1/|S|; with other weights c is the same weighted mean as
long as everybody answers), and a party takes over its c_k⁺ only when the coordinator says that
its answer was counted, so that Σ (c_k − c) stays 0 when answers are lost.

An update is (Δy, Δc), 2 p numbers each way: twice the traffic of FedAvg.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fedguide.codec import Array
from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import (
    Algorithm,
    Counted,
    ServerState,
    Waiting,
    ask_each,
    remembered,
    report_of,
)
from fedguide.horizontal.fitting import Steering
from fedguide.horizontal.mean import Aggregator, Terms
from fedguide.horizontal.messages import Controlled
from fedguide.horizontal.trainer import Done, Trainer
from fedguide.protocol import Coordinator, State
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector


@dataclass(frozen=True)
class Controls(State):
    """What a party keeps.

    Attributes:
        control: c_k, shape ``(p,)``.
        pending: c_k⁺ of its last answer, taken over once that was counted.
        answered: the round of that answer.
    """

    control: Annotated[Vector, Array("float32", "p")]
    pending: Annotated[Vector, Array("float32", "p")]
    answered: int

    def known(self, counted: int) -> Vector:
        """c_k, when the party hears which of its answers was counted last."""
        return self.pending if counted == self.answered else self.control


def scaffold(
    aggregator: Aggregator,
    learning_rate: float = 1.0,
    *,
    parties: int | None = None,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm.

    Args:
        aggregator: makes the mean of the updates.
        learning_rate: η_g.
        parties: N, all there are; ``None`` means that every round asks all of them.
        figures: names of figures about the model a round begins with, to be handed in.
        waiting: quorum and deadline of a round.

    Raises:
        ConfigError: a number is out of its range.
    """
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ConfigError(f"learning_rate must be finite and above 0, got {learning_rate}")
    if parties is not None and parties < 1:
        raise ConfigError(f"parties must be at least 1, got {parties}")

    def init(params: Vector) -> ServerState:
        return ServerState(0, params, np.zeros_like(params), kept=Counted())

    def next_round(
        state: ServerState, cohort: Sequence[PartyId], root: Root
    ) -> Coordinator[ServerState]:
        counted = state.kept if isinstance(state.kept, Counted) else Counted()
        number, size, names = state.round, len(state.params), tuple(figures)
        to = {
            party: Controlled(number, state.params, state.memory, counted.of(party), names)
            for party in cohort
        }
        terms = Terms(number, 2 * size, len(names), root, state.last)
        mean = yield from ask_each(to, terms, aggregator, waiting or Waiting())
        share = np.float32(len(mean.parties) / (parties or len(cohort)))
        params = state.params + np.float32(learning_rate) * mean.vector[:size]
        control = state.memory + share * mean.vector[size:]
        report, last = report_of(mean, names), remembered(aggregator, mean)
        kept = counted.with_round(number, mean.parties)
        return ServerState(number + 1, params, control, report, last, kept)

    return Algorithm(init, next_round)


def corrected(trainer: Trainer, message: Controlled) -> Done:
    """A party's half: steps along g_k − c_k + c; both changes leave."""
    kept = trainer.kept if isinstance(trainer.kept, Controls) else None
    own = np.zeros_like(message.params) if kept is None else kept.known(message.counted)
    steering = Steering(slope=message.control - own)
    fitted = trainer.bent()(message.params, None, trainer.seed, steering)
    after = np.asarray(fitted.slope, np.float32)
    vector = np.concatenate([fitted.params - message.params, after - own])
    return Done(vector, fitted.examples, fitted.loss, kept=Controls(own, after, message.round))
