"""Robust means over single updates and over bucket sums."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.clipping import centred_clipping
from fedguide.horizontal.mean import Terms, Update, weighted_mean
from fedguide.horizontal.median import MEDIAN
from fedguide.horizontal.messages import Submission
from fedguide.horizontal.names import ROBUST_RULES
from fedguide.horizontal.norm_bound import norm_bound
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.robust import bucketed, deal, robust_mean
from fedguide.horizontal.summed import open_sum, summed
from fedguide.protocol import Ask, Message, Missing, QuorumLost, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId

BOUNDS = Bounds(max_norm=100.0, parties=5, max_examples=1000)
ROOT = seeded_root(0)


def update(vector, examples=1, loss=0.0, figures=()):
    return Update(0, np.float32(vector), examples, loss, np.float64(figures))


def asked(aggregator, updates):
    replies = {
        PartyId(name): aggregator.submit(one, seeded_root(1, name))[1]
        for name, one in updates.items()
    }
    return Ask(dict.fromkeys(replies, Message()), 1), Replies(replies)


def mean_of(aggregator, updates, last=None, root=ROOT, change=lambda ask, replies: (ask, replies)):
    first = next(iter(updates.values()))
    ask, replies = change(*asked(aggregator, updates))
    terms = Terms(0, len(first.vector), len(first.figures), root, last)
    return run(aggregator.collect(ask, replies, terms), lambda _ask: Replies({}))


def test_the_rule_makes_the_vector_and_medians_the_rest():
    updates = {
        "a": update([1, 5], 10, 1.0, [0.1]),
        "b": update([2, 6], 20, 2.0, [0.2]),
        "c": update([1e30, -1e30], 1 << 40, 1e30, [1e30]),
    }
    mean = mean_of(robust_mean(MEDIAN, 1), updates)
    np.testing.assert_array_equal(mean.vector, [2, 5])
    assert (mean.loss, mean.figures.tolist()) == (2.0, [0.2])
    assert (mean.parties, mean.missing) == (("a", "b", "c"), ())
    assert mean.examples == 30 + (1 << 40)


def test_a_claimed_number_of_examples_weighs_no_more_than_an_honest_one():
    updates = {"a": update([0], 10), "b": update([4], 30), "c": update([10], 1 << 40)}
    by_examples = robust_mean(norm_bound(100.0), 1, weighting="num_examples")
    # Weights 10 : 30 : 30.
    assert mean_of(by_examples, updates).vector == pytest.approx([(120 + 300) / 70])
    assert mean_of(robust_mean(norm_bound(100.0), 1), updates).vector == pytest.approx([14 / 3])


def test_unsound_updates_are_no_votes():
    def spoil(ask, replies):
        wild = replace(replies.answers["c"], vector=np.float32([np.nan]))
        return ask, Replies({**replies.answers, "c": wild})

    updates = {name: update([i]) for i, name in enumerate("abcd")}
    mean = mean_of(robust_mean(MEDIAN, 1), updates, change=spoil)
    np.testing.assert_array_equal(mean.vector, [1])  # of 0, 1, 3
    assert [(m.party, m.reason) for m in mean.missing] == [("c", "faulty")]
    del updates["d"]
    with pytest.raises(QuorumLost, match="2 of 3 parties answered, quorum is 3"):
        mean_of(robust_mean(MEDIAN, 1), updates, change=spoil)


def test_a_cohort_too_small_for_the_rule_is_refused_with_its_condition():
    updates = {name: update([i]) for i, name in enumerate("abcdef")}
    with pytest.raises(ConfigError, match=r"krum needs at least 7 updates .* n >= 2 f \+ 3"):
        mean_of(robust_mean(ROBUST_RULES["krum"], 2, "krum"), updates)
    with pytest.raises(ConfigError, match="bad must be at least 0, got -1"):
        robust_mean(MEDIAN, -1)
    with pytest.raises(ConfigError, match="weighting must be"):
        robust_mean(MEDIAN, 0, weighting="odd")


def test_clipping_goes_around_the_last_mean():
    rule = centred_clipping(radius=1, passes=1)
    aggregator = robust_mean(rule, 0)
    assert aggregator.remembers
    assert not robust_mean(MEDIAN, 0).remembers
    updates = {"a": update([9]), "b": update([11.5])}
    # From 10: (−1 + 1) / 2; from 0: both clipped to 1.
    np.testing.assert_allclose(mean_of(aggregator, updates, np.float32([10])).vector, [10])
    np.testing.assert_allclose(mean_of(aggregator, updates).vector, [1])


def test_what_a_coordinator_sees_is_said():
    packing = weighted_packing(BOUNDS)
    assert weighted_mean().sees == robust_mean(MEDIAN, 0).sees == "each update"
    assert summed(packing, open_sum()).sees == "each update"
    assert bucketed(MEDIAN, 0, open_sum(), packing).sees == "bucket sums"


@pytest.mark.parametrize("parties", range(3, 20))
@pytest.mark.parametrize("size", [3, 4])
def test_every_party_is_dealt_into_one_bucket_that_is_large_enough(parties, size):
    names = [PartyId(f"p{i:02}") for i in range(parties)]
    if parties < size:
        with pytest.raises(ConfigError, match="at least 4 parties, the cohort has 3"):
            deal(names, size, ROOT)
        return
    buckets = deal(names, size, ROOT)
    assert sorted(party for bucket in buckets for party in bucket) == names
    assert len(buckets) == parties // size
    assert min(map(len, buckets)) >= size
    assert max(map(len, buckets)) < 2 * size


def test_buckets_are_dealt_anew_each_round_and_every_pair_meets():
    """Two of nine are in one bucket of three with chance 2 / 8."""
    names = [PartyId(f"p{i}") for i in range(9)]
    draws = 10_000
    met = 0
    for number in range(draws):
        (bucket,) = [b for b in deal(names, 3, seeded_root(number)) if names[0] in b]
        met += names[1] in bucket
    # Hoeffding: P(|met / draws - 1 / 4| > t) <= 2 exp(-2 draws t²) = 1e-6 at t = 0.0269.
    assert abs(met / draws - 0.25) < 0.0269
    # The bound tells: a pair that meets 0.85 times as often would be 0.0375 away.
    assert abs(0.85 * 0.25 - 0.25) > 0.0269


def nine(wild=()):
    return {
        f"p{i}": update([1e20 if i in wild else i, 1], 5, float(i), [float(i)]) for i in range(9)
    }


def buckets_of(updates):
    return deal(sorted(PartyId(name) for name in updates), 3, ROOT)


def test_the_rule_judges_the_means_of_buckets():
    updates = nine()
    mean = mean_of(bucketed(MEDIAN, 1, open_sum(), weighted_packing(BOUNDS)), updates)
    means = [np.mean([updates[p].vector[0] for p in bucket]) for bucket in buckets_of(updates)]
    assert mean.vector == pytest.approx([np.median(means), 1], abs=1e-4)
    assert mean.loss == pytest.approx(np.median(means), abs=1e-4)
    assert mean.figures == pytest.approx([np.median(means)], abs=1e-4)
    assert (mean.examples, mean.parties) == (45, tuple(sorted(updates)))


def test_one_bad_party_spoils_one_bucket_and_moves_nothing_beyond_the_others():
    updates = nine()
    buckets = buckets_of(updates)
    honest = [np.mean([updates[p].vector[0] for p in bucket]) for bucket in buckets[1:]]
    updates[buckets[0][0]] = update([1e20, -1e20], 5, 1.0, [1.0])
    plain = mean_of(summed(weighted_packing(replace(BOUNDS, parties=9)), open_sum()), updates)
    assert plain.vector[0] > 10  # its whole clip bound, 100 / 9 and more
    mean = mean_of(bucketed(MEDIAN, 1, open_sum(), weighted_packing(BOUNDS)), updates)
    assert min(honest) - 1e-4 <= mean.vector[0] <= max(honest) + 1e-4


def test_a_bucket_without_three_is_left_out():
    updates = nine()
    buckets = buckets_of(updates)
    gone = buckets[2][1]

    def lose(ask, replies):
        left = {party: one for party, one in replies.answers.items() if party != gone}
        return ask, Replies(left, (Missing(gone, "late", "5 s"),))

    aggregator = bucketed(norm_bound(100.0), 0, open_sum(), weighted_packing(BOUNDS))
    mean = mean_of(aggregator, updates, change=lose)
    means = [np.mean([updates[p].vector[0] for p in bucket]) for bucket in buckets[:2]]
    assert mean.vector[0] == pytest.approx(np.mean(means), abs=1e-4)
    assert mean.parties == tuple(sorted(buckets[0] + buckets[1]))
    reasons = {m.party: (m.reason, m.detail) for m in mean.missing}
    assert reasons.pop(gone) == ("late", "5 s")
    detail = "its bucket was left out: fewer than 3 answered"
    assert reasons == dict.fromkeys(set(buckets[2]) - {gone}, ("lost", detail))
    with pytest.raises(QuorumLost, match="6 of 9 parties answered, quorum is 9"):
        mean_of(bucketed(MEDIAN, 1, open_sum(), weighted_packing(BOUNDS)), updates, change=lose)


def test_a_sum_that_makes_no_sense_ends_its_bucket_not_the_round():
    updates = nine()
    buckets = buckets_of(updates)
    liar = buckets[1][0]

    def lie(ask, replies):
        addend = replies.answers[liar]
        vector = addend.vector.copy()
        vector[-1] = np.uint32(1 << 31)  # a weight far below 0
        return ask, Replies({**replies.answers, liar: replace(addend, vector=vector)})

    aggregator = bucketed(norm_bound(100.0), 0, open_sum(), weighted_packing(BOUNDS))
    mean = mean_of(aggregator, updates, change=lie)
    assert mean.parties == tuple(sorted(buckets[0] + buckets[2]))
    assert {m.party for m in mean.missing} == set(buckets[1])
    assert {m.reason for m in mean.missing} == {"faulty"}
    assert all("weights add up to" in m.detail for m in mean.missing)


def test_each_bucket_has_a_root_of_its_own():
    roots = []

    def noting(ask, replies, terms):
        roots.append(terms.root.value)
        return (yield from open_sum().collect(ask, replies, terms))

    summation = replace(open_sum(), collect=noting)
    mean_of(bucketed(MEDIAN, 1, summation, weighted_packing(BOUNDS)), nine())
    assert len({*roots, ROOT.value}) == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"size": 2}, "size must be at least 3, got 2"),
        ({"bad": -1}, "bad must be at least 0, got -1"),
    ],
)
def test_bad_buckets_are_refused(arguments, text):
    plan = {"rule": MEDIAN, "bad": 1, "summation": open_sum(), "packing": weighted_packing(BOUNDS)}
    with pytest.raises(ConfigError, match=text):
        bucketed(**(plan | arguments))


def test_too_few_buckets_are_refused():
    aggregator = bucketed(MEDIAN, 2, open_sum(), weighted_packing(BOUNDS), name="median")
    with pytest.raises(ConfigError, match="median over buckets of 3 needs at least 5 updates"):
        mean_of(aggregator, nine())


def test_the_message_is_that_of_the_plain_mean():
    _, message = robust_mean(MEDIAN, 1).submit(update([1, 2], 3), ROOT)
    assert isinstance(message, Submission)
