"""Tallies: exact beneath their noise, the noise's own law, nothing without every share."""

import math

import numpy as np
import pytest

from fedguide.data.people import Axis, Breakdown
from fedguide.errors import ConfigError, ProtocolError, QuorumLostError, RefusedError
from fedguide.horizontal.summed import open_sum
from fedguide.horizontal.tally import Tally, TallyEnv, TallyState, answer, mechanism_of, tally
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root
from fedguide.values import PartyId

CELLS = 4000
WIDE = Breakdown(axes=(Axis("x", edges=tuple(range(CELLS - 1))),))
NAMES = tuple(map(PartyId, "abcd"))


def parties(counts, permit=lambda *_: None):
    def party(name):
        def roots(task, number):
            return seeded_root(1, name, task, number)

        def count(breakdown):
            return np.full(breakdown.cells, counts[name], np.int64)

        return Party(TallyEnv("t", roots, open_sum(), count, permit), answer, TallyState)

    return {name: party(name) for name in counts}


def asked(epsilon, counts, number=0, permit=lambda *_: None):
    made = parties(counts, permit)
    message = Tally(number, WIDE, epsilon, len(made))
    coordinator = tally(message, list(made), seeded_root(0), open_sum())
    return run(coordinator, in_process(made, lambda: 0.0))


def test_with_little_noise_it_is_the_sum():
    # Scale 1/4: two in a hundred cells of one Laplace are off by one, and hardly any by more.
    noised = asked(4.0, dict(zip(NAMES, (1, 20, 300, 4000), strict=True)))
    assert noised.scale == pytest.approx(1 / 4)
    assert np.mean(noised.counts == 4321) > 0.9
    assert np.abs(noised.counts - 4321).max() <= 5


def test_the_noise_has_the_variance_of_its_shares_and_the_peak_of_laplace():
    # Four shares of which three make discrete Laplace of scale s = 2: variance 4/3 · 2 r / (1 − r)²
    # with r = e^(−1/2), which is 10.39. Excess kurtosis of Laplace is about 3, of n/d as many
    # shares 3 d/n: over 20,000 draws the variance of x² is (2 + 2.3 + …) v², so that |z| > 4.9
    # happens with probability 1e-6 for a relative error of 4.9 √(4.4 / 20,000) = 7.3 %.
    draws = np.concatenate(
        [asked(0.5, dict.fromkeys(NAMES, 100), number).counts - 400 for number in range(5)]
    )
    r = math.exp(-0.5)
    expected = 4 / 3 * 2 * r / (1 - r) ** 2
    assert len(draws) == 20_000
    assert draws.var() == pytest.approx(expected, rel=0.073)
    assert draws.var() * 0.81 < expected * (1 - 0.073)  # a mutant of 0.9 of the noise fails
    assert abs(draws.mean()) < 4.9 * math.sqrt(expected / len(draws))
    kurtosis = np.mean(draws**4.0) / draws.var() ** 2 - 3
    assert kurtosis > 1.0  # a Gaussian of the same variance has 0


def test_the_share_is_of_one_party_less_than_there_are():
    spec = mechanism_of(Tally(0, Breakdown(axes=(Axis("x", ("a", "b")),), most=2), 0.5, 4))
    assert (spec.scale, spec.sensitivity_l1, spec.divisor, spec.counted) == (4.0, 2.0, 3, 3)
    alone = mechanism_of(Tally(0, Breakdown(), 1.0, 1))
    assert (alone.scale, alone.divisor) == (1.0, 1)


def test_the_same_round_again_draws_the_same_noise():
    counts = dict.fromkeys(NAMES, 100)
    first, again, other = asked(0.5, counts), asked(0.5, counts), asked(0.5, counts, 1)
    assert np.array_equal(first.counts, again.counts)
    assert not np.array_equal(first.counts, other.counts)


def test_a_party_that_refuses_ends_the_question():
    def permit(_message, mechanism):
        assert mechanism.counted == 3
        raise RefusedError("policy: no")

    with pytest.raises(QuorumLostError, match="refused"):
        asked(0.5, dict.fromkeys(NAMES, 1), permit=permit)


def test_a_missing_share_is_no_answer():
    made = parties(dict.fromkeys(NAMES, 1))
    del made[PartyId("d")]
    with pytest.raises(QuorumLostError, match="3 of 4"):
        run(
            tally(Tally(0, WIDE, 0.5, 4), NAMES, seeded_root(0), open_sum()),
            in_process(made, lambda: 0.0),
        )


def test_what_does_not_fit_is_refused():
    env = parties({PartyId("a"): 1})[PartyId("a")].env
    with pytest.raises(ConfigError, match="4 parties are asked, 3 are counted on"):
        next(tally(Tally(0, WIDE, 0.5, 3), NAMES, seeded_root(0), open_sum()))
    with pytest.raises(ProtocolError, match="round 1 is over, the last was 2"):
        answer(env, TallyState(2), Tally(1, WIDE, 0.5, 1))
    with pytest.raises(ConfigError, match="epsilon must be above 0"):
        answer(env, TallyState(), Tally(1, WIDE, 0.0, 1))
