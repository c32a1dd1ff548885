"""The model in shares: equal to shares in the open, as good as one on the joined table, blind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import Limits, encode
from fedguide.crypto.rows import DenseRows, bin_rows
from fedguide.errors import ConfigError, DataError, ProtocolError, RunError
from fedguide.protocol import Message, QuorumLost, run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import glm_partner
from fedguide.vertical.features import codes_of, fit_spec
from fedguide.vertical.glm import GlmPlan, GlmTables, fit_glm, glm_scores
from fedguide.vertical.glm_messages import (
    GLM_WIRE,
    GlmAsk,
    GlmBegin,
    GlmEnd,
    GlmHints,
    GlmParts,
    GlmScored,
    GlmSloped,
    GlmState,
    GlmTable,
)
from fedguide.vertical.glm_partner import GlmEnv
from fedguide.vertical.glm_step import FRACTION_BITS, curvature, opened_weights
from fedguide.vertical.shares import SHARE_BITS, chance_of_failure, reduced, rounded

BANK = PartyId("bank")
TABLE_ROWS, COMMON = 500, 400


def one_hot(cells):
    spec = fit_spec({"a": cells}, 6, 5)
    return bin_rows(codes_of(spec, {"a": cells}), spec.bins)


def market(objective="binary", scaled=False):
    """A shop with one column and a bank with another that matters more; rows aligned."""
    rng = np.random.default_rng(3)
    chosen = rng.permutation(TABLE_ROWS)[:COMMON]
    visits, income = rng.normal(size=COMMON), rng.normal(size=TABLE_ROWS)
    score = visits + 1.5 * income[chosen]
    noise = rng.logistic(size=COMMON)
    labels = (score + noise > 0).astype(float) if objective == "binary" else score + 0.1 * noise
    if scaled:
        rows = [DenseRows(np.rint(32 * c.clip(-3, 3)).astype(np.int32)[None])
                for c in (visits, income)]  # fmt: skip
    else:
        rows = [one_hot(visits), one_hot(income)]
    bits = 5 if scaled else 0
    table = GlmTables(labels, rows[0], bits, {BANK: chosen})
    env = GlmEnv(rows[1], bits, seeded_root(5), reveal_alignment=True, allow_plain=True)
    return table, env


def courier(env, kind="in_process"):
    parties = {BANK: Party(env, glm_partner.answer, GlmState)}
    if kind == "in_process":
        return in_process(parties, lambda: 0.0)
    return through_bytes(parties, lambda: 0.0, MemoryPartyStore(), Limits(1 << 26), GLM_WIRE)


def fitted(table, env, kind="in_process", carry=None, **changes):
    plan = GlmPlan(**({"steps": 3, "reveal_alignment": True} | changes))
    carry = carry or courier(env, kind)
    model, report = run(fit_glm(table, plan, seeded_root(7)), carry)
    scores = run(glm_scores(model, table.rows, table.partners), carry)
    return model, report, scores


def in_the_open(table, env, steps, objective, l2=1.0):
    """The same descent in floating point on the joined table."""
    rows = [table.rows.dense(slice(None), slice(None)),
            env.rows.dense(slice(None), slice(None))[:, table.partners[BANK]]]  # fmt: skip
    both = np.concatenate(rows).T / 2.0**table.column_bits
    mean, count = table.labels.mean(), len(both)
    factor = 4 if objective == "binary" else 1
    spread = 1.0 if objective == "binary" else table.labels.std()
    curved = sum(curvature(r, table.column_bits) for r in (table.rows, env.rows)) + 1  # penalty
    rate = 2.0 ** -(max(0, int(np.ceil(np.log2(curved / 2)))) + int(np.ceil(np.log2(count))))
    weights = velocity = np.zeros(both.shape[1])
    for _ in range(steps):
        residuals = both @ weights + factor * (mean - table.labels) / spread
        velocity = 7 / 8 * velocity + rate * (both.T @ residuals + factor * l2 * weights)
        weights = weights - velocity
    start = 4 * (mean - 0.5) if objective == "binary" else mean
    return start + spread * both @ weights


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("objective", ["binary", "regression"])
def test_lattice_equals_plain_to_the_last_bit(objective, scaled):
    table, env = market(objective, scaled)
    env = replace(env, same_masks=True)
    plain, _, open_scores = fitted(table, env, objective=objective, scheme="plain")
    hidden, _, scores = fitted(table, env, objective=objective, same_masks=True)
    assert encode(hidden) == encode(plain)
    assert np.array_equal(scores, open_scores)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("objective", ["binary", "regression"])
def test_it_is_the_descent_on_the_joined_table(objective, scaled):
    """Two roundings a step, each off by a unit at most, for weights of either side."""
    table, env = market(objective, scaled)
    *_, scores = fitted(table, env, objective=objective, scheme="plain", steps=40)
    expected = in_the_open(table, env, 40, objective)
    assert np.abs(scores - expected).max() < 40 * 4 * 2.0**-FRACTION_BITS * 8
    assert np.corrcoef(scores, expected)[0, 1] > 0.9999


def test_a_regression_finds_what_there_is():
    table, env = market("regression", scaled=True)
    *_, scores = fitted(table, env, objective="regression", scheme="plain", steps=60)
    assert ((scores - table.labels) ** 2).mean() < 0.05 * table.labels.var()


def test_through_bytes_with_forgotten_state():
    table, env = market()
    model, *_ = fitted(table, env)
    carry = courier(env, "bytes")

    def forgetting(ask):
        env.made.clear()
        return carry(ask)

    plan = GlmPlan(steps=3, reveal_alignment=True)
    again, _ = run(fit_glm(table, plan, seeded_root(7)), forgetting)
    assert encode(again) == encode(model)


def test_masks_of_the_lattice_scheme_are_bound_to_the_question():
    """Unless schemes are compared, the same step with another question has another mask."""
    table, env = market()
    seen = []
    carry = courier(env)

    def watched(ask):
        replies = carry(ask)
        seen.extend(r for r in replies.answers.values() if isinstance(r, GlmScored))
        return replies

    plan = GlmPlan(steps=1, reveal_alignment=True)
    for seed in (7, 8):
        run(fit_glm(table, plan, seeded_root(seed)), watched)
    # Weights are zero in the first step: equal masks would give answers that differ by little.
    differ = reduced(seen[0].scores.numbers[:, 0, 10:].astype(np.int64)
                     - seen[1].scores.numbers[:, 0, 10:])  # fmt: skip
    assert (differ == 0).mean() < 0.05


def test_nobody_sees_a_score_a_slope_or_a_weight_before_the_end():
    """Whatever the partner's columns are, what the label party's half of a step receives and what
    the partner keeps is uniform: bits of both are fair coins (3,000 of them, 1e-6)."""
    table, env = market()
    states, shares = [], []
    party = Party(env, watching(states), GlmState)
    carry = in_process({BANK: party}, lambda: 0.0)

    def watched(ask):
        replies = carry(ask)
        for reply in replies.answers.values():
            if isinstance(reply, GlmScored | GlmSloped):
                part = reply.scores if isinstance(reply, GlmScored) else reply.slopes
                shares.append(part.numbers.reshape(-1))
        return replies

    run(fit_glm(table, GlmPlan(steps=3, reveal_alignment=True), seeded_root(1)), watched)
    bits = np.unpackbits(np.concatenate(shares))
    assert abs(bits.mean() - 0.5) < 4.9 * 0.5 / np.sqrt(bits.size)
    held = np.concatenate([s.kept for s in states if s.stage in ("scored", "sloped")])
    top = (held >> (SHARE_BITS - 8)) & 255
    ones = np.unpackbits(top.astype(np.uint8))
    assert ones.size > 3000
    assert abs(ones.mean() - 0.5) < 4.9 * 0.5 / np.sqrt(ones.size)
    # The shares of weights are as wide as rounding leaves them, though every weight is below 1.
    later = [s for s in states if s.step >= 1 and s.stage != "ended"]
    assert all(np.abs(s.own[0]).max() > 1 << 45 for s in later)


def watching(states):
    def answer(env, state, message):
        new, reply = glm_partner.answer(env, state, message)
        states.append(new)
        return new, reply

    return answer


def test_each_side_has_its_own_weights_alone_at_the_end():
    table, env = market()
    states = []
    party = Party(env, watching(states), GlmState)
    plan = GlmPlan(steps=2, reveal_alignment=True)
    model, report = run(
        fit_glm(table, plan, seeded_root(1)), in_process({BANK: party}, lambda: 0.0)
    )
    last = states[-1]
    assert last.stage == "ended"
    assert not last.own.size
    assert len(last.weights) == env.rows.shape[0]
    assert report.opened == len(model.weights) == table.rows.shape[0]
    assert report.shared == 2 * 2 * (2 * COMMON + report.opened + len(last.weights))
    assert report.chance_of_failure < 1e-6


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reveal_alignment": False}, "has not consented to reveal_alignment"),
        ({"least_common": 401}, "at least 401 common customers"),
        ({"most_steps": 2}, "1 to 2 steps, asked for 3"),
        ({"allow_plain": False}, "in the open are for tests only"),
        ({"column_bits": 5}, "must be of one kind"),
    ],
)
def test_a_partner_that_does_not_agree(changes, text):
    table, env = market()
    with pytest.raises(QuorumLost) as lost:
        fitted(table, replace(env, **changes), scheme="plain")
    assert text in lost.value.replies.missing[0].detail


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reveal_alignment": False}, "consent to reveal_alignment"),
        ({"steps": 0}, "steps must be"),
        ({"l2": -1.0}, "l2 must be"),
        ({"objective": "multiclass"}, "binary or regression"),
    ],
)
def test_plans_out_of_range(changes, text):
    with pytest.raises(ConfigError, match=text):
        GlmPlan(**({"reveal_alignment": True} | changes))


def test_tables_that_do_not_fit_are_refused():
    table, env = market()
    for wrong, text in (
        (replace(table, labels=table.labels[1:]), "399 labels do not fit"),
        (replace(table, labels=np.zeros(COMMON)), "all labels are the same"),
        (replace(table, partners={BANK: np.zeros(COMMON, np.int64)}), "a row of its own"),
    ):
        with pytest.raises(DataError, match=text):
            fitted(wrong, env)
    with pytest.raises(QuorumLost) as lost:
        fitted(replace(table, partners={BANK: table.partners[BANK] + TABLE_ROWS}), env)
    assert "within the table's 500" in lost.value.replies.missing[0].detail


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (GlmTable, lambda r: replace(r, columns=0), "did not open its session"),
        (GlmHints, lambda r: replace(r, hints=None), "a hint for each"),
        (GlmScored, lambda r: GlmParts(np.zeros(1, np.int64)), "did not answer with a GlmScored"),
        (GlmSloped, lambda r: GlmParts(np.zeros(1, np.int64)), "did not answer with a GlmSloped"),
    ],
)
def test_answers_that_do_not_fit_are_refused(kind, change, text):
    table, env = market()
    carry = courier(env)

    def wrong(ask):
        replies = carry(ask)
        answers = {p: change(r) if isinstance(r, kind) else r for p, r in replies.answers.items()}
        return replace(replies, answers=answers)

    with pytest.raises(ProtocolError, match=text):
        fitted(table, env, carry=wrong)


def test_what_has_no_place_is_refused():
    _, env = market()
    with pytest.raises(ProtocolError, match="no step here for GlmEnd"):
        glm_partner.answer(env, GlmState(), GlmEnd(None, np.zeros(1, np.int64)))
    with pytest.raises(ProtocolError, match="no step here for GlmAsk"):
        glm_partner.answer(env, GlmState(), GlmAsk(np.zeros(1, np.int64)))
    with pytest.raises(ProtocolError, match="no step here for Message"):
        glm_partner.answer(env, GlmState(), Message())
    begin = GlmBegin("s", bytes(32), "odd", np.arange(200), 3, 0, 5)
    with pytest.raises(ProtocolError, match="lattice or plain"):
        glm_partner.answer(env, GlmState(), begin)


def test_rounding_of_shares_is_off_by_a_unit_at_most():
    rng = np.random.default_rng(0)
    values = rng.integers(-(1 << 30), 1 << 30, 10_000)
    mine = rng.integers(-(1 << 59), 1 << 59, 10_000)
    theirs = reduced(values - mine)
    sums = reduced(rounded(mine, 12, 0) + rounded(theirs, 12, 1))
    assert np.abs(sums - (values >> 12)).max() <= 1
    assert chance_of_failure(2.0**30, 10_000) == pytest.approx(10_000 * 2.0**-30)


def test_a_rounding_gone_wrong_is_found_when_weights_are_opened():
    wrong = np.array([1 << 45])
    with pytest.raises(RunError, match="beyond ±64"):
        opened_weights(wrong, np.zeros(1, np.int64))
