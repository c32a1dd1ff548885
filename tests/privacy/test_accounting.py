"""The accountant: reference rows, composition, both adversaries, calibration, refusals."""

import builtins
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.accounting import (
    epsilon_of,
    local_epsilon_of,
    noise_multiplier_for,
    price,
    price_of,
    rdp_epsilon_of,
)
from fedguide.privacy.events import Event, LocalEvent
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    RandomisedResponse,
    Unnoised,
)

# q, z, rounds, δ, ε by Rényi DP, ε by PLD: worked out with dp-accounting 0.5 and, where q = 1,
# with the closed form of Balle and Wang (2018).
ROWS = [
    (1, 1, 1, 1e-5, 4.728507, 4.377178),
    (1, 10, 100, 1e-5, 4.728507, 4.377178),
    (1, 4, 50, 1e-6, 10.089443, 9.482192),
    (1, 8, 100, 1e-6, 6.734625, 6.312060),
    (0.01, 1.0, 1000, 1e-5, 2.101367, 1.828244),
    (0.01, 1.1, 10000, 1e-5, 5.632011, 5.192620),
    (256 / 60000, 1.1, 14063, 1e-5, 2.596656, 2.381779),
    (0.1, 1.0, 100, 1e-6, 8.921392, 8.058608),
    (0.001, 1.0, 2000, 1e-7, 1.073794, 0.298296),
]
GAUSSIAN = Gaussian(1.0, 1.0)


def done(mechanism, sampling=1.0, rounds=1, **more):
    return Event("t", mechanism, sampling, rounds, **more)


def shares(sigma=16.0, sensitivity=16.0, counted=4, dimension=100):
    return GaussianShares(sigma, sensitivity, counted, dimension)


@pytest.mark.parametrize(("q", "z", "rounds", "delta", "rdp", "pld"), ROWS)
def test_reference_rows(q, z, rounds, delta, rdp, pld):
    paid = price(sampling=q, noise_multiplier=z, rounds=rounds, delta=delta)
    assert paid.epsilon == pytest.approx(pld, rel=1e-3)
    assert paid.epsilon_rdp == pytest.approx(rdp, rel=1e-6)
    assert paid.epsilon <= paid.epsilon_rdp
    assert paid.epsilon_insider >= paid.epsilon
    if q == 1:
        assert paid.epsilon_insider == paid.epsilon


def test_reference_rows_of_laplace():
    """Scale 10 and 100 rounds: 4.220347 and 4.532686 at δ = 1e-5, the sum 10 at δ = 0."""
    events = [done(Laplace(10.0, 1.0), rounds=100)]
    assert epsilon_of(events, 1e-5, "insider") == pytest.approx(4.220347, rel=1e-3)
    assert rdp_epsilon_of(events, 1e-5, "insider") == pytest.approx(4.532686, rel=1e-6)
    assert epsilon_of(events, 0.0, "insider") == pytest.approx(10.0)
    assert rdp_epsilon_of(events, 0.0, "insider") == pytest.approx(10.0)


@pytest.mark.parametrize("q", [1.0, 0.3])
def test_laplace_with_its_units_is_judged_as_the_discrete_law(q):
    """b = 10 and Δ = 1 unit, 100 rounds: dp-accounting's discrete Laplace, 2 % above the
    continuous one; with Δ = 100 units the two are within 0.03 %."""
    import dp_accounting

    losses = dp_accounting.pld.privacy_loss_distribution
    coarse, fine, continuous = (
        epsilon_of([done(Laplace(10.0, 1.0, units), q, 100)], 1e-6, "outsider")
        for units in (1, 100, 0)
    )
    theirs = losses.from_discrete_laplace_mechanism(0.1, 1, sampling_prob=q).self_compose(100)
    # Theirs rounds every loss upwards ("privacy buckets"), ours joins the dots: a little tighter.
    assert 0.999999 * coarse < theirs.get_epsilon_for_delta(1e-6) < 1.005 * coarse
    assert 1.01 * continuous < coarse
    assert continuous < fine < 1.0003 * continuous
    assert rdp_epsilon_of([done(Laplace(10.0, 1.0, 1), q, 100)], 1e-6, "outsider") > coarse


