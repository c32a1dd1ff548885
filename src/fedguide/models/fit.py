"""Local training of the guide network: numpy in, numpy out, JAX inside.

A fit takes a flat parameter vector and gives one back, so that federated learning, training
alone and training on pooled data are the same code: a *round* is always one local epoch. The
epoch is one compiled loop with a number of steps known only when it runs; with the arrays of all
shops padded to the same shapes it is compiled once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from fedguide.errors import NotFiniteError, WrongShapeError
from fedguide.models.encoders import Network
from fedguide.models.examples import Examples, Shapes, examples_of, largest, shapes_of
from fedguide.models.guide_net import (
    Arrays,
    Body,
    draws_of,
    loss,
    loss_of_rows,
    scaled,
    tower_init,
    tower_shapes,
)
from fedguide.models.names import GUIDE_ENCODERS
from fedguide.models.plan import GuidePlan
from fedguide.values import Baskets, Catalogue, Layout, ShopData, Vector


@dataclass(frozen=True)
class Fitted:
    """What one local fit gives.

    Attributes:
        params: the trained parameters, shape ``(p,)``.
        optimizer_state: AdamW's moments and count, shape ``(2 p + 1,)``.
        examples: baskets the shop has to learn from.
        loss: mean loss of an asked item while fitting.
    """

    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float


@dataclass(frozen=True)
class Graded:
    """What one gradient over all examples gives: g_k ``(p,)``, n_k and the loss before."""

    gradient: Vector
    examples: int
    loss: float


@dataclass(frozen=True)
class Traced(Fitted):
    """A fit that counted its steps, and the mean over them of its loss's gradients, ``(p,)``."""

    steps: int
    slope: Vector


@dataclass(frozen=True)
class Bend:
    """What is added to a fit's objective: slope · θ + pull/2 ‖θ − anchor‖²; vectors ``(p,)``.

    ``most_steps`` ends the fit early.
    """

    slope: Vector
    pull: float
    anchor: Vector
    most_steps: int | None = None


BentFit = Callable[[Vector, Vector | None, int, Bend], Traced]
"""``fit(params, optimizer_state, seed, bend)``: a fit whose gradients are bent before AdamW."""

Fit = Callable[[Vector, Vector | None, int], Fitted]
"""``fit(params, optimizer_state, seed)``; ``None`` starts the optimiser afresh."""


def body_of(plan: GuidePlan) -> Body:
    """The trainable shopper encoder a plan names."""
    body: Body = import_module(GUIDE_ENCODERS[plan.encoder]).BODY
    return body


def layout_of(plan: GuidePlan) -> Layout:
    """Where each array lies in the flat vector that crosses the wire."""
    shapes = {**tower_shapes(plan), **body_of(plan).shapes(plan)}
    return Layout(tuple(shapes), tuple(shapes.values()))


def first_params(plan: GuidePlan, seed: int) -> Vector:
    """Untrained parameters, shape ``(p,)``; every party starts from the same."""
    rng = np.random.default_rng(seed)
    arrays = {**tower_init(plan, rng), **body_of(plan).init(plan, rng)}
    return layout_of(plan).flatten({k: v.astype(np.float32) for k, v in arrays.items()})


def to_network(params: Vector, plan: GuidePlan) -> Network:
    """The trained network as serving and judging read it."""
    arrays = layout_of(plan).unflatten(np.array(params, np.float32))
    return Network(plan.text, plan.encoder, arrays, plan.events)


def common_shapes(shops: Sequence[ShopData], plan: GuidePlan) -> Shapes:
    """Shapes that fit all shops of a run, for a training step that is compiled once."""
    return largest([shapes_of(shop.catalogue, shop.train, plan.text) for shop in shops])


def stepped(plan: GuidePlan, shapes: Shapes) -> GuidePlan:
    """The plan as one step over arrays of these shapes follows it.

    Where items are sampled, a step takes more baskets, a round fewer steps; a step reads fewer
    events and keeps no place for lines that no basket has. Baskets of one line are never moved
    into the cart as a whole, since nothing would be left to ask for.
    """
    if shapes.items <= plan.full_softmax:
        return plan
    lines = max(min(plan.lines, shapes.basket), 1)
    return replace(
        plan,
        batch=plan.sampled_batch,
        steps=min(plan.steps, plan.sampled_steps),
        events=min(plan.events, plan.sampled_events),
        lines=lines,
        cart=plan.cart if lines > 1 else 0.0,
    )


