"""Cutting one data set into shops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.partition import LEAST_SHOPPERS, partition
from fedguide.errors import ConfigError, DataError
from tests.data.made import dataset

PEOPLE = [f"p{number:03}" for number in range(120)]
WHOLE = dataset([(person, f"item{k % 7}", k % 5) for k, person in enumerate(PEOPLE)])


@settings(max_examples=25)
@given(
    st.sampled_from(["dirichlet:2", "dirichlet:0.5", "hash"]),
    st.integers(1, 5),
    st.integers(0, 999),
)
def test_every_shopper_is_in_exactly_one_shop(spec: str, shops: int, seed: int) -> None:
    parts = partition(WHOLE, spec, shops, seed)
    assert len(parts) == shops
    assert sorted(p for part in parts for p in part.events.user_ids) == PEOPLE
    assert sum(len(part.events) for part in parts) == len(WHOLE.events)
    ids = [item for part in parts for item in part.catalogue.ids]
    assert len(ids) == len(set(ids))
    again = partition(WHOLE, spec, shops, seed)
    assert [part.events.user_ids for part in again] == [part.events.user_ids for part in parts]


def test_another_seed_gives_another_cut() -> None:
    for spec in ("dirichlet:2", "hash"):
        cuts = {partition(WHOLE, spec, 3, seed)[0].events.user_ids for seed in range(4)}
        assert len(cuts) == 4, spec


def test_items_are_numbered_anew_and_named_after_their_shop() -> None:
    for part in partition(WHOLE, "hash", 3, 0):
        assert all(name.startswith(f"{part.name}-item") for name in part.catalogue.ids)
        used = np.unique(part.events.items)
        assert used.tolist() == list(range(len(part.catalogue)))


def test_a_small_alpha_still_gives_shops_to_judge_on() -> None:
    for seed in range(20):
        parts = partition(WHOLE, "dirichlet:0.3", 4, seed)
        assert min(len(part.events.user_ids) for part in parts) >= LEAST_SHOPPERS


def test_a_larger_alpha_gives_more_equal_shops() -> None:
    def spread(spec: str) -> float:
        sizes = [
            [len(part.events.user_ids) for part in partition(WHOLE, spec, 3, seed)]
            for seed in range(10)
        ]
        return float(np.std(sizes))

    assert spread("dirichlet:100") < spread("dirichlet:0.5") / 2


def test_a_cut_by_country_keeps_the_largest_and_merges_the_rest() -> None:
    groups = {p: "UK" if k < 60 else "France" if k < 90 else f"L{k}" for k, p in enumerate(PEOPLE)}
    whole = dataset([(person, "tea", 1) for person in PEOPLE], **groups)
    parts = partition(whole, "country", 3, 0)
    assert [(part.name, len(part.events.user_ids)) for part in parts] == [
        ("uk", 60),
        ("france", 30),
        ("rest", 30),
    ]
    assert parts[0].catalogue.ids == ("uk-tea",)


def test_as_many_shops_as_countries_leave_no_rest() -> None:
    whole = dataset([("a", "tea", 1), ("b", "tea", 1)], a="中国", b="U.S. of A")
    assert [part.name for part in partition(whole, "country", 2, 0)] == ["u-s-of-a", "中国"]
    with pytest.raises(ConfigError, match=r"\[1, 2\].*countries"):
        partition(dataset([(p, "tea", 1) for p in "abc"], a="x", b="y", c="x"), "country", 3, 0)


@pytest.mark.parametrize(
    ("spec", "shops", "text"),
    [
        ("dirichlet:0", 2, "above 0"),
        ("dirichlet:-1", 2, "above 0"),
        ("dirichlet:many", 2, "'many'"),
        ("dirichlet:inf", 2, "above 0"),
        ("dirichlet:nan", 2, "above 0"),
        ("dirichet:2", 2, "dirichet:2"),
        ("hash:3", 2, "hash:3"),
        ("hash", 121, r"\[1, 120\]"),
        ("hash", 0, "got 0"),
    ],
)
def test_an_impossible_cut_is_refused(spec: str, shops: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        partition(WHOLE, spec, shops, 0)
    assert caught.value.hint


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="got -1"):
        partition(WHOLE, "hash", 2, -1)


def test_a_shop_without_shoppers_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DataError, match="got no shopper") as caught:
        partition(dataset([("a", "tea", 1), ("b", "tea", 1)]), "hash", 2, 2)
    assert "seed" in caught.value.hint


def test_without_countries_there_is_no_cut_by_country() -> None:
    with pytest.raises(DataError, match="which country") as caught:
        partition(WHOLE, "country", 2, 0)
    assert "dirichlet" in caught.value.hint
