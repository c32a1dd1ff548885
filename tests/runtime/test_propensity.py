"""Propensity: partners help where they know something, and nobody is lost where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.errors import DataError
from fedguide.models.auc import auc
from fedguide.models.calibration import calibration_error
from fedguide.models.logistic import sigmoid
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.propensity import PLAN, fit_propensity, partner_rows, score
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import sums
from fedguide.vertical.align import Alignment, KeptTags
from fedguide.vertical.features import codes_of, fit_spec

BANK = PartyId("bank")
PEOPLE, KNOWN = 3000, 2400
PLAIN = replace(PLAN, trees=20, scheme="plain")


def town(seed=0):
    """A label by one column of the shop's and one of the bank's, who knows 2400 of 3000."""
    rng = np.random.default_rng(seed)
    visits, income = rng.normal(size=PEOPLE), rng.normal(size=PEOPLE)
    labels = (rng.random(PEOPLE) < sigmoid(visits + 1.5 * income - 0.5)).astype(float)
    order = rng.permutation(KNOWN)
    shop = {"visits": visits, "nothing": np.ones(PEOPLE)}
    table = {"income": income[:KNOWN][order]}
    rows = np.full(PEOPLE, -1)
    rows[order] = np.arange(KNOWN)
    return shop, labels, table, {BANK: rows}


def fitted(who=None, plan=PLAIN, seed=0, *, shuffled=False):
    shop, labels, table, rows = town(seed)
    if shuffled:
        table = {"income": np.random.default_rng(1).permutation(table["income"])}
    spec = fit_spec(table)
    codes = codes_of(spec, table)
    env = sums.FeatureEnv(codes, spec.bins, seeded_root(1), sums.no_limit(), allow_plain=True)
    courier = in_process({BANK: Party(env, sums.answer, sums.FeatureState)}, lambda: 0.0)
    who = np.ones(PEOPLE, bool) if who is None else who
    return run(fit_propensity(shop, labels, who, rows, seeded_root(2), plan), courier)


@pytest.fixture(scope="module")
def model():
    # Half of the town is never trained on.
    return fitted(np.arange(PEOPLE) % 2 == 0)


def test_the_bank_helps_on_people_nobody_trained_on(model):
    shop, labels, _, _ = town()
    found, other = score(model, shop), np.arange(PEOPLE) % 2 == 1
    asked = other & found.common
    together, alone = (auc(labels[asked], s[asked]) for s in (found.best, found.alone))
    assert together.low > alone.high
    assert calibration_error(labels[asked], found.best[asked]) < 0.06


def test_a_bank_that_knows_nothing_of_use_does_not_rank_the_list():
    # Its table is of the same people in another order: rows that say nothing, and only as many
    # people as a hundred trees need to find something in noise.
    wide = replace(PLAIN, trees=40, patience=None)
    few = np.arange(PEOPLE) < 400
    model, shop = fitted(few, wide, shuffled=True), town()[0]
    found = score(model, shop)
    assert not model.keeps
    assert np.array_equal(found.best, found.alone)
    assert not np.array_equal(found.together, found.alone)


def test_a_bank_that_helps_ranks_those_it_knows(model):
    found = score(model, town()[0])
    assert model.keeps
    assert np.array_equal(found.best, found.together)


def test_who_the_bank_does_not_know_is_scored_by_the_shop(model):
    found = score(model, town()[0])
    assert found.common.sum() == KNOWN
    assert np.array_equal(found.best[~found.common], found.alone[~found.common])
    assert ((found.best > 0) & (found.best < 1)).all()


def test_a_column_that_says_nothing_is_left_out(model):
    assert [feature.name for feature in model.spec.features] == ["visits"]


def test_hidden_sums_give_the_same_scores():
    short = replace(PLAIN, trees=2)
    plain, hidden = fitted(plan=short), fitted(plan=replace(short, scheme="lattice"))
    shop = town()[0]
    assert np.array_equal(score(plain, shop).best, score(hidden, shop).best)


def test_labels_of_those_left_out_do_not_matter():
    who = np.arange(PEOPLE) < 2000
    shop, labels, _, _ = town()
    turned = np.where(who, labels, 1 - labels)
    made = []
    for mine in (labels, turned):
        fit = fit_propensity(shop, mine, who, {}, seeded_root(2), PLAIN)
        made.append(score(run(fit, in_process({}, lambda: 0.0)), shop).best)
    assert np.array_equal(*made)


def test_partner_rows_from_alignments():
    none = KeptTags(b"", np.zeros((0, 16), np.uint8))
    found = {BANK: Alignment(np.array([0, 2]), np.array([5, 3]), 9, none)}
    assert partner_rows(4, found)[BANK].tolist() == [5, -1, 3, -1]


def test_bad_input(model):
    shop, labels, _, _ = town()
    quiet = in_process({}, lambda: 0.0)
    few = fit_propensity(shop, labels, np.arange(PEOPLE) < 40, {}, seeded_root(0), PLAIN)
    with pytest.raises(DataError, match="at least 20"):
        run(few, quiet)
    flat = {"nothing": np.ones(PEOPLE)}
    silent = fit_propensity(flat, labels, labels >= 0, {}, seeded_root(0), PLAIN)
    with pytest.raises(DataError, match="says anything"):
        run(silent, quiet)
    with pytest.raises(DataError, match="aligned"):
        score(model, {"visits": np.zeros(7)})
