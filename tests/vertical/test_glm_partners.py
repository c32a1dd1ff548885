"""A model in shares with several partners: equal to shares in the open, and blind to each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import Limits, encode
from fedguide.crypto.rows import bin_rows
from fedguide.errors import ConfigError, ProtocolError
from fedguide.models.auc import auc
from fedguide.models.logistic import fit_logistic
from fedguide.protocol import QuorumLost, run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import glm_partner
from fedguide.vertical.features import codes_of, fit_spec, neighbours
from fedguide.vertical.glm import GlmPlan, GlmTables, fit_glm, glm_scores
from fedguide.vertical.glm_messages import (
    GLM_WIRE,
    GlmAcross,
    GlmCrossed,
    GlmMeet,
    GlmScored,
    GlmSloped,
    GlmStart,
    GlmState,
    GlmTold,
)
from fedguide.vertical.glm_partner import GlmEnv
from fedguide.vertical.glm_step import FRACTION_BITS, curvature
from fedguide.vertical.shares import SHARE_BITS, reduced

PARTIES = tuple(map(PartyId, ("bank", "post", "tele")))
TABLE_ROWS, COMMON = 450, 400


def one_hot(columns):
    """A row a bin, and which bins are neighbours."""
    spec = fit_spec(columns, 6, 5)
    return bin_rows(codes_of(spec, columns), spec.bins), neighbours(spec)


def market(partners, common=COMMON, table_rows=TABLE_ROWS):
    """A shop and some partners, each with one or two columns that matter."""
    rng = np.random.default_rng(3)
    visits = rng.normal(size=common)
    score, envs, rows = visits.copy(), {}, {}
    for number, party in enumerate(PARTIES[:partners]):
        columns = {f"c{at}": rng.normal(size=table_rows) for at in range(1 + number % 2)}
        rows[party] = rng.permutation(table_rows)[:common]
        score += (1 + number / 2) * columns["c0"][rows[party]]
        bins, chained = one_hot(columns)
        root = seeded_root(5, party)
        envs[party] = GlmEnv(bins, 0, root, chained, reveal_alignment=True, allow_plain=True)
    labels = (score + rng.logistic(size=common) > 0).astype(float)
    own, chained = one_hot({"visits": visits})
    return GlmTables(labels, own, 0, rows, chained), envs


def courier(envs, answer=glm_partner.answer):
    parties = {party: Party(env, answer, GlmState) for party, env in envs.items()}
    return in_process(parties, lambda: 0.0)


def fitted(table, carry, **changes):
    plan = GlmPlan(**({"steps": 3, "reveal_alignment": True} | changes))
    model, report = run(fit_glm(table, plan, seeded_root(7)), carry)
    return model, report, run(glm_scores(model, table.rows, table.partners), carry)


def joined(table, envs):
    """All parties' columns side by side, shape ``(n, d)``."""
    rows = [table.rows.dense(slice(None), slice(None))]
    for party, env in envs.items():
        rows.append(env.rows.dense(slice(None), slice(None))[:, table.partners[party]])
    return np.concatenate(rows).T


@pytest.mark.parametrize("partners", [2, 3])
def test_lattice_equals_plain_to_the_last_bit(partners):
    table, envs = market(partners)
    envs = {party: replace(env, same_masks=True) for party, env in envs.items()}
    plain, _, in_the_open = fitted(table, courier(envs), scheme="plain", steps=2)
    hidden, report, scores = fitted(table, courier(envs), same_masks=True, steps=2)
    assert encode(hidden) == encode(plain)
    assert np.array_equal(scores, in_the_open)
    assert hidden.partners == PARTIES[:partners]
    columns = [env.rows.shape[0] for env in envs.values()]
    assert list(report.columns.values()) == columns
    every = sum(columns) + table.rows.shape[0]
    assert report.shared == 2 * 2 * ((partners + 1) * COMMON + partners * every)


