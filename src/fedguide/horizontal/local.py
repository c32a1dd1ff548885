"""Local training of a user's JAX model: a model, a loss and an optax optimiser to a ``Fit``.

A batch's loss is the mean over its examples, each put to ``loss_fn`` alone (``vmap``). So the last
batch can be filled up to the common width with a mask, every width compiles once, and the mask
changes nothing: exact for any loss that is a mean over examples. ``check_means`` refuses others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.horizontal.fitting import Figures, Fit
from fedguide.horizontal.shards import Shard
from fedguide.seeds import shuffled
from fedguide.values import Vector

Params: TypeAlias = Any
"""A pytree of float32 arrays, as the user's model has it."""

Bound: TypeAlias = Callable[[Any], Any]
"""A model with its parameters: ``model(x) -> predictions``."""

Mean: TypeAlias = Callable[[Bound, Any, Any], Any]
"""``fn(model, x, y)``: a mean over the examples of a batch; a loss or a metric."""

_CHECKED = 8  # examples that tell a mean from a sum


@dataclass(frozen=True)
class Model:
    """A model as two pure functions.

    Attributes:
        init: ``init(key) -> params``, a pytree of float32 arrays; ``key`` is a JAX random key.
        apply: ``apply(params, x) -> predictions`` for a batch, shape ``(n, ...)``.
    """

    init: Callable[[Any], Params]
    apply: Callable[[Params, Any], Any]


@dataclass(frozen=True)
class Epochs:
    """How long a local fit is: ``epochs`` times over the examples, ``batch_size`` at once."""

    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Fitted:
    """What a local fit gives; see ``fitting.Fitted``."""

    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float


Optimizer: TypeAlias = optax.GradientTransformation
"""What makes a step of a gradient; optax names and makes them."""


@dataclass(frozen=True)
class Engine:
    """The compiled functions that all parties of a process share.

    Attributes:
        names: of the means, ``"loss"`` first.
        unravel: flat vector to the model's pytree.
        optimizer: the local optimiser.
        pack: optimiser state to a flat vector.
        unpack: and back.
        step: ``(params, optimizer_state, x, y, mask) -> (params, optimizer_state, loss)``.
        slope: ``(params, x, y, mask) -> (loss, gradient)``, what a step goes by.
        sums: ``(params, x, y, mask) -> (m,)``, each mean's sum over the masked examples.
        compare: ``(params, x, y) -> (m,), (m,)``, each mean of a batch at once and one by one.
    """

    names: tuple[str, ...]
    unravel: Callable[[Any], Params]
    optimizer: Optimizer
    pack: Callable[[Any], Vector]
    unpack: Callable[[Vector], Any]
    step: Callable[..., tuple[Params, Any, Any]]
    slope: Callable[..., tuple[Any, Params]]
    sums: Callable[..., Any]
    compare: Callable[..., tuple[Any, Any]]


def engine(
    model: Model,
    loss_fn: Mean,
    metrics: Mapping[str, Mean],
    optimizer: Optimizer,
    params: Params,
) -> Engine:
    """Compiles nothing yet; every shape of batch compiles on its first use.

    Raises:
        ConfigError: a parameter is not float32, or the optimiser's state cannot be kept.
    """
    means = {"loss": loss_fn, **metrics}
    _, unravel = ravel_params(params)
    pack, unpack = packer(optimizer, params)

    def one_by_one(fn: Mean, tree: Params, x: Any, y: Any) -> Any:
        def bound(rows: Any) -> Any:
            return model.apply(tree, rows)

        return jax.vmap(lambda a, b: fn(bound, a[None], b[None]))(x, y)

    def loss(tree: Params, x: Any, y: Any, mask: Any) -> Any:
        # Of no examples at all the loss is 0: the simulator fills up shorter fits with such steps.
        total = jnp.where(mask, one_by_one(loss_fn, tree, x, y), 0).sum()
        return total / jnp.maximum(mask.sum(), 1)

    slope = jax.value_and_grad(loss)

    def step(tree: Params, state: Any, x: Any, y: Any, mask: Any) -> tuple[Params, Any, Any]:
        value, gradient = slope(tree, x, y, mask)
        return *moved(optimizer, tree, state, gradient), value

    def sums(tree: Params, x: Any, y: Any, mask: Any) -> Any:
        each = [one_by_one(fn, tree, x, y) for fn in means.values()]
        return jnp.stack([jnp.where(mask, values, 0).sum() for values in each])

    def compare(tree: Params, x: Any, y: Any) -> tuple[Any, Any]:
        at_once = [fn(lambda rows: model.apply(tree, rows), x, y) for fn in means.values()]
        singly = [one_by_one(fn, tree, x, y).mean(axis=0) for fn in means.values()]
        return at_once, singly

    jitted = jax.jit(step), jax.jit(slope), jax.jit(sums), jax.jit(compare)
    return Engine(tuple(means), unravel, optimizer, pack, unpack, *jitted)


def moved(optimizer: Optimizer, params: Params, state: Any, gradient: Params) -> tuple[Params, Any]:
    """The parameters and the optimiser's state one step along a gradient."""
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state


