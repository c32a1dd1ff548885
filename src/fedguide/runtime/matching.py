"""Catalogues of several shops matched in private: which products are the same, for products only.

Of every two shops the earlier one by name asks the later one through ``vertical.align``, with the
keys of ``vertical.product_keys``; pairs are then joined into products, and every product gets a
number. What comes of it for a shop is a table: own item to number of the product.

Threat model: semi-honest shops over authenticated channels. Rows go in a secret random order, so
that a position says nothing of an id. The asker of a pair learns which of its own items the asked
shop has too and how many items that one has; the asked shop learns how many keys were asked, and
afterwards which of its own items are common. Nobody learns a title, number or price of an item
that is not common. Whoever joins the pairs of three or more shops sees them as positions: how
many products every two shops share, not which. A dishonest asker can ask for titles it does not
sell, as many as the contract's ``max_keys``; every attempt is logged. A pair with fewer than
``least_common`` products in common is refused.

Rule of joining: pairs by trade number before pairs by title, then in the order of shops and
positions; a pair that would put two items of one shop into one product is left out. So every
product has at most one item of a shop, and the same pairs give the same products in any order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError, ProtocolError, RefusedError
from fedguide.protocol import Coordinator
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical.align import Contract, align
from fedguide.vertical.product_keys import COLUMNS, MatchBy, answered_keys, asked_keys

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Goods:
    """One shop's items as they are compared, in a secret order.

    Attributes:
        order: the catalogue's row at each position, shape ``(n,)``; the shop's own secret.
        asked: keys when it asks, ``COLUMNS`` x n.
        answered: keys when it is asked, ``COLUMNS`` x n.
    """

    order: Rows = field(repr=False)
    asked: tuple[str, ...] = field(repr=False)
    answered: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        """Number of items n."""
        return len(self.order)


@dataclass(frozen=True)
class Pairs:
    """Items that two shops have in common, by position; ``(c,)`` each, one item once.

    Attributes:
        asker: positions at the shop that asked, ascending.
        other: the same products' positions at the shop asked.
        by_number: matched by trade number? Else by title.
    """

    asker: Rows
    other: Rows
    by_number: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of products in common c."""
        return len(self.asker)


def goods(titles: Sequence[str], gtins: Sequence[str], by: MatchBy, root: Root) -> Goods:
    """A shop's items made ready to be compared.

    Args:
        titles: one an item.
        gtins: one an item; ``""``, or anything that is no trade number, where it has none.
        by: how products are compared, the same at every shop.
        root: the shop's own, fresh for every matching.

    Raises:
        ConfigError, WrongShapeError: see ``product_keys.asked_keys``.
        DataError: there is no item.
    """
    if not titles:
        raise DataError("the catalogue has no item to match")
    # The order has to be secret: sorted by a keyed hash, never by a generator for simulations.
    draws = hashlib.shake_256(derive(root, "match", "order")).digest(16 * len(titles))
    order = np.lexsort(np.frombuffer(draws, np.uint64).reshape(-1, 2).T).astype(np.int64)
    names = [titles[row] for row in order]
    numbers = [gtins[row] for row in order] if len(gtins) == len(titles) else gtins
    return Goods(order, asked_keys(names, numbers, by), answered_keys(names, numbers, by))


def match_pair(
    own: Goods, partner: PartyId, contract: Contract, root: Root, workers: int = 1
) -> Coordinator[Pairs]:
    """The asker's half of one pair.

    Args:
        own: the asker's items.
        partner: who is asked; its table of tags is made of its ``Goods.answered``.
        contract: of the pair; ``least_common`` counts products.
        root: the asker's own, fresh for every lookup.
        workers: processes that may share the work.

    Raises:
        RefusedError: fewer products are in common than agreed.
        QuorumLost: the partner refused or is gone.
        ProtocolError: the partner's table does not have ``COLUMNS`` keys an item.
    """
    found = yield from align(own.asked, partner, contract, root, None, workers)
    if found.partner_size % COLUMNS:
        raise ProtocolError(f"{partner} has {found.partner_size} keys, not {COLUMNS} an item")
    theirs = found.partner_size // COLUMNS
    pairs = one_to_one(
        found.label_rows % len(own), found.partner_rows % theirs, found.label_rows < len(own)
    )
    if len(pairs) < contract.least_common:
        raise RefusedError(f"policy: fewer than {contract.least_common} products in common")
    return pairs


def one_to_one(asker: Rows, other: Rows, by_number: NDArray[np.bool_]) -> Pairs:
    """Each item once on either side: pairs by trade number first, then by position."""
    taken_asker: set[int] = set()
    taken_other: set[int] = set()
    kept = []
    for place in np.lexsort((other, asker, ~by_number)).tolist():
        a, b = int(asker[place]), int(other[place])
        if a not in taken_asker and b not in taken_other:
            taken_asker.add(a)
            taken_other.add(b)
            kept.append(place)
    rows = np.array(sorted(kept, key=lambda place: int(asker[place])), np.int64)
    return Pairs(asker[rows], other[rows], by_number[rows])


def products(
    sizes: Mapping[PartyId, int], pairs: Mapping[tuple[PartyId, PartyId], Pairs]
) -> dict[PartyId, Rows]:
    """The product of every position of every shop, shape ``(n,)``; -1 where it is common to none.

    Args:
        sizes: number of items of each shop.
        pairs: (asker, asked) to what they have in common.
    """
    group: dict[tuple[PartyId, int], int] = {}
    members: dict[int, dict[PartyId, int]] = {}
    edges = sorted(
        (not by_number, asker, other, a, b)
        for (asker, other), some in pairs.items()
        for a, b, by_number in zip(
            some.asker.tolist(), some.other.tolist(), some.by_number.tolist(), strict=True
        )
    )
    for number, (_, asker, other, a, b) in enumerate(edges):
        left, right = group.get((asker, a)), group.get((other, b))
        one = {asker: a} if left is None else members[left]
        two = {other: b} if right is None else members[right]
        if left is not None and left == right:
            continue
        if one.keys() & two.keys():
            continue  # two items of one shop would become one product
        for old in (left, right):
            members.pop(-1 if old is None else old, None)
        members[number] = {**one, **two}
        group.update(dict.fromkeys(members[number].items(), number))
    made = {shop: np.full(size, -1, np.int64) for shop, size in sizes.items()}
    for product, some_of in enumerate(sorted(sorted(m.items()) for m in members.values())):
        for shop, position in some_of:
            made[shop][position] = product
    return made


def own_table(own: Goods, numbers: Rows) -> Rows:
    """The product of every row of the shop's own catalogue, shape ``(n,)``; -1 where none."""
    table = np.empty(len(own), np.int64)
    table[own.order] = numbers
    return table
