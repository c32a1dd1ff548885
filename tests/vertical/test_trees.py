"""Trees over several parties: equal to trees in the open, right by hand, and hard to cheat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.linear_query import Question
from fedguide.errors import ConfigError, DataError, ProtocolError, RefusedError
from fedguide.protocol import QuorumLost, run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import sums
from fedguide.vertical.features import MISSING, codes_of, fit_spec
from fedguide.vertical.histograms import NO_SPLIT, Shape, best_splits, leaf_weights
from fedguide.vertical.objectives import derivatives, mean_loss
from fedguide.vertical.sums import (
    FEATURE_WIRE,
    Begin,
    FeatureEnv,
    FeatureState,
    OpenQuestion,
    TakeSplits,
    counted_budget,
    no_limit,
)
from fedguide.vertical.trees import (
    LEAF,
    LabelTable,
    PartnerHalf,
    TreeModel,
    TreePlan,
    coordinates_needed,
    grow,
    margins_of,
    predict,
    sides_anew,
)

BANK, POST = PartyId("bank"), PartyId("post")
TABLE_ROWS = 500


def market(seed=0, count=400, objective="binary"):
    """A shop whose label depends on its own and on two partners' columns; keys already aligned."""
    rng = np.random.default_rng(seed)
    rows = {party: rng.permutation(TABLE_ROWS)[:count] for party in (BANK, POST)}
    columns = {
        party: {
            "first": rng.normal(size=TABLE_ROWS),
            "second": np.where(rng.random(TABLE_ROWS) < 0.2, np.nan, rng.normal(size=TABLE_ROWS)),
        }
        for party in rows
    }
    own = {"visits": rng.normal(size=count)}
    score = own["visits"] + 1.5 * columns[BANK]["first"][rows[BANK]]
    score += np.where(columns[POST]["first"][rows[POST]] > 0, 1.0, -1.0)
    if objective == "binary":
        labels = (score + rng.logistic(size=count) > 0).astype(float)
    elif objective == "regression":
        labels = score + 0.1 * rng.normal(size=count)
    else:
        labels = np.digitize(score, [-1, 1]).astype(float)
    spec = fit_spec(own, 16, 5)
    table = LabelTable(labels, codes_of(spec, own), spec.bins, rows)
    envs = {}
    for party, cells in columns.items():
        spec = fit_spec(cells, 16, 5)
        envs[party] = FeatureEnv(
            codes_of(spec, cells), spec.bins, seeded_root(5, party), no_limit(), allow_plain=True
        )
    return table, envs


def courier(envs, kind="in_process"):
    parties = {party: Party(env, sums.answer, FeatureState) for party, env in envs.items()}
    if kind == "in_process":
        return in_process(parties, lambda: 0.0)
    return through_bytes(parties, lambda: 0.0, MemoryPartyStore(), Limits(1 << 25), FEATURE_WIRE)


def grown(table, envs, kind="in_process", **changes):
    plan = TreePlan(**({"trees": 3, "depth": 3, "least_node": 20} | changes))
    return run(grow(table, plan, seeded_root(7)), courier(envs, kind))


def auc(labels, scores):
    order = np.argsort(np.argsort(scores))
    ones = labels == 1
    return (order[ones].mean() - (ones.sum() - 1) / 2) / (~ones).sum()


def test_a_split_worked_out_by_hand():
    # Bins: missing, 1, 2. g: 0 | 2 2 | -3 with Hessians 1 each; λ = 1, γ = 0.
    # With the missing one (g = 0) left: left 16/4, right 9/2, all 1/5.
    sums_ = np.array([[[0, 1]], [[4, 2]], [[-3, 1]]])
    (split,) = best_splits(sums_, np.array([0, 3]), np.ones(2), Shape(least_hessian=0.5))
    assert (split.feature, split.bin, split.missing_left) == (0, 1, True)
    assert split.gain == pytest.approx((16 / 4 + 9 / 2 - 1 / 5) / 2)
    assert leaf_weights(np.array([[4.0, 2.0]]), 1.0).tolist() == [-4 / 3]


