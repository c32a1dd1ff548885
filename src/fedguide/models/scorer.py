"""A shop's model in numpy: components of a score, the two slates, and exact reasons.

A slate's score is Σ weight x component. Judging and serving both run this file, so what is
measured is what is served. One shopper costs one product of the item vectors with a vector;
everything else touches only the items the shopper's history leads to.

A model can hold a second network for one of its slates (``Aside``). Whatever takes a slate scores
it with the network it is served by; whatever takes none uses the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import (
    Bags,
    History,
    Matrix,
    Network,
    encode,
    encode_bags,
    encode_without,
    pack,
)
from fedguide.values import AD_CLICK, BUY, CART, KINDS, VIEW, Catalogue

SLATES = ("again", "discover")
"""*again* ranks what the shopper bought before, *discover* what the shopper never bought."""

INTEREST = np.zeros(len(KINDS), np.float32)
INTEREST[[VIEW, CART, AD_CLICK]] = (0.3, 1.0, 0.3)
INTEREST_DAYS = np.float32(30.0)

RETURNING_DAYS = np.float32(60.0)

SPEAKS = np.zeros(len(KINDS), np.float32)
SPEAKS[[VIEW, CART, BUY, AD_CLICK]] = (0.2, 0.5, 1.0, 0.2)
"""How loudly an event of each kind speaks for its item's neighbours."""


@dataclass(frozen=True)
class SlateWeights:
    """The weight of each component in a slate's score.

    Attributes:
        network: the bare network: item · shopper vector, and its learned terms.
        neighbours: what EASE or ItemKNN says of the items in the history, faded by age.
        history: log(1 + times bought).
        returning: log(1 + times bought, faded over 60 days).
        last_basket: 1 for what was bought on the last buying day.
        interest: log(1 + views, carts and ad clicks, faded over 30 days).
        recent: log(1 + the shop's recent sales).
        popularity: log(1 + the shop's sales).
    """

    network: float = 0.0
    neighbours: float = 0.0
    history: float = 0.0
    returning: float = 0.0
    last_basket: float = 0.0
    interest: float = 0.0
    recent: float = 0.0
    popularity: float = 0.0


COMPONENTS = tuple(field.name for field in fields(SlateWeights))
"""The names of all components, in their order."""

SPARSE = ("neighbours", "history", "returning", "last_basket", "interest")
"""Components that are 0 for every item the history does not lead to."""

OF_EVENTS = ("history", "returning", "interest", "loudness")
"""What an event counts for by its kind and age alone; see ``of_events``."""

OF_OWN = ("history", "returning", "interest", "last_basket")
"""Components of the items that a history names itself."""

_NEVER = np.int32(-(1 << 31))
"""A day before every other."""

STATIC = ("recent", "popularity")
"""Components that are the same for every shopper."""

TERMS = ("history", "recent", "popularity")
"""The components the network learns weights for itself (its array ``terms``), in this order."""


@dataclass(frozen=True)
class Aside:
    """What scores one slate in place of the model's own network and neighbours.

    Attributes:
        slate: the slate, one of ``SLATES``.
        network: another network, with arrays of its own.
        item_vectors: ``item_vectors(network, catalogue)``, shape ``(n, d)``.
        neighbours: int32 ``(n, k)``, as in ``ShopModel``; the model's own where they are the same.
        neighbour_weights: float32 ``(n, k)``, how much.
        neighbour_days: age in days at which an event speaks 1/e as loudly to its neighbours.
    """

    slate: str
    network: Network
    item_vectors: Matrix
    neighbours: NDArray[np.int32]
    neighbour_weights: Matrix
    neighbour_days: float


@dataclass(frozen=True)
class ShopModel:
    """Everything a shop needs to answer; the catalogue and its numbers stay in the shop.

    Attributes:
        catalogue: the shop's n items.
        network: the guide network, the shop's own copy.
        item_vectors: ``item_vectors(network, catalogue)``, shape ``(n, d)``.
        neighbours: int32 ``(n, k)``; row j lists the items that item j speaks for, -1 for none.
        neighbour_weights: float32 ``(n, k)``, how much.
        popularity: ``(n,)``, sales of each item in the training rows.
        recent_sales: ``(n,)``, of these, the sales of the last weeks.
        last_day: last day of the training rows.
        slates: weights of each slate, for both names in ``SLATES``.
        neighbour_days: age in days at which an event speaks 1/e as loudly to its neighbours.
        aside: what scores one of the slates in place of the above; ``None`` where nothing does.
    """

    catalogue: Catalogue
    network: Network
    item_vectors: Matrix
    neighbours: NDArray[np.int32]
    neighbour_weights: Matrix
    popularity: Matrix
    recent_sales: Matrix
    last_day: int
    slates: Mapping[str, SlateWeights]
    neighbour_days: float = 120.0
    aside: Aside | None = None

    def __len__(self) -> int:
        """Number of items n."""
        return len(self.item_vectors)


