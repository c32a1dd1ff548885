"""One history read once by an encoder, and asked more than once: with all events, and without some.

Ranking needs the shopper's vector, reasons need it again with one group of events left out each.
For a linear encoder that is a subtraction; every other one runs again on what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from fedguide.models.encoders import (
    Bags,
    History,
    Matrix,
    Network,
    bag_vectors,
    encode_bags,
    encoder_named,
    event_weights,
    pack,
    query_vector,
)


@dataclass(frozen=True)
class Grouping:
    """A history's h events in g groups, each of at least one event.

    Attributes:
        order: int64 ``(h,)``, the events, group after group.
        starts: int64 ``(g,)``, where each group starts in ``order``.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of groups g."""
        return len(self.starts)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of events of each group, ``(g,)``."""
        sizes = np.empty_like(self.starts)
        np.subtract(self.starts[1:], self.starts[:-1], out=sizes[:-1])
        sizes[-1:] = len(self.order) - self.starts[-1:]
        return sizes

    @cached_property
    def of(self) -> NDArray[np.int64]:
        """The group of each event, ``(h,)``."""
        of = np.empty(len(self.order), np.int64)
        of[self.order] = np.repeat(np.arange(len(self.starts)), self.sizes)
        return of


@dataclass(frozen=True)
class Reading:
    """One history as an encoder reads it.

    Attributes:
        network: who reads.
        vectors: item vectors ``(n, d)``.
        history: what is read.
        today: the day of the question.
        grouping: the history's events in groups.
        events: for a linear encoder the vector of each event, ``(h, d)``, in the order of the
            grouping, also of what is older than the encoder reads; ``None`` for others.
        weights: how much it counts each, ``(h,)``, in the same order; ``None`` for others.
    """

    network: Network
    vectors: Matrix
    history: History
    today: int
    grouping: Grouping
    events: Matrix | None
    weights: Matrix | None


def read(
    network: Network,
    vectors: Matrix,
    history: History,
    today: int,
    grouping: Grouping,
    query_of: Callable[[str], Matrix] | None = None,
    weights: Matrix | None = None,
) -> Reading:
    """A history made ready for the encoder.

    Args:
        network: who reads.
        vectors: item vectors ``(n, d)``.
        history: what is read.
        today: the day of the question.
        grouping: its events by what they name: searches of one text each, then items.
        query_of: gives the vector of a searched text, when somebody remembers them.
        weights: ``event_weights`` in the order of the grouping, when somebody has them.
    """
    if not encoder_named(network.encoder).linear:
        return Reading(network, vectors, history, today, grouping, None, None)
    order = grouping.order
    items = history.items.take(order)
    events: Matrix = vectors.take(items, axis=0, mode="clip")
    nameless = int(np.count_nonzero(items < 0))
    if nameless:
        if query_of is None:
            query_of = partial(query_vector, network)
        events[:nameless] = 0
        for event, row in enumerate(order[:nameless].tolist()):
            text = history.queries[row] if history.queries else None
            if text is not None:
                events[event] = query_of(text)
    if weights is None:
        ages = np.maximum(today - history.days.take(order), 0).astype(np.float32)
        weights = event_weights(network, history.kinds.take(order), ages)
    return Reading(network, vectors, history, today, grouping, events, weights)


def encode_read(reading: Reading) -> Matrix:
    """The shopper's vector, shape ``(d,)``; the same as ``encoders.encode``."""
    network, weights, events = reading.network, reading.weights, reading.events
    vector: Matrix
    if weights is None or events is None:
        vector = _encode_again(reading, [reading.history])[0]
        return vector
    older = len(weights) - network.events
    if older > 0:
        weights = weights * (reading.grouping.order >= older)
    total = weights @ events
    vector = bag_vectors(network, total[None], weights.sum(keepdims=True))[0]
    return vector


def scores_without_groups(reading: Reading, targets: Matrix) -> Matrix:
    """Target · shopper vector with one whole group of events left out each, shape ``(g + 1, q)``.

    The last row leaves out nothing. ``targets``, shape ``(q, d)``, are item vectors. As exact as
    running the encoder again on what remains.
    """
    network, grouping = reading.network, reading.grouping
    weights, events = reading.weights, reading.events
    if weights is None or events is None:
        keeps = [grouping.of != group for group in range(len(grouping) + 1)]
        rest = [_kept(reading.history, keep) for keep in keeps]
        left_out: Matrix = _encode_again(reading, rest) @ targets.T
        return left_out
    # Dot products first: q columns are summed by group instead of d.
    parts = np.empty((len(weights), len(targets) + 1), np.float32)
    np.matmul(events, network.arrays["shopper"] @ targets.T, out=parts[:, :-1])
    parts[:, :-1] *= weights[:, None]
    parts[:, -1] = weights
    sums = _sums_without(parts, grouping, network.events)
    length = np.sqrt(np.maximum(sums[:, -1:], 0) + np.float32(1))
    scores: Matrix = sums[:, :-1]
    scores /= length
    scores += network.arrays["start"] @ targets.T
    return scores


def _encode_again(reading: Reading, histories: list[History]) -> Matrix:
    """The vectors of some histories, ``(m, d)``, by running the encoder on each."""
    network, vectors = reading.network, reading.vectors
    todays = np.full(len(histories), reading.today, np.int32)
    bags: Bags = pack(histories, todays, len(vectors), network.events)
    return encode_bags(network, vectors, bags)


def _kept(history: History, keep: NDArray[np.bool_]) -> History:
    """The events of a history for which ``keep`` holds."""
    chosen = np.flatnonzero(keep).tolist()
    queries = tuple(history.queries[at] for at in chosen) if history.queries else ()
    return History(history.items[keep], history.kinds[keep], history.days[keep], queries)


def _sums_without(parts: Matrix, grouping: Grouping, window: int) -> Matrix:
    """Sums ``(g + 1, c)`` of the rows that are read without one group each, or none.

    ``parts``, ``(h, c)``, is in the order of the grouping. Only the last ``window`` events that
    are left are read: when a group goes, older ones move in.
    """
    h = len(parts)
    sums = np.empty((len(grouping) + 1, parts.shape[1]), np.float32)
    if h <= window:
        sums[:] = parts.sum(axis=0)
    else:
        age, reach = np.arange(h)[::-1], _reach(grouping, window)
        oldest_first = np.empty_like(parts)
        oldest_first[grouping.order] = parts
        newest_first = np.cumsum(oldest_first[::-1], axis=0, dtype=np.float64)
        sums[:] = newest_first[reach - 1]
        parts = parts * (age < reach[grouping.of])[grouping.order, None]
    if h:
        sums[:-1] -= np.add.reduceat(parts, grouping.starts, axis=0)
    return sums


def _reach(grouping: Grouping, window: int) -> NDArray[np.int64]:
    """How many of the latest of h events hold ``window`` of other groups, ``(g + 1,)``; at most h.

    The last entry is of no group.
    """
    of, h, count = grouping.of, len(grouping.order), len(grouping)
    age, reach = np.arange(h)[::-1], np.full(count + 1, min(window, h), np.int64)
    while True:
        gone = np.bincount(of[age < reach[of]], minlength=count + 1)
        longer = np.minimum(window + gone, h)
        if (longer == reach).all():
            return reach
        reach = longer
