"""Training examples out of a shop's baskets, as padded numpy arrays.

One example is one basket with a purchase: what was bought is asked for, what the shopper did
before is the context. Examples hold places in one array of lines, so a context costs no copy.
Arrays of all shops of a run are padded to the same ``Shapes``: the training step is compiled
once, not once a shop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError
from fedguide.models.plan import GuidePlan
from fedguide.models.popularity import counted, repeats
from fedguide.models.text import TextSpec, item_features, query_features
from fedguide.values import BUY, SEARCH, Baskets, Catalogue

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

FAN = 4
"""Items summed at once for the gradient of a bucket; most buckets have no more (measured)."""

SNAPSHOTS = 24
"""Moments at which a shop's sales are taken down; an example sees the last one before it."""


@dataclass(frozen=True)
class Shapes:
    """Sizes of the padded arrays: one shop's own, or the largest of several shops'.

    Attributes:
        items: of the catalogue.
        queries: different searched texts.
        width: features of one item or query.
        fans: groups of at most ``FAN`` places of the same bucket.
        lines: of all baskets.
        examples: baskets with a purchase.
        basket: lines of the longest of these.
    """

    items: int
    queries: int
    width: int
    fans: int
    lines: int
    examples: int
    basket: int


class Examples(NamedTuple):
    """One shop's training data (n items, q queries, r = n + q rows, padded).

    Attributes:
        features: ``(r, width)`` buckets; the number of buckets stands for none.
        fan: ``(fans, FAN)`` rows holding the bucket ``fan_bucket``; r stands for none.
        fan_place: ``(fans, FAN)`` at which place in the row.
        fan_bucket: ``(fans,)`` ascending.
        items: ``(lines,)`` row; -1 for padding.
        kinds: ``(lines,)``.
        days: ``(lines,)``.
        repeat: ``(lines,)`` 1 where the shopper bought the item in an earlier basket.
        first: ``(examples,)`` first line of the shopper.
        start: ``(examples,)`` first line of the basket.
        stop: ``(examples,)`` line after the basket's last.
        snapshot: ``(examples,)`` row of the two below.
        recent: ``(SNAPSHOTS, n)`` log(1 + sales of the last days), before the snapshot's day.
        popularity: ``(SNAPSHOTS, n)`` log(1 + all sales before the snapshot's day).
        size: ``()`` items of the catalogue without padding.
    """

    features: Ints
    fan: Ints
    fan_place: Ints
    fan_bucket: Ints
    items: Ints
    kinds: Ints
    days: Ints
    repeat: Ints
    first: Ints
    start: Ints
    stop: Ints
    snapshot: Ints
    recent: Floats
    popularity: Floats
    size: NDArray[np.int32]


def shapes_of(catalogue: Catalogue, train: Baskets, text: TextSpec) -> Shapes:
    """The sizes one shop needs."""
    features = _features(catalogue, train, text)
    return Shapes(
        items=len(catalogue),
        queries=len(train.query_texts),
        width=features.shape[1],
        fans=int(_fans(np.bincount(features[features >= 0], minlength=text.buckets)).sum()),
        lines=len(train.items),
        examples=len(buying_baskets(train)),
        basket=int(np.diff(train.offsets)[buying_baskets(train)].max(initial=0)),
    )


def largest(shapes: Iterable[Shapes]) -> Shapes:
    """The sizes into which all of them fit.

    Raises:
        ConfigError: there are none.
    """
    rows = [astuple(shape) for shape in shapes]
    if not rows:
        raise ConfigError("shapes of no shop were given, at least one is needed")
    return Shapes(*(max(column) for column in zip(*rows, strict=True)))


def buying_baskets(train: Baskets) -> NDArray[np.int64]:
    """Baskets in which something was bought."""
    owner = np.repeat(np.arange(len(train)), np.diff(train.offsets))
    return np.unique(owner[train.kinds == BUY])


