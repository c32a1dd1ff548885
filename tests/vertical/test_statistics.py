"""Statistics across parties equal those of the joined table, and refuse what does not add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import DataError, ProtocolError, RefusedError
from fedguide.protocol import Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.local import LocalPartner, PartnerPlan, drive
from fedguide.vertical.statistics import (
    bin_sums,
    correlations,
    evidence,
    evidence_of,
    own_evidence,
    select_by_iv,
    stability,
    sums_over_common,
)
from fedguide.vertical.sums import OpenAnswer

BANK, POST = PartyId("bank"), PartyId("post")
ROOT = seeded_root(4)


def market(parties=(BANK,)):
    rng = np.random.default_rng(1)
    partners, rows, tables = {}, {}, {}
    for party in parties:
        first = rng.normal(size=500)
        table = {"income": first, "rent": 0.6 * first + rng.normal(size=500)}
        partners[party] = LocalPartner(table, ROOT, PartnerPlan(8, 5, allow_plain=True))
        rows[party] = rng.permutation(500)[:300]
        tables[party] = table
    labels = (tables[BANK]["income"][rows[BANK]] + rng.normal(size=300) > 0).astype(float)
    return partners, rows, labels


def test_evidence_worked_out_by_hand():
    found = evidence_of(np.array([0, 3, 1]), np.array([0, 1, 3]))
    # An empty bin says nothing; the others: (3.5 / 5) / (1.5 / 5) and the reverse.
    assert found.woe.tolist() == pytest.approx([0, np.log(7 / 3), -np.log(7 / 3)])
    assert found.iv == pytest.approx(2 * (2 / 5) * np.log(7 / 3))


@pytest.mark.parametrize("scheme", ["lattice", "plain"])
def test_a_partners_evidence_is_that_of_the_joined_table(scheme):
    partners, rows, labels = market()
    found = drive(evidence(labels, rows, ROOT, scheme), partners)[BANK]
    bank = partners[BANK]
    joined = own_evidence(labels, bank.codes[rows[BANK]], bank.spec.bins)
    for one, other in zip(found, joined, strict=True):
        assert one.iv == other.iv
        assert np.array_equal(one.woe, other.woe)
    assert found[0].iv > 0.5
    assert select_by_iv(found)[0] == 0
    assert select_by_iv(found, 99.0) == ()


@pytest.mark.parametrize("scheme", ["lattice", "plain"])
def test_correlations_and_inflation_are_those_of_the_joined_table(scheme):
    partners, rows, labels = market()
    own = np.rint(32 * np.stack([labels, 1 + np.arange(300) % 3 / 3])).astype(np.int32)
    found = drive(correlations(own, rows, ROOT, scheme), partners)
    theirs = partners[BANK].tree_env.scaled.matrix[:, rows[BANK]]
    joined = np.corrcoef(np.concatenate([own, theirs]))
    assert found.owners == (None, None, BANK, BANK)
    assert np.allclose(found.matrix, joined)
    assert np.allclose(found.vif, np.diag(np.linalg.inv(joined)))


def test_two_partners_do_not_ask_each_other():
    partners, rows, labels = market((BANK, POST))
    own = (labels[None] * 32).astype(np.int32)
    found = drive(correlations(own, rows, ROOT, "plain"), partners)
    assert np.isnan(found.matrix[1:3, 3:]).all()
    assert np.isnan(found.vif).all()
    assert np.isfinite(found.matrix[0]).all()


def test_stability_is_small_for_a_random_half_and_large_for_the_richer_half():
    partners, rows, _ = market()
    income = partners[BANK]._columns["income"][rows[BANK]]
    halves = np.arange(300) % 2 == 0
    assert drive(stability(halves, rows, ROOT, "plain"), partners)[BANK][0] < 0.25
    assert drive(stability(income > 0, rows, ROOT, "plain"), partners)[BANK][0] > 1
    with pytest.raises(DataError, match="both groups"):
        drive(stability(np.ones(300, bool), rows, ROOT, "plain"), partners)


@pytest.mark.parametrize("scheme", ["lattice", "plain"])
def test_a_column_is_added_up_over_the_intersection_alone(scheme):
    rng = np.random.default_rng(0)
    table = {"spend": rng.integers(0, 1 << 28, 500), "income": rng.normal(size=500)}
    plan = PartnerPlan(8, 5, allow_plain=True, summed=("spend",))
    partners = {BANK: LocalPartner(table, ROOT, plan)}
    rows = {BANK: rng.permutation(500)[:300]}
    found = drive(sums_over_common(rows, ROOT, scheme), partners)
    assert found == {BANK: (int(table["spend"][rows[BANK]].sum()),)}


def test_only_columns_that_a_partner_named_are_added_up():
    partners, rows, _ = market()
    with pytest.raises(RefusedError, match="does not answer for 'amounts'"):
        drive(sums_over_common(rows, ROOT, "plain"), partners)
    for cells in (np.arange(500) - 1, np.arange(500) << 20, np.arange(500) / 2):
        with pytest.raises(DataError, match="whole numbers in"):
            LocalPartner({"spend": cells}, ROOT, PartnerPlan(8, 5, summed=("spend",)))
    with pytest.raises(DataError, match="no column 'spend'"):
        LocalPartner({"a": np.arange(500)}, ROOT, PartnerPlan(8, 5, summed=("spend",)))


def test_what_does_not_fit_is_refused():
    partners, rows, labels = market()
    with pytest.raises(DataError, match="labels 0 and 1"):
        drive(evidence(labels + 1, rows, ROOT, "plain"), partners)
    with pytest.raises(DataError, match="within ±127"):
        drive(correlations(np.full((1, 300), 128, np.int32), rows, ROOT, "plain"), partners)
    words = LocalPartner(
        {"city": np.array(["a", "b"] * 250)}, ROOT, PartnerPlan(8, 5, allow_plain=True)
    )
    with pytest.raises(RefusedError, match="does not answer for 'scaled'"):
        drive(correlations(labels[None].astype(np.int32), rows, ROOT, "plain"), {BANK: words})

    def lying(ask):
        reply = partners[BANK].answer(ask.to[BANK])
        if isinstance(reply, OpenAnswer):
            reply = replace(reply, sums=reply.sums + 1)
        return Replies({BANK: reply})

    with pytest.raises(ProtocolError, match="bank: sums do not add up"):
        run(bin_sums(np.ones((1, 300), np.int64), rows, ROOT, "plain"), lying)

    def short(ask):
        reply = partners[BANK].answer(ask.to[BANK])
        if isinstance(reply, OpenAnswer):
            reply = replace(reply, sums=reply.sums[1:])
        return Replies({BANK: reply})

    with pytest.raises(ProtocolError, match="another number of sums"):
        run(bin_sums(np.ones((1, 300), np.int64), rows, ROOT, "plain"), short)
