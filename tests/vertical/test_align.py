"""Alignment equals set intersection, tells each side no more than it says, and refuses the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.codec import Limits
from fedguide.crypto.oprf import hash_to_group
from fedguide.errors import ConfigError, ProtocolError, RefusedError
from fedguide.protocol import Message, QuorumLost, Replies, run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.align import (
    Attempt,
    Contract,
    Found,
    Lookup,
    PartnerEnv,
    PartnerState,
    align,
    align_all,
    answer,
    count_common,
    tag_table,
)
from fedguide.vertical.keys import normalised

BANK = PartyId("bank")
WIRE = (Lookup, Found, PartnerState)
LIMITS = Limits(1 << 22)


def contract(**changes):
    terms = {"max_keys": 1000, "max_rows": 1000, "least_common": 1, "outputs": ("rows", "count")}
    return Contract("2026-11", bytes(range(32)), **(terms | changes))


def partner(keys, terms, log=None, name="bank"):
    lines = [] if log is None else log
    root = seeded_root(5, name)
    env = PartnerEnv(terms, tag_table(keys, terms, root), root, lines.append)
    return Party(env, answer, PartnerState)


def courier(parties, kind="in_process"):
    if kind == "in_process":
        return in_process(parties, lambda: 0.0)
    return through_bytes(parties, lambda: 0.0, MemoryPartyStore(), LIMITS, WIRE)


def after(carry, trips):
    """The same task, some trips later: lookups of an epoch are one task."""
    return lambda ask: carry(replace(ask, trip=ask.trip + trips))


def joined(label, keys):
    """Rows in common by plain comparison: first occurrences, empty keys match nobody."""
    theirs = {}
    for row, key in enumerate(keys):
        if key:
            theirs.setdefault(key, row)
    seen, pairs = set(), []
    for row, key in enumerate(label):
        if key in theirs and key not in seen:
            pairs.append((row, theirs[key]))
        seen.add(key)
    return pairs


CELLS = st.one_of(
    st.sampled_from(["", " ", "a", "A", "a ", "ａ", "李", "é", "e\u0301", "a b", "\u3000a"]),
    st.text(max_size=3),
)


@settings(max_examples=150)
@given(st.lists(CELLS, max_size=8), st.lists(CELLS, max_size=8), st.booleans())
def test_it_is_the_intersection_of_the_normalised_keys(ours, theirs, through):
    label, keys = normalised(ours, "id"), normalised(theirs, "id")
    expected, terms = joined(label, keys), contract()
    carry = courier({BANK: partner(keys, terms)}, "bytes" if through else "in_process")
    if not expected:
        with pytest.raises(RefusedError, match="fewer than 1"):
            run(align(label, BANK, terms, seeded_root(1)), carry)
        return
    found = run(align(label, BANK, terms, seeded_root(1)), carry)
    pairs = zip(found.label_rows.tolist(), found.partner_rows.tolist(), strict=True)
    assert list(pairs) == expected
    assert found.partner_size == len(keys)
    later = after(carry, 1)
    assert run(count_common(label, BANK, terms, seeded_root(2)), later) == len(expected)


def test_the_partner_sees_points_that_change_with_every_lookup():
    asked = []

    def keep(ask):
        asked.append(ask.to[BANK])
        return Replies({}, ())

    for number in range(2):
        with pytest.raises(QuorumLost):
            run(align(["a", "b"], BANK, contract(), seeded_root(number)), keep)
    assert asked[0].points.tobytes() != asked[1].points.tobytes()
    assert [one.points.shape for one in asked] == [(2, 32), (2, 32)]


def test_counting_hides_who_and_where():
    """Answers come in another order, and tags sorted: a lookup by rows finds nothing in them."""
    terms = contract(outputs=("rows", "count"))
    keys = [f"k{i}" for i in range(40)]
    table = tag_table(keys, terms, seeded_root(5, "bank"))
    counted = [tag.tobytes() for tag in table.tags["count"]]
    assert counted == sorted(counted)
    assert not set(counted) & {tag.tobytes() for tag in table.tags["rows"]}
    env = PartnerEnv(terms, table, seeded_root(6), lambda _line: None)
    asked = Lookup(terms.epoch, "count", table_points(30))
    _, shuffled = answer(env, PartnerState(), asked)
    plain = PartnerEnv(terms, table, seeded_root(7), lambda _line: None)
    _, otherwise = answer(plain, PartnerState(), asked)
    assert sorted(map(bytes, shuffled.points)) == sorted(map(bytes, otherwise.points))
    assert shuffled.points.tobytes() != otherwise.points.tobytes()


def table_points(count):
    return hash_to_group([str(i).encode() for i in range(count)])


def test_tags_are_kept_and_not_sent_again():
    terms, sizes = contract(), []
    carry = courier({BANK: partner(["a", "b", "c"], terms)})

    def watched(ask):
        replies = carry(ask)
        sizes.append(len(replies.answers[BANK].tags))
        return replies

    first = run(align(["c", "x"], BANK, terms, seeded_root(1)), watched)
    second = run(align(["b"], BANK, terms, seeded_root(2), first.kept), watched)
    assert sizes == [3, 0]
    assert second.partner_rows.tolist() == [1]
    assert second.partner_size == 3


def test_questions_are_counted_for_the_epoch_and_every_attempt_is_logged():
    log: list[Attempt] = []
    terms = contract(max_keys=3)
    carry = courier({BANK: partner(["a", "b"], terms, log)}, "bytes")
    run(align(["a", "x"], BANK, terms, seeded_root(1)), carry)
    with pytest.raises(QuorumLost, match="refused"):
        run(align(["a", "y"], BANK, terms, seeded_root(2)), after(carry, 1))
    assert [(line.keys, line.answered) for line in log] == [(2, True), (2, False)]
    assert log[1].reason == "2 keys asked, 1 of 3 are left"


@pytest.mark.parametrize(
    ("asked", "agreed", "text"),
    [
        ({}, {"outputs": ("count",)}, "agreed outputs are count"),
        ({"epoch": "2025"}, {}, "another"),
    ],
)
def test_what_is_not_agreed_is_refused(asked, agreed, text):
    terms = contract(**agreed)
    env = partner(["a"], terms).env
    message = Lookup(asked.get("epoch", terms.epoch), "rows", table_points(1))
    with pytest.raises(RefusedError, match=text):
        answer(env, PartnerState(), message)


def test_small_intersections_are_refused_without_saying_how_small():
    terms = contract(least_common=3)
    carry = courier({BANK: partner(["a", "b"], terms)})
    with pytest.raises(RefusedError, match="fewer than 3 customers in common"):
        run(align(["a", "b", "c"], BANK, terms, seeded_root(1)), carry)


def test_epochs_cannot_be_compared():
    other = Contract("2026-12", bytes(range(32)), 9, 9)
    same_epoch = Contract("2026-11", bytes(32), 9, 9)
    root = seeded_root(5)
    tables = [
        tag_table(["a"], terms, root).tags["rows"] for terms in (contract(), other, same_epoch)
    ]
    assert len({table.tobytes() for table in tables}) == 3


def test_three_parties():
    terms = contract()
    names = {PartyId("bank"): ["b", "a"], PartyId("post"): ["c", "a", "b"]}
    carry = courier({name: partner(keys, terms, name=name) for name, keys in names.items()})
    found = run(align_all(["a", "b"], dict.fromkeys(names, terms), seeded_root(1)), carry)
    assert found[PartyId("bank")].partner_rows.tolist() == [1, 0]
    assert found[PartyId("post")].partner_rows.tolist() == [1, 2]


def test_an_answer_that_does_not_fit_the_question_is_refused():
    terms = contract()

    def short(_ask):
        none = np.zeros((0, 16), np.uint8)
        return Replies({BANK: Found(table_points(1), none, b"")})

    with pytest.raises(ProtocolError, match="bank answered 2 keys"):
        run(align(["a", "b"], BANK, terms, seeded_root(1)), short)


def test_a_message_of_another_protocol_has_no_step():
    class Odd(Message):
        pass

    with pytest.raises(ProtocolError, match="no step for Odd"):
        answer(partner(["a"], contract()).env, PartnerState(), Odd())


@pytest.mark.parametrize("changes", [{"max_keys": 0}, {"max_rows": 0}, {"least_common": 0}])
def test_contracts_out_of_range(changes):
    with pytest.raises(ConfigError, match="at least 1"):
        contract(**changes)


def test_nothing_secret_is_shown():
    terms = contract()
    table = tag_table(["a"], terms, seeded_root(5))
    assert repr(bytes(range(32))) not in repr(terms)
    assert all(repr(scalar) not in repr(table) for scalar in table.scalars.values())
