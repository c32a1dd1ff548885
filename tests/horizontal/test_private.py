"""The guard's two halves around every algorithm: a slope is a shopper's row of numbers."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedguide.errors import ConfigError, FedGuideError, ProtocolError, QuorumLostError, RefusedError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.mean import Terms, Update, weighted_mean
from fedguide.horizontal.messages import Grade, Submission, Train
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.private_fit import drawn, guarded_fit
from fedguide.horizontal.private_packing import private_packing, with_noise
from fedguide.horizontal.private_server import adapting
from fedguide.horizontal.server import adam, momentum_sgd
from fedguide.horizontal.summed import Addend, Total, open_sum, summed
from fedguide.privacy.correlated import independent
from fedguide.privacy.guard import (
    Adaptive,
    Guard,
    central_noise,
    correlated_noise,
    party_noise,
)
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root, seeded_roots
from fedguide.values import PartyId

TRAINED = (slice(1, 4),)
QUIET = Guard("none", 0.0, clip=1.0, size=3, cohort=10, parties=2)
NOISY = Guard("gaussian", 1.5, clip=1.0, size=3, cohort=10, parties=2)
ZERO = np.zeros(5, np.float32)


@dataclass(frozen=True)
class Rows:
    """Shoppers whose slope is the same wherever the parameters are; at coordinates 1 and 3."""

    vectors: np.ndarray

    @property
    def shoppers(self):
        return np.arange(len(self.vectors))

    @property
    def places(self):
        return np.array([1, 3])

    def each(self, _params, chosen, _seed):
        for at in chosen:
            yield self.vectors[at : at + 1]


def rows(*vectors):
    return Rows(np.array(vectors, np.float32).reshape(-1, 2))


SHOPS = {"a": rows([3, 4], [0.3, 0]), "b": rows([0, -2])}


def parties(guard, shops=SHOPS, trained=TRAINED, aggregator=None, permit=None):
    aggregator = aggregator or summed(private_packing(guard, trained), open_sum())
    return aggregator, {
        PartyId(name): Party(
            PartyEnv(
                "task",
                lambda task, number, name=name: seeded_root(1, name, task, number),
                aggregator,
                len(own.vectors),
                guarded=guarded_fit(own, guard, trained),
                permit=permit,
            ),
            answer,
            PartyState,
        )
        for name, own in shops.items()
    }


def one_round(guard, make, shops=SHOPS, params=ZERO, trained=TRAINED):
    aggregator, there = parties(guard, shops, trained)
    algorithm = make(aggregator)
    return run(
        algorithm.next_round(algorithm.init(params), list(there), seeded_root(0)),
        in_process(there, lambda: 0.0),
    )


def plain(aggregator):
    return fedavg(aggregator)


def unit_of(guard):
    return 1 / (guard.bound.target * guard.cohort)


def test_a_round_worked_out_by_hand():
    # Clipped to 1: (.6, .8), (.3, 0), (0, -1): the sum is (.9, -.2); downhill, over the public 10.
    state = one_round(QUIET, plain)
    np.testing.assert_allclose(state.params, [0, -0.09, 0, 0.02, 0], atol=4 * unit_of(QUIET))
    assert state.report.examples == 10
    assert state.report.loss == 0


def test_what_was_scaled_before_the_clip_is_divided_by_it():
    """As above, with the last two coordinates at half before the clip."""
    trained = (slice(1, 2), slice(2, 4))
    packing = private_packing(QUIET, trained, scales=(1.0, 0.5))
    aggregator, there = parties(QUIET, trained=trained, aggregator=summed(packing, open_sum()))
    algorithm = plain(aggregator)
    state = run(
        algorithm.next_round(algorithm.init(ZERO), list(there), seeded_root(0)),
        in_process(there, lambda: 0.0),
    )
    np.testing.assert_allclose(state.params, [0, -0.09, 0, 0.04, 0], atol=8 * unit_of(QUIET))


def test_fedsgd_goes_the_same_way():
    state = one_round(QUIET, lambda aggregator: fedsgd(aggregator, learning_rate=1.0))
    np.testing.assert_allclose(
        state.params, one_round(QUIET, plain).params, atol=4 * unit_of(QUIET)
    )


@pytest.mark.parametrize("placement", ["central", "distributed", "local"])
@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_what_comes_out_is_the_sum_and_the_noise_of_each(noise, placement):
    guard = replace(NOISY, noise=noise, placement=placement)
    quiet = replace(guard, placement="central")
    plan = one_round(guard, plain).params
    found = np.round(plan[1:4] / unit_of(guard)).astype(np.int64)
    bare = sum(
        guarded_fit(own, quiet, TRAINED)(ZERO, 0, seeded_root(1, name, "task", 0)).view(np.int32)
        for name, own in SHOPS.items()
    )
    if placement == "central":
        added = central_noise(guard, seeded_root(0), 0)
    else:
        added = sum(party_noise(guard, seeded_root(1, name, "task", 0), 0) for name in SHOPS)
    assert np.abs(found - (bare + added)).max() <= guard.scale * 1e-5 + 1
    assert np.abs(added).max() > 0


def test_the_divisor_is_public():
    """A shopper more with a slope of nothing changes nothing: nobody is counted."""
    more = {**SHOPS, "b": rows([0, -2], [0, 0])}
    np.testing.assert_array_equal(
        one_round(QUIET, plain, more).params, one_round(QUIET, plain).params
    )


def test_momentum_and_adam_are_the_coordinators_own():
    for server in (momentum_sgd(0.5, 0.9), adam(0.1)):
        state = one_round(QUIET, lambda aggregator, s=server: fedavg(aggregator, server=s))
        assert np.sign(state.params).tolist() == [0, -1, 0, 1, 0]


def test_no_moments_stay_and_no_figures_leave():
    _, there = parties(QUIET)
    env = there[PartyId("a")].env
    with pytest.raises(RefusedError, match="no moments"):
        answer(env, PartyState(), Train(0, ZERO, keep_moments=True))
    with pytest.raises(RefusedError, match="no figures"):
        answer(env, PartyState(), Train(0, ZERO, figures=("loss",)))
    state, reply = answer(env, PartyState(), Train(0, ZERO))
    assert state.moments is None
    assert isinstance(reply, Addend)
    assert reply.vector.shape == (3,)


@pytest.mark.parametrize(
    "aggregator",
    [weighted_mean(), summed(weighted_packing(Bounds(1.0, 2)), open_sum())],
    ids=["weighted_mean", "weighted_packing"],
)
def test_no_other_aggregator_lets_anything_out(aggregator):
    _, there = parties(NOISY, aggregator=aggregator)
    env = there[PartyId("a")].env
    if env.aggregator.submit is not weighted_mean().submit:
        with pytest.raises(FedGuideError):
            answer(env, PartyState(), Train(0, ZERO))
        return
    _, reply = answer(env, PartyState(), Train(0, ZERO))
    assert isinstance(reply, Submission)
    assert (reply.vector.size, reply.examples, reply.loss) == (0, 0, 0.0)


def test_what_no_guard_has_seen_does_not_leave():
    packing = private_packing(NOISY, TRAINED)
    bare = Update(0, ZERO, 3, 0.5, np.zeros(0))
    with pytest.raises(ProtocolError, match="guarded"):
        packing.pack(bare, seeded_root(0))
    with pytest.raises(ProtocolError, match="guarded"):
        packing.pack(replace(bare, units=np.zeros(4, np.uint32)), seeded_root(0))


def test_the_ledger_is_asked_before_anything_is_computed():
    asked = []

    def refuse(message):
        asked.append(message.round)
        raise RefusedError("budget")

    def never(*_args):
        raise AssertionError("computed before it was charged")

    _, there = parties(NOISY, permit=refuse)
    env = replace(there[PartyId("a")].env, guarded=never)
    for message in (Train(3, ZERO), Grade(4, ZERO)):
        with pytest.raises(RefusedError, match="budget"):
            answer(env, PartyState(), message)
    assert asked == [3, 4]


def test_a_round_asked_for_again_gives_the_same_vector():
    """Also when the aggregator's attempt is another: one charge, one sample of noise."""
    guard = replace(NOISY, placement="distributed", sampling=0.5)
    _, there = parties(guard)
    env = there[PartyId("a")].env
    state, first = answer(env, PartyState(), Train(2, ZERO))
    state, again = answer(env, state, Train(2, ZERO))
    assert state.attempt == 1
    np.testing.assert_array_equal(first.vector, again.vector)
    _, later = answer(env, state, Train(3, ZERO))
    assert not np.array_equal(first.vector, later.vector)


