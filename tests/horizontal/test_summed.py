import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, OversizedError, ProtocolError
from fedguide.horizontal.mean import Mean, Terms, Update, weighted_mean
from fedguide.horizontal.packing import Bounds, shortened, weighted_packing
from fedguide.horizontal.summed import Addend, Total, open_sum, summed
from fedguide.protocol import Ask, Message, QuorumLost, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId

BOUNDS = Bounds(max_norm=8.0, parties=4, max_examples=1000)


class Nothing(Message):
    pass


def update(vector, examples=1, loss=0.0, figures=(), round_number=0):
    return Update(
        round_number,
        np.asarray(vector, np.float32),
        examples,
        loss,
        np.asarray(figures, np.float64),
    )


def mean_of(aggregator, updates, quorum=1) -> Mean:
    """All parties' first messages collected; none of these aggregators makes another trip."""
    first = next(iter(updates.values()))
    replies = {
        PartyId(name): aggregator.submit(one, seeded_root(1, name))[1]
        for name, one in updates.items()
    }
    return collected(aggregator, replies, Terms(0, len(first.vector), len(first.figures), root()))


def collected(aggregator, replies, terms, quorum=1):
    ask = Ask(dict.fromkeys(replies, Nothing()), quorum)
    return run(aggregator.collect(ask, Replies(replies), terms), lambda _ask: Replies({}))


def root():
    return seeded_root(0)


def test_a_mean_worked_out_by_hand():
    # p = 1/4, 3/4: (1·¼ + 5·¾, -2·¼ + 2·¾) = (4, 1); loss ¼·1 + ¾·3 = 2.5; figure ¼·8 + ¾·0 = 2
    mean = mean_of(
        summed(weighted_packing(BOUNDS), open_sum()),
        {"a": update([1, -2], 10, 1.0, [8.0]), "b": update([5, 2], 30, 3.0, [0.0])},
    )
    np.testing.assert_allclose(mean.vector, [4, 1], atol=1e-5)
    assert mean.examples == 40
    assert mean.loss == pytest.approx(2.5, abs=1e-4)
    assert mean.figures == pytest.approx([2.0], abs=1e-4)
    assert mean.parties == ("a", "b")


@given(
    st.lists(
        st.tuples(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), st.integers(1, 9)),
        min_size=1,
        max_size=4,
    )
)
def test_it_is_the_weighted_mean_up_to_a_unit_a_party(rows):
    updates = {f"p{i}": update(vector, n, 1.0) for i, (vector, n) in enumerate(rows)}
    ours = mean_of(summed(weighted_packing(BOUNDS), open_sum()), updates)
    plain = mean_of(weighted_mean(), updates)
    weight = sum(n for _, n in rows) / 1024  # example_units / scale: 1000 examples fit in 2^10
    unit = BOUNDS.max_norm / BOUNDS.grid.scale
    np.testing.assert_allclose(
        ours.vector, plain.vector, rtol=1e-6, atol=len(rows) * unit / weight + 1e-6
    )
    assert ours.examples == plain.examples


def test_uniform_weights_count_parties():
    bounds = Bounds(8.0, 4, weighting="uniform")
    mean = mean_of(
        summed(weighted_packing(bounds), open_sum()), {"a": update([1], 7), "b": update([3], 1)}
    )
    assert mean.vector == pytest.approx([2], abs=1e-5)
    assert mean.examples == 2


def test_an_update_that_is_too_long_is_shortened_and_keeps_its_direction():
    np.testing.assert_allclose(shortened(np.array([6, 8], np.float32), 5.0), [3, 4])
    short = np.array([3, 4], np.float32)
    assert shortened(short, 5.0) is short


@given(st.floats(-1e6, 1e6, width=32), st.floats(1e-3, 1e3))
def test_a_single_coordinate_never_leaves_the_grid(value, max_norm):
    bounds = Bounds(max_norm, 4, weighting="uniform")
    mean = mean_of(summed(weighted_packing(bounds), open_sum()), {"a": update([value])})
    expected = shortened(np.array([value], np.float32), max_norm)
    np.testing.assert_allclose(mean.vector, expected, rtol=1e-6, atol=max_norm / bounds.grid.scale)


def test_too_many_examples_are_refused():
    with pytest.raises(OversizedError, match=r"\[1, 1000\], got 1001"):
        weighted_packing(BOUNDS).pack(update([1], 1001), root())


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"max_norm": 0.0}, "max_norm"),
        ({"max_norm": float("inf")}, "max_norm"),
        ({"parties": 0}, "parties"),
        ({"max_figure": -1.0}, "max_figure"),
        ({"max_examples": 0}, "max_examples"),
        ({"weighting": "odd"}, "weighting"),
        ({"max_examples": 1 << 31}, "do not fit"),
    ],
)
def test_bounds_out_of_range(numbers, text):
    with pytest.raises(ConfigError, match=text):
        Bounds(**({"max_norm": 1.0, "parties": 2} | numbers))


def test_a_vector_that_does_not_fit_drops_out_with_its_reason():
    aggregator = summed(weighted_packing(BOUNDS), open_sum())
    good = aggregator.submit(update([1, 2], 4), root())[1]
    replies = {
        PartyId("a"): good,
        PartyId("b"): Addend(1, good.vector),
        PartyId("c"): Addend(0, good.vector[:-1]),
        PartyId("d"): Nothing(),
    }
    mean = collected(aggregator, replies, Terms(0, 2, 0, root()))
    assert mean.parties == ("a",)
    assert [(m.party, m.reason) for m in mean.missing] == [
        ("b", "faulty"),
        ("c", "faulty"),
        ("d", "faulty"),
    ]
    with pytest.raises(QuorumLost):
        collected(aggregator, replies, Terms(0, 2, 0, root()), quorum=2)


@pytest.mark.parametrize("bits", [20, 22])
def test_fewer_bits_give_the_same_mean_up_to_their_unit(bits):
    bounds = Bounds(8.0, 4, max_examples=100, modulus_bits=bits)
    updates = {"a": update([1, -2], 10, 1.0, [8.0]), "b": update([5, 2], 30, 3.0, [0.0])}
    mean = mean_of(summed(weighted_packing(bounds), open_sum()), updates)
    plain = mean_of(weighted_mean(), updates)
    weight = 40 * bounds.example_units / bounds.grid.scale
    tolerance = 2 * bounds.max_norm / bounds.grid.scale / weight
    np.testing.assert_allclose(mean.vector, plain.vector, atol=tolerance)
    assert mean.examples == 40


def test_there_is_no_second_trip():
    with pytest.raises(ProtocolError, match="no step for Nothing"):
        open_sum().answer(None, Nothing(), root())


def test_weights_that_no_honest_party_sends_are_refused():
    packing = weighted_packing(BOUNDS)
    lie = Total(np.array([1, 0, 0], np.uint32), (PartyId("a"),), ())
    with pytest.raises(ProtocolError, match="weights add up to 0"):
        packing.unpack(lie, Terms(0, 1, 0, root()))
