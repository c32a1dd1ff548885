"""The causal Transformer in JAX; its numpy twin, ``attention.py``, names paper and deviations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fedguide.models.attention import BLOCKS, HEADS, LAST, TINY
from fedguide.models.encoders import SCALES_DAYS
from fedguide.models.guide_net import NEVER, Arrays, Body, Events, Shapes
from fedguide.models.plan import GuidePlan
from fedguide.values import KINDS


def _shapes(plan: GuidePlan) -> Shapes:
    d = plan.size
    shapes: Shapes = {
        "of_kind": (len(KINDS), d),
        "of_age": (len(SCALES_DAYS), d),
        "asking": (d,),
        "shopper": (d, d),
        "start": (d,),
    }
    for block in range(BLOCKS):
        shapes |= {f"{part}{block}": (d, d) for part in ("q", "k", "v", "out")}
        shapes |= {f"up{block}": (d, 2 * d), f"down{block}": (2 * d, d)}
    return shapes


def _init(plan: GuidePlan, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """Small random matrices; the shopper vector starts at 0, so that scores do."""
    arrays = {
        name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in _shapes(plan).items()
    }
    return {**arrays, "start": np.zeros(plan.size)}


def _encode(arrays: Arrays, vectors: jax.Array, events: Events) -> jax.Array:
    last = min(LAST, events.rows.shape[1])
    place = jnp.where(events.rows >= 0, jnp.arange(events.rows.shape[1]), -1)
    places = jnp.sort(jax.lax.top_k(place, last)[0], axis=1)
    there, places = places >= 0, jnp.maximum(places, 0)
    rows, kinds, ages = (jnp.take_along_axis(part, places, axis=1) for part in events)
    fading = jnp.exp(-ages[:, :, None] / jnp.array(SCALES_DAYS))
    x = vectors[jnp.maximum(rows, 0)] + arrays["of_kind"][kinds] + fading @ arrays["of_age"]
    asking = jnp.broadcast_to(arrays["asking"], (len(x), 1, x.shape[2]))
    x = jnp.concatenate([x, asking], axis=1)
    ages = jnp.pad(ages, ((0, 0), (0, 1)), constant_values=-1)
    there = jnp.pad(there, ((0, 0), (0, 1)), constant_values=True)
    seen = there[:, None, :] & (ages[:, None, :] >= ages[:, :, None])
    for block in range(BLOCKS):
        x = _block(arrays, block, x, seen)
    return _normed(x[:, -1]) @ arrays["shopper"] + arrays["start"]


def _block(arrays: Arrays, block: int, x: jax.Array, seen: jax.Array) -> jax.Array:
    """Attention and a two-layer network, each added to what it read."""
    m, length, d = x.shape
    y = _normed(x)

    def heads(part: str) -> jax.Array:
        return (y @ arrays[f"{part}{block}"]).reshape(m, length, HEADS, d // HEADS)

    fits = jnp.einsum("mihs,mjhs->mhij", heads("q"), heads("k")) / jnp.sqrt(d // HEADS)
    shares = jax.nn.softmax(jnp.where(seen[:, None], fits, NEVER), axis=-1)
    mixed = jnp.einsum("mhij,mjhs->mihs", shares, heads("v")).reshape(m, length, d)
    x = x + mixed @ arrays[f"out{block}"]
    return x + jnp.maximum(_normed(x) @ arrays[f"up{block}"], 0) @ arrays[f"down{block}"]


def _normed(x: jax.Array) -> jax.Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + TINY)


BODY = Body(_shapes, _init, _encode)
"""The Transformer encoder."""
