"""The guide network in plain numpy: item vectors, query vectors, shopper vectors.

Serving and judging both run this file, so what is measured is what is served. Training has its
own twin in JAX (``guide_net.py``, ``transformer.py``); a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.attention import attend
from fedguide.models.text import TextSpec, item_features, query_features
from fedguide.values import Baskets, Cases, Catalogue

Matrix = NDArray[np.float32]

SCALES_DAYS = (7.0, 30.0, 120.0, 480.0)
"""How fast an event fades: the learned decay is a mixture of these exponentials."""


TINY = np.float32(1e-4)
"""Added to a squared length, so that a vector of zeros stays one."""


@dataclass(frozen=True)
class History:
    """What one shopper did, oldest first (h events).

    Attributes:
        items: int32 ``(h,)``, row of the shop's catalogue; -1 for a search.
        kinds: uint8 ``(h,)``, index into ``KINDS``.
        days: int32 ``(h,)``, in the same unit as ``Baskets.days``.
        queries: the searched text of each event, ``None`` where it is not a search; an empty
            tuple when nothing was searched.
    """

    items: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    days: NDArray[np.int32]
    queries: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        """Number of events h."""
        return len(self.items)


@dataclass(frozen=True)
class Network:
    """A trained guide network.

    Attributes:
        text: which features its text tower reads.
        encoder: name of its shopper encoder, a key of ``ENCODERS``.
        arrays: its parameters by name, all float32.
        events: how many of the latest events the encoder reads.
    """

    text: TextSpec
    encoder: str
    arrays: Mapping[str, Matrix]
    events: int = 200

    @property
    def size(self) -> int:
        """Length d of an item vector."""
        return int(self.arrays["item"].shape[1])


@dataclass(frozen=True)
class Bags:
    """Some shoppers' latest events, packed for one batch (m shoppers, l events).

    Attributes:
        items: int32 ``(m, l)``, oldest first, right-aligned; a catalogue row, or n + q for the
            search of text q, or -1 where there is no event.
        kinds: uint8 ``(m, l)``.
        ages: float32 ``(m, l)``, days before the moment of the question, ≥ 0.
        texts: the searched texts.
    """

    items: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    ages: Matrix
    texts: tuple[str, ...]


def empty_history() -> History:
    """The history of a shopper nobody has seen before."""
    return History(np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.int32))


def history_of(baskets: Baskets, start: int, stop: int) -> History:
    """Everything in baskets ``start:stop``, which must be one shopper's."""
    lines = slice(int(baskets.offsets[start]), int(baskets.offsets[stop]))
    days = np.repeat(baskets.days[start:stop], np.diff(baskets.offsets[start : stop + 1]))
    queries: tuple[str | None, ...] = ()
    if (baskets.queries[lines] >= 0).any():
        texts = baskets.query_texts
        queries = tuple(texts[q] if q >= 0 else None for q in baskets.queries[lines].tolist())
    return History(baskets.items[lines], baskets.kinds[lines], days.astype(np.int32), queries)


def histories_of(cases: Cases) -> tuple[list[History], NDArray[np.int32]]:
    """What came before each case, and the day of each question, shape ``(c,)``."""
    pairs = zip(cases.starts.tolist(), cases.targets.tolist(), strict=True)
    histories = [history_of(cases.baskets, start, target) for start, target in pairs]
    return histories, cases.baskets.days[cases.targets].astype(np.int32)


