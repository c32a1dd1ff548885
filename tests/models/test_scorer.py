"""The shop's model: hand-worked components, and shares equal to leaving events out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.models.encoders import (
    SCALES_DAYS,
    History,
    Network,
    empty_history,
    encode,
    histories_of,
    item_vectors,
    pack,
    query_vector,
)
from fedguide.models.scorer import (
    COMPONENTS,
    SPARSE,
    TERMS,
    ShopModel,
    SlateWeights,
    components,
    components_batch,
    shares,
    slate_scores,
    sparse_components,
)
from fedguide.models.text import TextSpec
from fedguide.values import BUY, CART, KINDS, SEARCH, VIEW, Baskets, Cases, Catalogue

N, D = 12, 6
TEXT = TextSpec(buckets=64)


def a_network(seed: int = 0, events: int = 200) -> Network:
    rng = np.random.default_rng(seed)
    shapes = {
        "table": (TEXT.buckets, D),
        "item": (D, D),
        "temperature": (1,),
        "shopper": (D, D),
        "start": (D,),
        "kind": (len(KINDS),),
        "decay": (len(SCALES_DAYS),),
        "terms": (len(TERMS),),
    }
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return Network(TEXT, "bag", arrays, events)


def a_model(seed: int = 0, events: int = 200) -> ShopModel:
    rng = np.random.default_rng(seed + 1)
    catalogue = Catalogue(
        tuple(f"i{i}" for i in range(N)),
        tuple(f"thing {i} 物品{i}" for i in range(N)),
        ("",) * N,
        ("a/b",) * N,
        np.full(N, 2.0, np.float32),
    )
    network = a_network(seed, events)
    weights = rng.normal(size=len(COMPONENTS)).tolist()
    return ShopModel(
        catalogue,
        network,
        item_vectors(network, catalogue),
        rng.integers(-1, N, (N, 3)).astype(np.int32),
        rng.normal(size=(N, 3)).astype(np.float32),
        rng.integers(0, 50, N).astype(np.float32),
        rng.integers(0, 9, N).astype(np.float32),
        100,
        {"again": SlateWeights(*weights), "discover": SlateWeights(network=1.0)},
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, N - 1), st.sampled_from([VIEW, CART, BUY, SEARCH])),
            max_size=12,
        )
    )
    days = sorted(draw(st.lists(st.integers(90, 99), min_size=len(rows), max_size=len(rows))))
    kinds = np.array([kind for _, kind in rows], np.uint8)
    items = np.array([-1 if kind == SEARCH else item for item, kind in rows], np.int32)
    queries = tuple(f"物品{i}" if kind == SEARCH else None for i, kind in rows)
    return History(items, kinds, np.array(days, np.int32), queries)


def without(history: History, event: int) -> History:
    keep = np.arange(len(history)) != event
    queries = tuple(q for q, kept in zip(history.queries, keep, strict=False) if kept)
    return History(history.items[keep], history.kinds[keep], history.days[keep], queries)


def test_components_worked_out_by_hand() -> None:
    model = a_model()
    history = History(
        np.array([3, 3, 5, 7], np.int32),
        np.array([BUY, BUY, BUY, CART], np.uint8),
        np.array([70, 100, 100, 100], np.int32),
    )
    got = components(model, history, 130)
    assert list(got) == list(COMPONENTS)
    expected = {
        "history": {3: np.log(3), 5: np.log(2)},
        "returning": {3: np.log1p(np.exp(-1) + np.exp(-0.5)), 5: np.log1p(np.exp(-0.5))},
        "last_basket": {3: 1, 5: 1},
        "interest": {7: np.log1p(np.exp(-1))},
    }
    for name, values in expected.items():
        full = np.zeros(N)
        full[list(values)] = list(values.values())
        np.testing.assert_allclose(got[name], full, rtol=1e-5)
    loud = np.zeros(N)
    loud[[3, 5]] = np.exp(-30 / 120)  # the latest buy of item 3 speaks, the older one does not
    loud[7] = 0.5 * np.exp(-30 / 120)
    spoken = np.zeros(N)
    for speaker in range(N):
        for target, weight in zip(
            model.neighbours[speaker], model.neighbour_weights[speaker], strict=True
        ):
            if target >= 0:
                spoken[target] += loud[speaker] * weight
    np.testing.assert_allclose(got["neighbours"], spoken, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["popularity"], np.log1p(model.popularity))


def test_the_bag_worked_out_by_hand() -> None:
    model = a_model()
    arrays = model.network.arrays
    history = History(np.array([2], np.int32), np.array([CART], np.uint8), np.array([90], np.int32))
    fading = sum(
        np.exp(arrays["decay"][s]) * np.exp(-10 / scale) for s, scale in enumerate(SCALES_DAYS)
    )
    weight = np.exp(arrays["kind"][CART]) * fading
    bag = weight * model.item_vectors[2] / np.sqrt(1 + weight)
    expected = bag @ arrays["shopper"] + arrays["start"]
    got = encode(model.network, model.item_vectors, history, 100)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_a_search_is_an_event_of_the_items_own_space() -> None:
    model = a_model()
    kinds, days = np.array([VIEW], np.uint8), np.array([99], np.int32)
    item = History(np.array([4], np.int32), kinds, days)
    search = History(np.array([-1], np.int32), kinds, days, ("unheard of слово",))
    vector = query_vector(model.network, "unheard of слово")
    assert np.isfinite(vector).all()
    as_item = model.item_vectors.copy()
    as_item[4] = vector
    np.testing.assert_allclose(
        encode(model.network, model.item_vectors, search, 100),
        encode(model.network, as_item, item, 100),
        rtol=1e-5,
    )


@given(histories(), st.sampled_from(["again", "discover"]))
def test_a_slate_is_the_weighted_sum_of_its_components(history: History, slate: str) -> None:
    model = a_model()
    parts = components(model, history, 100)
    weights = model.slates[slate]
    expected = sum(getattr(weights, name) * parts[name] for name in COMPONENTS)
    np.testing.assert_allclose(
        slate_scores(model, history, 100, slate), expected, rtol=1e-3, atol=1e-3
    )


@settings(max_examples=200)
@given(histories(), st.integers(0, N - 1), st.integers(2, 20), st.booleans())
def test_shares_are_the_score_less_the_score_without_the_event(
    history: History, item: int, events: int, bought_only: bool
) -> None:
    model = a_model(events=events)
    if bought_only and len(history):
        keep = history.kinds == BUY
        history = History(history.items[keep], history.kinds[keep], history.days[keep])
    got = shares(model, history, 100, "again", item)
    whole = slate_scores(model, history, 100, "again")[item]
    for event in range(len(history)):
        less = slate_scores(model, without(history, event), 100, "again")[item]
        assert got[event] == pytest.approx(whole - less, abs=2e-3)


@given(st.lists(histories(), min_size=1, max_size=4))
def test_a_batch_equals_its_rows(batch: list[History]) -> None:
    model = a_model(events=5)
    todays = np.arange(100, 100 + len(batch)).astype(np.int32)
    together = components_batch(model, batch, todays)
    for row, history in enumerate(batch):
        alone = components(model, history, int(todays[row]))
        for name in COMPONENTS:
            np.testing.assert_allclose(together[name][row], alone[name], rtol=1e-3, atol=1e-3)


def test_an_unknown_shopper_gets_finite_scores() -> None:
    model = a_model()
    assert np.isfinite(slate_scores(model, empty_history(), 100, "again")).all()
    assert shares(model, empty_history(), 100, "again", 0).shape == (0,)
    assert set(sparse_components(model, empty_history(), 100).values) == set(SPARSE)


def test_histories_of_cases_hold_only_what_came_before() -> None:
    baskets = Baskets(
        np.array([0, 0, 1], np.int32),
        np.array([10, 20, 20], np.int32),
        np.array([0, 2, 3, 4]),
        np.array([1, -1, 2, 3], np.int32),
        np.array([BUY, SEARCH, BUY, BUY], np.uint8),
        np.array([-1, 0, -1, -1], np.int32),
        ("a", "b"),
        ("mug",),
    )
    found, todays = histories_of(Cases(baskets, np.array([1]), np.array([0])))
    assert todays.tolist() == [20]
    assert found[0].items.tolist() == [1, -1]
    assert found[0].days.tolist() == [10, 10]
    assert found[0].queries == (None, "mug")


def test_a_pack_keeps_the_latest_events_and_ages_are_never_negative() -> None:
    history = History(
        np.array([1, 2, 3], np.int32), np.full(3, BUY, np.uint8), np.array([1, 5, 11], np.int32)
    )
    bags = pack([history, empty_history()], np.array([10, 10], np.int32), N, 2)
    assert bags.items.tolist() == [[2, 3], [-1, -1]]
    assert bags.ages.tolist() == [[5, 0], [0, 0]]


def test_an_unknown_encoder_is_refused() -> None:
    network = Network(TEXT, "oracle", a_network().arrays)
    with pytest.raises(ConfigError, match="oracle"):
        encode(network, a_model().item_vectors, empty_history(), 100)
