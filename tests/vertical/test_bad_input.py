"""What users and partners get wrong: a clear error each time, and nobody's data in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.crypto.linear_query import Answer
from fedguide.errors import DataError, FedGuideError, ProtocolError, RefusedError
from fedguide.protocol import Replies, run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import align
from fedguide.vertical.estimators import VerticalGBDTClassifier
from fedguide.vertical.features import MISSING, codes_of, fit_spec
from fedguide.vertical.keys import normalised, refuse_duplicates
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.sums import Table
from fedguide.vertical.trees import LabelTable, TreePlan, grow

BANK = PartyId("bank")
SOMEBODY = "13800138000"


def duplicate_keys():
    refuse_duplicates(normalised([SOMEBODY, "139", SOMEBODY], "phone"), "bank")


def no_labels():
    fitted(np.zeros(0))


def missing_labels():
    fitted(np.array([np.nan] * 300))


def constant_column():
    fit_spec({"city": [SOMEBODY] * 300})


def column_all_missing():
    fit_spec({"income": [None] * 300})


def disjoint_sets():
    contract = align.Contract("e", bytes(32), 100, 100, least_common=1)
    tags = align.tag_table(["a", "b"], contract, seeded_root(1))
    env = align.PartnerEnv(contract, tags, seeded_root(1), lambda _: None)
    party = Party(env, align.answer, align.PartnerState)
    coordinator = align.align([SOMEBODY, "c"], BANK, contract, seeded_root(2))
    run(coordinator, in_process({BANK: party}, lambda: 0.0))


def fitted(labels):
    partner = LocalPartner({"a": np.arange(300.0)}, seeded_root(1), PartnerPlan(8, 5))
    model = VerticalGBDTClassifier(trees=1, least_bin=5)
    return model.fit({}, labels, {BANK: partner}, {BANK: np.arange(len(labels))}, seeded_root(2))


@pytest.mark.parametrize(
    ("mistake", "kind", "text"),
    [
        (duplicate_keys, DataError, "1 rows repeat the key of an earlier row: rows 3"),
        (no_labels, DataError, "a classifier needs labels: 0 are there"),
        (missing_labels, DataError, "300 are there, 300 missing"),
        (constant_column, DataError, "column city has one value only"),
        (column_all_missing, DataError, "column income: all values are missing"),
        (disjoint_sets, RefusedError, "fewer than 1 customers in common"),
    ],
)
def test_a_mistake_is_named_and_shows_nobody(mistake, kind, text):
    with pytest.raises(kind, match=text) as told:
        mistake()
    assert SOMEBODY not in str(told.value) + told.value.hint


def test_an_unseen_category_is_as_a_missing_one_where_no_bin_of_rare_words_is():
    spec = fit_spec({"city": ["a", "b"] * 150}, least_bin=5)
    codes = codes_of(spec, {"city": ["a", SOMEBODY, ""]})[:, 0].tolist()
    assert codes == [1, MISSING, MISSING]


def wrong_size(reply):
    return replace(reply, numbers=reply.numbers[1:]) if isinstance(reply, Answer) else reply


def wrong_sum(reply):
    if not isinstance(reply, Answer):
        return reply
    numbers = reply.numbers.copy()
    numbers[0, :, -2] ^= 1
    return replace(reply, numbers=numbers)


def wrong_table(reply):
    return replace(reply, bins=reply.bins[:-1]) if isinstance(reply, Table) else reply


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (wrong_size, "an answer has shape"),
        (wrong_sum, "bank: sums do not add up; the session is over"),
        (wrong_table, "a row for each bin"),
    ],
)
def test_a_partner_that_answers_wrongly_under_the_lattice_is_found(change, text):
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=300), "b": rng.normal(size=300)}
    partner = LocalPartner(table, seeded_root(1), PartnerPlan(8, 5))
    labels = (rng.random(300) < 0.5).astype(float)
    label_table = LabelTable(
        labels, np.zeros((300, 0), np.uint16), np.zeros(0, np.int64), {BANK: np.arange(300)}
    )

    def carry(ask):
        return Replies({BANK: change(partner.answer(ask.to[BANK]))})

    with pytest.raises(FedGuideError, match=text) as told:
        run(grow(label_table, TreePlan(trees=1, depth=2, least_node=20), seeded_root(2)), carry)
    assert isinstance(told.value, ProtocolError) or told.value.code.startswith("FG2")
