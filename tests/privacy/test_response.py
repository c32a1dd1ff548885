"""Randomised response: its odds, its unbiased estimate, its standard error."""

import math

import numpy as np
import pytest

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.privacy.mechanisms import RandomisedResponse
from fedguide.privacy.response import estimate, randomise
from fedguide.seeds import seeded_root

ROOT = seeded_root(31)
N = 100_000


@pytest.mark.parametrize(("k", "epsilon"), [(2, 1.0), (4, 2.0), (100, 3.0)])
def test_answers_are_kept_and_changed_with_their_probabilities(k, epsilon):
    """Kept with p = e^ε/(e^ε + k - 1), each other answer with (1 - p)/(k - 1): shares of n draws
    with sd √(p(1-p)/n); 5.7 sd are 1e-8, under 1e-6 for all k. Nine tenths of ε must fail."""
    mechanism = RandomisedResponse(k, epsilon)
    p = math.exp(epsilon) / (math.exp(epsilon) + k - 1)
    q = (1 - p) / (k - 1)
    for asked, holds in ((mechanism, True), (RandomisedResponse(k, 0.9 * epsilon), False)):
        given = randomise(np.full(N, 1), asked, ROOT, "odds", k)
        shares = np.bincount(given, minlength=k) / N
        assert (abs(shares[1] - p) < 5.7 * math.sqrt(p * (1 - p) / N)) == holds
        if holds:
            others = np.delete(shares, 1)
            assert np.abs(others - q).max() < 5.7 * math.sqrt(q * (1 - q) / N)


def test_no_answer_is_likelier_than_e_to_epsilon_times_under_another_truth():
    """p/q = e^ε, by the definition of local privacy; here from the probabilities themselves."""
    mechanism = RandomisedResponse(7, 1.3)
    p = mechanism.truth_probability
    assert p / ((1 - p) / 6) == pytest.approx(math.exp(1.3))


def test_the_estimate_by_hand():
    """k = 2, ε = ln 3: p = 3/4, q = 1/4. Of 100 answers 60 say 0: (60 - 25)/(1/2) = 70.

    Its variance is (70 + 30)·(3/16)/(1/4) = 75.
    """
    found = estimate(np.array([60, 40]), RandomisedResponse(2, math.log(3)))
    assert found.counts == pytest.approx([70.0, 30.0])
    assert found.standard_errors == pytest.approx([math.sqrt(75)] * 2)


def test_an_estimate_outside_of_what_can_be_is_not_cut_off():
    found = estimate(np.array([0, 100]), RandomisedResponse(2, math.log(3)))
    assert found.counts == pytest.approx([-50.0, 150.0])
    assert found.standard_errors == pytest.approx([math.sqrt(75)] * 2)


def test_the_estimate_is_unbiased_and_its_standard_error_true():
    """Mean of 400 estimates within 4.9 sd/√400 (1e-6 false alarm), their sd within a fifth.

    The sd of a sample sd of 400 is 1/√800 = 3.5 %; 20 % are 5.6 of them.
    """
    mechanism, truth = RandomisedResponse(3, 1.0), np.repeat([0, 1, 2], [500, 300, 200])
    runs = [
        estimate(np.bincount(randomise(truth, mechanism, ROOT, "run", i), minlength=3), mechanism)
        for i in range(400)
    ]
    counts = np.array([run.counts for run in runs])
    said = np.mean([run.standard_errors for run in runs], axis=0)
    assert np.all(np.abs(counts.mean(axis=0) - [500, 300, 200]) < 4.9 * said / 20)
    assert np.all(np.abs(counts.std(axis=0) / said - 1) < 0.2)
    raw = np.mean([np.bincount(randomise(truth, mechanism, ROOT, "raw", i)) for i in range(50)], 0)
    assert abs(raw[0] - 500) > 4.9 * said[0] / 7  # without the estimator the counts are biased


def test_the_estimate_holds_its_mechanism_and_with_it_the_local_epsilon():
    mechanism = RandomisedResponse(2, 1.0)
    assert estimate(np.array([1, 1]), mechanism).mechanism == mechanism


def test_nobody_answers():
    mechanism = RandomisedResponse(3, 1.0)
    assert randomise(np.zeros(0, np.int64), mechanism, ROOT, "none").shape == (0,)
    assert estimate(np.zeros(3, np.int64), mechanism).counts.tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [[-1, 0], [0, 3]])
def test_an_answer_that_is_none_is_refused(bad):
    with pytest.raises(ConfigError, match=r"answers must be in \[0, 3\)"):
        randomise(np.array(bad), RandomisedResponse(3, 1.0), ROOT, "t")


def test_counts_of_another_number_of_answers_are_refused():
    with pytest.raises(WrongShapeError, match=r"shape \(3,\), got \(2,\)"):
        estimate(np.array([1, 2]), RandomisedResponse(3, 1.0))
