"""Estimators over local parties: fit, score, save and load, and say what was learned."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError, NotFoundError, ProtocolError, RefusedError
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.estimators import (
    VerticalGBDTClassifier,
    VerticalGBDTRegressor,
    VerticalGLM,
    load_half,
    save_half,
)
from fedguide.vertical.learned import NOT_DEFENDED
from fedguide.vertical.local import LocalPartner, PartnerPlan

BANK, POST = PartyId("bank"), PartyId("post")
ROWS, COMMON = 500, 400


def market(parties=(BANK,), **plan):
    rng = np.random.default_rng(2)
    own = {"visits": rng.normal(size=COMMON), "city": rng.choice(["a", "b"], COMMON)}
    score = own["visits"].copy()
    partners, rows = {}, {}
    for number, party in enumerate(parties):
        columns = {"income": rng.normal(size=ROWS), "debt": rng.normal(size=ROWS)}
        rows[party] = rng.permutation(ROWS)[:COMMON]
        score += 1.5 * columns["income"][rows[party]]
        allowed = PartnerPlan(16, 5, allow_plain=True, reveal_alignment=True, **plan)
        partners[party] = LocalPartner(columns, seeded_root(number), allowed)
    return own, score, score + rng.logistic(size=COMMON) > 0, partners, rows


def right(labels, found):
    return (np.asarray(labels, float) == found).mean()


def test_a_classifier_of_three_parties_scores_a_batch_and_one_customer_alike(tmp_path):
    own, _, labels, partners, rows = market((BANK, POST))
    model = VerticalGBDTClassifier(trees=12, least_node=20, scheme="plain", least_bin=5)
    model.fit(own, labels, partners, rows, seeded_root(9))
    chances = model.predict_proba(own, rows)
    assert chances.shape == (COMMON, 2)
    assert np.allclose(chances.sum(1), 1)
    assert right(labels, model.predict(own, rows)) > 0.8
    one = {name: cells[7:8] for name, cells in own.items()}
    there = {party: r[7:8] for party, r in rows.items()}
    assert np.array_equal(model.predict_proba(one, there), chances[7:8])
    save_half(model.half_, tmp_path / "label")
    again = VerticalGBDTClassifier()
    again.half_ = load_half(tmp_path / "label")
    assert np.array_equal(again.predict_proba(own, rows), chances)
    thresholds = str(partners[BANK].rule_of(0)[0].edges[0])
    assert thresholds.encode() not in (tmp_path / "label").read_bytes()


def test_classes_keep_their_names():
    own, score, _, partners, rows = market()
    labels = np.digitize(score, [-1, 1]) * 10 + 5
    model = VerticalGBDTClassifier(trees=8, least_node=20, scheme="plain", least_bin=5)
    model.fit(own, labels, partners, rows, seeded_root(9))
    assert model.half_.classes == (5.0, 15.0, 25.0)
    assert right(labels, model.predict(own, rows)) > 0.8


def test_a_regressor_and_a_label_party_without_columns():
    _, score, _, partners, rows = market()
    model = VerticalGBDTRegressor(trees=20, least_node=20, scheme="plain", least_bin=5)
    model.fit({}, score, partners, rows, seeded_root(9))
    left = ((model.predict({}, rows) - score) ** 2).mean()
    assert left < 0.6 * score.var()


@pytest.mark.parametrize("kind", ["bins", "scaled"])
def test_a_glm_is_fitted_saved_by_both_sides_and_loaded(kind, tmp_path):
    own, _, labels, partners, rows = market()
    if kind == "scaled":
        own = {"visits": own["visits"]}
    model = VerticalGLM(scheme="plain", reveal_alignment=True, kind=kind, least_bin=5)
    model.fit(own, labels, partners, rows, seeded_root(9))
    scores = model.decision_function(own, rows)
    assert right(labels, model.predict(own, rows)) > 0.7
    assert np.allclose(model.predict_proba(own, rows).sum(1), 1)
    save_half(model.half_, tmp_path / "label")
    partners[BANK].save(tmp_path / "bank")
    _, _, _, others, _ = market()
    others[BANK].load(tmp_path / "bank")
    again = VerticalGLM()
    again.half_, again.partners_ = load_half(tmp_path / "label"), others
    assert np.array_equal(again.decision_function(own, rows), scores)


def test_reports_say_what_each_party_learned_with_the_runs_numbers():
    own, _, labels, partners, rows = market((BANK, POST))
    model = VerticalGBDTClassifier(trees=2, least_node=50, least_bin=5, scheme="plain")
    facts = model.fit(own, labels, partners, rows, seeded_root(9)).privacy_report()
    said = [f.en for f in facts if f.party == "bank"]
    assert any("400 common customers" in text and "22 hidden vectors" in text for text in said)
    assert any("hides nothing" in text for text in said)
    assert facts[-1] == NOT_DEFENDED
    glm = VerticalGLM(steps=2, scheme="plain", reveal_alignment=True, least_bin=5)
    facts = glm.fit(own, labels, {BANK: partners[BANK]}, rows, seeded_root(9)).privacy_report()
    assert any("WHICH 400 of its rows" in f.en for f in facts if f.party == "bank")
    assert all(f.en and f.zh for f in facts)


def test_one_partner_serves_one_model_after_another():
    own, _, labels, partners, rows = market()
    halves = []
    for _ in range(2):
        model = VerticalGBDTClassifier(trees=2, depth=2, least_node=50, least_bin=5)
        model.fit(own, labels, partners, rows, seeded_root(9))
        halves.append(model.half_)
    assert np.array_equal(halves[0].model.weight, halves[1].model.weight)


def test_parameters_by_name():
    model = VerticalGBDTClassifier(depth=4)
    assert model.get_params()["depth"] == 4
    assert "half_" not in model.get_params()
    assert VerticalGBDTRegressor(**VerticalGBDTRegressor().get_params()).depth == 3
    assert model.set_params(trees=5).trees == 5
    for estimator in (model, VerticalGBDTRegressor(), VerticalGLM()):
        with pytest.raises(ConfigError, match="no parameter 'tree'"):
            estimator.set_params(tree=1)


def test_what_cannot_be_done_is_said():
    own, _, labels, partners, rows = market()
    model = VerticalGBDTClassifier(scheme="plain", least_bin=5)
    with pytest.raises(NotFoundError, match="not fitted"):
        model.predict(own, rows)
    with pytest.raises(NotFoundError, match="not fitted"):
        save_half(None, None)
    with pytest.raises(DataError, match="0 are there"):
        model.fit(own, [], partners, rows, seeded_root(1))
    with pytest.raises(DataError, match="2 missing"):
        model.fit(own, [np.nan, np.nan, 1], partners, rows, seeded_root(1))
    with pytest.raises(DataError, match="all labels are the same"):
        model.fit(own, np.ones(COMMON), partners, rows, seeded_root(1))
    with pytest.raises(ProtocolError, match="align with it first"):
        model.fit(own, labels, partners, {}, seeded_root(1))
    with pytest.raises(ProtocolError, match="within its 500"):
        model.fit(own, labels, partners, {BANK: rows[BANK] + 500}, seeded_root(1))
    with pytest.raises(ConfigError, match="needs a partner"):
        VerticalGLM(reveal_alignment=True).fit(own, labels, {}, rows, seeded_root(1))
    with pytest.raises(ConfigError, match="no probabilities"):
        VerticalGLM("regression").predict_proba(own, rows)
    strict = LocalPartner({"a": np.arange(500.0)}, seeded_root(1), PartnerPlan(16, 5))
    glm = VerticalGLM(reveal_alignment=True, least_bin=5)
    with pytest.raises(RefusedError, match="has not consented to reveal_alignment"):
        glm.fit(own, labels, {BANK: strict}, rows, seeded_root(1))
    with pytest.raises(ProtocolError, match="asked for 0"):
        strict.rule_of(0)
