"""Each shopper's own slope of the guide's loss: what per-shopper clipping is fed with.

One vector a shopper a round: the gradient of the mean loss of the shopper's own baskets at the
parameters of the round (McMahan, Ramage, Talwar and Zhang, "Learning Differentially Private
Recurrent Language Models", 2018, algorithm 1, FedSGD). For the guarantee, no vector may depend on
another shopper but by what was released of it. So the shop's sales, which are other shoppers, are
taken out of the loss, unless they were released with noise of their own (``knowing``); and
negatives are all items, or uniform ones. What people type is their own, too: a shopper's loss reads
that shopper's searches and nobody else's, and of them only the features that some item of the
public catalogue has, so that which coordinates a slope has tells nothing. What is left is the
shopper's own baskets and searches, the catalogue, and public randomness: the text features dropped
in a round are the same for every shopper of a shop. A basket is asked for as a whole, no part of
it is moved into the cart (``GuidePlan.cart``): a slope is clipped to the same length however little
of a basket is left to ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError
from fedguide.models.examples import Examples, Shapes, examples_of
from fedguide.models.fit import each_loss, each_slope, layout_of, on_device
from fedguide.models.plan import GuidePlan
from fedguide.models.text import query_features
from fedguide.models.text_matrix import TextMatrix, text_matrix
from fedguide.values import BUY, SEARCH, Baskets, Catalogue, Layout, Vector

Slopes = NDArray[np.float32]
"""One row a shopper, shape ``(k, a)``."""

PARTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {"tower": frozenset({"item"}), "head": frozenset({"item", "table", "temperature"})}
)
"""What may be trained privately, and which arrays then stay as they are.

The linear layer behind the table starts as the identity and stays: the table alone can express
every text tower, and what is not trained needs no noise. The head also keeps the table, a fixed
random projection of the text, and the one length of all rows, which its linear layer can express:
no slope by row has to be worked out then, which is most of the time one shopper takes.
"""

CHUNK_FLOATS = 1 << 22
"""Slopes by row held at once: more fall out of a processor's cache."""

MOST_AT_ONCE = 16
"""Most shoppers at once."""

HANDED_OVER = 4
"""Shoppers whose slopes are handed over at once."""

MOST_SEARCHES = 1000
"""Most searches of one shopper that its loss may read."""


class Each(Protocol):
    """``each(params, shoppers, seed)``: their slopes, some at a time, in their order.

    What it gives is overwritten by what it gives next. ``losses``, shape ``(k,)``, is filled with
    the shoppers' losses where it is given. ``sales`` are what everybody may know of how often
    each item was bought, ``(n,)``: log(1 + sales) stands in every loss, at any day, as the log of
    all sales until then does where nobody is protected.
    """

    def __call__(
        self,
        params: Vector,
        chosen: NDArray[np.int64],
        seed: int,
        losses: NDArray[np.float64] | None = None,
        sales: NDArray[np.float64] | None = None,
    ) -> Iterator[Slopes]:
        """The slopes."""
        ...


@dataclass(frozen=True)
class ShopperSlopes:
    """The slopes of one shop's shoppers.

    Attributes:
        shoppers: rows of the shop's ``Baskets.shopper_ids`` that have something to learn from.
        places: int64 ``(a,)``, ascending: which coordinates of the flat parameters a slope
            holds. All others of the trained part are 0 for every shopper of this shop.
        each: the slopes; the numbers of its shoppers are places in ``shoppers``.
        features: ``features(seed)`` says which text features the rows have in a round, after what
            is dropped for everybody: a sparse matrix over the active buckets, ``(r, active)``.
        bought: int64 ``(b, 2)``: shopper and item of what was bought, each pair once.
        items: of the catalogue.
    """

    shoppers: NDArray[np.int64]
    places: NDArray[np.int64]
    each: Each
    features: Callable[[int], Any]
    bought: NDArray[np.int64]
    items: int


def knowing(slopes: ShopperSlopes, released: Callable[[], NDArray[np.float64]]) -> ShopperSlopes:
    """The slopes with released sales in every loss.

    ``released`` is asked once, when the first slope is worked out: by then the release is paid for.
    """
    kept: list[NDArray[np.float64]] = []

    def each(
        params: Vector,
        chosen: NDArray[np.int64],
        seed: int,
        losses: NDArray[np.float64] | None = None,
        sales: NDArray[np.float64] | None = None,
    ) -> Iterator[Slopes]:
        if sales is None:
            if not kept:
                kept.append(released())
            sales = kept[0]
        return slopes.each(params, chosen, seed, losses, sales)

    return replace(slopes, each=each)


