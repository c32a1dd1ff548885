"""Catalogues matched in private: pairs as in the open, products by the rule."""

import random

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError, RefusedError, WrongShapeError
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.matching import (
    Goods,
    Pairs,
    goods,
    match_pair,
    one_to_one,
    own_table,
    products,
)
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.align import Attempt, Contract, PartnerEnv, PartnerState, answer, tag_table

A, B, C = PartyId("a"), PartyId("b"), PartyId("c")


def asked(one: Goods, two: Goods, least: int, log: list[Attempt]) -> Pairs:
    """One real lookup."""
    contract = Contract("match", bytes(32), len(one.asked), len(two.answered), least)
    table = tag_table(two.answered, contract, seeded_root(1))
    env = PartnerEnv(contract, table, seeded_root(2), log.append)
    courier = in_process({B: Party(env, answer, PartnerState)}, lambda: 0.0)
    return run(match_pair(one, B, contract, seeded_root(3)), courier)


def pairs(*rows: tuple[int, int, bool]) -> Pairs:
    asker, other, by_number = zip(*rows, strict=True)
    return Pairs(np.array(asker), np.array(other), np.array(by_number))


def test_pairs_are_those_in_the_open_and_positions_are_secret() -> None:
    draws = random.Random(1)  # noqa: S311 - test data
    mine = [f"Item {n}" for n in range(30)]
    theirs = [f"ITEM  {n}!" for n in range(20, 60)]
    draws.shuffle(theirs)
    one = goods(mine, [""] * 30, "either", seeded_root(7))
    two = goods(theirs, [""] * 40, "either", seeded_root(8))
    assert sorted(one.order.tolist()) == list(range(30))
    assert one.order.tolist() != list(range(30))
    log: list[Attempt] = []
    found = asked(one, two, 10, log)
    names = {
        (mine[one.order[a]].lower(), theirs[two.order[b]].lower().replace("  ", " ")[:-1])
        for a, b in zip(found.asker, found.other, strict=True)
    }
    assert names == {(f"item {n}", f"item {n}") for n in range(20, 30)}
    assert not found.by_number.any()
    assert [(line.keys, line.answered) for line in log] == [(30, True)]
    numbers = products({A: 30, B: 40}, {(A, B): found})
    tables = own_table(one, numbers[A]), own_table(two, numbers[B])
    for row, title in enumerate(mine):
        there = [k for k, other in enumerate(theirs) if other == f"ITEM  {title[5:]}!"]
        assert tables[0][row] == (tables[1][there[0]] if there else -1)
    assert sorted(tables[0][tables[0] >= 0]) == list(range(10))
    with pytest.raises(RefusedError, match="fewer than 11"):
        asked(one, two, 11, log)


def test_too_few_products_though_enough_keys() -> None:
    # One item with a number meets two of theirs: by number, and by title where there is none.
    one = goods(["Tea"], ["4006381333931"], "either", seeded_root(1))
    two = goods(["Other", "Tea"], ["4006381333931", ""], "either", seeded_root(2))
    found = asked(one, two, 1, [])
    assert len(found) == 1
    assert found.by_number.tolist() == [True]
    assert two.order[found.other[0]] == 0
    with pytest.raises(RefusedError, match="fewer than 2 products"):
        asked(one, two, 2, [])


def test_one_to_one_takes_numbers_first() -> None:
    rows = np.array([0, 0, 1, 2]), np.array([5, 4, 4, 5])
    found = one_to_one(*rows, np.array([False, True, False, False]))
    assert list(zip(found.asker, found.other, found.by_number, strict=True)) == [
        (0, 4, True),
        (2, 5, False),
    ]


def test_three_shops_join_through_any_of_them() -> None:
    found = products(
        {A: 3, B: 3, C: 2},
        {(A, B): pairs((0, 2, False)), (B, C): pairs((2, 1, False), (0, 0, False))},
    )
    assert found[A].tolist() == [0, -1, -1]
    assert found[B].tolist() == [1, -1, 0]
    assert found[C].tolist() == [1, 0]


def test_two_items_of_one_shop_never_become_one_product() -> None:
    # a0-b0 by number; c0 is a0 by title, c1 is b0 by title: the later of the two is left out.
    given = {
        (A, B): pairs((0, 0, True)),
        (A, C): pairs((0, 0, False)),
        (B, C): pairs((0, 1, False)),
    }
    for order in (list(given), list(given)[::-1]):
        found = products({A: 1, B: 1, C: 2}, {names: given[names] for names in order})
        assert [found[shop].tolist() for shop in (A, B, C)] == [[0], [0], [0, -1]]
    given[B, C] = pairs((0, 1, True))  # a number goes before a title
    found = products({A: 1, B: 1, C: 2}, given)
    assert [found[shop].tolist() for shop in (A, B, C)] == [[0], [0], [-1, 0]]


def test_bad_input() -> None:
    with pytest.raises(DataError, match="no item"):
        goods([], [], "either", seeded_root(0))
    with pytest.raises(WrongShapeError):
        goods(["a", "b"], [""], "either", seeded_root(0))
    with pytest.raises(ConfigError):
        goods(["a"], [""], "brand", seeded_root(0))  # type: ignore[arg-type]
