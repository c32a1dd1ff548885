"""A partner says which rows go left by a split and does not learn by which."""

import numpy as np
import pytest

from fedguide.codec import encode
from fedguide.crypto.product_query import ask_products
from fedguide.crypto.rows import bin_rows
from fedguide.errors import ProtocolError, RefusedError
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.choices import (
    Choosable,
    HiddenSides,
    TakeHidden,
    answered_choices,
    chooser,
    hide_choices,
    open_choices,
    opened_choices,
    opened_sides,
)

BANK = PartyId("bank")
SAMPLES, BINS = 300, np.array([5, 4])


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(0, BINS, (SAMPLES, 2)).astype(np.uint16)


def met(codes, most=8, allowed=100):
    """Both ends of a session."""
    env = Choosable(bin_rows(codes, BINS), BINS, seeded_root(1), allowed)
    opened = open_choices("trees", seeded_root(2), BANK, most)
    state, table = opened_choices(env, None, opened)
    return env, state, chooser(BANK, opened, table, seeded_root(2))


def expected(codes, rule):
    if rule is None:
        return np.zeros(SAMPLES, bool)
    feature, last, missing_left = rule
    column = codes[:, feature]
    return np.where(column == 0, missing_left, column <= last)


RULES = [(0, 2, False), None, (1, 1, True), (0, 3, True)]


def test_the_sides_are_those_of_the_split(codes):
    env, state, mine = met(codes)
    message, kept = hide_choices(mine, RULES, 0)
    state, reply = answered_choices(env, state, message)
    sides = opened_sides(mine, kept, reply)
    for rule, side in zip(RULES, sides, strict=True):
        assert np.array_equal(np.unpackbits(side)[:SAMPLES], expected(codes, rule))
    assert state.answered == len(RULES)
    # The bits that the partner opens say nothing alone: about half of them are ones.
    assert 0.35 < np.unpackbits(reply.shares[1])[:SAMPLES].mean() < 0.65


def test_every_question_is_as_long_and_none_is_sent_twice(codes):
    _, _, mine = met(codes)
    one, _ = hide_choices(mine, [(0, 2, False)], 0)
    none, _ = hide_choices(mine, [None], 0)
    later, _ = hide_choices(mine, [(0, 2, False)], 1)
    assert len(encode(one)) == len(encode(none))
    assert len({encode(message) for message in (one, none, later)}) == 3


def test_after_a_crash_the_partner_answers_the_same(codes):
    env, state, mine = met(codes)
    message, _ = hide_choices(mine, RULES, 0)
    _, before = answered_choices(env, state, message)
    env.made.clear()
    _, after = answered_choices(env, state, message)
    assert encode(before) == encode(after)


def test_a_label_party_that_cheats_gets_one_bit_of_a_row(codes):
    # Weights 1, 2, 4, … would read the bin itself, were the whole product opened.
    env, state, mine = met(codes)
    greedy = np.arange(BINS.sum())
    question, kept = ask_products(mine.session, greedy, mine.root, 0)
    _, reply = answered_choices(env, state, TakeHidden((question,)))
    (side,) = opened_sides(mine, [kept], reply)
    parity = (codes[:, 0] + BINS[0] + codes[:, 1]) & 1
    assert np.array_equal(np.unpackbits(side)[:SAMPLES], parity)


def test_no_more_than_agreed_is_answered(codes):
    env, state, mine = met(codes, most=3)
    message, _ = hide_choices(mine, RULES, 0)
    with pytest.raises(RefusedError, match="4 hidden choices asked, 3 are left"):
        answered_choices(env, state, message)
    with pytest.raises(RefusedError, match="8 hidden choices asked for, 7 of 7"):
        met(codes, allowed=7)
    # Sessions of one task are counted together.
    env, state, mine = met(codes, most=8, allowed=10)
    state, _ = answered_choices(env, state, hide_choices(mine, RULES, 0)[0])
    with pytest.raises(RefusedError, match="6 of 10 are left"):
        opened_choices(env, state, open_choices("again", seeded_root(3), BANK, 8))


@pytest.mark.parametrize("rule", [(2, 1, False), (0, 0, False), (0, 4, False)])
def test_there_is_no_such_split(codes, rule):
    _, _, mine = met(codes)
    with pytest.raises(ProtocolError, match=r"no feature 2|no split after"):
        hide_choices(mine, [rule], 0)


def test_an_answer_that_does_not_fit(codes):
    env, state, mine = met(codes)
    message, kept = hide_choices(mine, RULES, 0)
    _, reply = answered_choices(env, state, message)
    for wrong in (message, HiddenSides(reply.answers[1:], reply.shares[1:])):
        with pytest.raises(ProtocolError, match="did not say which rows"):
            opened_sides(mine, kept, wrong)