def trained_slices(plan: GuidePlan, part: str) -> tuple[slice, ...]:
    """Where the part lies in the flat parameters, ascending.

    Raises:
        ConfigError: ``part`` is unknown.
    """
    if part not in PARTS:
        raise ConfigError(f"part must be one of {sorted(PARTS)}, got {part!r}")
    layout = layout_of(plan)
    return tuple(where for name, where in _slices(layout).items() if name not in PARTS[part])


def trained_scales(plan: GuidePlan, part: str, others: float) -> tuple[float, ...]:
    """What each of ``trained_slices`` is multiplied by before vectors are clipped.

    Clipping with scaled groups: McMahan, Andrew, Erlingsson, Chien, Mironov, Papernot and Kairouz,
    "A General Approach to Adding Differential Privacy to Iterative Training Procedures", 2018,
    section 2. The few coordinates behind the table make more than half of a slope's square; where
    they count less, as much noise is added to a longer slope of the table.

    Raises:
        ConfigError: ``part`` is unknown.
    """
    layout = layout_of(plan)
    names = [name for name in layout.names if name not in PARTS[part]]
    return tuple(1.0 if name == "table" else others for name in names)


def shopper_slopes(
    catalogue: Catalogue,
    train: Baskets,
    plan: GuidePlan,
    part: str = "tower",
    *,
    baskets: int = 4,
    searches: int = 0,
    others: float = 1.0,
    shapes: Shapes | None = None,
) -> ShopperSlopes:
    """Prepares a shop.

    Args:
        catalogue: the shop's, which is public.
        train: its shoppers' baskets.
        plan: the network.
        part: what is trained, a key of ``PARTS``.
        baskets: most baskets of one shopper in one round; a shopper with more shows another random
            part of them each round.
        searches: most different texts a shopper searched for that its own loss reads, the latest.
        others: what all coordinates but the table's are multiplied by, see ``trained_scales``.
        shapes: what the arrays are padded to.

    Raises:
        ConfigError: ``part`` is unknown, or a number is out of its range.
        DataError: the shop has no purchase to learn from.
    """
    _check(plan, part, baskets, searches, others)
    plan = replace(plan, cart=0.0)
    train, typed = _own_searches(train, searches)
    examples = examples_of(catalogue, train, plan, shapes)
    count = int((examples.stop > examples.start).sum())
    # Other shoppers' purchases must not be in a shopper's loss but as they were released. Without
    # that the sampled softmax draws its negatives uniformly.
    examples = examples._replace(
        recent=np.zeros_like(examples.recent), popularity=np.zeros_like(examples.popularity)
    )
    shoppers, owner = _owners(train, examples.start[:count])
    text, layout = _text(examples, plan), layout_of(plan)
    words, asked = _typed_text(typed, text, plan, shoppers, searches)
    buckets = np.zeros(0, np.int64) if "table" in PARTS[part] else text.active
    places = _places(layout, buckets, plan.size, PARTS[part])
    names = [name for name in layout.names if name not in PARTS[part] and name != "table"]
    still = tuple(name for name in layout.names if name in PARTS[part] - {"table", "item"})
    largest = len(examples.features) * plan.size if len(buckets) else 1
    width = min(max(1, CHUNK_FLOATS // largest), MOST_AT_ONCE)

    held = on_device(examples)

    def each(
        params: Vector,
        chosen: NDArray[np.int64],
        seed: int,
        losses: NDArray[np.float64] | None = None,
        sales: NDArray[np.float64] | None = None,
    ) -> Iterator[Slopes]:
        kept, order, own, typing = _streams(seed)
        seen = held if sales is None else held._replace(popularity=_known(held, sales))
        arrays = layout.unflatten(params)
        table, item = arrays["table"][text.active], arrays["item"]
        factors = text.dropped(kept, plan.token_dropout)
        mixed = (text.sparse(factors) @ table) @ item
        shown = _shown(owner, len(shoppers), baskets, order)
        seeds = own.integers(1 << 32, size=len(shoppers), dtype=np.uint32)
        rest = {name: arrays[name] for name in (*names, *still)}
        said = words.dropped(typing, plan.token_dropout)
        searched = (words.sparse(said) @ table) @ item
        is_plain = np.array_equal(item, np.eye(len(item), dtype=np.float32))
        # New memory for every few megabytes of slopes took longer than the slopes.
        room = np.empty((min(width, HANDED_OVER), len(places)), np.float32)
        behind = len(buckets) * plan.size
        for start in range(0, len(chosen), width):
            some = chosen[start : start + width]
            filled = np.resize(some, width)  # one shape is compiled once; the rest is thrown away
            by_row, by_array, lost = each_slope(
                rest,
                mixed,
                searched[asked[filled]],
                seen,
                shown[filled],
                seeds[filled],
                plan,
                rows=bool(len(buckets)),
                still=still,
            )
            if losses is not None:
                losses[start : start + len(some)] = lost[: len(some)]
            flat = np.concatenate([by_array[name].reshape(width, -1) for name in names], axis=1)
            for first in range(0, len(some), len(room)):
                rows = slice(first, min(first + len(room), len(some)))
                out = room[: rows.stop - rows.start]
                np.multiply(flat[rows], np.float32(others), out=out[:, behind:])
                if by_row is not None:
                    out[:, :behind] = 0
                    found = [one[rows] if is_plain else one[rows] @ item.T for one in by_row]
                    text.add_transposed(factors, found[0], out[:, :behind])
                    words.add_rows(said, asked[some[rows]], found[1], out[:, :behind])
                yield out

    def features(seed: int) -> Any:
        kept, *_ = _streams(seed)
        return text.sparse(text.dropped(kept, plan.token_dropout))

    return ShopperSlopes(shoppers, places, each, features, _bought(train), len(catalogue))


def check_others(others: float, part: str) -> None:
    """Checks the scale of what is not the table.

    Raises:
        ConfigError: it is outside (0, 1], or not 1 where no table is trained.
    """
    if not 0 < others <= 1:
        raise ConfigError(f"others must be in (0, 1], got {others}")
    if others != 1 and "table" in PARTS[part]:
        raise ConfigError(f"the {part} trains no table beside which others could count {others}")


def _check(plan: GuidePlan, part: str, baskets: int, searches: int, others: float) -> None:
    if baskets < 1:
        raise ConfigError(f"baskets must be at least 1, got {baskets}")
    if not 0 <= searches <= MOST_SEARCHES:
        raise ConfigError(f"searches must be in [0, {MOST_SEARCHES}], got {searches}")
    trained_slices(plan, part)  # checks its name
    check_others(others, part)


def _streams(seed: int) -> list[np.random.Generator]:
    """For dropped features of items, chosen baskets, the shoppers' own draws, their searches.

    Each is read in the shoppers' order: what a shopper draws does not depend on who comes after.
    """
    return [np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(4)]


def shopper_losses(
    catalogue: Catalogue, train: Baskets, plan: GuidePlan, params: Vector, *, baskets: int = 8
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each shopper's mean loss under a model, for an audit: shoppers and losses, ``(n,)`` each.

    Nothing is dropped, and the shop's sales are in the scores as the model uses them; of a
    shopper with more baskets a part counts, the same for every model.
    """
    train = _without_searches(train)
    examples = examples_of(catalogue, train, plan)
    count = int((examples.stop > examples.start).sum())
    shoppers, owner = _owners(train, examples.start[:count])
    text, arrays = _text(examples, plan), layout_of(plan).unflatten(params)
    factors = text.dropped(np.random.default_rng(0), 0.0)
    mixed = (text.sparse(factors) @ arrays["table"][text.active]) @ arrays["item"]
    shown = _shown(owner, len(shoppers), baskets, np.random.default_rng(0))
    rest = {name: value for name, value in arrays.items() if name not in ("table", "item")}
    parts = []
    for start in range(0, len(shoppers), MOST_AT_ONCE):
        some = np.arange(start, min(start + MOST_AT_ONCE, len(shoppers)))
        found = each_loss(rest, mixed, examples, shown[np.resize(some, MOST_AT_ONCE)], plan)
        parts.append(found[: len(some)].astype(np.float64))
    return shoppers, np.concatenate(parts)


def _without_searches(train: Baskets) -> Baskets:
    return _own_searches(train, 0)[0]


def _own_searches(train: Baskets, most: int) -> tuple[Baskets, list[tuple[int, str]]]:
    """The baskets with each shopper's latest ``most`` different texts; who typed what, in order.

    A search's number is its place among its shopper's own; the others' lines are not there.
    """
    typed: list[tuple[int, str]] = []
    number = np.full(len(train.items), -1, np.int32)
    if most:
        owner = np.repeat(train.shoppers, np.diff(train.offsets))
        lines = np.flatnonzero(train.kinds == SEARCH)
        latest: dict[tuple[int, int], int] = {}
        for line in lines.tolist():
            latest[int(owner[line]), int(train.queries[line])] = line
        count: dict[int, int] = {}
        place: dict[tuple[int, int], int] = {}
        for key in sorted(latest, key=lambda key: (key[0], -latest[key])):
            nth = count.setdefault(key[0], 0)
            if nth < most:
                place[key], count[key[0]] = nth, nth + 1
                typed.append((key[0], train.query_texts[key[1]]))
        for line in lines.tolist():
            number[line] = place.get((int(owner[line]), int(train.queries[line])), -1)
    kept = (train.kinds != SEARCH) | (number >= 0)
    before = np.concatenate([[0], np.cumsum(kept)])
    without = replace(
        train,
        offsets=before[train.offsets].astype(np.int64),
        items=train.items[kept],
        kinds=train.kinds[kept],
        queries=number[kept],
        query_texts=(),
    )
    return without, typed


def _typed_text(
    typed: Sequence[tuple[int, str]],
    text: TextMatrix,
    plan: GuidePlan,
    shoppers: NDArray[np.int64],
    most: int,
) -> tuple[TextMatrix, NDArray[np.int64]]:
    """The typed texts as rows over the catalogue's buckets, and each shopper's rows ``(k, most)``.

    The row behind the last, which has no feature, stands for none.
    """
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    for row, (_, words) in enumerate(typed):
        buckets = query_features(words, plan.text)[: plan.text.width]
        at = np.minimum(np.searchsorted(text.active, buckets), len(text.active) - 1)
        known = np.unique(at[text.active[at] == buckets])
        rows.append(np.full(len(known), row, np.int64))
        columns.append(known.astype(np.int64))
    none = np.zeros(0, np.int64)
    made = text_matrix(
        text.active, np.concatenate([none, *rows]), np.concatenate([none, *columns]), len(typed) + 1
    )
    owner = np.array([one for one, _ in typed], np.int64)
    first = np.searchsorted(owner, shoppers)
    count = np.searchsorted(owner, shoppers, side="right") - first
    nth = np.arange(most)
    return made, np.where(nth < count[:, None], first[:, None] + nth, len(typed))


def _text(examples: Examples, plan: GuidePlan) -> TextMatrix:
    rows, nth = np.nonzero(examples.features < plan.text.buckets)
    active, columns = np.unique(examples.features[rows, nth], return_inverse=True)
    return text_matrix(
        active.astype(np.int64), rows, columns.astype(np.int64), len(examples.features)
    )


def _known(examples: Examples, sales: NDArray[np.float64]) -> NDArray[np.float32]:
    """The same log(1 + sales) at every moment, padded as the examples are."""
    known = np.zeros(examples.popularity.shape, np.float32)
    known[:, : len(sales)] = np.log1p(np.maximum(sales, 0))
    return known


def _bought(train: Baskets) -> NDArray[np.int64]:
    shopper = np.repeat(train.shoppers, np.diff(train.offsets))
    lines = train.kinds == BUY
    return np.unique(np.stack([shopper[lines], train.items[lines]], axis=1), axis=0).astype(
        np.int64
    )


def _owners(train: Baskets, starts: NDArray[np.int32]) -> tuple[NDArray[np.int64], Any]:
    """Shoppers with an example, and each example's place among them."""
    # The last that begins there: baskets before it that begin there are empty.
    basket = np.searchsorted(train.offsets, starts, side="right") - 1
    shoppers, owner = np.unique(train.shoppers[basket], return_inverse=True)
    return shoppers.astype(np.int64), owner


def _shown(
    owner: NDArray[np.int64], shoppers: int, most: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """A random part of each shopper's examples, at most ``most``, shape ``(shoppers, most)``."""
    order = np.lexsort((rng.random(len(owner)), owner))
    first = np.searchsorted(owner[order], np.arange(shoppers))
    nth = np.arange(len(owner)) - first[owner[order]]
    shown = np.full((shoppers, most), -1, np.int32)
    kept = nth < most
    shown[owner[order][kept], nth[kept]] = order[kept]
    return shown


def _slices(layout: Layout) -> dict[str, slice]:
    ends = np.cumsum([math.prod(shape) for shape in layout.shapes]).tolist()
    return {
        name: slice(end - math.prod(shape), end)
        for name, shape, end in zip(layout.names, layout.shapes, ends, strict=True)
    }


def _places(
    layout: Layout, buckets: NDArray[np.int64], size: int, still: frozenset[str]
) -> NDArray[np.int64]:
    """The coordinates of the active buckets, then those of all arrays behind that are trained."""
    where = _slices(layout)
    table = where["table"].start + (buckets[:, None] * size + np.arange(size)).ravel()
    rest = [np.arange(w.start, w.stop) for n, w in where.items() if n not in still | {"table"}]
    return np.concatenate([table, *rest]).astype(np.int64)
