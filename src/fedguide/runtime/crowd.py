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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.horizontal.local import Engine, Epochs, Params, batches
from fedguide.horizontal.patch import Patch, PatchFitted, Table
from fedguide.horizontal.shards import Shard
from fedguide.runtime.simulator import Together
from fedguide.seeds import shuffled
from fedguide.values import PartyId, Vector

AT_ONCE = 64
"""Parties in one program: enough to fill a step, few enough for the blocks to stay in the cache."""

Shape: TypeAlias = tuple[int, int, int]
"""Parties, steps and rows of one program."""


@dataclass(frozen=True)
class Batched:
    """What k parties train on in one program of s steps, with u places in a block.

    Attributes:
        rows: ``(k, u)``, the row of the table at each place; filled up with row 0.
        counts: ``(k,)``, how many places are rows the party touches.
        x: ``(s, k, b, ...)``, places in the block.
        y: ``(s, k, b, ...)``.
        mask: ``(s, k, b)``, which examples count.
        weight: ``(s, k)``, how many do; 0 is a step that changes nothing.
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
        _check_rests(compiled, params)
        self._unravel = jax.jit(compiled.unravel)  # one program, not one for each parameter
        self._jitted = jax.jit(_program(compiled, leaf))
        self._programs: dict[Any, Any] = {}
        self._on_compile = on_compile

    def tree(self, params: Vector) -> Params:
        """The model's parameters, where JAX has them."""
        tree: Params = self._unravel(params)
        return tree

    def started(self, tree: Params, batched: Batched) -> Any:
        """Changes ``(k, u, width)`` and ``(k, r)``, and losses ``(s, k)``, being computed."""
        inputs = (tree, batched.rows, batched.x, batched.y, batched.mask)
        key = tuple((array.shape, array.dtype.str) for array in inputs[1:])
        if key not in self._programs:
            start = time.perf_counter()
            self._programs[key] = self._jitted.lower(*inputs).compile()
            shape = (batched.rows.shape[0], len(batched.x), batched.rows.shape[1])
            self._on_compile(shape, time.perf_counter() - start)
        return self._programs[key](*inputs)

    def batched(self, bundle: Bundle, seeds: NDArray[np.int64], width: int, parts: int) -> Batched:
        """The batches of parties that shuffle, as ``_batched`` makes them of shards."""
        counts, batch = bundle.counts, self.plan.batch_size
        steps = _rounded(self.plan.epochs * -(-int(counts.max()) // batch), 4)
        starts = np.cumsum(counts) - counts
        chosen, mask = _filling(starts, steps, width, batch)
        _shuffle(chosen, mask, np.arange(len(counts)), counts, starts, seeds, self.plan)
        return _placed(bundle, chosen, mask, width, self.table.rows, parts)


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
        tree = training.tree(params)
        own = [shards[name] for name in names]
        order = sorted(range(len(own)), key=lambda i: _steps(own[i], plan))
        size = -(-len(own) // -(-len(own) // at_once))
        pieces = []
        for start in range(0, len(own), size):
            chosen = order[start : start + size]
            some, their = [own[i] for i in chosen], [seeds[i] for i in chosen]
            batched = _batched(some, their, plan, where.rows, _rounded(size, 8))
            # JAX computes while the next piece is being put together.
            pieces.append((chosen, some, batched, training.started(tree, batched)))
        fits: dict[int, PatchFitted] = {}
        for chosen, some, batched, results in pieces:
            fits.update(zip(chosen, _fits(some, batched, results, where), strict=True))
        return [fits[i] for i in range(len(own))]

    return together


def _fits(
    some: Sequence[Shard], batched: Batched, results: Sequence[Any], where: Table
) -> Iterator[PatchFitted]:
    """What each party's fit gave."""
    blocks, rests, losses = (np.asarray(one) for one in results)
    totals = (losses * batched.weight).sum(axis=0, dtype=np.float64)
    means = totals / np.maximum(batched.weight.sum(axis=0), 1)
    for at, shard in enumerate(some):
        count = batched.counts[at]
        rows = batched.rows[at, :count].astype(np.int64)
        yield PatchFitted(
            Patch(where, rows, blocks[at, :count], rests[at]), len(shard.x), float(means[at])
        )


def _program(compiled: Engine, leaf: int) -> Callable[..., Any]:
    """All steps of k parties: changes ``(k, u, width)``, ``(k, r)`` and losses ``(s, k)``."""
    step = jax.vmap(compiled.step)

    def program(tree: Params, rows: Any, x: Any, y: Any, mask: Any) -> Any:
        leaves, form = jax.tree.flatten(tree)
        spread = [jnp.broadcast_to(one, (len(rows), *one.shape)) for one in leaves]
        spread[leaf] = leaves[leaf][rows]
        first = jax.tree.unflatten(form, spread)
        state = jax.vmap(compiled.optimizer.init)(first)

        # Without examples there is no gradient, and then nothing moves (``_check_rests``), unless
        # the optimiser remembers earlier ones.
        remembers = bool(jax.tree.leaves(state))

        def one_step(carry: Any, batch: Any) -> Any:
            *new, loss = step(*carry, *batch)
            if remembers:
                active = batch[2].any(axis=1)
                new = jax.tree.map(lambda a, b: jnp.where(_wide(active, a), a, b), new, [*carry])
            return tuple(new), loss

        (last, _), losses = jax.lax.scan(one_step, (first, state), (x, y, mask))
        moved = [a - b for a, b in zip(jax.tree.leaves(last), spread, strict=True)]
        block = moved.pop(leaf)
        rest = [one.reshape(len(rows), -1) for one in moved]
        return block, jnp.concatenate([*rest, jnp.zeros((len(rows), 0))], axis=1), losses

    return program


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
    chosen, mask = _filling(starts, steps, width, max(_width(shard, plan) for shard in some))
    whole = np.array([at for at, shard in enumerate(some) if shard.cuts is None], np.int64)
    _shuffle(chosen, mask, whole, counts, starts, np.asarray(seeds), plan)
    for at, shard in enumerate(some):
        if shard.cuts is not None:
            rows, there = batches(shard, plan.batch_size, None)
            done, wide = plan.epochs * len(rows), rows.shape[1]
            chosen[:done, at, :wide] = np.tile(rows + starts[at], (plan.epochs, 1))
            mask[:done, at, :wide] = np.tile(there, (plan.epochs, 1))
    x = np.concatenate([shard.x for shard in some])
    y = np.concatenate([shard.y for shard in some])
    return _placed(Bundle(counts, x, y), chosen, mask, width, table_rows, 4)


def _filling(
    starts: NDArray[np.int64], steps: int, width: int, batch: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Batches of nothing: an example of the party's own at each place, none of which counts."""
    chosen = np.zeros((steps, width, batch), np.int64)
    chosen[:, : len(starts)] = starts[:, None]
    return chosen, np.zeros((steps, width, batch), np.bool_)


def _shuffle(
    chosen: NDArray[np.int64],
    mask: NDArray[np.bool_],
    whole: NDArray[np.int64],
    counts: NDArray[np.int64],
    starts: NDArray[np.int64],
    seeds: NDArray[np.int64],
    plan: Epochs,
) -> None:
    """Puts in what ``local.batches`` does, for all of ``whole`` at once."""
    each = -(-counts // plan.batch_size)
    for epoch in range(plan.epochs):
        order, owner = shuffled(seeds[whole], counts[whole], epoch)
        party = whole[owner]
        nth = np.arange(len(party)) - np.repeat(
            np.cumsum(counts[whole]) - counts[whole], counts[whole]
        )
        step = epoch * each[party] + nth // plan.batch_size
        spot = (step, party, nth % plan.batch_size)
        chosen[spot], mask[spot] = order + starts[party], True


def _placed(
    bundle: Bundle,
    chosen: NDArray[np.int64],
    mask: NDArray[np.bool_],
    width: int,
    table_rows: int,
    parts: int,
) -> Batched:
    """Rows of the table as places in blocks, whose size is one of ``parts`` an octave."""
    places, rows, touched = _places(bundle.x, bundle.counts, table_rows)
    block = np.zeros((width, _rounded(int(touched.max()), parts)), np.int32)
    here = block[: len(touched)]
    here[np.arange(block.shape[1]) < touched[:, None]] = rows
    return Batched(block, touched, places[chosen], bundle.y[chosen], mask, mask.sum(axis=2))


def _places(
    x: NDArray[Any], examples: NDArray[np.int64], table_rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Each number of ``x`` as a place in its party's block; the rows there, and how many."""
    if x.dtype.kind not in "iu" or (x.size and (x.min() < 0 or x.max() >= table_rows)):
        raise DataError(f"x must hold rows of the table in [0, {table_rows}), got {x.dtype}")
    party = np.repeat(np.arange(len(examples)), examples)
    keys = party.reshape((-1,) + (1,) * (x.ndim - 1)) * table_rows + x
    touched, nth = np.unique(keys, return_inverse=True)
    counts = np.bincount(touched // table_rows, minlength=len(examples))
    starts = np.cumsum(counts) - counts
    places = nth.reshape(x.shape) - starts[party].reshape((-1,) + (1,) * (x.ndim - 1))
    return places.astype(np.int32), touched % table_rows, counts


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


def _check_rests(compiled: Engine, params: Params) -> None:
    """What has no gradient must not move, or the untouched rows would be wrong.

    Raises:
        ConfigError: it does.
    """
    ones = jax.tree.map(jnp.ones_like, params)
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = compiled.optimizer.update(still, compiled.optimizer.init(ones), ones)
    if any(bool((leaf != 0).any()) for leaf in jax.tree.leaves(updates)):
        raise ConfigError(
            "the optimiser moves parameters that have no gradient, so that every row is touched",
            hint="no weight decay, or the plain courier",
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