def served_by(model: ShopModel, slate: str) -> ShopModel:
    """The model of one network that a slate is scored with.

    Where a model has two, each of them keeps the weights of its own slate only, so that the wrong
    one cannot score a slate unnoticed.
    """
    aside = model.aside
    if aside is None:
        return model
    mine = replace(model, slates={slate: model.slates[slate]}, aside=None)
    if slate != aside.slate:
        return mine
    return replace(
        mine,
        network=aside.network,
        item_vectors=aside.item_vectors,
        neighbours=aside.neighbours,
        neighbour_weights=aside.neighbour_weights,
        neighbour_days=aside.neighbour_days,
    )


def with_aside(model: ShopModel, slate: str, other: ShopModel) -> ShopModel:
    """The model, with one slate scored as another model of the same shop scores it."""
    aside = Aside(
        slate,
        other.network,
        other.item_vectors,
        other.neighbours,
        other.neighbour_weights,
        other.neighbour_days,
    )
    return replace(model, slates={**model.slates, slate: other.slates[slate]}, aside=aside)


@dataclass(frozen=True)
class Sparse:
    """Component values on the t items a history touches; elsewhere they are 0.

    Attributes:
        items: int64 ``(t,)``, ascending, each once.
        values: ``(t,)`` for each name in ``SPARSE``.
    """

    items: NDArray[np.int64]
    values: Mapping[str, Matrix]


@dataclass(frozen=True)
class Own:
    """What a history says of the s items it names itself.

    Attributes:
        items: int64 ``(s,)``, ascending, each once.
        table: float32 ``(4, s)``, the components ``OF_OWN``.
        loudness: float32 ``(s,)``, how loudly each speaks for its neighbours: as loudly as its
            loudest event, because EASE was fitted on bought or not bought.
    """

    items: NDArray[np.int64]
    table: Matrix
    loudness: Matrix


def components(model: ShopModel, history: History, today: int) -> dict[str, Matrix]:
    """Every component for every item, by name, each of shape ``(n,)``."""
    touched = sparse_components(model, history, today)
    result = {name: np.zeros(len(model), np.float32) for name in SPARSE}
    for name, values in touched.values.items():
        result[name][touched.items] = values
    result["recent"], result["popularity"] = (
        np.log1p(model.recent_sales),
        np.log1p(model.popularity),
    )
    shopper = encode(model.network, model.item_vectors, history, today)
    result["network"] = model.item_vectors @ shopper + _learned(model, result)
    return {name: result[name] for name in COMPONENTS}


def components_batch(
    model: ShopModel, histories: Sequence[History], todays: NDArray[np.int32]
) -> dict[str, Matrix]:
    """``components`` of m shoppers, each of shape ``(m, n)``."""
    result = {name: np.zeros((len(histories), len(model)), np.float32) for name in SPARSE}
    for row, (history, today) in enumerate(zip(histories, todays.tolist(), strict=True)):
        touched = sparse_components(model, history, today)
        for name, values in touched.values.items():
            result[name][row, touched.items] = values
    for name, sales in (("recent", model.recent_sales), ("popularity", model.popularity)):
        result[name] = np.broadcast_to(np.log1p(sales), result["history"].shape)
    bags = pack(histories, todays, len(model), model.network.events)
    result["network"] = network_scores(model.network, model.item_vectors, bags, result)
    return {name: result[name] for name in COMPONENTS}


def network_scores(
    network: Network, vectors: Matrix, bags: Bags, terms: Mapping[str, Matrix]
) -> Matrix:
    """The bare network's scores ``(m, n)``, given the components in ``TERMS``."""
    scores: Matrix = encode_bags(network, vectors, bags) @ vectors.T
    for name, weight in zip(TERMS, network.arrays["terms"], strict=True):
        scores += weight * terms[name]
    return scores


def slate_scores(model: ShopModel, history: History, today: int, slate: str) -> Matrix:
    """Score of every item in a slate, shape ``(n,)``: the sum of its three parts below."""
    model = served_by(model, slate)
    scores: Matrix = model.item_vectors @ shopper_vector(model, history, today, slate)
    scores += static_scores(model, slate)
    items, values = sparse_scores(model, history, today, slate)
    scores[items] += values
    return scores


def shopper_vector(model: ShopModel, history: History, today: int, slate: str) -> Matrix:
    """The dense part of a slate's score is item vector · this vector, shape ``(d,)``.

    The item vectors are those of the network that serves the slate.
    """
    model = served_by(model, slate)
    weight = np.float32(model.slates[slate].network)
    vector: Matrix = weight * encode(model.network, model.item_vectors, history, today)
    return vector