def test_no_split_where_children_are_too_light_or_gain_nothing():
    sums_ = np.array([[[0, 0]], [[4, 2]], [[-3, 1]]])
    offsets = np.array([0, 3])
    assert best_splits(sums_, offsets, np.ones(2), Shape(least_hessian=1.5)) == [NO_SPLIT]
    assert best_splits(sums_, offsets, np.ones(2), Shape(least_gain=9.0)) == [NO_SPLIT]
    assert best_splits(sums_[:2], np.array([0, 2]), np.ones(2), Shape()) == [NO_SPLIT]


@pytest.mark.parametrize("objective", ["binary", "regression", "multiclass"])
def test_lattice_equals_plain_to_the_last_bit(objective):
    table, envs = market(objective=objective)
    plain, _ = grown(table, envs, objective=objective, scheme="plain")
    hidden, _ = grown(table, envs, objective=objective, hide_choice=False)
    assert encode(hidden) == encode(plain)


def test_hidden_choices_are_the_same_trees_and_always_the_same_messages():
    table, envs = market()
    shown, _ = grown(table, envs, scheme="plain")
    seen = {"hidden": [], "flat": []}

    def watched(name):
        def carry(ask):
            seen[name].append([(type(m).__name__, len(encode(m))) for m in ask.to.values()])
            return direct(ask)

        direct = courier(envs)
        return carry

    plan = TreePlan(trees=3, depth=3, least_node=20, hide_choice=True)
    hidden, report = run(grow(table, plan, seeded_root(7)), watched("hidden"))
    for mine, theirs in zip(hidden.trees, shown.trees, strict=True):
        assert np.array_equal(mine.weight, theirs.weight)
    assert [half.left for half in hidden.partners] == [half.left for half in shown.partners]
    assert [len(half.rules) for half in hidden.partners] == list(report.splits.values())
    assert report.splits[BANK] > 3
    # Labels that nothing explains: other trees, stumps maybe, and the same transcript.
    noise = replace(table, labels=np.random.default_rng(3).permutation(table.labels))
    stump = replace(plan, shape=Shape(least_gain=1e9))
    flat, _ = run(grow(noise, stump, seeded_root(8)), watched("flat"))
    assert all(len(tree.owner) == 1 for tree in flat.trees)
    assert seen["flat"] == seen["hidden"]
    assert not any("TakeSplits" in kind for ask in seen["hidden"] for kind, _ in ask)