def make_fit(
    catalogue: Catalogue, train: Baskets, plan: GuidePlan, shapes: Shapes | None = None
) -> Fit:
    """One shop's local fit: one epoch of AdamW over its baskets (at most ``plan.steps`` steps).

    Everything random (order, dropout, carts) comes from the seed of the call. The fit raises
    ``WrongShapeError`` for parameters or a state of another plan, and ``NotFiniteError`` when
    training runs away.

    Raises:
        DataError: the shop has no purchase to learn from.
    """
    shapes = shapes or shapes_of(catalogue, train, plan.text)
    return _fit_over([examples_of(catalogue, train, plan, shapes)], stepped(plan, shapes))


def make_bent_fit(
    catalogue: Catalogue, train: Baskets, plan: GuidePlan, shapes: Shapes | None = None
) -> BentFit:
    """The fit of ``make_fit``, for algorithms that bend local training.

    Raises:
        DataError: the shop has no purchase to learn from.
    """
    shapes = shapes or shapes_of(catalogue, train, plan.text)
    epochs = _epochs_over([examples_of(catalogue, train, plan, shapes)], stepped(plan, shapes))
    layout = layout_of(plan)

    def fit(params: Vector, optimizer_state: Vector | None, seed: int, bend: Bend) -> Traced:
        vectors = (_arrays(layout, bend.slope), _arrays(layout, bend.anchor))
        bent = (*vectors, jnp.float32(bend.pull))
        fitted, steps, slopes = epochs(params, optimizer_state, seed, bent, bend.most_steps)
        slope = _vector(layout, slopes) / np.float32(max(steps, 1))
        return Traced(
            fitted.params, fitted.optimizer_state, fitted.examples, fitted.loss, steps, slope
        )

    return fit


def make_pooled_fit(
    shops: Sequence[ShopData], plan: GuidePlan, shapes: Shapes | None = None
) -> Fit:
    """The fit of somebody who holds every shop's baskets: what federated learning is held against.

    Every batch is of one shop, ranked among that shop's own catalogue; the batches of all shops
    are shuffled.

    Raises:
        DataError: a shop has no purchase to learn from.
    """
    shapes = shapes or common_shapes(shops, plan)
    parts = [examples_of(s.catalogue, s.train, plan, shapes) for s in shops]
    return _fit_over(parts, stepped(plan, shapes))


