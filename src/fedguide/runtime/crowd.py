"""The local training of many parties in one compiled program, on the rows they touch alone.

Each party's examples name rows of one table (the items it saw). Its rows are gathered to a small
block, the party trains on the block with ``local.engine``'s own step, vectorised over the parties,
and what comes out is the change of the block: a ``Patch``. The batches are those of ``local_fit``
with the same seed, so that the result is the plain loop's up to the order of additions.

Shapes are rounded up to a few sizes and filled with parties, steps and rows that change nothing, so
that a run compiles a handful of programs; ``on_compile`` is told of each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.horizontal.local import Engine, Epochs, Optimizer, Params, batches, moved
from fedguide.horizontal.patch import PatchFitted, Table, patches_of
from fedguide.horizontal.shards import Shard
from fedguide.runtime.simulator import Together
from fedguide.seeds import shuffled
from fedguide.values import PartyId, Vector

AT_ONCE = 64
"""Parties in one program: enough to fill a step, few enough for the blocks to stay in the cache."""

_LOOKED_UP = 1 << 22
"""Largest table of places, over all parties of a program, that is worth its memory (16 MB)."""

MOST_IN_LANE = 8
"""Parties side by side on a processor: what 5 of them work on fits; 1 or 50 took a tenth longer."""

Shape: TypeAlias = tuple[int, int, int]
"""Parties, steps and rows of one program."""


@dataclass(frozen=True)
class Batched:
    """What k parties train on in one program of s steps, with u places in a block.

    Attributes:
        rows: ``(k, u)``, the row of the table at each place; filled up with row 0.
        counts: ``(k,)``, how many places are rows the party touches.
        x: ``(k, s, b, ...)``, places in the block.
        y: ``(k, s, b, ...)``.
        mask: ``(k, s, b)``, which examples count.
        weight: ``(k, s)``, how many do; 0 is a step that changes nothing.
    """

    rows: NDArray[np.int32]
    counts: NDArray[np.int64]
    x: NDArray[np.int32]
    y: NDArray[Any]
    mask: NDArray[np.bool_]
    weight: NDArray[np.int64]


@dataclass(frozen=True)
class Bundle:
    """The examples of k parties one after the other.

    Attributes:
        counts: ``(k,)``, how many each has, at least 1.
        x: ``(n, ...)``; each number in it is a row of the table.
        y: ``(n, ...)``.
    """

    counts: NDArray[np.int64]
    x: NDArray[Any]
    y: NDArray[Any]


class Training:
    """The compiled training of many parties on the rows they touch.

    Raises:
        ConfigError: there is no such table, or the optimiser moves rows that have no gradient.
    """

    def __init__(
        self,
        compiled: Engine,
        params: Params,
        plan: Epochs,
        table: str,
        on_compile: Callable[[Shape, float], None],
    ) -> None:
        self.plan = plan
        leaf, self.table = _find(params, table)
        _check_rests(compiled, params, leaf)
        is_flat = _is_flat(compiled.optimizer, params)
        self._jitted = jax.jit(_program(compiled, leaf, is_flat))
        self._programs: dict[Any, Any] = {}
        self._on_compile = on_compile

    def held(self, params: Vector) -> Any:
        """The model's parameters ``(p,)`` where JAX has them, for ``started``."""
        return jnp.asarray(params)

    def started(self, vector: Any, batched: Batched) -> Any:
        """Changes ``(k, u, width)`` and ``(k, r)``, and losses ``(k, s)``, being computed.

        ``vector`` are the model's parameters, ``held``.
        """
        inputs = (vector, batched.rows, batched.x, batched.y, batched.mask)
        key = tuple((array.shape, array.dtype.str) for array in inputs[1:])
        if key not in self._programs:
            start = time.perf_counter()
            self._programs[key] = self._jitted.lower(*inputs).compile()
            shape = (batched.x.shape[0], batched.x.shape[1], batched.rows.shape[1])
            self._on_compile(shape, time.perf_counter() - start)
        return self._programs[key](*inputs)

    def batched(self, bundle: Bundle, seeds: NDArray[np.int64], width: int, parts: int) -> Batched:
        """The batches of parties that shuffle, as ``_batched`` makes them of shards."""
        counts, batch = bundle.counts, self.plan.batch_size
        steps = _rounded(self.plan.epochs * -(-int(counts.max()) // batch), 4)
        starts = np.cumsum(counts) - counts
        chosen, mask = _filling(starts, steps, width, batch)
        _shuffle(chosen, mask, counts, starts, seeds, self.plan)
        return _placed(bundle, chosen, mask, self.table.rows, parts)


def train_together(
    compiled: Engine,
    params: Params,
    shards: Mapping[PartyId, Shard],
    plan: Epochs,
    table: str,
    *,
    at_once: int = AT_ONCE,
    on_compile: Callable[[Shape, float], None] = lambda _shape, _seconds: None,
) -> Together:
    """Builds the fit of many parties.

    Args:
        compiled: model, loss and optimiser.
        params: parameters as the model has them; only their shapes count.
        shards: every party's examples; each number in ``x`` is a row of the table. May make them
            when they are asked for.
        plan: epochs and batch size.
        table: the key of the table among the model's parameters, shape ``(rows, width)``.
        at_once: most parties in one program.
        on_compile: told the shape of each program and how many seconds its compilation took.

    Raises:
        ConfigError: there is no such table, the optimiser moves rows that have no gradient (it
            decays weights), or ``at_once`` is below 1.
    """
    if at_once < 1:
        raise ConfigError(f"at_once must be at least 1, got {at_once}")
    training = Training(compiled, params, plan, table, on_compile)
    where = training.table

    def together(
        params: Vector, names: Sequence[PartyId], seeds: Sequence[int]
    ) -> list[PatchFitted]:
        vector = training.held(params)
        own = [shards[name] for name in names]
        order = sorted(range(len(own)), key=lambda i: _steps(own[i], plan))
        size = -(-len(own) // -(-len(own) // at_once))
        pieces = []
        for start in range(0, len(own), size):
            chosen = order[start : start + size]
            some, their = [own[i] for i in chosen], [seeds[i] for i in chosen]
            batched = _batched(some, their, plan, where.rows, _rounded(size, 16))
            # JAX computes while the next piece is being put together.
            pieces.append((chosen, some, batched, training.started(vector, batched)))
        fits: dict[int, PatchFitted] = {}
        for chosen, some, batched, results in pieces:
            fits.update(zip(chosen, _fits(some, batched, results, where), strict=True))
        return [fits[i] for i in range(len(own))]

    return together


def _fits(
    some: Sequence[Shard], batched: Batched, results: Sequence[Any], where: Table
) -> list[PatchFitted]:
    """What each party's fit gave."""
    blocks, rests, losses = (np.asarray(one) for one in results)
    totals = (losses * batched.weight).sum(axis=1, dtype=np.float64)
    means = totals / np.maximum(batched.weight.sum(axis=1), 1)
    many = len(some)
    rows = batched.rows[:many].astype(np.int64)
    patches = patches_of(where, rows, batched.counts, blocks[:many], rests[:many])
    return [
        PatchFitted(patch, len(shard.x), mean)
        for patch, shard, mean in zip(patches, some, means[:many].tolist(), strict=True)
    ]


def _program(compiled: Engine, leaf: int, is_flat: bool) -> Callable[..., Any]:
    """All steps of k parties: changes ``(k, u, width)``, ``(k, r)`` and losses ``(k, s)``.

    On a processor a lane of parties at a time, so that what they work on stays in its cache. XLA
    makes loops along a short last axis without vector instructions, so that an optimiser which
    does not look at shapes (``is_flat``) gets flat arrays.
    """
    optimizer = compiled.optimizer

    def lane(tree: Params, rows: Any, x: Any, y: Any, mask: Any) -> Any:
        leaves, form = jax.tree.flatten(tree)
        spread = [jnp.broadcast_to(one, (len(rows), *one.shape)) for one in leaves]
        spread[leaf] = leaves[leaf][rows]
        shapes = [one.shape[1:] for one in spread]
        if is_flat:
            spread = [one.reshape(len(rows), -1) for one in spread]
        first = jax.tree.unflatten(form, spread)
        state = jax.vmap(optimizer.init)(first)

        # Without examples there is no gradient, and then nothing moves (``_check_rests``), unless
        # the optimiser remembers earlier ones.
        remembers = bool(jax.tree.leaves(state))

        def step(tree: Params, state: Any, x: Any, y: Any, mask: Any) -> Any:
            own = zip(jax.tree.leaves(tree), shapes, strict=True)
            shaped = jax.tree.unflatten(form, [one.reshape(shape) for one, shape in own])
            loss, gradient = compiled.slope(shaped, x, y, mask)
            if is_flat:
                gradient = jax.tree.map(jnp.ravel, gradient)
            return *moved(optimizer, tree, state, gradient), loss

        def one_step(carry: Any, batch: Any) -> Any:
            *new, loss = jax.vmap(step)(*carry, *batch)
            if remembers:
                active = batch[2].any(axis=1)
                new = jax.tree.map(lambda a, b: jnp.where(_wide(active, a), a, b), new, [*carry])
            return tuple(new), loss

        in_turn = tuple(jnp.moveaxis(one, 1, 0) for one in (x, y, mask))
        (last, _), losses = jax.lax.scan(one_step, (first, state), in_turn)
        changes = [a - b for a, b in zip(jax.tree.leaves(last), spread, strict=True)]
        block = changes.pop(leaf).reshape(*rows.shape, -1)
        rest = [one.reshape(len(rows), -1) for one in changes]
        return block, jnp.concatenate([*rest, jnp.zeros((len(rows), 0))], axis=1), losses.T

    def program(vector: Any, rows: Any, x: Any, y: Any, mask: Any) -> Any:
        tree, many = compiled.unravel(vector), _lane(len(rows))
        cut = tuple(one.reshape(-1, many, *one.shape[1:]) for one in (rows, x, y, mask))
        results = jax.lax.map(lambda some: lane(tree, *some), cut)
        return tuple(one.reshape(-1, *one.shape[2:]) for one in results)

    return program


def _lane(parties: int) -> int:
    """How many parties go through the steps side by side, a divisor of all of them."""
    if jax.default_backend() != "cpu":
        return parties
    return next(many for many in range(min(MOST_IN_LANE, parties), 0, -1) if parties % many == 0)


def _wide(active: Any, array: Any) -> Any:
    """``active`` ``(k,)`` in as many dimensions as the array has."""
    return active.reshape(active.shape + (1,) * (array.ndim - 1))


def _batched(
    some: Sequence[Shard], seeds: Sequence[int], plan: Epochs, table_rows: int, width: int
) -> Batched:
    """The parties' batches, in places of their blocks, filled up to rounded shapes.

    Raises:
        DataError: ``x`` holds what is no row of the table.
    """
    counts = np.array([len(shard.x) for shard in some])
    starts = np.cumsum(counts) - counts
    steps = _rounded(max(_steps(shard, plan) for shard in some), 4)
    batch = max(_width(shard, plan) for shard in some)
    chosen, mask = _filling(starts, steps, width, batch)
    cut = [at for at, shard in enumerate(some) if shard.cuts is not None]
    whole = counts.copy()
    whole[cut] = 0
    _shuffle(chosen, mask, whole, starts, np.asarray(seeds), plan)
    for at in cut:
        rows, there = batches(some[at], plan.batch_size, None)
        done, wide = plan.epochs * len(rows), rows.shape[1]
        chosen[at, :done, :wide] = np.tile(rows + starts[at], (plan.epochs, 1))
        mask[at, :done, :wide] = np.tile(there, (plan.epochs, 1))
    x = np.concatenate([shard.x for shard in some])
    y = np.concatenate([shard.y for shard in some])
    return _placed(Bundle(counts, x, y), chosen, mask, table_rows, 4)


def _filling(
    starts: NDArray[np.int64], steps: int, width: int, batch: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Batches ``(k, s, b)`` of nothing: an example of the party's own, which does not count."""
    chosen = np.zeros((width, steps, batch), np.int64)
    chosen[: len(starts)] = starts[:, None, None]
    return chosen, np.zeros((width, steps, batch), np.bool_)


def _shuffle(
    chosen: NDArray[np.int64],
    mask: NDArray[np.bool_],
    counts: NDArray[np.int64],
    starts: NDArray[np.int64],
    seeds: NDArray[np.int64],
    plan: Epochs,
) -> None:
    """Puts in what ``local.batches`` does, for all at once; who counts 0 is left out."""
    if not counts.any():
        return
    many, steps, batch = len(counts), chosen.shape[1], plan.batch_size
    places = np.arange(steps * batch)
    begun = (-(-counts // batch) * batch)[:, None]  # where the next epoch begins
    for epoch in range(plan.epochs):
        order, owner = shuffled(seeds, counts, epoch)
        inside = (places >= epoch * begun) & (places < epoch * begun + counts[:, None])
        inside = inside.reshape(many, steps, batch)
        chosen[:many, :, :batch][inside] = order + starts[owner]
        mask[:many, :, :batch] |= inside


def _placed(
    bundle: Bundle,
    chosen: NDArray[np.int64],
    mask: NDArray[np.bool_],
    table_rows: int,
    parts: int,
) -> Batched:
    """Rows of the table as places in blocks, whose size is one of ``parts`` an octave."""
    places, rows, touched = _places(bundle.x, bundle.counts, table_rows)
    block = np.zeros((len(chosen), _rounded(int(touched.max()), parts)), np.int32)
    here = block[: len(touched)]
    here[np.arange(block.shape[1]) < touched[:, None]] = rows
    x, y = places.take(chosen, axis=0), bundle.y.take(chosen, axis=0)
    return Batched(block, touched, x, y, mask, mask.sum(axis=2))


def _places(
    x: NDArray[Any], examples: NDArray[np.int64], table_rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Each number of ``x`` as a place in its party's block; the rows there, and how many."""
    if x.dtype.kind not in "iu" or (x.size and (x.min() < 0 or x.max() >= table_rows)):
        raise DataError(f"x must hold rows of the table in [0, {table_rows}), got {x.dtype}")
    first = np.repeat(np.arange(len(examples)) * table_rows, examples)
    keys = x + first.reshape((-1,) + (1,) * (x.ndim - 1))
    touched, nth = _distinct(keys.reshape(-1), len(examples) * table_rows)
    bounds = np.searchsorted(touched, np.arange(len(examples) + 1) * table_rows)
    counts, starts = np.diff(bounds), bounds[:-1]
    places = nth.reshape(x.shape) - np.repeat(starts, examples).reshape((-1,) + (1,) * (x.ndim - 1))
    rows = touched - np.repeat(np.arange(len(examples)) * table_rows, counts)
    return places.astype(np.int32), rows, counts


def _distinct(
    keys: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]]]:
    """Distinct keys below ``size``, ascending, and which of them each key is."""
    if size > _LOOKED_UP:
        return np.unique(keys, return_inverse=True)
    # Sorting values is four times as fast as sorting with their order; then they are looked up.
    ranked = np.sort(keys)
    touched = ranked[np.concatenate(([True], ranked[1:] != ranked[:-1]))[: len(ranked)]]
    lookup = np.empty(size, np.int32)
    lookup[touched] = np.arange(len(touched), dtype=np.int32)
    return touched, lookup[keys]


def _find(params: Params, table: str) -> tuple[int, Table]:
    """Which leaf of the parameters the table is, and where it lies in the flat vector."""
    start, names = 0, []
    for number, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        names.append(name)
        if name == table and leaf.ndim == 2:
            return number, Table(start, *leaf.shape)
        start += leaf.size
    raise ConfigError(f"table must be a parameter of two dimensions, one of {names}, got {table!r}")


def _check_rests(compiled: Engine, params: Params, leaf: int) -> None:
    """Rows that are not touched must not move, nor change how the others do.

    Raises:
        ConfigError: they do.
    """
    optimizer = compiled.optimizer
    ones = jax.tree.map(jnp.ones_like, params)
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(still, optimizer.init(ones), ones)
    if any(bool((one != 0).any()) for one in jax.tree.leaves(updates)):
        raise ConfigError(
            "the optimiser moves parameters that have no gradient, so that every row is touched",
            hint="no weight decay, or the plain courier",
        )
    leaves, form = jax.tree.flatten(jax.tree.map(_waves, params))
    cut, kept = leaves[leaf], min(2, len(leaves[leaf]))
    leaves[leaf] = cut.at[kept:].set(0)
    whole = jax.tree.leaves(_moved(optimizer, params, jax.tree.unflatten(form, leaves)))
    whole[leaf] = whole[leaf][:kept]
    leaves[leaf] = cut[:kept]
    few = jax.tree.leaves(params)
    few[leaf] = few[leaf][:kept]
    part = _moved(optimizer, jax.tree.unflatten(form, few), jax.tree.unflatten(form, leaves))
    if not _alike(whole, jax.tree.leaves(part)):
        raise ConfigError(
            "the optimiser moves a row by what other rows are, so that no part can be trained",
            hint="no norms over a whole table, or the plain courier",
        )


def _is_flat(optimizer: Optimizer, params: Params) -> bool:
    """Does the optimiser move flat arrays as it moves shaped ones?"""
    gradient = jax.tree.map(_waves, params)
    flat = [jax.tree.map(jnp.ravel, one) for one in (params, gradient)]
    try:
        ravelled = jax.tree.leaves(_moved(optimizer, *flat))
    except Exception:  # noqa: BLE001 - it insists on shapes, in whatever words
        return False
    return _alike(
        [one.ravel() for one in jax.tree.leaves(_moved(optimizer, params, gradient))], ravelled
    )


def _moved(optimizer: Optimizer, params: Params, gradient: Params) -> Params:
    """The second update along the same gradient."""
    _, state = optimizer.update(gradient, optimizer.init(params), params)
    return optimizer.update(gradient, state, params)[0]


def _waves(like: Any) -> Any:
    """An array of this shape, no two numbers of it alike."""
    return jnp.sin(1.0 + jnp.arange(like.size, dtype=jnp.float32)).reshape(like.shape)


def _alike(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Are the arrays the same up to the order of additions?"""
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-9)
        for a, b in zip(some, others, strict=True)
    )


def _steps(shard: Shard, plan: Epochs) -> int:
    """Steps of a fit."""
    each = -(-len(shard.x) // plan.batch_size) if shard.cuts is None else len(shard.cuts)
    return plan.epochs * each


def _width(shard: Shard, plan: Epochs) -> int:
    """Examples of a batch."""
    if shard.cuts is None:
        return plan.batch_size
    return int(np.diff((0, *shard.cuts)).max())


def _rounded(number: int, parts: int) -> int:
    """The next of ``parts`` sizes an octave: few shapes, at most 1 / ``parts`` of them filling."""
    unit = max(1, (1 << (max(number, 1) - 1).bit_length()) // (2 * parts))
    return -(-number // unit) * unit