@pytest.mark.parametrize("partners", [2, 3])
def test_it_is_the_descent_on_the_joined_table(partners):
    """The same steps in floating point; roundings are off by a unit each, for every weight."""
    table, envs = market(partners)
    *_, scores = fitted(table, courier(envs), scheme="plain", steps=40, smooth=20.0)
    both, mean = joined(table, envs), table.labels.mean()
    curved = sum(curvature(rows, 0) for rows in [table.rows]) + sum(
        curvature(glm_partner.select(env.rows, table.partners[party]), 0)
        for party, env in envs.items()
    )
    curved += int(np.ceil((4 + 4 * 4 * 20) / COMMON))
    rate = 2.0 ** -(max(0, int(np.ceil(np.log2(curved / 2)))) + int(np.ceil(np.log2(COMMON))))
    chained = np.concatenate([table.chained, *(env.chained for env in envs.values())])
    rises = np.diff(np.eye(len(chained)), axis=0)[chained[1:]]
    weights = velocity = np.zeros(both.shape[1])
    for _ in range(40):
        slopes = both.T @ (both @ weights + 4 * (mean - table.labels)) + 4 * weights
        slopes = slopes + 4 * 20 * rises.T @ (rises @ weights)
        velocity = 7 / 8 * velocity + rate * slopes
        weights = weights - velocity
    expected = 4 * (mean - 0.5) + both @ weights
    assert np.abs(scores - expected).max() < 40 * 4 * 2.0**-FRACTION_BITS * 8


def test_three_parties_rank_new_customers_as_an_exact_logistic_model_on_the_joined_table():
    table, envs = market(2, common=6000, table_rows=6200)
    grows = np.arange(6000) < 3000
    seen, new = (
        GlmTables(
            table.labels[here],
            glm_partner.select(table.rows, np.flatnonzero(here)),
            0,
            {party: rows[here] for party, rows in table.partners.items()},
            table.chained,
        )
        for here in (grows, ~grows)
    )
    carry = courier(envs)
    model, *_ = fitted(seen, carry, scheme="plain", steps=60)
    scores = run(glm_scores(model, new.rows, new.partners), carry)
    exact = fit_logistic(joined(seen, envs), seen.labels)(joined(new, envs))
    assert auc(new.labels, scores).value > auc(new.labels, exact).value - 0.003


def test_through_bytes_with_forgotten_state():
    table, envs = market(2)
    model, *_ = fitted(table, courier(envs), steps=2)
    parties = {party: Party(env, glm_partner.answer, GlmState) for party, env in envs.items()}
    carry = through_bytes(parties, lambda: 0.0, MemoryPartyStore(), Limits(1 << 26), GLM_WIRE)

    def forgetting(ask):
        for env in envs.values():
            env.made.clear()
        return carry(ask)

    plan = GlmPlan(steps=2, reveal_alignment=True)
    again, _ = run(fit_glm(table, plan, seeded_root(7)), forgetting)
    assert encode(again) == encode(model)


def fair(values):
    """Are the highest bits of numbers modulo 2^60 fair coins? False alarms: 1e-6."""
    bits = np.unpackbits((values >> (SHARE_BITS - 8) & 255).astype(np.uint8))
    assert bits.size >= 300
    return abs(bits.mean() - 0.5) < 4.9 * 0.5 / np.sqrt(bits.size)


def test_nobody_holds_a_score_a_slope_or_a_weight_before_the_end():
    """What a partner keeps, and what comes to the label party from it, is uniform."""
    table, envs = market(3)
    states, told, labels = {party: [] for party in envs}, [], []

    def watching(env, state, message):
        new, reply = glm_partner.answer(env, state, message)
        (party,) = (name for name, one in envs.items() if one is env)
        states[party].append(new)
        if isinstance(reply, GlmTold):
            told.append(reply.shares)
        if isinstance(reply, GlmCrossed):
            labels.append(reply.label)
        return new, reply

    fitted(table, courier(envs, watching), steps=8)
    for seen in states.values():
        assert fair(np.concatenate([s.kept for s in seen if s.stage == "scored"]))
        assert fair(np.concatenate([s.kept for s in seen if s.stage in ("sloped", "crossed")]))
        # The shares of weights are as wide as rounding leaves them, though every weight is small.
        assert np.abs(np.concatenate([s.own[0] for s in seen if s.step >= 1])).max() > 1 << 45
        assert seen[-1].stage == "ended"
        assert not seen[-1].own.size
    first, *rest = states.values()
    assert fair(np.concatenate([np.frombuffer(s.theirs, "<i8") for s in first if s.theirs]))
    assert not any(s.theirs for seen in rest for s in seen)
    assert not any(s.other.size for seen in rest for s in seen)
    assert fair(np.concatenate(told))
    assert fair(np.concatenate(labels))


