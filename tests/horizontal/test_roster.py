"""Terms and consent: a party's policy decides, before anything of its data is in an update."""

from dataclasses import replace

import pytest

from fedguide.codec import encode
from fedguide.crypto.signing import sign
from fedguide.errors import ConfigError, RefusedError
from fedguide.horizontal.masked_job import simulated_key, terms_of
from fedguide.horizontal.roster import PURPOSE, Member, SignedTerms, consent, sign_terms
from tests.horizontal.masked import coordinator_key, job, names, policy_of

MADE = job(4)
ME = names(4)[0]


def consented(terms=None, signed=None, **policy):
    signed = signed or sign_terms(terms or terms_of(MADE), coordinator_key(MADE))
    return consent(signed, policy_of(MADE, ME, **policy), simulated_key(MADE, ME))


def test_a_seat_is_what_was_consented_to():
    seat = consented()
    assert (seat.party, seat.terms, seat.min_cohort) == (ME, terms_of(MADE), 3)
    assert seat.digest == terms_of(MADE).digest
    assert consented(min_cohort=4).min_cohort == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "another"},
        {"min_cohort": 4},
        {"max_norm": 99.0},
        {"members": terms_of(MADE).members[:3]},
        {"noise_multiplier": 0.5},
        {"purpose": ""},
    ],
)
def test_every_term_is_in_the_digest(changes):
    assert replace(terms_of(MADE), **changes).digest != terms_of(MADE).digest


def test_terms_that_somebody_else_signed():
    somebody = simulated_key(MADE, "somebody")
    forged = SignedTerms(terms_of(MADE), sign(somebody, PURPOSE, encode(terms_of(MADE))))
    with pytest.raises(RefusedError, match="not signed by their coordinator"):
        consented(signed=forged)
    with pytest.raises(RefusedError, match="not this party's coordinator"):
        consented(signed=sign_terms(replace(terms_of(MADE), coordinator=somebody.public), somebody))
    with pytest.raises(ConfigError, match="not this key"):
        sign_terms(terms_of(MADE), somebody)


def test_terms_changed_after_signing():
    signed = sign_terms(terms_of(MADE), coordinator_key(MADE))
    with pytest.raises(RefusedError, match="not signed"):
        consented(signed=replace(signed, terms=replace(signed.terms, max_norm=1.0)))


def test_a_signature_for_another_purpose():
    terms = terms_of(MADE)
    signature = sign(coordinator_key(MADE), "release/1", encode(terms))
    with pytest.raises(RefusedError, match="not signed"):
        consented(signed=SignedTerms(terms, signature))


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"max_norm": 1.0}, "clip bound of at most 1, the terms have 100"),
        ({"least_noise": 0.5}, "noise multiplier of at least 0.5, the terms have 0"),
        ({"min_cohort": 5}, "at least 5 known members, the terms have 4"),
        ({"known": {}}, "3 of 4 members are not known"),
        ({"party": "nobody"}, "no member under its own key"),
    ],
)
def test_the_policy_refuses(policy, text):
    with pytest.raises(RefusedError, match=text):
        consented(**policy)


def test_a_member_under_another_key_is_a_stranger():
    stranger = simulated_key(MADE, "stranger").public
    members = tuple(
        Member(m.party, stranger if m.party == names(4)[2] else m.identity)
        for m in terms_of(MADE).members
    )
    with pytest.raises(RefusedError, match="1 of 4 members are not known"):
        consented(replace(terms_of(MADE), members=members))


def test_the_key_must_be_the_policys():
    signed = sign_terms(terms_of(MADE), coordinator_key(MADE))
    with pytest.raises(RefusedError, match="not the one in the policy"):
        consent(signed, policy_of(MADE, ME), simulated_key(MADE, names(4)[1]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"members": terms_of(MADE).members[::-1]}, "sorted"),
        ({"members": terms_of(MADE).members[:1] * 3}, "different"),
        ({"min_cohort": 2}, r"min_cohort must be in \[3, 4\] for 4 members, got 2"),
        ({"min_cohort": 5}, "got 5"),
        ({"length": 0}, "length must be at least 1"),
        ({"modulus_bits": 33}, "modulus_bits"),
        ({"max_norm": float("inf")}, "max_norm"),
        ({"deadline_s": 0.0}, "deadline_s"),
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"drop_rate": 1.0}, "drop_rate"),
        ({"corrupt_rate": -0.1}, "corrupt_rate"),
    ],
)
def test_terms_out_of_range(changes, text):
    with pytest.raises(ConfigError, match=text):
        replace(terms_of(MADE), **changes)


def test_two_members_are_too_few():
    with pytest.raises(ConfigError, match="at least 3 parties, got 2: with two"):
        replace(terms_of(MADE), members=terms_of(MADE).members[:2])


def test_two_members_under_one_key():
    first = terms_of(MADE).members[0]
    with pytest.raises(ConfigError, match="one identity key"):
        replace(
            terms_of(MADE),
            members=(first, *(Member(m.party, first.identity) for m in terms_of(MADE).members[1:])),
        )


def test_a_policy_below_three_is_no_policy():
    with pytest.raises(ConfigError, match="at least 3, got 2"):
        policy_of(MADE, ME, min_cohort=2)


def test_no_secret_in_the_repr():
    seat = consented()
    assert seat.key.public not in repr(seat).replace(str(terms_of(MADE).members), "")