def make_gradient(
    catalogue: Catalogue, train: Baskets, plan: GuidePlan, shapes: Shapes | None = None
) -> Callable[[Vector], Graded]:
    """The gradient of a shop's mean loss over all its baskets, nothing dropped, no carts.

    Deterministic. Baskets longer than ``plan.lines`` count with a fixed part of their lines.

    Raises:
        DataError: the shop has no purchase to learn from.
    """
    shapes = shapes or shapes_of(catalogue, train, plan.text)
    examples = examples_of(catalogue, train, plan, shapes)
    plan = stepped(plan, shapes)
    still = replace(_shape_of(plan), token_dropout=0.0, event_dropout=0.0, dropout=0.0, cart=0.0)
    count, layout = _count(examples), layout_of(plan)
    order = jnp.asarray(_ordered(np.arange(count), len(examples.start), plan.batch))
    examples = jax.tree.map(jnp.asarray, examples)

    def gradient(params: Vector) -> Graded:
        arrays = _arrays(layout, params)
        slope, value = _full_gradient(arrays, examples, order, -(-count // plan.batch), still)
        return Graded(_vector(layout, slope), count, float(value))

    return gradient


def each_slope(
    arrays: Mapping[str, NDArray[np.float32]],
    mixed: NDArray[np.float32],
    own: NDArray[np.float32],
    examples: Examples,
    chosen: NDArray[np.int32],
    seeds: NDArray[np.uint32],
    plan: GuidePlan,
    *,
    rows: bool,
    still: tuple[str, ...] = (),
) -> tuple[
    tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    dict[str, NDArray[np.float32]],
    NDArray[np.float32],
]:
    """The slope of each shopper's own mean loss: by row, and by each of ``arrays``; and the loss.

    Args:
        arrays: every parameter but the text tower's.
        mixed: rows of the items ``(r, d)`` as the text tower gives them, before they are brought
            to length.
        own: likewise the rows that each shopper has to itself, ``(k, s, d)``: to this shopper
            they are the rows from r on.
        examples: the shop's; ``on_device`` where it is asked again and again.
        chosen: each shopper's examples, ``(k, m)``, -1 for none.
        seeds: of each shopper's dropout and cart, ``(k,)``.
        plan: the network.
        rows: are the slopes by row wanted, ``(k, r, d)`` and ``(k, s, d)``?
        still: names among ``arrays`` that get no slope.
    """
    trained = {name: value for name, value in arrays.items() if name not in still}
    held = {name: arrays[name] for name in still}
    by_row, by_array, losses = _each_slope(
        trained, held, mixed, own, examples, chosen, seeds, _shape_of(plan), rows
    )
    named = {k: np.asarray(v) for k, v in by_array.items()}
    both = None if by_row is None else (np.asarray(by_row[0]), np.asarray(by_row[1]))
    return both, named, np.asarray(losses)


def on_device(examples: Examples) -> Examples:
    """The same examples where JAX computes, so that no call has to bring them there."""
    held: Examples = jax.tree.map(jnp.asarray, examples)
    return held


def each_loss(
    arrays: Mapping[str, NDArray[np.float32]],
    mixed: NDArray[np.float32],
    examples: Examples,
    chosen: NDArray[np.int32],
    plan: GuidePlan,
) -> NDArray[np.float32]:
    """Each shopper's own mean loss, ``(k,)``, nothing dropped; arguments as of ``each_slope``."""
    still = replace(_shape_of(plan), event_dropout=0.0, dropout=0.0, cart=0.0)
    return np.asarray(_each_loss(dict(arrays), mixed, examples, chosen, still))


@dataclass(frozen=True)
class Trained:
    """The outcome of several rounds.

    Attributes:
        params: of the best round, shape ``(p,)``.
        round: the best round, counted from 1; 0 if none was better than the start.
        scores: what ``judge`` said after each round.
        losses: the mean loss while fitting of each round.
    """

    params: Vector
    round: int
    scores: tuple[float, ...]
    losses: tuple[float, ...]


def train_rounds(
    fit: Fit,
    params: Vector,
    judge: Callable[[Vector], float],
    seed_of: Callable[[int], int],
    *,
    rounds: int = 60,
    patience: int = 10,
    start_counts: bool = False,
    on_round: Callable[[int, float], None] = lambda _number, _score: None,
) -> Trained:
    """Trains one party by itself, round by round, and keeps the round ``judge`` likes best.

    The optimiser's moments are kept from round to round.

    Args:
        fit: alone or pooled.
        params: where to start.
        judge: higher is better; sees validation cases only.
        seed_of: the seed of each round, counted from 1.
        rounds: most rounds.
        patience: stop after so many rounds without a better one.
        start_counts: keep the start if no round is better (for fine-tuning).
        on_round: told the round and its score.
    """
    best, best_round = params, 0
    best_score = judge(params) if start_counts else -np.inf
    state: Vector | None = None
    scores: list[float] = []
    losses: list[float] = []
    for number in range(1, rounds + 1):
        fitted = fit(params, state, seed_of(number))
        params, state = fitted.params, fitted.optimizer_state
        scores.append(judge(params))
        losses.append(fitted.loss)
        on_round(number, scores[-1])
        if scores[-1] > best_score:
            best, best_round, best_score = params, number, scores[-1]
        if number - best_round >= patience:
            break
    return Trained(best, best_round, tuple(scores), tuple(losses))


def _fit_over(parts: Sequence[Examples], plan: GuidePlan) -> Fit:
    epochs = _epochs_over(parts, plan)
    return lambda params, state, seed: epochs(params, state, seed, None, None)[0]


_Bent: TypeAlias = tuple[Arrays, Arrays, jax.Array]
"""Slope, anchor and pull of a bent objective, on the device."""


def _epochs_over(
    parts: Sequence[Examples], plan: GuidePlan
) -> Callable[[Vector, Vector | None, int, _Bent | None, int | None], tuple[Fitted, int, Arrays]]:
    """A fit that also gives its steps and, where it is bent, the sum of its own gradients."""
    counts = [_count(part) for part in parts]
    room = len(parts[0].start)
    data = [jax.tree.map(jnp.asarray, part) for part in parts]
    layout, shape = layout_of(plan), _shape_of(plan)
    rates = jnp.array([plan.learning_rate, plan.weight_decay], jnp.float32)

    def fit(
        params: Vector,
        optimizer_state: Vector | None,
        seed: int,
        bent: _Bent | None,
        most_steps: int | None,
    ) -> tuple[Fitted, int, Arrays]:
        rng = np.random.default_rng(seed)
        arrays = _arrays(layout, params)
        state = _state(layout, optimizer_state)
        key = jax.random.key(int(rng.integers(1 << 31)))
        total = weight = 0.0
        taken = 0
        slopes = {} if bent is None else jax.tree.map(jnp.zeros_like, arrays)
        for at, (part, chosen) in enumerate(_runs(counts, plan, rng, most_steps)):
            order = jnp.asarray(_ordered(chosen, room, plan.batch))
            steps = -(-len(chosen) // plan.batch)
            draw = jax.random.fold_in(key, at)
            arrays, state, sums, slopes = _epoch(
                arrays, state, slopes, data[part], order, steps, draw, rates, bent, shape
            )
            taken += steps
            total, weight = total + float(sums[0]), weight + float(sums[1])
        mean = total / max(weight, 1e-6)
        vector = _vector(layout, arrays)
        if not (np.isfinite(mean) and np.isfinite(vector).all()):
            raise NotFiniteError(
                f"training ran away: mean loss {mean} at learning rate {plan.learning_rate}",
                hint="a smaller learning_rate",
            )
        return Fitted(vector, _state_vector(layout, state), sum(counts), mean), taken, slopes

    return fit


def _shape_of(plan: GuidePlan) -> GuidePlan:
    """The plan without what the compiled step does not depend on: fine-tuning compiles nothing."""
    plain = GuidePlan()
    return replace(
        plan,
        learning_rate=plain.learning_rate,
        weight_decay=plain.weight_decay,
        steps=plain.steps,
        recent_days=plain.recent_days,
        one_vote=plain.one_vote,
    )


def _runs(
    counts: Sequence[int], plan: GuidePlan, rng: np.random.Generator, most_steps: int | None
) -> list[tuple[int, NDArray[np.int64]]]:
    """Which part's which examples to take in which order; neighbours of one part are one run.

    ``most_steps`` takes only so many of the batches there would be.
    """
    batches: list[tuple[int, NDArray[np.int64]]] = []
    for part, count in enumerate(counts):
        shuffled = rng.permutation(count)[: plan.steps * plan.batch]
        cuts = range(plan.batch, len(shuffled), plan.batch)
        batches += [(part, piece) for piece in np.split(shuffled, list(cuts))]
    if len(counts) == 1:
        return [(0, np.concatenate([piece for _, piece in batches[:most_steps]]))]
    return [batches[place] for place in rng.permutation(len(batches))][:most_steps]


def _ordered(chosen: NDArray[np.int64], room: int, batch: int) -> NDArray[np.int32]:
    """``chosen`` padded with -1 to whole batches of all there is room for."""
    order = np.full(-(-room // batch) * batch, -1, np.int32)
    order[: len(chosen)] = chosen
    return order


_Carry: TypeAlias = tuple[Arrays, optax.ScaleByAdamState, jax.Array, Arrays]
"""What goes from step to step: parameters, moments, (Σ weight x loss, Σ weight), gradients."""


@partial(jax.jit, static_argnames=("plan",), donate_argnames=("arrays", "state", "slopes"))
def _epoch(
    arrays: Arrays,
    state: optax.ScaleByAdamState,
    slopes: Arrays,
    examples: Examples,
    order: jax.Array,
    steps: int,
    key: jax.Array,
    rates: jax.Array,
    bent: _Bent | None,
    plan: GuidePlan,
) -> tuple[Arrays, optax.ScaleByAdamState, jax.Array, Arrays]:
    """``steps`` steps of AdamW at ``rates`` (learning, decay).

    Also gives (Σ weight x loss, Σ weight) of what was asked; where the objective is ``bent``,
    ``slopes`` grow by the gradients of the loss alone.
    """
    encode = body_of(plan).encode
    adam = optax.scale_by_adam()
    graded = jax.value_and_grad(loss, has_aux=True)

    def step(number: jax.Array, carry: _Carry) -> _Carry:
        arrays, state, sums, slopes = carry
        chosen = jax.lax.dynamic_slice(order, (number * plan.batch,), (plan.batch,))
        draw = jax.random.fold_in(key, number)
        (value, weight), slope = graded(arrays, examples, chosen, draw, plan, encode)
        if bent is not None:
            slopes = jax.tree.map(jnp.add, slopes, slope)
            slope = jax.tree.map(
                lambda own, more, at, to: own + more + bent[2] * (at - to),
                *(slope, bent[0], arrays, bent[1]),
            )
        move, state = adam.update(slope, state)
        arrays = jax.tree.map(lambda old, by: old - rates[0] * (by + rates[1] * old), arrays, move)
        return arrays, state, sums + jnp.stack([value * weight, weight]), slopes

    first = (arrays, state, jnp.zeros(2), slopes)
    done: _Carry = jax.lax.fori_loop(0, steps, step, first)
    return done


@partial(jax.jit, static_argnames=("plan",))
def _full_gradient(
    arrays: Arrays, examples: Examples, order: jax.Array, steps: int, plan: GuidePlan
) -> tuple[Arrays, jax.Array]:
    encode = body_of(plan).encode
    graded = jax.value_and_grad(loss, has_aux=True)
    key = jax.random.key(0)

    def step(number: jax.Array, carry: tuple[Arrays, jax.Array]) -> tuple[Arrays, jax.Array]:
        slopes, sums = carry
        chosen = jax.lax.dynamic_slice(order, (number * plan.batch,), (plan.batch,))
        (value, weight), slope = graded(arrays, examples, chosen, key, plan, encode)
        slopes = jax.tree.map(lambda total, one: total + weight * one, slopes, slope)
        return slopes, sums + jnp.stack([value * weight, weight])

    zeros = jax.tree.map(jnp.zeros_like, arrays)
    slopes, sums = jax.lax.fori_loop(0, steps, step, (zeros, jnp.zeros(2)))
    weight = jnp.maximum(sums[1], 1e-6)
    return jax.tree.map(lambda total: total / weight, slopes), sums[0] / weight


@partial(jax.jit, static_argnames=("plan", "rows"))
def _each_slope(
    arrays: Arrays,
    held: Arrays,
    mixed: jax.Array,
    own: jax.Array,
    examples: Examples,
    chosen: jax.Array,
    seeds: jax.Array,
    plan: GuidePlan,
    rows: bool,
) -> tuple[tuple[jax.Array, jax.Array] | None, Arrays, jax.Array]:
    # The items and parameters are the same for all shoppers: only what depends on one is computed
    # k times. A shopper with nothing asked has loss 0, and so has its slope.
    def one(
        arrays: Arrays, mixed: jax.Array, own: jax.Array, chosen: jax.Array, seed: jax.Array
    ) -> jax.Array:
        return _own_loss(mixed, own, {**arrays, **held}, examples, chosen, seed, plan)

    wanted = (0, 1, 2) if rows else (0,)
    graded = jax.vmap(jax.value_and_grad(one, argnums=wanted), in_axes=(None, None, 0, 0, 0))
    losses, slopes = graded(arrays, mixed, own, chosen, seeds)
    return (slopes[1:] if rows else None), slopes[0], losses


@partial(jax.jit, static_argnames=("plan",))
def _each_loss(
    arrays: Arrays, mixed: jax.Array, examples: Examples, chosen: jax.Array, plan: GuidePlan
) -> jax.Array:
    def one(chosen: jax.Array) -> jax.Array:
        return _own_loss(mixed, mixed[:0], arrays, examples, chosen, jnp.uint32(0), plan)

    losses: jax.Array = jax.vmap(one)(chosen)
    return losses


def _own_loss(
    mixed: jax.Array,
    own: jax.Array,
    arrays: Arrays,
    examples: Examples,
    chosen: jax.Array,
    seed: jax.Array,
    plan: GuidePlan,
) -> jax.Array:
    """One shopper's mean loss over its examples ``chosen``, out of ready rows."""
    bits = jax.random.bits(jax.random.key(seed), (draws_of(len(chosen), plan),))
    uniform = (bits >> 8) / jnp.float32(1 << 24)
    goods = scaled(mixed, arrays)
    vectors = jnp.concatenate([goods, scaled(own, arrays)]) if len(own) else goods
    return loss_of_rows(
        arrays, vectors, examples, chosen, uniform, plan, body_of(plan).encode, goods
    )[0]


def _count(examples: Examples) -> int:
    return int((examples.stop > examples.start).sum())


def _arrays(layout: Layout, params: Vector) -> Arrays:
    """The vector's arrays on the device; copied, since JAX may use a numpy buffer as its own."""
    return {k: jnp.array(v, jnp.float32) for k, v in layout.unflatten(params).items()}


def _vector(layout: Layout, arrays: Arrays) -> Vector:
    return layout.flatten({name: np.asarray(value) for name, value in arrays.items()})


def _state(layout: Layout, vector: Vector | None) -> optax.ScaleByAdamState:
    size = layout.size
    if vector is None:
        vector = np.zeros(2 * size + 1, np.float32)
    if vector.shape != (2 * size + 1,):
        raise WrongShapeError(
            f"optimizer_state must have shape ({2 * size + 1},), got {vector.shape}"
        )
    return optax.ScaleByAdamState(
        jnp.asarray(int(vector[-1]), jnp.int32),
        _arrays(layout, vector[:size]),
        _arrays(layout, vector[size:-1]),
    )


def _state_vector(layout: Layout, state: optax.ScaleByAdamState) -> Vector:
    moments = [_vector(layout, state.mu), _vector(layout, state.nu)]
    return np.concatenate([*moments, np.array([state.count], np.float32)])