def test_the_worst_that_a_laplace_vector_can_suffer_is_in_one_coordinate():
    """So judging Δ units in one coordinate covers all ways to spread them: δ at every ε of k
    coordinates moved by Δ/k each is at most that of one moved by Δ (here Δ = 12, b = 5)."""
    import dp_accounting

    losses = dp_accounting.pld.privacy_loss_distribution
    one = losses.from_discrete_laplace_mechanism(0.2, 12)
    for k in (2, 3, 4, 6, 12):
        spread = losses.from_discrete_laplace_mechanism(0.2, 12 // k).self_compose(k)
        for epsilon in np.arange(0.0, 2.4, 0.1):
            assert spread.get_delta_for_epsilon(epsilon) <= one.get_delta_for_epsilon(epsilon)
    uneven = losses.from_discrete_laplace_mechanism(0.2, 9).compose(
        losses.from_discrete_laplace_mechanism(0.2, 3)
    )
    assert uneven.get_delta_for_epsilon(1.0) <= one.get_delta_for_epsilon(1.0)


def test_noise_for_a_wanted_epsilon():
    assert noise_multiplier_for(8.0, 1e-5, rounds=20) == pytest.approx(2.6843, rel=1e-4)


def test_replaced_units_are_refused_because_the_judges_would_disagree():
    """With REPLACE_ONE dp-accounting's own judges say 22.42 and 10.09 of the same events."""
    import dp_accounting

    relation = dp_accounting.NeighboringRelation.REPLACE_ONE
    event = dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(4.0), 50)
    pld = dp_accounting.pld.PLDAccountant(relation)
    rdp = dp_accounting.rdp.RdpAccountant(neighboring_relation=relation)
    found = [judge.compose(event).get_epsilon(1e-6) for judge in (pld, rdp)]
    assert found == pytest.approx([22.42, 10.09], abs=5e-3)
    with pytest.raises(RefusedError, match="got replace_one"):
        epsilon_of([done(Gaussian(4.0, 1.0), rounds=50, relation="replace_one")], 1e-6, "insider")


def test_closed_form_and_pld_agree_where_both_can_be_had():
    import dp_accounting

    pld = dp_accounting.pld.PLDAccountant()
    pld.compose(dp_accounting.GaussianDpEvent(3.0), 20).compose(dp_accounting.GaussianDpEvent(5.0))
    events = [done(Gaussian(3.0, 1.0), rounds=20), done(Gaussian(5.0, 2.0))]
    assert epsilon_of(events, 1e-6, "insider") == pytest.approx(pld.get_epsilon(1e-6), rel=1e-6)


def test_events_add_up_in_any_order_and_grouping():
    one = done(Gaussian(4.0, 1.0), rounds=3)
    two = done(Laplace(10.0, 1.0), rounds=2)
    whole = epsilon_of([one, two], 1e-5, "insider")
    parts = [done(Gaussian(4.0, 9.0)), two, done(Gaussian(4.0, 1.0), rounds=2)]
    assert epsilon_of(parts, 1e-5, "insider") == pytest.approx(whole, rel=1e-12)
    assert max(epsilon_of([one], 1e-5, "insider"), 0.2) < whole
    assert whole < epsilon_of([one], 1e-5, "insider") + 0.2 + 1e-6  # the sum of both is a proof


