"""Quantisation: by hand, within a level, unbiased by its law, and damaged levels refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.privacy.quantise import BLOCK, Levels, dequantise, packed_bytes, quantise


def test_levels_by_hand():
    # scale 7 in 4 bits: a level is worth 1; nearest of 2.4 is 2, of −2.6 is −3.
    made = quantise(np.float32([7, 2.4, -2.6]), 4, None)
    assert made.scales.tolist() == [7]
    assert made.packed.tolist() == [(7 + 7) | (2 + 7) << 4, -3 + 7]
    assert dequantise(made, 3).tolist() == [7, 2, -3]


@settings(max_examples=40)
@given(st.integers(0, 1300), st.sampled_from([4, 8]), st.integers(0, 2**32 - 1))
def test_every_number_comes_back_within_a_level_of_its_block(size, bits, seed):
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=size).astype(np.float32)
    for generator, levels in ((rng, 1.0), (None, 0.5)):
        made = quantise(vector, bits, generator)
        assert len(made.packed) == packed_bytes(size, bits)
        back = dequantise(made, size)
        step = np.repeat(made.scales, BLOCK)[:size] / ((1 << (bits - 1)) - 1)
        assert (np.abs(back - vector) <= levels * step * (1 + 1e-5)).all()


def test_the_mean_is_the_number_and_the_variance_that_of_two_points():
    # x = .3 of a level: up with probability .3. Of n draws the mean of the levels is normal with
    # variance .21 / n: |z| > 4.9 happens with probability 1e-6.
    n, rng = 20_000, np.random.default_rng(3)
    vector = np.full(n, 0.3 / 7, np.float32)
    vector[::BLOCK] = 1.0  # the scale of every block
    back = dequantise(quantise(vector, 4, rng), n) * 7
    drawn = np.delete(back, np.arange(0, n, BLOCK))
    assert set(np.round(drawn, 4).tolist()) == {0.0, 1.0}
    z = (drawn.mean() - 0.3) / math.sqrt(0.21 / len(drawn))
    assert abs(z) < 4.9
    # Rounding to the nearest fails the same test.
    nearest = np.delete(dequantise(quantise(vector, 4, None), n) * 7, np.arange(0, n, BLOCK))
    assert abs(nearest.mean() - 0.3) / math.sqrt(0.21 / len(nearest)) > 4.9


def test_zeros_stay_zeros_and_extremes_stay_within_the_scale():
    assert dequantise(quantise(np.zeros(5, np.float32), 8, None), 5).tolist() == [0] * 5
    damaged = Levels(4, np.full(1, 255, np.uint8), np.float32([2]))  # level 15 is none
    assert dequantise(damaged, 2).tolist() == [2, 2]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"bits must be one of \(4, 8\), got 3"):
        quantise(np.zeros(1, np.float32), 3, None)
    made = quantise(np.zeros(9, np.float32), 4, None)
    with pytest.raises(WrongShapeError, match="11 numbers in 4 bits are 6 bytes and 1 scales"):
        dequantise(made, 11)
