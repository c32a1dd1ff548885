"""The guide network in JAX: text tower, bag encoder, loss. Its numpy twin is ``encoders.py``.

Item vector = linear(Σ hashed text features), brought to one learned length; shopper vector =
linear(Σ weighted event vectors); score = item · shopper + learned weights x log sales and log
times bought. The loss is a softmax over all items of the shop, one term for each item of the
basket. Negatives come from *all* items, never only from those a shopper left alone in the whole
file: that would tell the model which items were held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from fedguide.models.encoders import SCALES_DAYS, TINY
from fedguide.models.examples import FAN, Examples
from fedguide.models.plan import GuidePlan
from fedguide.models.scorer import TERMS
from fedguide.values import BUY, CART, KINDS

Arrays: TypeAlias = dict[str, jax.Array]
"""Parameters by name."""

Shapes: TypeAlias = dict[str, tuple[int, ...]]

NEVER = -1e9
"""Logit of what is no candidate; finite, so that 0 · NEVER is 0."""

GATHERED = 64
"""So many more rows than events are worth gathering the events' vectors one by one (measured)."""


class Events(NamedTuple):
    """The context of m shoppers, l events each, oldest first.

    Attributes:
        rows: ``(m, l)``, row of an item or query, -1 where there is none.
        kinds: ``(m, l)``, index into ``KINDS``.
        ages: ``(m, l)``, days.
    """

    rows: jax.Array
    kinds: jax.Array
    ages: jax.Array


@dataclass(frozen=True)
class Body:
    """A shopper encoder that can be trained.

    Attributes:
        shapes: its parameters' names and shapes.
        init: their first values.
        encode: (parameters, row vectors ``(r, d)``, events) to shopper vectors ``(m, d)``.
    """

    shapes: Callable[[GuidePlan], Shapes]
    init: Callable[[GuidePlan, np.random.Generator], dict[str, np.ndarray[Any, Any]]]
    encode: Callable[[Arrays, jax.Array, Events], jax.Array]


def tower_shapes(plan: GuidePlan) -> Shapes:
    """Parameters every guide network has: the text tower and the learned terms."""
    d = plan.size
    return {
        "table": (plan.text.buckets, d),
        "item": (d, d),
        "temperature": (1,),
        "terms": (len(TERMS),),
    }


def tower_init(plan: GuidePlan, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """First values of the text tower: random buckets, an identity, no terms."""
    d = plan.size
    return {
        "table": 0.1 * rng.normal(size=(plan.text.buckets, d)),
        "item": np.eye(d),
        # Scores start within ±9 √events: wide enough to choose, narrow enough to learn.
        "temperature": np.full(1, np.log(3.0)),
        "terms": np.zeros(len(TERMS)),
    }


@jax.custom_vjp
def summed_features(table: jax.Array, keep: jax.Array, examples: Examples) -> jax.Array:
    """Σ of the kept features' vectors, shape ``(r, d)``; ``keep`` has the features' shape.

    One gather a place instead of one of all: XLA then needs no (r, width, d) array, which
    measured seven times faster on a CPU.
    """
    padded = jnp.concatenate([table, jnp.zeros_like(table[:1])])
    total = padded[examples.features[:, 0]] * keep[:, :1]
    for place in range(1, examples.features.shape[1]):
        total += padded[examples.features[:, place]] * keep[:, place : place + 1]
    return total


def _summed_forward(
    table: jax.Array, keep: jax.Array, examples: Examples
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Examples]]:
    return summed_features(table, keep, examples), (table[:, :0], keep, examples)


def _summed_backward(
    kept: tuple[jax.Array, jax.Array, Examples], slope: jax.Array
) -> tuple[jax.Array, None, None]:
    """The gradient of each bucket, gathered through the transposed layout.

    XLA scatters one row after the other on a CPU; gathering groups of ``FAN`` rows and
    scattering their sums in order measured four times faster.
    """
    empty, keep, examples = kept
    padded = jnp.concatenate([slope, jnp.zeros_like(slope[:1])])
    keep = jnp.concatenate([keep, jnp.zeros_like(keep[:1])])
    total = jnp.zeros((examples.fan.shape[0], slope.shape[1]))
    for nth in range(FAN):
        rows, places = examples.fan[:, nth], examples.fan_place[:, nth]
        total += padded[rows] * keep[rows, places][:, None]
    table = jnp.zeros((empty.shape[0], slope.shape[1]))
    return table.at[examples.fan_bucket].add(total, indices_are_sorted=True), None, None