def test_a_mixture_of_all_kinds_is_judged_as_dp_accounting_does():
    import dp_accounting as dp

    events = [
        done(Gaussian(2.0, 1.0), sampling=0.1, rounds=30),
        done(Gaussian(4.0, 1.0), rounds=2),
        done(Laplace(5.0, 1.0), sampling=0.5, rounds=3),
        done(Laplace(8.0, 1.0)),
    ]
    pld = dp.pld.PLDAccountant()
    pld.compose(dp.PoissonSampledDpEvent(0.1, dp.GaussianDpEvent(2.0)), 30)
    pld.compose(dp.GaussianDpEvent(4.0), 2)
    pld.compose(dp.PoissonSampledDpEvent(0.5, dp.LaplaceDpEvent(5.0)), 3)
    pld.compose(dp.LaplaceDpEvent(8.0))
    found = epsilon_of(events, 1e-6, "outsider")
    assert found == pytest.approx(pld.get_epsilon(1e-6), rel=1e-6)
    assert found < rdp_epsilon_of(events, 1e-6, "outsider")
    assert found < epsilon_of(events, 1e-6, "insider")


def test_sampling_amplifies_pure_epsilon_for_outsiders_only():
    """ln(1 + 0.1 (e^1 - 1)) = 0.158565 by hand."""
    events = [done(Laplace(1.0, 1.0), sampling=0.1)]
    assert epsilon_of(events, 0.0, "outsider") == pytest.approx(math.log(1.1718281828459045))
    assert epsilon_of(events, 0.0, "insider") == 1.0


def test_an_enormous_pure_epsilon_is_amplified_without_overflow():
    events = [done(Laplace(1.0, 1000.0), sampling=math.exp(-3))]
    assert epsilon_of(events, 0.0, "outsider") == pytest.approx(997.0)


def test_pure_noise_is_never_worse_at_a_delta_than_at_none():
    events = [done(Laplace(1.0, 1.0))]
    assert epsilon_of(events, 1e-9, "insider") <= 1.0


def test_a_gaussian_has_no_pure_epsilon_and_no_noise_has_none_at_all():
    assert epsilon_of([done(GAUSSIAN)], 0.0, "insider") == math.inf
    assert rdp_epsilon_of([done(GAUSSIAN)], 0.0, "insider") == math.inf
    for delta in (0.0, 1e-5):
        events = [done(Laplace(1.0, 1.0)), done(Unnoised())]
        assert epsilon_of(events, delta, "outsider") == math.inf
        assert rdp_epsilon_of(events, delta, "outsider") == math.inf


@pytest.mark.parametrize("delta", [0.0, 1e-6])
def test_nothing_done_costs_nothing(delta):
    assert epsilon_of([], delta, "insider") == 0.0
    assert rdp_epsilon_of([], delta, "insider") == 0.0


def test_correlated_noise_is_one_gaussian_whatever_its_steps():
    event = done(CorrelatedGaussian(2.0, 1.0, strategy_sensitivity=3.0, steps=64))
    one = done(Gaussian(2.0, 1.0))
    assert epsilon_of([event], 1e-6, "insider") == epsilon_of([one], 1e-6, "insider")


def test_shares_cost_what_one_gaussian_of_their_sum_costs():
    """4 shares of σ = 16 units on a sensitivity of 16 are z = 2; τ is 10·e^-2500: nothing."""
    one = epsilon_of([done(Gaussian(2.0, 1.0))], 1e-6, "insider")
    event = done(shares(), placement="distributed")
    assert epsilon_of([event], 1e-6, "insider") == pytest.approx(one, rel=1e-12)


def test_coarse_shares_cost_the_distance_of_their_sum_from_a_gaussian():
    """σ = 1, 2 shares, 1000 coordinates: d·τ = 1e4·e^-π² = 0.51723 nats (k = 1: k/(k+1) = 1/2)."""
    coarse = done(GaussianShares(1.0, 1.0, 2, 1000), placement="distributed")
    nats = 1e4 * math.exp(-(math.pi**2))
    assert nats == pytest.approx(0.51723, rel=1e-4)
    close = epsilon_of([done(Gaussian(math.sqrt(2), 1.0))], 1e-6 * math.exp(-nats), "insider")
    found = epsilon_of([coarse], 1e-6, "insider")
    assert found == pytest.approx(min(close + 2 * nats, rdp_epsilon_of([coarse], 1e-6, "insider")))
    assert found > epsilon_of([done(Gaussian(math.sqrt(2), 1.0))], 1e-6, "insider") + 0.4