def pack(histories: Sequence[History], todays: NDArray[np.int32], n: int, events: int) -> Bags:
    """The latest ``events`` events of each history; ``n`` is the size of the catalogue."""
    length = min(events, max(map(len, histories), default=0))
    shape = (len(histories), length)
    items, kinds = np.full(shape, -1, np.int32), np.zeros(shape, np.uint8)
    ages = np.zeros(shape, np.float32)
    texts: dict[str, int] = {}
    for row, (history, today) in enumerate(zip(histories, todays.tolist(), strict=True)):
        h = min(len(history), length)
        if h == 0:
            continue
        items[row, length - h :] = history.items[-h:]
        kinds[row, length - h :] = history.kinds[-h:]
        ages[row, length - h :] = np.maximum(today - history.days[-h:], 0)
        if history.queries:
            for at in np.flatnonzero(history.items[-h:] < 0).tolist():
                text = history.queries[at - h]
                if text is not None:
                    items[row, length - h + at] = n + texts.setdefault(text, len(texts))
    return Bags(items, kinds, ages, tuple(texts))


def item_vectors(network: Network, catalogue: Catalogue) -> Matrix:
    """A vector for every item, shape ``(n, d)``."""
    return tower(network, item_features(catalogue, network.text))


def query_vector(network: Network, text: str) -> Matrix:
    """The vector of a search in the items' own space, shape ``(d,)``; always finite."""
    vector: Matrix = query_vectors(network, (text,))[0]
    return vector


def query_vectors(network: Network, texts: Sequence[str]) -> Matrix:
    """The vectors of some searches, shape ``(q, d)``."""
    if not texts:
        return np.zeros((0, network.size), np.float32)
    rows = [query_features(text, network.text) for text in texts]
    features = np.full((len(rows), max(map(len, rows))), -1, np.int32)
    for row, buckets in zip(features, rows, strict=True):
        row[: len(buckets)] = buckets
    return tower(network, features)


def tower(network: Network, features: NDArray[np.int32]) -> Matrix:
    """Text tower: features ``(n, w)`` padded with -1 to vectors ``(n, d)`` of one length."""
    table, item = network.arrays["table"], network.arrays["item"]
    summed = np.zeros((len(features), table.shape[1]), np.float32)
    for column in features.T:  # one column at a time: no (n, w, d) array
        there = column >= 0
        summed[there] += table[column[there]]
    mixed = summed @ item
    # Without the unit length the rarest words would shout loudest: their vectors, seldom
    # trained, keep the length they were born with. Measured in docs/decisions/.
    length = np.sqrt((mixed * mixed).sum(axis=1, keepdims=True) + TINY)
    vectors: Matrix = mixed / length * np.exp(network.arrays["temperature"])
    return vectors


def encode(network: Network, vectors: Matrix, history: History, today: int) -> Matrix:
    """The shopper's vector, shape ``(d,)``, given the item vectors ``(n, d)``."""
    bags = pack([history], np.array([today], np.int32), len(vectors), network.events)
    encoded: Matrix = encode_bags(network, vectors, bags)[0]
    return encoded


def encode_bags(network: Network, vectors: Matrix, bags: Bags) -> Matrix:
    """Shopper vectors of a batch, shape ``(m, d)``."""
    return encoder_named(network.encoder).encode(
        network, _event_vectors(network, vectors, bags), bags
    )


def encode_without(network: Network, vectors: Matrix, history: History, today: int) -> Matrix:
    """Shopper vectors with one event left out each, shape ``(h, d)``.

    An event older than the encoder reads changes nothing, except that another one would take the
    place of a younger event; that too is as exact as running the encoder again.
    """
    bags = pack([history], np.array([today], np.int32), len(vectors), len(history))
    events = _event_vectors(network, vectors, bags)
    return encoder_named(network.encoder).without(network, events, bags)


def _event_vectors(network: Network, vectors: Matrix, bags: Bags) -> Matrix:
    """The vector of each event, shape ``(m, l, d)``, zero where there is none."""
    return _placed(vectors, bags, query_vectors(network, bags.texts))


def _placed(vectors: Matrix, bags: Bags, searched: Matrix) -> Matrix:
    """The vector of each event, given those of the items and of the searched texts."""
    n = len(vectors)
    events: Matrix = vectors.take(bags.items, axis=0, mode="clip")
    events[bags.items < 0] = 0
    if len(searched):
        # Filled in afterwards: to append them to the catalogue would copy it.
        search = bags.items >= n
        events[search] = searched[bags.items[search] - n]
    return events


