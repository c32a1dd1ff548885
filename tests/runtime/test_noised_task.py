"""A noised, masked run over a real hub: priced, charged, and the same bits as in one process."""

import time
from dataclasses import replace

import numpy as np
import pytest

from fedguide.crypto.signing import make_key
from fedguide.errors import ConfigError, RefusedError, RunError
from fedguide.horizontal.messages import Train
from fedguide.horizontal.roster import Policy as MaskingPolicy
from fedguide.horizontal.roster import consent
from fedguide.models.fit import first_params, layout_of
from fedguide.privacy.ledger import open_ledger
from fedguide.privacy.policy import Policy
from fedguide.privacy.spend import Budget
from fedguide.runtime.charged import operators_charge
from fedguide.runtime.consent import Rules, objections, price_in_words, price_of_task
from fedguide.runtime.couriers import in_process
from fedguide.runtime.journal import MemoryJournal, journaled_roots
from fedguide.runtime.noising import noising_of
from fedguide.runtime.permits import permit
from fedguide.runtime.private_rounds import PrivatePlan, guard_of
from fedguide.runtime.proposal import masked_terms, proposal_bytes, read_proposal
from fedguide.runtime.rounds import RoundsPlan, in_memory, run_rounds
from fedguide.runtime.shop_party import shop_work
from fedguide.runtime.train_task import algorithm_of, train_task
from fedguide.seeds import seeded_entropy, seeded_root, seeded_roots
from fedguide.values import PartyId

from .hub_world import DRIVER, at_work, driver_of, hub_world, proposal_of
from .tiny import GUIDE, shops

NAMES = ("shop-a", "shop-b", "shop-c")
KEYS = {name: make_key() for name in (DRIVER, *NAMES)}
SIZE = layout_of(GUIDE).size
PLAN = PrivatePlan(shoppers=90, rounds=2, epsilon=8.0, baskets=2, placement="distributed")
NOISING = noising_of(PLAN, GUIDE, len(NAMES))
BUDGET = Budget(epsilon=8.5, adversary="insider")


def noised(task, private=PLAN, **changes):
    """A masked proposal with noise."""
    values = {
        "aggregation": "open_sum",
        "rounds": private.rounds,
        "deadline_s": 300.0,
        "max_norm": private.clip,
        "guide": GUIDE,
        "noising": noising_of(private, GUIDE, len(NAMES)),
    }
    plain = proposal_of(task, SIZE, NAMES, **{**values, **changes})
    keys = {name: key.public for name, key in KEYS.items()}
    terms = masked_terms(plain, keys, KEYS[DRIVER])
    return replace(plain, aggregation="masked_sum", terms=terms)


def half_of(number, proposal, roots, ledger, budget=BUDGET):
    """One shop's half, on its own rows."""
    name = NAMES[number]

    def seat(signed):
        known = signed.terms.identities
        mine = MaskingPolicy(PartyId(name), KEYS[name].public, KEYS[DRIVER].public, known)
        return consent(signed, mine, KEYS[name])

    return shop_work(
        shops()[number],
        proposal,
        roots,
        lambda _adopt: None,
        seat,
        lambda terms: permit(ledger, Policy(budget), terms, "shop"),
    )


@pytest.fixture
def ledgers(tmp_path):
    made = [
        open_ledger(
            str(tmp_path / f"{name}.ledger"),
            name,
            tmp_path / f"{name}.mark",
            clock=time.time,
            entropy=seeded_entropy(0),
        )
        for name in NAMES
    ]
    yield made
    for ledger in made:
        ledger.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


@pytest.fixture
def driving(world, tmp_path):
    with driver_of(world, tmp_path, KEYS[DRIVER]) as made:
        yield made


def own_roots(name):
    """A party's roots, the same in every process of the test."""
    return lambda task, number: seeded_root(5, name, task, number)


def in_one_process(proposal, ledgers):
    parties = {
        PartyId(name): half_of(number, proposal, own_roots(name), ledgers[number]).party
        for number, name in enumerate(NAMES)
    }
    first = first_params(GUIDE, proposal.seed)
    return run_rounds(
        algorithm_of(proposal, KEYS[DRIVER]),
        first,
        list(parties),
        in_process(parties, lambda: 0.0),
        RoundsPlan(proposal.rounds, patience=None),
        durable=in_memory(proposal.task, seeded_roots(1), lambda: 0.0, SIZE),
    )