def test_too_few_noise_shares_are_never_read():
    guard = replace(NOISY, placement="distributed")
    packing = private_packing(guard, TRAINED)
    half = Total(np.zeros(3, np.uint32), (PartyId("a"),), ())
    with pytest.raises(ProtocolError, match="1 noise shares, at least 2"):
        packing.unpack(half, Terms(0, 5, 0, seeded_root(0)))
    tolerant = private_packing(replace(guard, absent=1), TRAINED)
    assert tolerant.unpack(half, Terms(0, 5, 0, seeded_root(0))).parties == ("a",)


def test_a_round_without_its_shares_is_lost():
    guard = replace(NOISY, placement="distributed")
    aggregator, there = parties(guard)
    algorithm = fedavg(aggregator, waiting=Waiting(2))
    courier = in_process({PartyId("a"): there[PartyId("a")]}, lambda: 0.0)
    with pytest.raises(QuorumLostError):
        run(algorithm.next_round(algorithm.init(ZERO), list(there), seeded_root(0)), courier)


def test_a_shop_as_the_unit_gives_one_vector():
    # The mean of (3, 4) and (.3, 0) is (1.65, 2), of length 2.593; clipped to 1 it is (.636, .771).
    guard = replace(QUIET, unit="shop", cohort=2)
    state = one_round(guard, plain)
    wanted = np.array([-0.6364 / 2, (1 - 0.7714) / 2])
    np.testing.assert_allclose(state.params[[1, 3]], wanted, atol=1e-4)