def test_shares_so_coarse_that_nothing_is_left_say_so():
    """d·τ = 1e10·e^-π² is half a million nats: e^-that is 0, and no ε of use comes out."""
    coarse = done(GaussianShares(1.0, 1.0, 2, 10**9), placement="distributed")
    assert epsilon_of([coarse], 1e-6, "insider") > 1e5


def test_sampled_shares_are_cross_checked_with_the_smaller_noise():
    event = done(GaussianShares(1.5, 3.0, 4, 10), sampling=0.1, placement="distributed")
    plain = done(Gaussian(1.0, 1.0), sampling=0.1)
    for judge in (epsilon_of, rdp_epsilon_of):
        cost = judge([plain], 1e-6, "outsider")
        assert cost < judge([event], 1e-6, "outsider") < 1.01 * cost


def test_enough_laplace_shares_are_laplace_and_too_few_cost_more():
    whole = done(LaplaceShares(50.0, 50.0, 10, 10), placement="distributed")
    more = done(LaplaceShares(50.0, 50.0, 10, 12), placement="distributed")
    fewer = done(LaplaceShares(50.0, 50.0, 10, 9), placement="distributed")
    assert epsilon_of([whole], 0.0, "insider") == epsilon_of([more], 0.0, "insider") == 1.0
    assert epsilon_of([fewer], 0.0, "insider") > 1.5
    # At a δ too, where it is one pure loss among others.
    mixed = [fewer, done(GAUSSIAN)]
    found = epsilon_of(mixed, 1e-6, "insider")
    assert epsilon_of([done(GAUSSIAN)], 1e-6, "insider") < found
    assert found <= rdp_epsilon_of(mixed, 1e-6, "insider")


def test_all_figures_of_a_receipt():
    events = [done(Gaussian(2.0, 1.0), sampling=0.1, rounds=10)]
    paid = price_of(iter(events), 1e-6)
    assert paid.epsilon == epsilon_of(events, 1e-6, "outsider")
    assert paid.epsilon_insider == epsilon_of(events, 1e-6, "insider")
    assert paid.epsilon_rdp == rdp_epsilon_of(events, 1e-6, "outsider")
    assert paid.epsilon_insider_rdp == rdp_epsilon_of(events, 1e-6, "insider")
    assert paid.delta == 1e-6


@given(st.floats(0.05, 30), st.floats(1e-12, 0.1), st.integers(1, 10_000))
def test_calibrated_noise_costs_what_was_asked_and_hardly_less(epsilon, delta, rounds):
    z = noise_multiplier_for(epsilon, delta, rounds)
    paid = price(sampling=1.0, noise_multiplier=z, rounds=rounds, delta=delta).epsilon
    assert 0.9999 * epsilon < paid <= epsilon


@pytest.mark.parametrize(
    ("epsilon", "delta", "rounds", "q"), [(8.0, 1e-6, 10, 0.1), (0.5, 1e-5, 200, 0.01)]
)
def test_calibrated_noise_under_sampling(epsilon, delta, rounds, q):
    z = noise_multiplier_for(epsilon, delta, rounds, q)
    paid = price(sampling=q, noise_multiplier=z, rounds=rounds, delta=delta).epsilon
    assert 0.999 * epsilon < paid <= epsilon
    assert z < noise_multiplier_for(epsilon, delta, rounds)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0.0, 1e-6, 1), "epsilon must be finite and above 0"),
        ((math.inf, 1e-6, 1), "epsilon must be finite"),
        ((1.0, 0.0, 1), r"delta must be in \(0, 1\)"),
        ((1.0, 1.0, 1), "delta must be in"),
        ((1.0, 1e-6, 0), "rounds must be at least 1"),
        ((1.0, 1e-6, 1, 0.0), "sampling must be in"),
        ((1.0, 1e-6, 1, 1.1), "sampling must be in"),
    ],
)
def test_a_calibration_out_of_range_is_refused(arguments, match):
    with pytest.raises(ConfigError, match=match):
        noise_multiplier_for(*arguments)


