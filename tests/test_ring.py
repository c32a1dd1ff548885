"""The fixed-point grid mod 2^32."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedguide.errors import ConfigError, NotFiniteError, OversizedError, WrongShapeError
from fedguide.ring import (
    LARGEST,
    Grid,
    add,
    bits_bytes,
    finest_grid,
    from_bits,
    from_ring,
    largest_sum,
    largest_total,
    reduced,
    to_bits,
    to_ring,
    total,
)
from fedguide.seeds import seeded_root, stream

GRID = Grid(fraction_bits=16, max_abs=2.0, parties=100)
vectors = arrays(np.float32, 7, elements=st.floats(-2, 2, width=32))
rings = arrays(np.uint32, 7, elements=st.integers(0, 2**32 - 1))


def rng():
    return stream(seeded_root(1), "rounding")


def test_units_by_hand():
    grid = Grid(fraction_bits=1, max_abs=3.0, parties=2)
    ring = to_ring(np.array([0, 0.5, -0.5, 3, -3], np.float32), grid, rng())
    assert ring.tolist() == [0, 1, 2**32 - 1, 6, 2**32 - 6]
    assert from_ring(ring, grid).tolist() == [0, 0.5, -0.5, 3, -3]
    assert from_ring(add(ring, ring), grid).tolist() == [0, 1, -1, 6, -6]


@given(vectors)
def test_a_vector_comes_back_within_one_unit(vector):
    back = from_ring(to_ring(vector, GRID, rng()), GRID)
    assert np.all(np.abs(back - vector.astype(np.float64)) < 1 / GRID.scale)


@given(st.lists(vectors, min_size=1, max_size=5), st.randoms())
def test_sums_are_exact_in_any_order(parts, random):
    on_grid = [to_ring(part, GRID, rng()) for part in parts]
    expected = sum(from_ring(part, GRID) for part in on_grid)
    random.shuffle(on_grid)
    assert np.array_equal(from_ring(total(on_grid, 7), GRID), expected)


@given(vectors, rings)
def test_a_mask_cancels(vector, mask):
    ring = to_ring(vector, GRID, rng())
    negative = (0 - mask.astype(np.int64)).astype(np.uint32)
    assert np.array_equal(add(add(ring, mask), negative), ring)


@given(st.integers(-(2**20), 2**20))
def test_values_on_the_grid_are_not_moved(units):
    grid = Grid(fraction_bits=10, max_abs=1024.0, parties=1)
    vector = np.full(3, units / grid.scale, np.float32)
    assert from_ring(to_ring(vector, grid, rng()), grid).tolist() == vector.tolist()


@pytest.mark.parametrize("value", [0.3, -0.3, 1e-3, -1.9])
def test_rounding_is_unbiased(value):
    """Mean of n draws of floor(x) + Bernoulli(f): sd = sqrt(f(1-f)/n) units.

    Five sd either way is a false alarm of 5.7e-7; rounding to nearest (bias up to half a unit)
    and always down fail it.
    """
    n, grid = 40_000, Grid(fraction_bits=2, max_abs=2.0, parties=1)
    value = float(np.float32(value))
    units = from_ring(to_ring(np.full(n, value, np.float32), grid, rng()), grid) * grid.scale
    exact = value * grid.scale
    fraction = exact - np.floor(exact)
    assert set(np.unique(units)) == {np.floor(exact), np.ceil(exact)}
    assert abs(units.mean() - exact) < 5 * (fraction * (1 - fraction) / n) ** 0.5


def test_the_largest_sum_just_fits():
    grid = Grid(fraction_bits=0, max_abs=float(2**20 - 1), parties=2048, noise_units=2047)
    assert largest_sum(0, grid.max_abs, grid.parties) + grid.noise_units == LARGEST
    one = to_ring(np.full(2, grid.max_abs, np.float32), grid, rng())
    assert from_ring(total([one] * 2048, 2), grid).tolist() == [2048 * grid.max_abs] * 2
    with pytest.raises(ConfigError, match="2147483648 units of 2\\^-0, at most 2147483647"):
        Grid(fraction_bits=0, max_abs=grid.max_abs, parties=2048, noise_units=2048)


@given(st.floats(1e-6, 1e6), st.integers(1, 10_000))
def test_finest_grid_fits_and_the_next_does_not(max_abs, parties):
    try:
        grid = finest_grid(max_abs, parties)
    except ConfigError:
        assert largest_sum(0, max_abs, parties) > LARGEST
        return
    assert largest_sum(grid.fraction_bits, max_abs, parties) <= LARGEST
    if grid.fraction_bits < 30:
        assert largest_sum(grid.fraction_bits + 1, max_abs, parties) > LARGEST


@pytest.mark.parametrize(
    ("bits", "max_abs", "parties", "noise"),
    [(-1, 1.0, 1, 0), (31, 1.0, 1, 0), (8, 0.0, 1, 0), (8, float("nan"), 1, 0),
     (8, float("inf"), 1, 0), (8, 1.0, 0, 0), (8, 1.0, 1, -1)],
)  # fmt: skip
def test_impossible_grids_are_refused(bits, max_abs, parties, noise):
    with pytest.raises(ConfigError, match=r"must be"):
        Grid(bits, max_abs, parties, noise)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(bad):
    with pytest.raises(NotFiniteError):
        to_ring(np.array([0, bad], np.float32), GRID, rng())


def test_beyond_the_bound_is_refused_not_wrapped():
    with pytest.raises(OversizedError, match=r"2.5 is beyond max_abs 2"):
        to_ring(np.array([0, -2.5], np.float32), GRID, rng())


def test_other_shapes_are_refused():
    with pytest.raises(WrongShapeError):
        add(np.zeros(2, np.uint32), np.zeros(1, np.uint32))
    with pytest.raises(WrongShapeError):
        total([np.zeros(1, np.uint32)], 2)


def test_nothing_adds_up_to_zero_and_empty_vectors_pass():
    assert total([], 3).tolist() == [0, 0, 0]
    assert to_ring(np.zeros(0, np.float32), GRID, rng()).shape == (0,)


def test_a_narrow_grid_by_hand():
    # b = 16: one unit is 1/2, so -3 is -6 units, 65530 mod 2^16; the sum reads back as signed.
    grid = Grid(fraction_bits=1, max_abs=3.0, parties=2, modulus_bits=16)
    ring = to_ring(np.array([0.5, -0.5, 3, -3], np.float32), grid, rng())
    assert ring.tolist() == [1, 65535, 6, 65530]
    doubled = total([ring, ring], 4, 16)
    assert doubled.tolist() == [2, 65534, 12, 65524]
    assert from_ring(doubled, grid).tolist() == [1, -1, 6, -6]
    assert from_ring(add(ring, ring), grid).tolist() == [1, -1, 6, -6]  # not reduced: the same


@pytest.mark.parametrize("bits", range(16, 33))
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_bits_come_back_and_are_as_many_as_they_should(bits, size):
    vector = reduced(rng().integers(0, 2**32, size, dtype=np.uint64).astype(np.uint32), bits)
    packed = to_bits(vector, bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (bits_bytes(size, bits),)
    # At most one unfinished byte for each of the pieces a coordinate is cut into.
    assert size * bits / 8 <= len(packed) <= size * bits / 8 + 3
    assert np.array_equal(from_bits(packed, size, bits), vector)


def test_bits_by_hand():
    # 21 bits are pieces of 16, 4 and 1: 0x1ABCDE is 0xBCDE, 0xA, 1; 0x00001 is 1, 0, 0.
    packed = to_bits(np.array([0x1ABCDE, 1, 0x040000], np.uint32), 21)
    assert packed.tolist() == [0xDE, 0xBC, 1, 0, 0, 0, 0x0A, 0x04, 0b001]


def test_bits_of_another_size_are_refused():
    with pytest.raises(WrongShapeError, match="3 coordinates of 20 bits have shape"):
        from_bits(np.zeros(9, np.uint8), 3, 20)


@pytest.mark.parametrize("bits", [0, 15, 33])
def test_moduli_out_of_range(bits):
    with pytest.raises(ConfigError, match=r"\[16, 32\], got"):
        Grid(1, 1.0, 1, modulus_bits=bits)
    with pytest.raises(ConfigError, match=r"\[16, 32\], got"):
        finest_grid(1.0, 1, modulus_bits=bits)


@given(st.integers(16, 32), st.integers(1, 100))
def test_the_finest_narrow_grid_just_fits(bits, parties):
    grid = finest_grid(1.0, parties, modulus_bits=bits)
    assert largest_sum(grid.fraction_bits, 1.0, parties) <= largest_total(bits)
    if grid.fraction_bits < 30:
        assert largest_sum(grid.fraction_bits + 1, 1.0, parties) > largest_total(bits)