@dataclass(frozen=True)
class Encoder:
    """A shopper encoder in numpy.

    Attributes:
        encode: (network, event vectors ``(m, l, d)``, bags) to shopper vectors ``(m, d)``.
        without: the same for one shopper with all h events, to ``(h, d)``: one event left out each.
        linear: is the vector Σ weight x event / √(Σ weight + 1) through one linear layer, with
            ``event_weights`` and ``bag_vectors``? Then events are left out by subtraction.
    """

    encode: Callable[[Network, Matrix, Bags], Matrix]
    without: Callable[[Network, Matrix, Bags], Matrix]
    linear: bool = False


def event_weights(network: Network, kinds: NDArray[np.uint8], ages: Matrix) -> Matrix:
    """How much the bag encoder counts events, ≥ 0, in the shape of ``kinds`` and ``ages``."""
    kind, decay = np.exp(network.arrays["kind"]), np.exp(network.arrays["decay"])
    fading = np.zeros_like(ages)
    for share, scale in zip(decay, SCALES_DAYS, strict=True):
        fading += share * np.exp(ages / np.float32(-scale))
    fading *= kind[kinds]
    return fading


def _bag_weights(network: Network, bags: Bags) -> Matrix:
    weights = event_weights(network, bags.kinds, bags.ages)
    weights[bags.items < 0] = 0
    return weights


def bag_vectors(network: Network, total: Matrix, weight: Matrix) -> Matrix:
    """From Σ weight x event ``(m, d)`` and Σ weight ``(m,)`` to shopper vectors ``(m, d)``."""
    arrays = network.arrays
    vectors: Matrix = (
        total / np.sqrt(weight + np.float32(1))[:, None] @ arrays["shopper"] + arrays["start"]
    )
    return vectors


def _bag_encode(network: Network, events: Matrix, bags: Bags) -> Matrix:
    weights = _bag_weights(network, bags)
    return bag_vectors(network, np.einsum("ml,mld->md", weights, events), weights.sum(axis=1))


def _bag_without(network: Network, events: Matrix, bags: Bags) -> Matrix:
    weighted = _bag_weights(network, bags)[0]
    vectors, window = events[0], network.events
    read = np.zeros_like(weighted)
    read[-window:] = weighted[-window:]
    total, weight = read @ vectors, read.sum()
    totals, sums = total - read[:, None] * vectors, weight - read
    if len(weighted) > window:  # the next older event moves into the window
        older = weighted[-window - 1]
        totals[-window:] += older * vectors[-window - 1]
        sums[-window:] += older
    return bag_vectors(network, totals, np.maximum(sums, 0))


def _transformer_encode(network: Network, events: Matrix, bags: Bags) -> Matrix:
    fading = np.exp(bags.ages[:, :, None] / -np.array(SCALES_DAYS, np.float32))
    return attend(network.arrays, events, bags.items >= 0, bags.kinds, bags.ages, fading)


def _transformer_without(network: Network, events: Matrix, bags: Bags) -> Matrix:
    h = bags.items.shape[1]
    less = replace(
        bags,
        items=np.where(np.eye(h, dtype=np.bool_), np.int32(-1), bags.items),
        kinds=np.repeat(bags.kinds, h, axis=0),
        ages=np.repeat(bags.ages, h, axis=0),
    )
    return _transformer_encode(network, np.repeat(events, h, axis=0), less)


ENCODERS: Mapping[str, Encoder] = {
    "bag": Encoder(_bag_encode, _bag_without, linear=True),
    "transformer": Encoder(_transformer_encode, _transformer_without),
}
"""Every encoder a release may name."""


def encoder_named(name: str) -> Encoder:
    """The encoder of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ENCODERS:
        raise ConfigError(f"encoder must be one of {sorted(ENCODERS)}, got {name!r}")
    return ENCODERS[name]