def test_hidden_rules_are_asked_anew_over_another_table():
    table, envs = market()
    model, _ = grown(table, envs, hide_choice=True)
    assert encode(decode(encode(model), (TreeModel, PartnerHalf), Limits(1 << 20))) == encode(model)
    half = model.partners[0]
    other = replace(envs[BANK], codes=envs[BANK].codes[::-1].copy(), chosen={})
    anew = run(sides_anew(half, seeded_root(9)), courier({BANK: other}))
    width = -(-TABLE_ROWS // 8)
    for number in range(len(half.rules)):
        before = np.unpackbits(half.bits(number))[:TABLE_ROWS]
        after = np.unpackbits(np.frombuffer(anew.left, np.uint8, width, number * width))
        assert np.array_equal(before[::-1], after[:TABLE_ROWS])


def test_through_bytes_with_forgotten_state():
    table, envs = market()
    model, _ = grown(table, envs)
    for env in envs.values():
        env.made.clear()
    assert encode(grown(table, envs, "bytes")[0]) == encode(model)


def test_partners_help_and_their_order_does_not_matter():
    table, envs = market()
    model, report = grown(table, envs, trees=10)
    alone, _ = grown(replace(table, rows={}), {}, trees=10)
    scores = predict(model, table.codes, table.rows)[0]
    assert auc(table.labels, scores) > auc(table.labels, predict(alone, table.codes, {})[0]) + 0.05
    turned = replace(table, rows=dict(reversed(table.rows.items())))
    assert encode(grown(turned, envs, trees=10)[0]) == encode(model)
    assert all(report.splits[party] > 0 for party in envs)


def test_scores_are_those_of_growing():
    """What the model says of the samples that grew it is what growing left them with."""
    table, envs = market(objective="regression")
    model, _ = grown(table, envs, objective="regression", trees=20)
    margins = margins_of(model, table.codes, table.rows)
    loss = mean_loss(table.labels, margins, "regression")
    assert loss < 0.2 * table.labels.var()
    some = np.array([5, 3, 8])
    rows = {party: mine[some] for party, mine in table.rows.items()}
    assert np.array_equal(margins_of(model, table.codes[some], rows), margins[:, some])


def test_a_validation_stops_and_grows_nothing():
    table, envs = market()
    held = np.arange(len(table.labels)) % 4 == 0
    watched = replace(table, validation=held)
    model, report = grown(watched, envs, trees=40, learning_rate=1.0, patience=3, depth=4)
    assert report.trees < 40
    assert len(model.trees) == report.kept == int(np.argmin(report.losses)) + 1
    other = replace(watched, labels=np.where(held, 1 - table.labels, table.labels))
    first, _ = grown(watched, envs, trees=1)
    again, _ = grown(other, envs, trees=1)
    assert encode(first) == encode(again)


def test_the_partner_sees_its_whole_table_asked_about_and_no_tree():
    """Host-blind: as many numbers as rows, and as many vectors as a full tree has, every time."""
    table, envs = market()
    seen = []
    carry = courier(envs)

    def watched(ask):
        seen.extend(m for m in ask.to.values() if isinstance(m, Question))
        return carry(ask)

    run(grow(table, TreePlan(trees=2, depth=3, least_node=100), seeded_root(7)), watched)
    shapes = [question.vectors.shape[:2] for question in seen]
    # 2 vectors for the root, 2 for a pair, 4 for two pairs, and one that checks; two partners.
    assert shapes == [(t, TABLE_ROWS) for t in (3, 3, 3, 3, 5, 5)] * 2


def test_plain_vectors_show_zeros_and_a_real_partner_refuses_them():
    table, envs = market()
    strict = {party: replace(env, allow_plain=False) for party, env in envs.items()}
    with pytest.raises(QuorumLost, match="refused"):
        grown(table, strict, scheme="plain")


def test_nodes_that_are_too_small_are_not_asked_about():
    """A7: sums of few samples are those samples; neither of a pair is asked for then."""
    table, envs = market()
    asked = []
    carry = courier(envs)

    def watched(ask):
        asked.extend(m.values for m in ask.to.values() if isinstance(m, OpenQuestion))
        return carry(ask)

    plan = TreePlan(trees=4, depth=4, least_node=80, scheme="plain", check=False)
    run(grow(table, plan, seeded_root(7)), watched)
    # A Hessian is never 0, so what is not 0 in an odd vector is a node.
    sizes = [int((row != 0).sum()) for values in asked for row in values if row.any()]
    assert min(sizes) >= 80


@pytest.mark.parametrize("check", [True, False])
def test_a_partner_that_moves_mass_between_bins_is_found_by_the_secret_check(check):
    """A9: the bins still add up, so only check (iii) can see it; 2/3 a level, here all levels."""
    table, envs = market()
    found = 0
    for seed in range(20):
        carry = courier(envs)

        def lying(ask, carry=carry, seed=seed):
            replies = carry(ask)
            answers = dict(replies.answers)
            reply = answers.get(BANK)
            if isinstance(reply, sums.OpenAnswer):
                moved = reply.sums.copy()
                column = seed % moved.shape[1]
                moved[1, column] += 7
                moved[2, column] -= 7
                answers[BANK] = replace(reply, sums=moved)
            return replace(replies, answers=answers)

        plan = TreePlan(trees=2, depth=3, least_node=20, scheme="plain", check=check)
        try:
            run(grow(table, plan, seeded_root(seed)), lying)
        except ProtocolError as error:
            found += "do not add up" in str(error)
    assert found == 0 if not check else found >= 18


def test_a_partner_whose_sums_do_not_add_up_is_found():
    table, envs = market()
    carry = courier(envs)

    def lying(ask):
        replies = carry(ask)
        reply = replies.answers.get(POST)
        if isinstance(reply, sums.OpenAnswer):
            more = reply.sums.copy()
            more[0] += 1
            return replace(replies, answers={**replies.answers, POST: replace(reply, sums=more)})
        return replies

    plan = TreePlan(trees=1, scheme="plain", check=False, least_node=20)
    with pytest.raises(ProtocolError, match="post: sums do not add up; the session is over"):
        run(grow(table, plan, seeded_root(1)), lying)


def test_the_budget_of_a_table_ends():
    table, envs = market()
    plan = TreePlan(trees=3, depth=3, least_node=20)
    rows = int(envs[BANK].bins.sum())
    needed = coordinates_needed(plan, rows)
    exact = {**envs, BANK: replace(envs[BANK], spend=counted_budget(needed))}
    run(grow(table, plan, seeded_root(7)), courier(exact))
    short = {**envs, BANK: replace(envs[BANK], spend=counted_budget(needed - 1))}
    with pytest.raises(QuorumLost, match="bank \\(refused\\)"):
        run(grow(table, plan, seeded_root(7)), courier(short))


def test_a_small_intersection_is_refused():
    table, envs = market(count=80)
    with pytest.raises(QuorumLost, match="refused"):
        grown(table, envs)


@pytest.mark.parametrize(
    ("labels", "objective", "text"),
    [
        ([], "binary", "no labels"),
        ([0, np.nan], "binary", "1 labels are missing"),
        ([1, 1], "binary", "all labels are the same"),
        ([0, 2], "binary", "0 and 1"),
        ([0, 2], "multiclass", "without a gap"),
    ],
)
def test_unusable_labels_are_refused(labels, objective, text):
    count = len(labels)
    table = LabelTable(
        np.array(labels, float), np.zeros((count, 0), np.uint16), np.zeros(0, int), {}
    )
    with pytest.raises(DataError, match=text):
        run(grow(table, TreePlan(objective=objective), seeded_root(1)), courier({}))


def test_tables_that_do_not_fit_are_refused():
    table, envs = market()
    with pytest.raises(DataError, match="do not fit"):
        grown(replace(table, codes=table.codes[1:]), envs)
    twice = {**table.rows, BANK: np.zeros_like(table.rows[BANK])}
    with pytest.raises(DataError, match="bank: every common customer"):
        grown(replace(table, rows=twice), envs)
    beyond = {**table.rows, BANK: table.rows[BANK] + TABLE_ROWS}
    with pytest.raises(ProtocolError, match="rows beyond its 500"):
        grown(replace(table, rows=beyond), envs)
    model, _ = grown(table, envs)
    with pytest.raises(DataError, match="as many rows of bank"):
        predict(model, table.codes, {POST: table.rows[POST]})
    with pytest.raises(DataError, match="within its 500"):
        predict(model, table.codes, {**table.rows, BANK: table.rows[BANK] + TABLE_ROWS})


@pytest.mark.parametrize(
    "changes",
    [
        {"trees": 0}, {"depth": 11}, {"learning_rate": 0.0}, {"gradient_bits": 17},
        {"subsample": 0.0}, {"patience": 0}, {"least_node": 0},
    ],
)  # fmt: skip
def test_plans_out_of_range(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        TreePlan(**changes)


def test_what_has_no_place_is_refused():
    _, envs = market()
    env = envs[BANK]
    with pytest.raises(ProtocolError, match="no step here for OpenQuestion"):
        sums.answer(env, FeatureState(), OpenQuestion(np.zeros((1, TABLE_ROWS), np.int64)))
    odd = TakeSplits(np.array([9]), np.array([1]), np.array([True]))
    with pytest.raises(ProtocolError, match="feature 9 has no split"):
        sums.answer(env, FeatureState(), odd)
    greedy = Begin("s", bytes(32), "lattice", 300, 100, 1 << 30)
    with pytest.raises(RefusedError, match="at most 1048576 sums"):
        sums.answer(env, FeatureState(), greedy)


def test_subsamples_grow_other_trees_and_are_reproducible():
    table, envs = market()
    one, _ = grown(table, envs, subsample=0.5)
    assert encode(one) == encode(grown(table, envs, subsample=0.5)[0])
    assert encode(one) != encode(grown(table, envs)[0])


def test_missing_values_have_their_own_way():
    table, envs = market()
    model, _ = grown(table, envs, trees=6)
    assert MISSING in envs[BANK].codes
    assert any((tree.owner != LEAF).any() for tree in model.trees)


def test_derivatives_are_those_of_the_loss():
    labels, step = np.array([0.0, 1.0, 2.0]), 1e-5
    for objective, classes in (("regression", 1), ("multiclass", 3)):
        margins = np.random.default_rng(0).normal(size=(classes, 3))
        slopes, _ = derivatives(labels, margins, objective)
        for row in range(classes):
            moved = margins.copy()
            moved[row, 1] += step
            change = mean_loss(labels, moved, objective) - mean_loss(labels, margins, objective)
            scale = 2 if objective == "regression" else 1
            assert change * 3 / step / scale == pytest.approx(slopes[row, 1], abs=1e-3)
