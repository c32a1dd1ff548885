"""AUC by hand, and a distinguisher that sees what is there and nothing else."""

import numpy as np
import pytest

from fedguide.errors import WrongShapeError
from fedguide.runtime.distinguish import auc, distinguish

rng = np.random.default_rng


def test_auc_by_hand():
    # Of the four pairs 3 > 1, 3 > 2, 2 > 1 count one, 2 = 2 counts half: 3.5 / 4.
    assert auc(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 3.5 / 4
    assert auc(np.array([1.0, 2.0]), np.array([3.0])) == 1
    assert auc(np.array([3.0]), np.array([1.0, 2.0])) == 0
    assert auc(np.ones(5), np.ones(7)) == 0.5


def test_it_finds_a_shift_and_nothing_in_noise():
    noise = rng(1).normal(size=(2, 20_000, 4))
    # Both halves are of one law. With m = 10,000 judged on each side the AUC has a standard
    # deviation of sqrt((2m + 1) / (12 m^2)) = 0.0041; 0.02 is 4.9 of them, a false alarm of 1e-6.
    assert abs(distinguish(noise[0], noise[1]) - 0.5) < 0.02
    # A shift by 1 sd in one feature: Phi(1 / sqrt 2) = 0.760.
    assert distinguish(noise[0], noise[1] + [0, 1, 0, 0]) == pytest.approx(0.760, abs=0.02)


def test_cases_that_never_meet_are_told_apart():
    low, high = rng(2).uniform(size=(100, 2)), 2 + rng(3).uniform(size=(100, 2))
    assert distinguish(low, high) == 1


def test_shapes():
    with pytest.raises(WrongShapeError, match=r"\(4, 2\) and \(4, 3\)"):
        distinguish(np.zeros((4, 2)), np.zeros((4, 3)))