def static_scores(model: ShopModel, slate: str) -> Matrix:
    """The part of a slate's score that is the same for every shopper, shape ``(n,)``."""
    weights = total_weights(model, slate)
    scores: Matrix = weights["recent"] * np.log1p(model.recent_sales)
    scores += weights["popularity"] * np.log1p(model.popularity)
    return scores


def sparse_scores(
    model: ShopModel, history: History, today: int, slate: str
) -> tuple[NDArray[np.int64], Matrix]:
    """The part of a slate's score on the items a history touches: items and values ``(t,)``."""
    model = served_by(model, slate)
    touched = sparse_components(model, history, today)
    weights = total_weights(model, slate)
    values = np.zeros(len(touched.items), np.float32)
    for name in SPARSE:
        values += weights[name] * touched.values[name]
    return touched.items, values


def total_weights(model: ShopModel, slate: str) -> dict[str, np.float32]:
    """A slate's weight of each component except ``network``, whose learned terms are added in."""
    model = served_by(model, slate)
    weights = model.slates[slate]
    total = {name: np.float32(getattr(weights, name)) for name in (*SPARSE, *STATIC)}
    for name, learned in zip(TERMS, model.network.arrays["terms"], strict=True):
        total[name] += np.float32(weights.network) * learned
    return total


def sparse_components(model: ShopModel, history: History, today: int) -> Sparse:
    """The components in ``SPARSE`` on the items that a history touches."""
    own = own_components(model, history, today)
    said = spoken(model, own)
    mentioned = said != 0
    mentioned[own.items] = True
    touched = np.flatnonzero(mentioned)
    at = np.searchsorted(touched, own.items)
    values = {"neighbours": said[touched]}
    for name, value in zip(OF_OWN, own.table, strict=True):
        values[name] = np.zeros(len(touched), np.float32)
        values[name][at] = value
    return Sparse(touched, values)


def own_components(model: ShopModel, history: History, today: int) -> Own:
    """What a history says of the items it names itself."""
    order = np.argsort(history.items, kind="stable")
    order = order[np.searchsorted(history.items, 0, sorter=order) :]  # searches come first
    items, kinds, days = history.items[order], history.kinds[order], history.days[order]
    ages = np.maximum(today - days, 0).astype(np.float32)
    starts = run_starts(items)
    return own_of(items[starts], starts, kinds, days, of_events(model, kinds, ages))