def test_sampling_is_poisson_secret_and_the_rounds_own():
    # 40,000 draws at 0.3: a standard deviation of 0.00229; 5 of them have probability 6e-7.
    found = drawn(40_000, 0.3, seeded_root(0), 1)
    assert abs(len(found) / 40_000 - 0.3) < 5 * 0.00229
    assert abs(0.9 * len(found) / 40_000 - 0.3) > 5 * 0.00229
    np.testing.assert_array_equal(found, drawn(40_000, 0.3, seeded_root(0), 1))
    for other in (drawn(40_000, 0.3, seeded_root(0), 2), drawn(40_000, 0.3, seeded_root(1), 1)):
        assert abs(len(np.intersect1d(found, other)) / 40_000 - 0.09) < 5 * 0.0015
    assert drawn(5, 1.0, seeded_root(0)).tolist() == [0, 1, 2, 3, 4]


def test_nobody_drawn_is_a_vector_of_noise_alone():
    guard = replace(QUIET, sampling=1e-9)
    assert not guarded_fit(SHOPS["a"], guard, TRAINED)(ZERO, 0, seeded_root(0)).any()


ADAPTIVE = Guard("gaussian", 0.01, 2.0, 4, cohort=1000, parties=1, adaptive=Adaptive())


def test_the_clipping_norm_finds_the_median():
    """Norms 1..1001 with hardly any noise: from 2 the clipping norm goes to about 500."""
    lengths = np.arange(1, 1002, dtype=np.float32)
    shops = {"a": Rows(np.stack([lengths, 0 * lengths], axis=1))}
    trained = (slice(1, 4), slice(5, 6))
    aggregator, there = parties(ADAPTIVE, shops, trained)
    algorithm = fedavg(aggregator, server=adapting(momentum_sgd(), ADAPTIVE))
    courier = in_process(there, lambda: 0.0)
    state = algorithm.init(np.append(ZERO, np.float32(math.log(2.0))))
    for number in range(150):
        state = run(algorithm.next_round(state, list(there), seeded_root(0, number)), courier)
    assert math.exp(state.params[-1]) == pytest.approx(500, rel=0.1)


def test_one_step_of_the_clipping_norm_by_hand():
    # Two of the 1000 expected are there, one of them within 2: b = (1 - 1/2·2)/1000 + 1/2 = 1/2.
    shops = {"a": rows([1, 0], [5, 0])}
    state = one_round(
        replace(ADAPTIVE, adaptive=replace(ADAPTIVE.adaptive, quantile=0.25)),
        lambda aggregator: fedavg(
            aggregator,
            server=adapting(
                momentum_sgd(),
                replace(ADAPTIVE, adaptive=replace(ADAPTIVE.adaptive, quantile=0.25)),
            ),
        ),
        shops,
        np.append(ZERO, np.float32(math.log(2.0))),
        (slice(1, 4), slice(5, 6)),
    )
    # log C falls by 0.2 · (1/2 - 1/4) = 0.05, up to noise of sigma_b / n = 0.05 · 0.2.
    assert state.params[-1] == pytest.approx(math.log(2.0) - 0.05, abs=6 * 0.01)


def test_on_a_cycle_everybody_has_a_turn_of_their_own():
    guard = replace(QUIET, noise="gaussian", multiplier=1.0, cycle=2, strategy=independent(4))
    many = rows(*[[n, 0] for n in range(5)])
    fit = guarded_fit(many, replace(guard, clip=10.0), TRAINED)
    unit = guard.bound.target / 10
    for number, turn in enumerate(([0, 2, 4], [1, 3]) * 2):
        found = -fit(ZERO, number, seeded_root(number)).view(np.int32)[0]
        assert found == pytest.approx(sum(turn) * unit, abs=3)


