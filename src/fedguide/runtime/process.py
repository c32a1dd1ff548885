"""Federated averaging of a user's own JAX model in a few lines of Python.

    process = fedguide.build_process(
        model_fn=create_model, loss_fn=loss_fn, metrics_fn=metrics_fn,
        client_optimizer_fn=lambda: optax.sgd(0.1), server_optimizer_fn=lambda: optax.sgd(1.0),
        client_weighting="num_examples")
    state = process.initialize()
    for round_num in range(num_rounds):
        state, metrics = process.next(state, federated_data)
        print("round {}, metrics={}".format(round_num, metrics))

It is the algorithm, the parties and the courier of every other run, all in one process. The
server optimiser takes the negative mean change as its gradient (Reddi et al., "Adaptive Federated
Optimization", 2021, algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from fedguide.errors import ConfigError, DataError
from fedguide.horizontal.algorithm import ServerState, Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.local import (
    Epochs,
    Mean,
    Model,
    Params,
    check_means,
    engine,
    local_figures,
    local_fit,
    packer,
    ravel_params,
)
from fedguide.horizontal.mean import Weighting, weighted_mean
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.server import ServerOptimizer
from fedguide.horizontal.shards import FederatedData, Shard, read_shards
from fedguide.protocol import QuorumLost, run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import Root, seeded_root
from fedguide.values import PartyId, Vector

TASK = "process"
RESERVED = ("loss", "examples", "parties")

Metrics: TypeAlias = dict[str, float]


@dataclass(frozen=True)
class Process:
    """The seed's iterative process.

    Attributes:
        initialize: ``() -> state``.
        next: ``(state, federated_data) -> (state, metrics)``, one round. ``loss`` and the user's
            metrics are those of the model the round **began** with, Σ p_k times each party's;
            ``examples`` and ``parties`` count who took part.
        model: ``(state) -> model``, to be called with ``x``.
    """

    initialize: Callable[[], ServerState]
    next: Callable[[ServerState, FederatedData], tuple[ServerState, Metrics]]
    model: Callable[[ServerState], Callable[[Any], Any]]


def build_process(
    *,
    model_fn: Callable[[], Model],
    loss_fn: Mean,
    client_optimizer_fn: Callable[[], optax.GradientTransformation],
    server_optimizer_fn: Callable[[], optax.GradientTransformation] = lambda: optax.sgd(1.0),
    metrics_fn: Callable[[], Mapping[str, Mean]] = dict,
    client_weighting: Weighting = "num_examples",
    epochs: int = 1,
    batch_size: int = 32,
    seed: int = 0,
) -> Process:
    """Builds a federated averaging process.

    Args:
        model_fn: gives the model.
        loss_fn: ``loss_fn(model, x, y)``, a mean over the batch; ``model(x)`` predicts.
        client_optimizer_fn: gives the optimiser of local training, begun afresh every round.
        server_optimizer_fn: gives the optimiser of the coordinator; ``optax.sgd(1.0)`` averages.
        metrics_fn: gives metrics by name, each ``(model, x, y) -> mean over the batch``.
        client_weighting: p_k by ``"num_examples"`` or ``"uniform"``.
        epochs: local epochs a round.
        batch_size: examples a local step, where a party has not cut batches itself.
        seed: of the first parameters and of all shuffling.

    Raises:
        ConfigError: a number is out of its range, a metric's name is taken, or model and
            optimisers hold what cannot be kept.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")
    if seed < 0:
        raise ConfigError(f"seed must be at least 0, got {seed}")
    metrics = dict(metrics_fn())
    if taken := sorted(set(metrics) & set(RESERVED)):
        raise ConfigError(f"metrics may not be named {', '.join(RESERVED)}, got {taken}")
    aggregator = weighted_mean(client_weighting)
    model = _model(model_fn)
    params = model.init(jax.random.key(seed))
    flat, unravel = ravel_params(params)
    compiled = engine(model, loss_fn, metrics, client_optimizer_fn(), params)
    server = optax_server(server_optimizer_fn(), params)
    plan = Epochs(epochs, batch_size)
    predict = jax.jit(model.apply)

    def initialize() -> ServerState:
        return fedavg(aggregator, server=server).init(flat)

    def party(name: PartyId, shard: Shard) -> Party:
        def roots(task: str, round_number: int) -> Root:
            return seeded_root(seed, name, task, round_number)

        fit, figures = local_fit(compiled, shard, plan), local_figures(compiled, shard, plan)
        env = PartyEnv(TASK, roots, aggregator, len(shard.x), fit=fit, figures=figures)
        return Party(env, answer, PartyState)

    def next_round(state: ServerState, data: FederatedData) -> tuple[ServerState, Metrics]:
        if not isinstance(state, ServerState) or state.params.shape != flat.shape:
            raise ConfigError(
                f"state must come from this process, got a {type(state).__name__}",
                hint="state = process.initialize()",
            )
        shards = read_shards(data)
        parties = {name: party(name, shard) for name, shard in shards.items()}
        check_means(compiled, state.params, next(iter(shards.values())))
        waiting = Waiting(quorum=len(parties), deadline_s=math.inf)
        algorithm = fedavg(aggregator, server=server, figures=compiled.names, waiting=waiting)
        courier = in_process(parties, _no_clock)
        try:
            root = seeded_root(seed, "coordinator", TASK, state.round)
            state = run(algorithm.next_round(state, list(parties), root), courier)
        except QuorumLost as lost:
            flaws = "; ".join(f"{m.party}: {m.detail}" for m in lost.replies.missing)
            raise DataError(
                f"round {state.round}: {flaws}",
                hint="lower the learning rate, or check the data of these parties",
            ) from lost
        return state, _metrics(state)

    def bound(state: ServerState) -> Callable[[Any], Any]:
        tree = unravel(state.params)
        return lambda x: predict(tree, x)

    return Process(initialize, next_round, bound)


def optax_server(optimizer: optax.GradientTransformation, params: Params) -> ServerOptimizer:
    """An optax optimiser on the coordinator; its gradient is the negative mean change.

    Raises:
        ConfigError: the optimiser's state cannot be kept as a flat vector.
    """
    _, unravel = ravel_params(params)
    pack, unpack = packer(optimizer, params)

    def init(vector: Vector) -> Vector:
        return pack(optimizer.init(unravel(vector)))

    def update(delta: Vector, memory: Vector, vector: Vector) -> tuple[Vector, Vector]:
        tree = unravel(vector)
        updates, state = optimizer.update(unravel(-delta), unpack(memory), tree)
        moved, _ = ravel_pytree(optax.apply_updates(tree, updates))
        return np.asarray(moved), pack(state)

    return ServerOptimizer(init, update)


def _model(model_fn: Callable[[], Model]) -> Model:
    """The user's model."""
    model = model_fn()
    if not (callable(getattr(model, "init", None)) and callable(getattr(model, "apply", None))):
        raise ConfigError(
            f"model_fn must give a Model with init and apply, got a {type(model).__name__}",
            hint="from fedguide import Model",
        )
    return model


def _metrics(state: ServerState) -> Metrics:
    """The last round's report as plain numbers."""
    report = state.report
    if report is None:
        return {}
    return {**report.figures, "examples": report.examples, "parties": len(report.parties)}


def _no_clock() -> float:
    """All parties are in this process and none can be late."""
    return 0.0