def of_events(model: ShopModel, kinds: NDArray[np.uint8], ages: Matrix) -> Matrix:
    """What each of h events counts for the item it names, by kind and age: ``(h, 4)``.

    The columns are ``OF_EVENTS``: the first three are summed, of the last the loudest counts.
    """
    bought = kinds == BUY
    columns = (
        bought,
        bought * np.exp(ages / -RETURNING_DAYS),
        INTEREST[kinds] * np.exp(ages / -INTEREST_DAYS),
        _loudness(model, kinds, ages),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def own_of(
    items: NDArray[np.int32],
    starts: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    days: NDArray[np.int32],
    counts: Matrix,
) -> Own:
    """``own_components`` of h events that name s items, ordered by item.

    Args:
        items: ``(s,)``, ascending, each once.
        starts: ``(s,)``, where each item's events start.
        kinds: ``(h,)``.
        days: ``(h,)``.
        counts: ``of_events``, ``(h, 4)``; further columns are not looked at.
    """
    table = np.zeros((len(OF_OWN), len(items)), np.float32)
    if not len(items):
        return Own(items.astype(np.int64), table, table[0])
    sums = np.add.reduceat(counts[:, :3], starts, axis=0, dtype=np.float64).astype(np.float32)
    np.log1p(sums.T, out=table[:3])
    days_bought = np.where(kinds == BUY, days, _NEVER)
    last = days_bought.max()
    if last > _NEVER:
        table[3] = np.logical_or.reduceat(days_bought == last, starts)
    return Own(items.astype(np.int64), table, np.maximum.reduceat(counts[:, 3], starts))


def run_starts(ordered: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each run of equal values starts."""
    opens = np.empty(len(ordered), np.bool_)
    opens[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=opens[1:])
    return np.flatnonzero(opens)


@dataclass(frozen=True)
class Voices:
    """What each of s own items says of its k neighbours.

    Attributes:
        targets: int32 ``(s, k)``, the neighbours, -1 for none.
        said: float32 ``(s, k)``, what is said of each in the neighbours component.
    """

    targets: NDArray[np.int32]
    said: Matrix


def voices(model: ShopModel, own: Own) -> Voices:
    """What a history's own items say of their neighbours, one by one."""
    said = model.neighbour_weights.take(own.items, axis=0)
    said *= own.loudness[:, None]
    return Voices(model.neighbours.take(own.items, axis=0), said)


def spoken(model: ShopModel, own: Own) -> Matrix:
    """The neighbours component of every item, shape ``(n,)``."""
    spoke = voices(model, own)
    return scattered(spoke.targets, spoke.said, len(model))


def scattered(targets: NDArray[np.int32], values: Matrix, n: int) -> Matrix:
    """Sum of the values of each of n targets, shape ``(n,)``; what falls on -1 is dropped."""
    # One pass over all n items is cheaper than sorting the targets; padding (-1) falls on slot n.
    sums = np.zeros(n + 1, np.float32)
    np.add.at(sums, targets.ravel(), values.ravel())
    return sums[:-1]


def shares(model: ShopModel, history: History, today: int, slate: str, item: int) -> Matrix:
    """What each event adds to an item's score, ``(h,)``: the score less the score without it."""
    row: Matrix = shares_many(model, history, today, slate, np.array([item]))[0]
    return row


def shares_many(
    model: ShopModel, history: History, today: int, slate: str, items: NDArray[np.integer]
) -> Matrix:
    """``shares`` of q items at once, shape ``(q, h)``."""
    if not len(history):
        return np.zeros((len(items), 0), np.float32)
    model = served_by(model, slate)
    vectors = model.item_vectors
    weights = total_weights(model, slate)
    dense = np.float32(model.slates[slate].network)
    whole = encode(model.network, vectors, history, today)
    without = encode_without(model.network, vectors, history, today)
    result: Matrix = dense * (vectors[items] @ (whole - without).T)

    own = history.items[None, :] == np.asarray(items)[:, None]
    ages = np.maximum(today - history.days, 0).astype(np.float32)
    bought = history.kinds == BUY
    for name, values in (
        ("history", bought.astype(np.float32)),
        ("returning", bought * np.exp(ages / -RETURNING_DAYS)),
        ("interest", INTEREST[history.kinds] * np.exp(ages / -INTEREST_DAYS)),
    ):
        total = own @ values
        rest = np.maximum(total[:, None] - own * values, 0)
        result += weights[name] * (np.log1p(total)[:, None] - np.log1p(rest))
    result += weights["last_basket"] * _last_basket_shares(history, own, bought)
    result += weights["neighbours"] * _neighbour_shares(model, history, ages, items)
    return result


def _learned(model: ShopModel, values: Mapping[str, Matrix]) -> Matrix:
    learned = model.network.arrays["terms"]
    total = np.zeros(len(model), np.float32)
    for name, weight in zip(TERMS, learned, strict=True):
        total += weight * values[name]
    return total


def _loudness(model: ShopModel, kinds: NDArray[np.uint8], ages: Matrix) -> Matrix:
    loudness: Matrix = SPEAKS[kinds] * np.exp(ages / np.float32(-model.neighbour_days))
    return loudness


def _last_basket_shares(
    history: History, own: NDArray[np.bool_], bought: NDArray[np.bool_]
) -> Matrix:
    """Change of the last-basket flag, shape ``(q, h)``, when one event is left out."""
    result = np.zeros(own.shape, np.float32)
    if not bought.any():
        return result
    last = history.days[bought].max()
    there = bought & (history.days == last)
    flag = (own & there).any(axis=1)
    if there.sum() > 1:
        twice = (own & there).sum(axis=1) > 1
        result[own & there & ~twice[:, None]] = 1
        return result
    # The only line of the last buying day: without it, the day before becomes the last.
    before = bought & ~there
    if before.any():
        before &= history.days == history.days[before].max()
    flag_before = (own & before).any(axis=1)
    result[:, there] = (flag.astype(np.float32) - flag_before)[:, None]
    return result


def _neighbour_shares(
    model: ShopModel, history: History, ages: Matrix, items: NDArray[np.integer]
) -> Matrix:
    """Change of the neighbours component, shape ``(q, h)``, when one event is left out."""
    result = np.zeros((len(items), len(history)), np.float32)
    events = np.flatnonzero(history.items >= 0)
    speakers = history.items[events]
    loudness = _loudness(model, history.kinds[events], ages[events])
    # Only the loudest event of an item counts; without it, the second loudest does.
    order = np.lexsort((-loudness, speakers))
    ranked, ranked_loudness = speakers[order], loudness[order]
    first = np.ones(len(order), bool)
    first[1:] = ranked[1:] != ranked[:-1]
    second = np.zeros(len(order), np.float32)
    follows = np.flatnonzero(~first[1:] & first[:-1])
    second[follows] = ranked_loudness[follows + 1]
    lost = np.where(first, ranked_loudness - second, np.float32(0))
    says = (model.neighbours[ranked][None] == np.asarray(items)[:, None, None]).astype(np.float32)
    spoken = np.einsum("qhk,hk->qh", says, model.neighbour_weights[ranked])
    result[:, events[order]] = spoken * lost
    return result