def spent(ledger):
    return sum(ledger.counts("shop").values())


@pytest.mark.parametrize(
    ("task", "more", "charges"),
    [("noised", {}, 2), ("sold", {"sales": 0.25, "searches": 2, "others": 0.25}, 3)],
)
def test_over_the_hub_and_in_one_process_are_the_same_bits(
    world, driving, tmp_path, ledgers, task, more, charges
):
    proposal = noised(task, replace(PLAN, **more))
    assert read_proposal(proposal_bytes(proposal)) == proposal
    driving.book.begin(proposal, 0.0)

    def prepare(name, given, _keeping):
        number = NAMES.index(name)
        return half_of(number, given, own_roots(name), ledgers[number])

    first = first_params(GUIDE, proposal.seed)
    with at_work(world, tmp_path, prepare):
        finished = train_task(driving, proposal, first)
    assert set(finished.has_model) == set(NAMES)
    assert [spent(ledger) for ledger in ledgers] == [charges] * 3
    expected = in_one_process(proposal, ledgers)
    assert [spent(ledger) for ledger in ledgers] == [charges] * 3, "the same rounds, paid for once"
    assert finished.run.best_params.tobytes() == expected.best_params.tobytes()
    assert np.abs(expected.best_params - first).max() > 0
    # Nothing but the noised sum is handed in: no loss, and the public divisor for the examples.
    assert [report.loss for report in finished.run.history] == [0.0, 0.0]
    assert {report.examples for report in finished.run.history} == {90}


def test_the_operators_ledger_pays_before_anybody_is_asked(world, driving, tmp_path, ledgers):
    def no_half(*_):
        raise AssertionError("nobody may be asked")

    place = str(tmp_path / "operator.db")
    mark = tmp_path / "operator.mark"
    with open_ledger(place, "hub", mark, clock=time.time, entropy=seeded_entropy(1)) as ledger:
        charge = operators_charge(ledger, Budget(epsilon=8.5, adversary="insider"), "market")
        plain, dear = proposal_of("open", SIZE), noised("first")
        for number in (0, 1, 0):  # a replayed round is there already
            charge(dear, number)
        charge(plain, 0)
        assert sorted(ledger.counts("market").values()) == [1, 2]
        proposal = noised("second")
        driving.book.begin(proposal, 0.0)
        with (
            at_work(world, tmp_path, no_half),
            pytest.raises(RefusedError, match="cap"),
        ):
            train_task(replace(driving, charge=charge), proposal, first_params(GUIDE, 0))
        assert sum(ledger.counts("market").values()) == 3
    assert driving.book.get("second").status == "failed"


def test_a_budget_that_does_not_last_refuses_before_anything_is_computed(ledgers):
    proposal = noised("dear")
    with pytest.raises(RefusedError, match=r"2 rounds of dear would bring ε to 8"):
        half_of(0, proposal, own_roots("shop-a"), ledgers[0], Budget(epsilon=4.0))
    assert spent(ledgers[0]) == 0


def test_a_party_that_starts_again_is_not_charged_or_judged_twice(ledgers):
    """Its cap affords the task once; after one round and a restart the task still fits."""
    proposal = noised("again")
    journal = MemoryJournal()
    roots = journaled_roots(journal, own_roots("shop-a"))
    run_half = half_of(0, proposal, roots, ledgers[0])
    assert run_half.party.env.permit is not None
    first = Train(0, first_params(GUIDE, 0))
    run_half.party.env.permit(first)
    after = half_of(0, proposal, roots, ledgers[0])
    after.party.env.permit(first)
    assert spent(ledgers[0]) == 1
    after.party.env.permit(Train(1, first_params(GUIDE, 0)))
    assert spent(ledgers[0]) == 2
    with pytest.raises(RefusedError, match="the cap is"):
        half_of(0, noised("another"), roots, ledgers[0])