def test_without_its_pad_a_share_would_show_sums_of_a_partners_scores():
    """The label party has X_post w_post but for post's mask, and that mask, summed over the label
    party's own columns, is in post's share of their slopes: in the open the two would cancel."""
    table, envs = market(2)
    post, seen = PARTIES[1], {}

    def watching(env, state, message):
        new, reply = glm_partner.answer(env, state, message)
        if env is envs[post] and new.step == 2:
            seen[type(reply)] = reply
        return new, reply

    fitted(table, courier(envs, watching), scheme="plain", steps=3)
    masked = table.rows.wrapped_sums(seen[GlmScored].scores.values)
    # Of X_shop d_post the label party has one share and post the other; together, by scheme plain:
    bare = table.rows.wrapped_sums(seen[GlmSloped].question.values)
    assert np.abs(reduced(masked + bare)).max() < 1 << 30, "sums of parts of scores"
    assert np.abs(reduced(masked + seen[GlmCrossed].label)).max() > 1 << 50


def changed(envs, kind, change, party=None):
    """A courier whose partners are sent something else than the label party's half sends."""
    carry = courier(envs)

    def wrong(ask):
        to = {
            name: change(message)
            if isinstance(message, kind) and party in (None, name)
            else message
            for name, message in ask.to.items()
        }
        return carry(replace(ask, to=to))

    return wrong


def other_side(message, place, **changes):
    sides = list(message.sides)
    sides[place] = replace(sides[place], **changes)
    return replace(message, sides=tuple(sides))


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (GlmMeet, lambda m: replace(m, place=5), "this one among them"),
        (GlmMeet, lambda m: other_side(m, m.place, columns=9), "something else of this side"),
        (GlmMeet, lambda m: other_side(m, m.place, order=b""), "something else of this side"),
        (GlmMeet, lambda m: other_side(m, 1 - m.place, columns=0), "columns must be there"),
        (GlmMeet, lambda m: other_side(m, 1 - m.place, name=m.sides[m.place].name), "of its own"),
        (GlmStart, lambda m: replace(m, others=None), "hints of other partners' columns are due"),
        (GlmAcross, lambda m: replace(m, questions=()), "no step here for GlmAcross"),
        (GlmAcross, lambda m: replace(m, step=7), "no step here for GlmAcross"),
    ],
)
def test_a_partner_looks_at_what_it_is_told_of_the_others(kind, change, text):
    table, envs = market(2)
    with pytest.raises(QuorumLost) as lost:
        fitted(table, changed(envs, kind, change, PARTIES[1]))
    assert text in lost.value.replies.missing[0].detail


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (GlmCrossed, lambda r: replace(r, slopes=()), "did not answer every other partner"),
        (GlmTold, lambda r: replace(r, shares=r.shares[1:]), "its shares of others' slopes"),
    ],
)
def test_answers_that_do_not_fit_are_refused(kind, change, text):
    table, envs = market(2)
    carry = courier(envs)

    def wrong(ask):
        replies = carry(ask)
        answers = {p: change(r) if isinstance(r, kind) else r for p, r in replies.answers.items()}
        return replace(replies, answers=answers)

    with pytest.raises(ProtocolError, match=text):
        fitted(table, wrong)


def test_scaled_columns_go_with_one_partner():
    table, envs = market(2)
    with pytest.raises(ConfigError, match="scaled columns go with one partner, got 2"):
        fitted(replace(table, column_bits=5), courier(envs))