def local_fit(compiled: Engine, shard: Shard, plan: Epochs) -> Fit:
    """A party's fit: some epochs of its optimiser over its own examples."""

    def fit(params: Vector, optimizer_state: Vector | None, seed: int) -> Fitted:
        tree = compiled.unravel(params)
        if optimizer_state is None:
            state = compiled.optimizer.init(tree)
        else:
            state = compiled.unpack(optimizer_state)
        total, seen = 0.0, 0
        for epoch in range(plan.epochs):
            order, _ = shuffled(np.array([seed]), np.array([len(shard.x)]), epoch)
            for rows, mask in zip(*batches(shard, plan.batch_size, order), strict=True):
                tree, state, loss = compiled.step(tree, state, shard.x[rows], shard.y[rows], mask)
                total, seen = total + float(loss) * mask.sum(), seen + mask.sum()
        trained = np.asarray(ravel_pytree(tree)[0])
        return Fitted(trained, compiled.pack(state), len(shard.x), float(total / seen))

    return fit


def local_figures(compiled: Engine, shard: Shard, plan: Epochs) -> Figures:
    """A party's figures about a model: loss and metrics, each a mean over all its examples."""

    def figures(params: Vector) -> dict[str, float]:
        tree = compiled.unravel(params)
        sums = np.zeros(len(compiled.names))
        for rows, mask in zip(*batches(shard, plan.batch_size, None), strict=True):
            sums += np.asarray(compiled.sums(tree, shard.x[rows], shard.y[rows], mask))
        values = (float(value) for value in sums / len(shard.x))
        return dict(zip(compiled.names, values, strict=True))

    return figures


def check_means(compiled: Engine, params: Vector, shard: Shard) -> None:
    """Runs loss and metrics on a few examples, together and one by one: the mean must agree.

    Raises:
        ConfigError: model, loss or a metric fails on such examples, does not give one number, or
            is not a mean over examples.
    """
    rows = np.arange(max(2, min(len(shard.x), _CHECKED))) % len(shard.x)
    x, y = shard.x[rows], shard.y[rows]
    try:
        together, singly = compiled.compare(compiled.unravel(params), x, y)
    except Exception as error:
        raise ConfigError(
            f"model, loss or metrics fail on x {x.dtype}{list(x.shape)}, "
            f"y {y.dtype}{list(y.shape)}: {type(error).__name__}: {error}"
        ) from error
    for name, whole, single in zip(compiled.names, together, singly, strict=True):
        if np.shape(whole) != ():
            raise ConfigError(f"{name} must be one number a batch, got shape {np.shape(whole)}")
        if not np.allclose(whole, single, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise ConfigError(
                f"{name} must be a mean over examples: {len(x)} examples together give "
                f"{float(whole):.6g}, the mean of each alone is {float(single):.6g}",
                hint="use jnp.mean over the batch, not a sum or a ratio of sums",
            )


def ravel_params(params: Params) -> tuple[Vector, Callable[[Any], Params]]:
    """A model's parameters as one flat vector, and the way back.

    Raises:
        ConfigError: there are none, or one is not a float32 array.
    """
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ConfigError("the model has no parameters")
    odd = {str(getattr(leaf, "dtype", type(leaf).__name__)) for leaf in leaves} - {"float32"}
    if odd:
        raise ConfigError(f"all parameters must be float32 arrays, got {sorted(odd)}")
    flat, unravel = ravel_pytree(params)
    return np.asarray(flat), unravel


def packer(
    optimizer: Optimizer, params: Params
) -> tuple[Callable[[Any], Vector], Callable[[Vector], Any]]:
    """How the optimiser's state becomes a flat float32 vector, and comes back.

    Raises:
        ConfigError: the state holds something else than float32 and small integers.
    """
    shapes = jax.eval_shape(optimizer.init, params)
    leaves, tree = jax.tree.flatten(shapes)
    # An int32 in an optimiser is a count of steps: exact in float32 up to 2^24 of them.
    odd = {str(leaf.dtype) for leaf in leaves} - {"float32", "int32", "bool"}
    if odd:
        raise ConfigError(f"an optimiser may keep float32 and int32 arrays only, got {sorted(odd)}")
    sizes = [leaf.size for leaf in leaves]

    def pack(state: Any) -> Vector:
        parts = [np.asarray(leaf, np.float32).ravel() for leaf in jax.tree.leaves(state)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def unpack(vector: Vector) -> Any:
        if vector.shape != (sum(sizes),):
            raise WrongShapeError(
                f"optimiser state must have shape ({sum(sizes)},), got {vector.shape}"
            )
        parts = np.split(vector, np.cumsum(sizes)[:-1]) if sizes else []
        arrays = [
            jnp.asarray(part.reshape(leaf.shape), leaf.dtype)
            for part, leaf in zip(parts, leaves, strict=True)
        ]
        return jax.tree.unflatten(tree, arrays)

    return pack, unpack


def batches(
    shard: Shard, batch_size: int, order: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Row numbers and masks of the batches of one epoch, ``(s, b)`` each.

    ``order`` is the order of the examples, their own where there is none; a party that has cut its
    batches itself keeps to those.

    What is missing in a batch is filled up with its own first row: unlike zeros, a real example
    cannot make a loss infinite, whose masked gradient would be NaN.
    """
    count = len(shard.x)
    if shard.cuts is None:
        order = np.arange(count) if order is None else order
        steps = -(-count // batch_size)
        rows = np.full(steps * batch_size, order[(steps - 1) * batch_size])
        rows[:count] = order
        mask = np.arange(steps * batch_size) < count
        return rows.reshape(steps, batch_size), mask.reshape(steps, batch_size)
    starts = np.array((0, *shard.cuts[:-1]))[:, None]
    stops = np.array(shard.cuts)[:, None]
    each = starts + np.arange(int((stops - starts).max()))
    return np.where(each < stops, each, starts), each < stops
