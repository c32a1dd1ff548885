"""The masked sum: exact whoever drops out, or an end with a reason; never anything else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.crypto.shamir import SHARE_BYTES
from fedguide.errors import (
    ConfigError,
    ProtocolError,
    QuorumLostError,
    RefusedError,
    WrongShapeError,
)
from fedguide.horizontal.masked_job import simulated_key, terms_of
from fedguide.horizontal.masked_messages import (
    MaskedInput,
    MaskKeys,
    SealedShares,
    UnmaskShares,
    signed,
)
from fedguide.horizontal.masked_party import masked_party, secrets_of
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.summed import SumTerms
from fedguide.protocol import Ask, QuorumLost, Replies
from fedguide.ring import bits_bytes
from fedguide.seeds import seeded_root
from tests.horizontal.masked import (
    LENGTH,
    STEPS,
    Start,
    collected,
    coordinator_key,
    job,
    names,
    plain_sum,
    room,
    seat_of,
    vector_of,
)


def exact(one, result):
    return np.array_equal(result.vector, plain_sum(result.parties, one.made))


@pytest.mark.parametrize("bits", [16, 20, 21, 22, 32])
@pytest.mark.parametrize("count", [3, 4, 7])
def test_the_sum_is_exact(count, bits):
    one = room(job(count, modulus_bits=bits, max_examples=1))
    result = collected(one)
    assert result.parties == names(count)
    assert result.missing == ()
    assert exact(one, result)


def test_the_graph_of_more_than_fifty():
    lost = {"shares": names(2), "inputs": names(8)[2:], "unmask": names(9)[8:]}
    one = room(job(51), lost=lost)
    result = collected(one)
    assert result.parties == names(51)[8:]
    assert exact(one, result)


@pytest.mark.parametrize("step", STEPS)
def test_a_party_that_drops_out_at_any_step(step):
    gone = names(6)[1:2]
    one = room(job(6), lost={step: gone})
    result = collected(one)
    # Whose masked vector is in is in the sum, even if it is gone afterwards.
    there = step in ("agreed", "unmask")
    assert result.parties == (names(6) if there else tuple(p for p in names(6) if p not in gone))
    assert [m.party for m in result.missing] == ([] if there else list(gone))
    assert exact(one, result)


@pytest.mark.parametrize("step", STEPS[1:])
def test_too_many_drop_outs_end_with_a_reason(step):
    # Six parties, t = 5: two may not be gone.
    one = room(job(6), lost={step: names(6)[:2]})
    with pytest.raises(QuorumLostError, match=r"p000 \(lost\)"):
        collected(one)
    assert not [m for _, _, _, m in one.seen if isinstance(m, UnmaskShares)] or step == "unmask"


@settings(max_examples=20)
@given(st.integers(3, 8), st.data())
def test_any_drop_outs_give_the_exact_sum_or_an_end(count, data):
    lost = {
        step: tuple(data.draw(st.lists(st.sampled_from(names(count)), max_size=3, unique=True)))
        for step in STEPS
    }
    one = room(job(count), lost=lost)
    try:
        result = collected(one)
    except QuorumLostError:
        return
    assert exact(one, result)
    assert len(result.parties) >= 3


def test_the_quorum_of_the_ask_counts():
    one = room(job(6), lost={"inputs": names(6)[:1]})
    with pytest.raises(QuorumLost, match="5 of 6 parties answered, quorum is 6"):
        collected(one, quorum=6)


def test_fewer_keys_than_the_least_cohort():
    one = room(job(5, min_cohort=4), lost={"keys": names(5)[:2]})
    with pytest.raises(QuorumLost, match="3 of 5 parties answered, quorum is 4"):
        collected(one)


def test_no_party_gives_both_shares_of_anybody():
    one = room(job(6), lost={"inputs": names(6)[:1]})
    collected(one)
    for _, _, _, reply in one.seen:
        if isinstance(reply, UnmaskShares):
            assert not set(reply.seeds) & set(reply.keys)
            assert set(reply.keys) == {names(6)[0]}
            assert set(reply.seeds) == set(names(6)[1:])
            assert {len(s) for s in (*reply.seeds.values(), *reply.keys.values())} == {SHARE_BYTES}


def test_an_answer_is_given_once_and_for_one_set():
    one = room(job(4))
    collected(one)
    party = names(4)[0]
    for _, who, message, _ in list(one.seen):
        if who == party and not isinstance(message, Start):
            with pytest.raises(ProtocolError, match="no place after Unmasked"):
                one.sums[party].answer(one.states[party], message, one.root(party))


def test_upload_is_as_many_bits_as_the_modulus_has():
    one = room(job(3, modulus_bits=20, max_examples=1))
    collected(one)
    sent = [m for _, _, _, m in one.seen if isinstance(m, MaskedInput)]
    assert {len(m.vector) for m in sent} == {bits_bytes(LENGTH, 20)} == {-(-LENGTH * 20 // 8)}


def test_masks_are_fresh_in_every_attempt():
    first, second = room(job(3)), room(job(3), attempt=1)
    collected(first)
    collected(second)
    inputs = [
        [bytes(m.vector) for _, _, _, m in one.seen if isinstance(m, MaskedInput)]
        for one in (first, second)
    ]
    assert not set(inputs[0]) & set(inputs[1])


def test_what_was_masked_shows_nothing_of_the_vector():
    """The same randomness over two vectors: the masks do not depend on what they hide."""
    one = room(job(3))
    collected(one)
    masked = next(m for _, p, _, m in one.seen if isinstance(m, MaskedInput))
    assert not np.array_equal(masked.vector.view("<u4"), vector_of(names(3)[0], one.made))


def lying(step, party, change):
    return lambda at, who, reply: change(reply) if (at, who) == (step, party) else reply


def test_one_wrong_share_is_found_and_left_out():
    liar = names(7)[0]
    made = job(7)

    def lie(reply):
        wrong = {p: bytes([s[0], s[1] ^ 1]) + s[2:] for p, s in reply.seeds.items()}
        return signed(replace(reply, seeds=wrong), simulated_key(made, liar))

    one = room(made, twist_up=lying("unmask", liar, lie))
    result = collected(one)
    assert result.parties == names(7)
    assert exact(one, result)


def test_wrong_shares_without_any_to_spare_end_the_round():
    liar, made = names(3)[0], job(3)

    def lie(reply):
        wrong = {p: bytes(SHARE_BYTES) for p in reply.seeds}
        return signed(replace(reply, seeds=wrong), simulated_key(made, liar))

    one = room(made, twist_up=lying("unmask", liar, lie))
    with pytest.raises(QuorumLostError, match="masks of p000 cannot be taken off: 3 shares"):
        collected(one)


@pytest.mark.parametrize(
    ("step", "change", "text"),
    [
        ("keys", lambda r: replace(r, commitment=bytes(32)), "not signed by their owner"),
        ("keys", lambda r: replace(r, round=4), "of another round"),
        ("keys", lambda r: Start(), "sent a Start"),
        ("shares", lambda r: replace(r, boxes={}), "not signed by it"),
        ("shares", lambda r: replace(r, roster=bytes(32)), "another round or roster"),
        ("inputs", lambda r: replace(r, vector=r.vector ^ np.uint8(1)), "content was changed"),
        ("inputs", lambda r: replace(r, vector=r.vector[:-1]), "shape must be"),
        ("inputs", lambda r: replace(r, roster=bytes(32)), "another round or roster"),
        ("agreed", lambda r: replace(r, survivors=bytes(32)), "signed other sets"),
        ("agreed", lambda r: replace(r, signature=bytes(64)), "not signed by it"),
        ("unmask", lambda r: replace(r, seeds={}), "not signed by it"),
    ],
)
def test_a_reply_with_a_flaw_counts_as_missing(step, change, text):
    liar = names(6)[2]
    one = room(job(6), twist_up=lying(step, liar, change))
    result = collected(one)
    assert exact(one, result)
    if step in ("keys", "shares", "inputs"):
        assert [(m.party, m.reason) for m in result.missing] == [(liar, "faulty")]
        assert text in result.missing[0].detail
    with pytest.raises(QuorumLost) as caught:
        collected(room(job(3), twist_up=lying(step, names(3)[2], change)))
    assert text in caught.value.replies.missing[0].detail


@pytest.mark.parametrize(
    ("step", "change", "text"),
    [
        ("shares", lambda m: replace(m, terms=bytes(32)), "not signed by the coordinator"),
        ("shares", lambda m: replace(m, round=1), "round 1 in round 0"),
        ("inputs", lambda m: replace(m, sharers=m.sharers[1:]), "not signed by the coordinator"),
        ("agreed", lambda m: replace(m, survivors=m.survivors[1:]), "not signed by the coord"),
        ("unmask", lambda m: replace(m, signatures={}), "not signed by the coordinator"),
    ],
)
def test_a_message_changed_on_its_way_is_refused(step, change, text):
    victim = names(6)[2]
    one = room(job(6), twist=lying(step, victim, change))
    assert exact(one, collected(one))
    assert text in str(one.refused[victim])


@pytest.mark.parametrize(
    ("step", "change", "kind", "text"),
    [
        ("shares", {"terms": bytes(32)}, RefusedError, "other terms than those consented"),
        ("shares", {"parties": names(6)[::-1]}, ProtocolError, "once, sorted"),
        ("inputs", {"roster": bytes(32)}, ProtocolError, "another roster"),
        ("inputs", {"sharers": names(6)[:2]}, ProtocolError, "not among those who shared out"),
        ("inputs", {"sharers": names(6)[2:4]}, RefusedError, "at least 5 that shared out, got 2"),
        ("inputs", {"sharers": names(7)}, ProtocolError, "among those before"),
        ("inputs", {"boxes": {}}, RefusedError, "1 of the neighbours' shares opened"),
        ("agreed", {"survivors": names(6)[1:5]}, RefusedError, "at least 5 that survived"),
        ("agreed", {"survivors": names(6)[3:]}, ProtocolError, "not among those who survived"),
        ("unmask", {"signatures": {}}, RefusedError, "0 parties signed this set"),
        ("unmask", {"roster": bytes(32)}, ProtocolError, "another roster"),
    ],
)
def test_what_a_coordinator_may_sign_and_no_party_follows(step, change, kind, text):
    victim, made = names(6)[2], job(6)

    def lie(message):
        return signed(replace(message, **change), coordinator_key(made))

    one = room(made, twist=lying(step, victim, lie))
    assert exact(one, collected(one))
    assert type(one.refused[victim]) is kind
    assert text in str(one.refused[victim])


def test_a_box_that_does_not_open_costs_one_holder_not_the_round():
    victim, made = names(6)[2], job(6)

    def damage(message):
        boxes = {**message.boxes, names(6)[0]: bytes(148)}
        return signed(replace(message, boxes=boxes), coordinator_key(made))

    one = room(made, twist=lying("inputs", victim, damage))
    result = collected(one)
    assert result.parties == names(6)
    assert exact(one, result)


def test_keys_of_small_order_or_of_somebody_else_do_not_enter_a_roster():
    made = job(5)
    liar, other = names(5)[3], names(5)[0]
    copied = secrets_of(room(made).root(other)).mask_key.public

    for mask_key, text in ((bytes(32), "small order"), (copied, "there already")):

        def lie(reply, mask_key=mask_key):
            return signed(replace(reply, mask_key=mask_key), simulated_key(made, liar))

        one = room(made, twist_up=lying("keys", liar, lie))
        result = collected(one)
        assert [m.party for m in result.missing] == [liar]
        assert text in result.missing[0].detail
        assert exact(one, result)


def test_vectors_of_another_length_or_modulus():
    made = job(3)
    with pytest.raises(WrongShapeError, match=r"\(7,\), got \(8,\)"):
        masked_party(seat_of(made, names(3)[0])).submit(0, np.zeros(8, np.uint32), seeded_root(1))
    summation = masked_sum(terms_of(made), coordinator_key(made))
    ask = Ask(dict.fromkeys(names(3), Start()), 1)
    for wanted in (SumTerms(0, 8, seeded_root(1)), SumTerms(0, LENGTH, seeded_root(1), 20)):
        with pytest.raises(ConfigError, match="the terms are of vectors of shape"):
            next(summation.collect(ask, Replies({}), wanted))


def test_each_side_does_its_own():
    made = job(3)
    coordinator = masked_sum(terms_of(made), coordinator_key(made))
    party = masked_party(seat_of(made, names(3)[0]))
    with pytest.raises(ProtocolError, match="hands in no vector"):
        coordinator.submit(0, np.zeros(LENGTH, np.uint32), seeded_root(1))
    with pytest.raises(ProtocolError, match="answers no Start"):
        coordinator.answer(None, Start(), seeded_root(1))
    ask = Ask({names(3)[0]: Start()}, 1)
    with pytest.raises(ProtocolError, match="does not collect"):
        party.collect(ask, Replies({}), SumTerms(0, LENGTH, seeded_root(1)))
    with pytest.raises(ProtocolError, match="a Start has no place after nothing"):
        party.answer(None, Start(), seeded_root(1))
    with pytest.raises(ConfigError, match="not this key"):
        masked_sum(terms_of(made), simulated_key(made, "somebody"))


def test_no_secret_in_any_repr():
    one = room(job(4))
    collected(one)
    secrets = [secrets_of(one.root(party)) for party in names(4)]
    shown = repr(secrets) + repr(one.states) + repr(one.sums) + repr(seat_of(one.made, names(4)[0]))
    for _, _, message, reply in one.seen:
        shown += repr(message) + repr(reply)
    for own in secrets:
        for secret in (own.seed, own.mask_secret):
            assert repr(secret) not in shown
            assert secret.hex() not in shown
    for reply in (m for _, _, _, m in one.seen if isinstance(m, UnmaskShares | SealedShares)):
        hidden = reply.boxes if isinstance(reply, SealedShares) else reply.seeds
        assert not any(repr(part) in shown for part in hidden.values())


def test_states_keep_no_vector_once_it_is_masked():
    one = room(job(3), lost={"agreed": names(3)})
    with pytest.raises(QuorumLost):
        collected(one)
    for party in names(3):
        assert not hasattr(one.states[party], "vector")


def test_the_first_message_is_small():
    one = room(job(3))
    keys = [m for m in one.first().answers.values() if isinstance(m, MaskKeys)]
    assert len(keys) == 3
    assert all(len(k.mask_key) == len(k.box_key) == len(k.commitment) == 32 for k in keys)