summed_features.defvjp(_summed_forward, _summed_backward)


def row_vectors(arrays: Arrays, keep: jax.Array, examples: Examples) -> jax.Array:
    """The vector of each item, then of each query, shape ``(r, d)``."""
    table, item = arrays["table"], arrays["item"]
    # The sum and the product may change places; the product is the dearer one.
    if len(keep) > len(table):
        mixed = summed_features(table @ item, keep, examples)
    else:
        mixed = summed_features(table, keep, examples) @ item
    return scaled(mixed, arrays)


def scaled(mixed: jax.Array, arrays: Arrays) -> jax.Array:
    """Rows ``(r, d)`` brought to the one learned length."""
    length = jnp.sqrt((mixed * mixed).sum(axis=1, keepdims=True) + TINY)
    vectors: jax.Array = mixed / length * jnp.exp(arrays["temperature"])
    return vectors


def loss(
    arrays: Arrays,
    examples: Examples,
    chosen: jax.Array,
    key: jax.Array,
    plan: GuidePlan,
    encode: Callable[[Arrays, jax.Array, Events], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Mean loss of an asked item over the examples ``chosen`` (m,), -1 for none; and the weight.

    With ``key`` random features, parts of the shopper vectors and contexts are dropped.
    """
    m, places = len(chosen), examples.features.size
    # One draw for everything: each one more costs half a second of compilation.
    bits = jax.random.bits(key, (-(-places // 4) + draws_of(m, plan),))
    bytes_ = jax.lax.bitcast_convert_type(bits[: -(-places // 4)], jnp.uint8).reshape(-1)
    keep = _kept(bytes_[:places].reshape(examples.features.shape) / 256, plan.token_dropout)
    uniform = (bits[-(-places // 4) :] >> 8) / jnp.float32(1 << 24)
    return loss_of_rows(
        arrays, row_vectors(arrays, keep, examples), examples, chosen, uniform, plan, encode
    )


def draws_of(m: int, plan: GuidePlan) -> int:
    """How many uniform draws the loss of m examples takes."""
    return m * (3 + plan.lines + plan.size + plan.events + plan.lines) + plan.negatives


def loss_of_rows(
    arrays: Arrays,
    vectors: jax.Array,
    examples: Examples,
    chosen: jax.Array,
    uniform: jax.Array,
    plan: GuidePlan,
    encode: Callable[[Arrays, jax.Array, Events], jax.Array],
    goods: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The loss over ready row vectors ``(r, d)``; ``uniform`` holds ``draws_of`` draws in [0, 1).

    Does not read the table and the linear layer behind it, which the vectors are made of.
    ``goods`` are the items' vectors once more: where only the other rows are each shopper's own,
    a vmapped product with them stays one product for all shoppers.
    """
    m = len(chosen)
    asking = 3 + plan.lines
    wide = asking + plan.size + plan.events + plan.lines
    draws = uniform[: m * wide].reshape(m, wide)
    items = examples.recent.shape[1]
    context, target, weight, moved = _question(examples, chosen, draws[:, :asking], plan)
    read = draws[:, asking + plan.size :] >= plan.event_dropout
    shopper = encode(arrays, vectors, context._replace(rows=jnp.where(read, context.rows, -1)))
    shopper *= _kept(draws[:, asking : asking + plan.size], plan.dropout)
    bought = (context.kinds == BUY) & (context.rows >= 0) & (context.rows < items)
    snapshot = examples.snapshot[jnp.maximum(chosen, 0)]
    goods = vectors[:items] if goods is None else goods[:items]
    batch = _Batch(shopper, goods, context.rows, bought, snapshot, moved)
    if items <= plan.full_softmax:
        losses = _full_softmax(arrays, examples, batch, target)
    else:
        losses = _sampled_softmax(arrays, examples, batch, target, uniform[m * wide :])
    total = weight.sum()
    return jnp.where(weight > 0, weight * losses, 0).sum() / jnp.maximum(total, 1e-6), total


class _Batch(NamedTuple):
    """What scores a batch of m shoppers over n items.

    Attributes:
        shopper: ``(m, d)``.
        vectors: of the items, ``(n, d)``.
        rows: of the context, ``(m, l)``.
        bought: ``(m, l)``, is it a purchase?
        snapshot: ``(m,)``.
        moved: what was bought and is in the cart, ``(m, t)``, -1 for none.
    """

    shopper: jax.Array
    vectors: jax.Array
    rows: jax.Array
    bought: jax.Array
    snapshot: jax.Array
    moved: jax.Array


def _question(
    examples: Examples, chosen: jax.Array, draws: jax.Array, plan: GuidePlan
) -> tuple[Events, jax.Array, jax.Array, jax.Array]:
    """Context, asked items ``(m, t)``, their weights, and the bought lines moved to the context.

    ``draws`` are uniform in [0, 1), shape ``(m, 3 + plan.lines)``.
    In a share of the examples a random part of the basket is moved into the context, as if the
    shopper had put it into the cart: a guide is asked in the middle of a visit, too.
    """
    at = jnp.maximum(chosen, 0)
    first, start, stop = (
        part[at][:, None] for part in (examples.first, examples.start, examples.stop)
    )
    offset, cart, part = (draws[:, place : place + 1] for place in range(3))
    m, nth = chosen.shape[0], jnp.arange(plan.lines)[None]

    earlier = start - plan.events + jnp.arange(plan.events)[None]
    known = earlier >= first
    earlier = jnp.maximum(earlier, 0)
    day = examples.days[start]

    length = jnp.maximum(stop - start, 1)
    lines = start + ((offset * length).astype(jnp.int32) + nth) % length
    there = (nth < length) & (chosen >= 0)[:, None]
    rows, kinds = examples.items[lines], examples.kinds[lines]
    moved = there & (cart < plan.cart) & (draws[:, 3:] < part)

    context = Events(
        jnp.concatenate(
            [jnp.where(known, examples.items[earlier], -1), jnp.where(moved, rows, -1)], 1
        ),
        jnp.concatenate([examples.kinds[earlier], jnp.where(kinds == BUY, CART, kinds)], 1),
        jnp.concatenate(
            [(day - examples.days[earlier]).astype(jnp.float32), jnp.zeros((m, plan.lines))], 1
        ),
    )
    asked = there & ~moved & (kinds == BUY)
    weight = jnp.where(examples.repeat[lines] > 0, plan.repurchase, 1.0) * asked
    return context, jnp.where(asked, rows, 0), weight, jnp.where(moved & (kinds == BUY), rows, -1)


def _full_softmax(
    arrays: Arrays, examples: Examples, batch: _Batch, target: jax.Array
) -> jax.Array:
    items = batch.vectors.shape[0]
    logits = batch.shopper @ batch.vectors.T + _terms(
        arrays,
        _scattered(batch.rows, batch.bought.astype(jnp.float32), items),
        examples.recent[batch.snapshot],
        examples.popularity[batch.snapshot],
    )
    # What is in the cart was wanted, too: it is neither asked for nor a negative.
    in_cart = _scattered(batch.moved, jnp.ones(batch.moved.shape), items) > 0
    absent = jnp.arange(items)[None] >= examples.size
    logits = jnp.where(in_cart | absent, NEVER, logits)
    whole = jax.nn.logsumexp(logits, axis=1, keepdims=True)
    return whole - jnp.take_along_axis(logits, target, axis=1)


def _sampled_softmax(
    arrays: Arrays,
    examples: Examples,
    batch: _Batch,
    target: jax.Array,
    uniform: jax.Array,
) -> jax.Array:
    """Softmax over a sample, drawn by ``uniform`` in [0, 1), with the logQ correction.

    Bengio and Senécal, "Adaptive Importance Sampling to Accelerate Training of a Neural
    Probabilistic Language Model", 2008. Half of the sample is uniform over all items, half
    follows the sales; a drawn target is taken out of its own sample. An item drawn several times
    is scored once and counts as often. No array is as wide as the catalogue, which is what makes
    a large batch cheap.
    """
    items, drawings = batch.vectors.shape[0], len(uniform)
    sales = jnp.expm1(examples.popularity[-1]) + 1e-6
    present = jnp.arange(items) < examples.size
    chance = 0.5 * present / examples.size + 0.5 * present * sales / (present * sales).sum()
    drawn = jnp.minimum(jnp.searchsorted(jnp.cumsum(chance), uniform), examples.size - 1)
    share = jnp.zeros(items).at[drawn].add(1.0) / (drawings * chance)
    nth = jnp.arange(drawings)
    # Where an item stands in the sample: at its first drawing; ``drawings`` for nowhere.
    slot = jnp.full(items, drawings).at[drawn].min(nth)
    log_share = jnp.where(slot[drawn] == nth, jnp.log(share[drawn]), NEVER)

    counts = _scattered(_at(slot, batch.rows, batch.bought), batch.bought * 1.0, drawings)
    in_cart = _scattered(
        _at(slot, batch.moved, batch.moved >= 0), jnp.ones(batch.moved.shape), drawings
    )
    history, new, old = arrays["terms"]
    sold = new * examples.recent[:, drawn] + old * examples.popularity[:, drawn]
    # A product with a one-hot row: its gradient is a product, too, where a gather's is a scatter.
    shown = jax.nn.one_hot(batch.snapshot, len(sold)) @ sold
    negative = batch.shopper @ batch.vectors[drawn].T + history * jnp.log1p(counts) + shown
    negative = jnp.where(in_cart > 0, NEVER, negative + log_share)
    rest = jax.nn.logsumexp(negative, axis=1, keepdims=True)

    same = (batch.rows[:, None, :] == target[:, :, None]) & batch.bought[:, None, :]
    snapshot = batch.snapshot[:, None]
    asked = jnp.einsum("md,mtd->mt", batch.shopper, batch.vectors[target]) + _terms(
        arrays,
        same.sum(axis=2),
        examples.recent[snapshot, target],
        examples.popularity[snapshot, target],
    )
    top = jnp.maximum(rest, asked)
    own = jnp.exp(asked - top)
    others = jnp.maximum(jnp.exp(rest - top) - own * share[target], 0)
    return top + jnp.log(own + others) - asked


def _at(slot: jax.Array, rows: jax.Array, there: jax.Array) -> jax.Array:
    """Where the rows that are ``there`` stand in the sample; what is not is nowhere, -1."""
    return jnp.where(there, slot[jnp.where(there, rows, 0)], -1)


def _terms(
    arrays: Arrays, counts: jax.Array, recent: jax.Array, popularity: jax.Array
) -> jax.Array:
    """The learned terms of a score; the order is that of ``TERMS``."""
    history, new, old = arrays["terms"]
    terms: jax.Array = history * jnp.log1p(counts) + new * recent + old * popularity
    return terms


def _scattered(rows: jax.Array, values: jax.Array, size: int) -> jax.Array:
    """Σ of values at each row, shape ``(m, size)``; rows outside ``[0, size)`` fall away."""
    inside = (rows >= 0) & (rows < size)
    at = jnp.where(inside, rows, 0)
    each = jnp.arange(rows.shape[0])[:, None]
    empty: jax.Array = jnp.zeros((rows.shape[0], size))
    return empty.at[each, at].add(jnp.where(inside, values, 0))


def _kept(draws: jax.Array, dropped: float) -> jax.Array:
    """Factors with mean 1, 0 for a share ``dropped`` of them."""
    dropped = round(256 * dropped) / 256  # a draw may have no more than 8 bits
    factors: jax.Array = (draws >= dropped) / jnp.float32(1 - dropped)
    return factors


def _bag_shapes(plan: GuidePlan) -> Shapes:
    d = plan.size
    return {"shopper": (d, d), "start": (d,), "kind": (len(KINDS),), "decay": (len(SCALES_DAYS),)}


def _bag_init(plan: GuidePlan, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    del rng  # every value is known
    d, scales = plan.size, len(SCALES_DAYS)
    return {
        "shopper": np.eye(d),
        "start": np.zeros(d),
        "kind": np.zeros(len(KINDS)),
        "decay": np.full(scales, -np.log(scales)),
    }


def _bag_encode(arrays: Arrays, vectors: jax.Array, events: Events) -> jax.Array:
    """Σ weight x event.

    One product with a (m, r) matrix of weights; a gather of the events' vectors where there are
    very many rows (a gather costs a scatter on the way back, so it has to save much).
    """
    fading = jnp.zeros_like(events.ages)
    for scale, share in zip(SCALES_DAYS, jnp.exp(arrays["decay"]), strict=True):
        fading += share * jnp.exp(events.ages / -scale)
    weights = jnp.where(events.rows >= 0, jnp.exp(arrays["kind"])[events.kinds] * fading, 0)
    if vectors.shape[0] > GATHERED * events.rows.shape[1]:
        total = jnp.einsum("ml,mld->md", weights, vectors[jnp.maximum(events.rows, 0)])
    else:
        total = _scattered(events.rows, weights, vectors.shape[0]) @ vectors
    norm = jnp.sqrt(1 + weights.sum(axis=1, keepdims=True))
    return total / norm @ arrays["shopper"] + arrays["start"]


BODY = Body(_bag_shapes, _bag_init, _bag_encode)
"""The bag encoder."""
