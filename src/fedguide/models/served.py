"""A shop's model put to its cases: the components serving uses, for hundreds of cases at once.

``scorer`` answers for one shopper; this file asks it the same for all cases of a shop, with the
shop's counters as they stood on each case's day. All components but the network's come from data
alone, so they are made once and shared by every network that is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedguide.models.blend import Stack, stack, weigh
from fedguide.models.encoders import SCALES_DAYS, Bags, Network, histories_of, pack, tower
from fedguide.models.evaluate import Questions, chunks, joined
from fedguide.models.itemknn import Neighbours
from fedguide.models.metrics import Metrics, measure
from fedguide.models.plan import GuidePlan
from fedguide.models.popularity import known_sales, sales
from fedguide.models.scorer import (
    SLATES,
    SPARSE,
    TERMS,
    ShopModel,
    SlateWeights,
    network_scores,
    sparse_components,
    with_aside,
)
from fedguide.models.text import TextSpec, item_features
from fedguide.values import KINDS, ShopData

SLATE_OF: Mapping[str, str] = {"all": "again", "discovery": "discover"}
"""The slate whose weights a setting is ranked with."""

Matrix = NDArray[np.float32]

K = TypeVar("K")


def silent_network(text: TextSpec, events: int) -> Network:
    """A network whose every score is 0: what the blend without a network has."""
    shapes: dict[str, tuple[int, ...]] = {
        "table": (text.buckets, 1),
        "item": (1, 1),
        "temperature": (1,),
        "shopper": (1, 1),
        "start": (1,),
        "kind": (len(KINDS),),
        "decay": (len(SCALES_DAYS),),
        "terms": (len(TERMS),),
    }
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return Network(text, "bag", arrays, events)


def model_without_network(
    shop: ShopData, neighbours: Neighbours, fade_days: float, plan: GuidePlan
) -> ShopModel:
    """What a shop knows by itself, fitted on its train rows: sales and neighbours.

    ``fade_days`` is the age at which an event speaks 1/e as loudly to its neighbours.
    """
    n = len(shop.catalogue)
    return ShopModel(
        catalogue=shop.catalogue,
        network=silent_network(plan.text, plan.events),
        item_vectors=np.zeros((n, 1), np.float32),
        neighbours=neighbours.items,
        neighbour_weights=neighbours.weights,
        popularity=sales(shop.train, n, one_vote=plan.one_vote),
        recent_sales=sales(shop.train, n, plan.recent_days, one_vote=plan.one_vote),
        last_day=int(shop.train.days.max(initial=0)),
        slates=dict.fromkeys(SLATES, SlateWeights()),
        neighbour_days=fade_days,
    )


@dataclass(frozen=True)
class Known:
    """Some questions with everything a network does not change.

    Attributes:
        asked: the q questions.
        terms: every component but the network's, each ``(q, n)``.
        bags: the shoppers' events, packed for a network's encoder.
    """

    asked: Questions
    terms: Mapping[str, Matrix]
    bags: Bags


def known(
    model: ShopModel,
    shop: ShopData,
    asked: Questions,
    recent_days: int,
    *,
    one_vote: bool = False,
) -> Known:
    """Makes the components of all questions at once; equal to ``scorer.components`` of each.

    Recent sales are counted up to each case's day (``popularity.known_sales``); everything else
    is as in the model.
    """
    shape = (len(asked), asked.items)
    histories, todays = histories_of(asked.cases)
    terms: dict[str, Matrix] = {name: np.zeros(shape, np.float32) for name in SPARSE}
    for row, (history, today) in enumerate(zip(histories, todays.tolist(), strict=True)):
        touched = sparse_components(model, history, today)
        for name, values in touched.values.items():
            terms[name][row, touched.items] = values
    recent = known_sales(shop.train, asked.cases, asked.items, recent_days, one_vote=one_vote)
    terms["recent"] = np.log1p(recent)
    terms["popularity"] = np.broadcast_to(np.log1p(model.popularity), shape)
    return Known(asked, terms, pack(histories, todays, asked.items, model.network.events))


def with_network(seen: Known, network: Network, vectors: Matrix) -> Stack:
    """All components of the questions, with this network's."""
    said = network_scores(network, vectors, seen.bags, seen.terms)
    return stack(seen.asked, {"network": said, **seen.terms})


def vectors_of(network: Network, features: NDArray[np.int32]) -> Matrix:
    """Item vectors from ready ``item_features``, which cost more than the network itself."""
    return tower(network, features)


def features_of(shop: ShopData, text: TextSpec) -> NDArray[np.int32]:
    """The text features of a shop's items."""
    return item_features(shop.catalogue, text)


@dataclass(frozen=True)
class Contender:
    """One model to be measured: a network with its item vectors, and the slate's weights."""

    network: Network
    vectors: Matrix
    weights: SlateWeights


def measure_all(
    model: ShopModel,
    shop: ShopData,
    asked: Questions,
    contenders: Mapping[K, Contender],
    recent_days: int,
    *,
    one_vote: bool = False,
) -> dict[K, Metrics]:
    """Puts every question to every contender; components are made once for all of them."""
    parts: dict[K, list[Metrics]] = {name: [] for name in contenders}
    for some in chunks(asked):
        seen = known(model, shop, some, recent_days, one_vote=one_vote)
        for name, contender in contenders.items():
            if contender.weights.network:
                st = with_network(seen, contender.network, contender.vectors)
            else:
                st = stack(seen.asked, seen.terms)
            parts[name].append(measure(weigh(st, contender.weights), some.targets))
    return {name: joined(metrics) for name, metrics in parts.items()}


def released(
    model: ShopModel,
    shop: ShopData,
    network: Network,
    vectors: Matrix,
    weights: Mapping[str, SlateWeights],
    recent_days: int,
    *,
    one_vote: bool = False,
) -> ShopModel:
    """The model a shop goes on to serve: parameters as measured, counters up to its last day.

    ``weights`` holds the weights of each setting.
    """
    baskets = shop.test.baskets
    n = len(shop.catalogue)
    return replace(
        model,
        network=network,
        item_vectors=vectors,
        recent_sales=sales(baskets, n, recent_days, one_vote=one_vote),
        last_day=int(baskets.days.max(initial=model.last_day)),
        slates={SLATE_OF[setting]: w for setting, w in weights.items()},
    )


def as_kept(models: Mapping[str, ShopModel], kept: Mapping[str, str]) -> ShopModel:
    """The model a shop serves after its gate: each slate by the model that was kept for it.

    The one trained together stands first, and answers what is no slate, where any slate kept it.
    A slate that gives the network no weight needs no network of its own: its weights are enough.

    Args:
        models: *together* or *alone*, or both, to a model with the weights of all settings.
        kept: each setting to the one it kept.
    """
    first = "together" if "together" in kept.values() else "alone"
    model = models[first]
    for setting, name in kept.items():
        slate, other = SLATE_OF[setting], models[name]
        if name == first:
            continue
        if other.slates[slate].network or other.neighbours is not model.neighbours:
            model = with_aside(model, slate, other)
        else:
            model = replace(model, slates={**model.slates, slate: other.slates[slate]})
    return model
