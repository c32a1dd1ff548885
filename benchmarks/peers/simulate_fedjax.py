"""FedAvg in FedJAX on the work of ``simulation.py``: its own algorithm and jit backend."""

from __future__ import annotations

import sys

import clients
import jax
import jax.numpy as jnp

# FedJAX calls it by a name that JAX has dropped; so it runs on the same JAX as we do.
jax.tree_map = jax.tree_util.tree_map

import fedjax  # noqa: E402
from fedjax.algorithms import fed_avg  # noqa: E402


def loss(params, batch, _rng):
    """Mean cross-entropy of a batch."""
    x, y = batch["x"], batch["y"]
    seen = params["table"][x].reshape(x.shape[0], -1)
    hidden = jax.nn.relu(seen @ params["w1"] + params["b1"])
    logit = (hidden @ params["w2"] + params["b2"])[:, 0]
    return jnp.mean(jnp.logaddexp(0, logit) - y * logit)


def main() -> None:
    """Arguments: clients, clients a round, rounds, folder."""
    many, size, rounds = map(int, sys.argv[1:4])
    data = []
    for number in range(many):
        x, y = clients.client(number)
        data.append(fedjax.ClientDataset({"x": x, "y": y}))
    algorithm = fed_avg.federated_averaging(
        jax.grad(loss),
        fedjax.optimizers.sgd(clients.RATE),
        fedjax.optimizers.sgd(1.0),
        fedjax.ShuffleRepeatBatchHParams(batch_size=clients.BATCH, num_epochs=1),
    )
    state = algorithm.init({k: jnp.asarray(v) for k, v in clients.first_params().items()})
    watch = clients.Stopwatch()
    for number in range(rounds):
        keys = jax.random.split(jax.random.PRNGKey(number), size)
        chosen = clients.cohort(number, many, size)
        some = [(str(c), data[c], key) for c, key in zip(chosen, keys, strict=True)]
        state, _ = algorithm.apply(state, some)
        jax.block_until_ready(state.params)
        watch()
    clients.tell(watch, state.params, sys.argv[4])


main()