@pytest.mark.parametrize("delta", [-1e-9, 1.0, math.nan])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(ConfigError, match=r"delta must be in \[0, 1\)"):
        epsilon_of([], delta, "insider")


def test_an_unknown_adversary_is_refused():
    with pytest.raises(ConfigError, match=r"adversary must be one of .*'nobody'"):
        epsilon_of([], 1e-6, "nobody")


def test_an_unknown_event_is_refused():
    with pytest.raises(ConfigError, match="unknown event float"):
        epsilon_of([1.0], 1e-6, "insider")


def test_units_do_not_mix():
    events = [done(GAUSSIAN, unit="shop"), done(GAUSSIAN)]
    with pytest.raises(ConfigError, match="shop and shopper"):
        epsilon_of(events, 1e-6, "insider")


def test_local_epsilon_adds_up_among_itself_and_never_with_a_central_one():
    asked = LocalEvent("t", RandomisedResponse(4, 0.5), rounds=3)
    assert local_epsilon_of([asked, LocalEvent("t", RandomisedResponse(2, 1.0))]) == 2.5
    with pytest.raises(RefusedError, match="local ε is never added"):
        epsilon_of([asked], 1e-6, "insider")
    with pytest.raises(RefusedError, match="local events only, got Event"):
        local_epsilon_of([done(GAUSSIAN)])


def test_without_dp_accounting_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_accounting(name, *rest):
        if name.split(".")[0] in ("dp_accounting", "scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_accounting)
    with pytest.raises(ConfigError, match="needs the package dp-accounting") as error:
        price(sampling=1.0, noise_multiplier=1.2345, rounds=1, delta=1e-5)
    assert error.value.hint == "pip install 'fedguide[train]'"
    few = done(LaplaceShares(51.0, 50.0, 10, 9), placement="distributed")
    with pytest.raises(ConfigError, match="judged with scipy"):
        epsilon_of([few], 0.0, "insider")


@pytest.mark.parametrize("sigma", [2, 4, 16, 64])
def test_a_discrete_gaussian_may_be_judged_as_the_continuous_one(sigma):
    """Its exact ε against the closed form: what the judge's one simplification can cost.

    All of the sensitivity in one coordinate is the worst (in many the losses average out). The
    excess of ε stays below 0.06/σ²: 1.5 % at 2 units, 0.1 % at 8, 4e-9 at 4096.
    """
    worst = max(
        discrete_epsilon(sigma, sensitivity, delta)
        / epsilon_of([done(Gaussian(sigma / sensitivity, 1.0))], delta, "insider")
        for sensitivity in (1, 2, 4, 8)
        for delta in (3e-4, 1e-5, 1e-6, 1e-8)
    )
    assert 0.005 / sigma**2 < worst - 1 < 0.06 / sigma**2


def discrete_epsilon(sigma, shift, delta):
    """The least ε at which Σ max(0, p(x) - e^ε p(x + shift)) <= δ, by bisection."""
    x = np.arange(-40 * sigma, 40 * sigma + 1, dtype=np.float64)
    p = np.exp(-(x**2) / (2 * sigma**2))
    p /= p.sum()
    loss = (2 * x * shift + shift**2) / (2 * sigma**2)
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = loss > middle
        found = float((p[inside] * -np.expm1(middle - loss[inside])).sum())
        low, high = (middle, high) if found > delta else (low, middle)
    return high