def test_every_party_works_the_price_out_by_itself():
    proposal = noised("priced")
    price = price_of_task(proposal)
    assert price.epsilon == pytest.approx(8.0, rel=1e-3)
    assert price_in_words(proposal).startswith("ε = 8 (insiders 8) at δ = 1e-06")
    assert objections(Rules(most_epsilon=8.1), proposal, "shop-a") == []
    (said,) = objections(Rules(most_epsilon=2.0), proposal, "shop-a")
    assert said == "ε = 8, at most ε = 2"
    half_the_noise = replace(proposal.noising, multiplier=proposal.noising.multiplier / 2)
    assert price_of_task(noised("priced", noising=half_the_noise)).epsilon > 16
    plain = proposal_of("plain", SIZE)
    assert price_of_task(plain) is None
    assert objections(Rules(most_epsilon=2.0), plain, "shop-a") == ["no bound, at most ε = 2"]


def test_the_guard_of_the_proposal_is_the_guard_of_the_plan():
    for plan in (PLAN, replace(PLAN, noise="laplace", placement="local"),
                 replace(PLAN, sampling=0.5, placement="central", part="head")):  # fmt: skip
        assert noising_of(plan, GUIDE, 3).guard(3) == guard_of(plan, GUIDE, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aggregation": "weighted_mean"}, "sums on the grid"),
        ({"algorithm": "fedprox:0.1"}, "fedavg alone"),
        ({"keep_moments": True}, "no moments are kept"),
        ({"server_momentum": 0.5}, "Adam"),
        ({"max_norm": 2.0}, "is not the clip"),
        ({"quorum": 2}, "noise shares"),
        ({"noising": replace(NOISING, trained=((0, SIZE + 1),))}, "there are"),
    ],
)
def test_what_does_not_go_with_noise_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        noised("bad", **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"noise": "uniform"}, "noise must be one of"),
        ({"placement": "somewhere"}, "placement must be one of"),
        ({"unit": "basket"}, "unit must be one of"),
        ({"delta": 1.0}, "delta must be in"),
        ({"baskets": 0}, "baskets"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"others": 0.0}, "others"),
        ({"trained": ((5, 5),)}, "stretches"),
        ({"trained": ((5, 9), (7, 12))}, "stretches"),
        ({"trained": ()}, "stretches"),
    ],
)
def test_a_noising_that_is_none_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        replace(noising_of(PLAN, GUIDE, 3), **change)


def test_another_part_than_the_network_has_is_refused(ledgers):
    proposal = noised("part")
    (start, stop), *rest = proposal.noising.trained
    other = replace(proposal.noising, trained=((start, stop - 1), *rest))
    bad = noised("part", noising=other)
    with pytest.raises(ConfigError, match="the tower of its network"):
        half_of(0, bad, own_roots("shop-a"), ledgers[0])


def test_adaptive_and_correlated_noise_stay_with_the_simulation():
    for plan in (
        replace(PLAN, adaptive=True, placement="central"),
        replace(PLAN, bands=2, placement="central"),
    ):
        with pytest.raises(ConfigError, match="over the hub"):
            noising_of(plan, GUIDE, 3)
    with pytest.raises(ConfigError, match="has no noising"):
        noising_of(replace(PLAN, noise="none", epsilon=float("inf")), GUIDE, 3)


def test_fewer_shares_than_promised_are_never_read(ledgers):
    """With one shop gone its share of the noise is missing: the run ends, no sum is released."""
    proposal = noised("fewer")
    parties = {
        PartyId(name): half_of(number, proposal, own_roots(name), ledgers[number]).party
        for number, name in enumerate(NAMES)
    }

    def gone(*_):
        raise RefusedError("policy: gone")

    parties["shop-c"] = replace(parties["shop-c"], answer=gone)
    with pytest.raises(RunError, match="2 of 3 parties answered"):
        run_rounds(
            algorithm_of(proposal, KEYS[DRIVER]),
            first_params(GUIDE, 0),
            list(parties),
            in_process(parties, lambda: 0.0),
            RoundsPlan(1, patience=None),
            durable=in_memory(proposal.task, seeded_roots(1), lambda: 0.0, SIZE),
        )
