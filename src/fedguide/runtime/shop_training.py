"""What a shop trains with, for any algorithm: plainly, bent, weighed, or with a part of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.choice import Offer
from fedguide.horizontal.ditto import Own
from fedguide.horizontal.fedper import Mine
from fedguide.horizontal.fitting import Fit, Gradient, Steered, Steering, Traced
from fedguide.horizontal.party import PartyState
from fedguide.horizontal.thin import Thinned
from fedguide.horizontal.trainer import Personal
from fedguide.models.examples import Shapes
from fedguide.models.fit import Bend, layout_of, make_bent_fit, make_fit, make_gradient
from fedguide.models.plan import GuidePlan
from fedguide.protocol import State
from fedguide.values import ShopData, Vector

SHARED = frozenset({"table", "item"})
"""What shops share where part of the network is their own: the text tower, which knows words. How
they weigh a history, sales and repurchases is each shop's."""


@dataclass(frozen=True)
class Training:
    """The parts of a ``PartyEnv`` that train.

    ``steered``, ``gradient`` and ``personal`` are there where the algorithm needs them.
    """

    fit: Fit
    steered: Steered | None = None
    gradient: Gradient | None = None
    personal: Personal | None = field(default=None, repr=False)


def training_of(
    shop: ShopData,
    plan: GuidePlan,
    offer: Offer,
    first: Vector,
    shapes: Shapes | None = None,
    fit: Fit | None = None,
) -> Training:
    """What a shop trains with.

    Args:
        shop: its rows; only ``train`` is learned from.
        plan: the network.
        offer: the algorithm.
        first: the first model, whole, shape ``(q,)``.
        shapes: to compile once for all shops.
        fit: its plain fit, where there is one already.

    Raises:
        DataError: the shop has no purchase to learn from.
    """
    rows = (shop.catalogue, shop.train, plan, shapes)
    return Training(
        fit or make_fit(*rows),
        _steered(make_bent_fit(*rows)) if offer.steered else None,
        make_gradient(*rows) if offer.graded else None,
        personal_part(plan, first) if offer.personal == "within" else None,
    )


def _steered(bent: Callable[[Vector, Vector | None, int, Bend], Traced]) -> Steered:
    """The steering in the words of the model's room."""

    def fit(params: Vector, state: Vector | None, seed: int, how: Steering) -> Traced:
        zero = np.zeros_like(params)
        slope = zero if how.slope is None else how.slope
        anchor = zero if how.anchor is None else how.anchor
        return bent(params, state, seed, Bend(slope, how.pull, anchor, how.most_steps))

    return fit


def own_mask(plan: GuidePlan) -> NDArray[np.bool_]:
    """Which of the network's parameters are a shop's own under FedPer, shape ``(q,)``."""
    layout = layout_of(plan)
    parts = [
        np.full(int(np.prod(shape)), name not in SHARED)
        for name, shape in zip(layout.names, layout.shapes, strict=True)
    ]
    return np.concatenate(parts)


def personal_part(plan: GuidePlan, first: Vector) -> Personal:
    """A shop's own part, which begins as that of the first model."""
    own = own_mask(plan)
    return Personal(own, first[own])


def crossing(plan: GuidePlan, offer: Offer, first: Vector) -> Vector:
    """What of the first model crosses to the parties: all of it, or its shared part."""
    return first[~own_mask(plan)] if offer.personal == "within" else first


def own_model(state: State | None, shared: Vector, personal: Personal | None) -> Vector:
    """The model a party ends with: the shared one, its own, or both parts together."""
    state = state.inner if isinstance(state, Thinned) else state
    kept = state.kept if isinstance(state, PartyState) else None
    if isinstance(kept, Own):
        return kept.params
    if personal is None:
        return shared
    return personal.whole(shared, kept.after if isinstance(kept, Mine) else personal.first)