def examples_of(
    catalogue: Catalogue, train: Baskets, plan: GuidePlan, shapes: Shapes | None = None
) -> Examples:
    """A shop's examples, padded to ``shapes`` (its own by default).

    Raises:
        DataError: nothing was ever bought.
        ConfigError: ``shapes`` are too small for this shop.
    """
    own = shapes_of(catalogue, train, plan.text)
    if own.examples == 0:
        raise DataError(
            f"a shop with {len(train)} baskets and no purchase has nothing to learn from",
            hint="import purchases, or leave the shop out",
        )
    shapes = shapes or own
    if largest([own, shapes]) != shapes:
        raise ConfigError(f"shapes {shapes} are too small for a shop of {own}")
    rows = shapes.items + shapes.queries
    features = np.full((rows, shapes.width), plan.text.buckets, np.int32)
    known = _features(catalogue, train, plan.text)
    n, q, width = len(catalogue), len(train.query_texts), known.shape[1]
    features[:n, :width] = np.where(known[:n] < 0, plan.text.buckets, known[:n])
    there = slice(shapes.items, shapes.items + q)
    features[there, :width] = np.where(known[n:] < 0, plan.text.buckets, known[n:])
    present = features < plan.text.buckets
    fan, fan_place, fan_bucket = _transposed(features, present, plan.text.buckets, shapes.fans)

    days = np.repeat(train.days, np.diff(train.offsets))
    items = np.where(train.kinds == SEARCH, shapes.items + train.queries, train.items)
    chosen = buying_baskets(train)
    first = np.searchsorted(train.shoppers, train.shoppers[chosen], side="left")
    snapshot, recent, popularity = _snapshots(train, days, chosen, n, plan)

    def padded(values: NDArray[np.generic], size: int, fill: int = 0) -> Ints:
        result = np.full(size, fill, np.int32)
        result[: len(values)] = values
        return result

    widen = ((0, 0), (0, shapes.items - n))
    return Examples(
        features=features,
        fan=fan,
        fan_place=fan_place,
        fan_bucket=fan_bucket,
        items=padded(items, shapes.lines, -1),
        kinds=padded(train.kinds, shapes.lines),
        days=padded(days, shapes.lines),
        repeat=padded(repeats(train), shapes.lines),
        first=padded(train.offsets[first], shapes.examples),
        start=padded(train.offsets[chosen], shapes.examples),
        stop=padded(train.offsets[chosen + 1], shapes.examples),
        snapshot=padded(snapshot, shapes.examples),
        recent=np.pad(recent, widen),
        popularity=np.pad(popularity, widen),
        size=np.array(n, np.int32),
    )


def _features(catalogue: Catalogue, train: Baskets, text: TextSpec) -> Ints:
    """Features of all items, then of all queries, padded with -1."""
    items = item_features(catalogue, text)
    queries = [query_features(query, text)[: text.width] for query in train.query_texts]
    width = max([items.shape[1], *map(len, queries)])
    features = np.full((len(items) + len(queries), width), -1, np.int32)
    features[: len(items), : items.shape[1]] = items
    for row, query in enumerate(queries, len(items)):
        features[row, : len(query)] = query
    return features


def _fans(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return -(-counts // FAN)


def _transposed(
    features: Ints, present: NDArray[np.bool_], buckets: int, fans: int
) -> tuple[Ints, Ints, Ints]:
    """Where each bucket stands, in groups of ``FAN``: rows, places in the rows, the bucket."""
    row, place = np.nonzero(present)
    bucket = features[row, place]
    order = np.argsort(bucket, kind="stable")
    row, place, bucket = row[order], place[order], bucket[order]
    counts = np.bincount(bucket, minlength=buckets)
    nth = np.arange(len(bucket)) - (np.cumsum(counts) - counts)[bucket]
    groups = _fans(counts)
    group = (np.cumsum(groups) - groups)[bucket] + nth // FAN
    fan = np.full((fans, FAN), len(features), np.int32)
    fan_place = np.zeros((fans, FAN), np.int32)
    fan[group, nth % FAN], fan_place[group, nth % FAN] = row, place
    fan_bucket = np.full(fans, buckets - 1, np.int32)
    fan_bucket[: groups.sum()] = np.repeat(np.arange(buckets), groups)
    return fan, fan_place, fan_bucket


def _snapshots(
    train: Baskets, days: NDArray[np.int32], chosen: NDArray[np.int64], n: int, plan: GuidePlan
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """The snapshot of each example, and the sales known at each: recent and all, as logs."""
    sorted_days = np.sort(train.days[chosen])
    moments = np.unique(sorted_days[np.arange(SNAPSHOTS) * len(sorted_days) // SNAPSHOTS])
    recent = np.zeros((SNAPSHOTS, n), np.float32)
    popularity = np.zeros((SNAPSHOTS, n), np.float32)
    bought = counted(train, one_vote=plan.one_vote)
    for row, moment in enumerate(moments.tolist()):
        before = bought & (days < moment)
        popularity[row] = np.log1p(np.bincount(train.items[before], minlength=n))
        before &= days >= moment - plan.recent_days
        recent[row] = np.log1p(np.bincount(train.items[before], minlength=n))
    snapshot = np.searchsorted(moments, train.days[chosen], side="right") - 1
    return snapshot, recent, popularity