def test_correlated_noise_needs_the_roots_of_all_rounds():
    guard = replace(NOISY, strategy=independent(3))
    packing = private_packing(guard, TRAINED)
    whole = Total(np.zeros(3, np.uint32), (PartyId("a"),), ())
    with pytest.raises(ConfigError, match="roots of all rounds"):
        packing.unpack(whole, Terms(0, 5, 0, seeded_root(0)))
    tied = private_packing(guard, TRAINED, lambda number: seeded_root(3, number))
    noise = correlated_noise(guard, lambda number: seeded_root(3, number))
    for number in range(3):
        found = tied.unpack(whole, Terms(number, 5, 0, seeded_root(0))).vector
        np.testing.assert_allclose(found[1:4] / unit_of(guard), noise(number), rtol=1e-5)


def test_noise_wraps_as_the_grid_does():
    near = np.array([2**31 - 1], np.uint32)
    assert with_noise(near, np.array([1])).view(np.int32)[0] == -(2**31)
    assert with_noise(near, None) is near


def test_what_does_not_fit_together():
    with pytest.raises(ConfigError, match="3 coordinates are trained, the guard has 4"):
        private_packing(replace(QUIET, size=4), TRAINED)
    with pytest.raises(ConfigError, match="1 stretches are trained, 2 have a scale"):
        private_packing(QUIET, TRAINED, scales=(1.0, 0.5))
    with pytest.raises(ConfigError, match="outside"):
        guarded_fit(SHOPS["a"], replace(QUIET, size=1), (slice(0, 1),))
    with pytest.raises(ConfigError, match="fixed"):
        adapting(adam(0.1), QUIET)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.0}, {"first": 1.0}, {"second": -0.1}, {"epsilon": 0.0}]
)
def test_adam_out_of_range(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        adam(**({"learning_rate": 0.1} | change))


def test_adams_first_step_by_hand():
    # After bias correction the first step is rate · d / (|d| + e · rms), whatever the scale.
    server, delta = adam(0.1, epsilon=1e-9), np.array([3.0, -0.5], np.float32)
    for scale in (1.0, 1e-4):
        params, memory = server.update(scale * delta, server.init(ZERO[:2]), ZERO[:2])
        np.testing.assert_allclose(params, [0.1, -0.1], rtol=1e-5)
        assert memory.shape == (5,)
        assert memory[-1] == 1


def test_the_roots_are_seeded_for_the_suite():
    assert seeded_roots(3)("t", 1) == seeded_roots(3)("t", 1)


def test_under_masks_the_sum_is_the_same():
    """Clipped, noised vectors go through the masked sum as through the open one, bit for bit."""
    from fedguide.crypto.signing import key_of
    from fedguide.horizontal.masked_party import masked_party
    from fedguide.horizontal.masked_sum import masked_sum
    from fedguide.horizontal.roster import Member, Policy, TaskTerms, consent, sign_terms
    from fedguide.ring import WORD_BITS
    from fedguide.seeds import derive

    shops = {**SHOPS, "c": rows([1, 1])}
    guard = replace(NOISY, placement="distributed", parties=3)
    keys = {name: key_of(derive(seeded_root(5), name)) for name in (*shops, "hub")}
    members = tuple(Member(PartyId(name), keys[name].public) for name in sorted(shops))
    signed = sign_terms(
        TaskTerms(
            task="task",
            purpose="simulation",
            coordinator=keys["hub"].public,
            members=members,
            min_cohort=3,
            length=guard.size,
            modulus_bits=WORD_BITS,
            fraction_bits=16,
            max_norm=1.0,
        ),
        keys["hub"],
    )
    known = {PartyId(name): keys[name].public for name in shops}
    packing = private_packing(guard, TRAINED)
    _, there = parties(guard, shops)
    masked = {}
    for name, party in there.items():
        policy = Policy(name, keys[name].public, keys["hub"].public, known, 3, 1.0)
        own = summed(packing, masked_party(consent(signed, policy, keys[name])))
        masked[name] = replace(party, env=replace(party.env, aggregator=own))
    hidden = fedavg(summed(packing, masked_sum(signed.terms, keys["hub"])))
    state = run(
        hidden.next_round(hidden.init(ZERO), list(masked), seeded_root(0)),
        in_process(masked, lambda: 0.0),
    )
    np.testing.assert_array_equal(state.params, one_round(guard, plain, shops).params)
