"""Attacks on the masked sum: each succeeds without its defence and fails against it.

The coordinator is the attacker throughout: it has its own key and every message that reached it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import encode
from fedguide.crypto.agreement import agreement_key
from fedguide.crypto.boxes import channel, open_box
from fedguide.crypto.masks import add_masks, commitment, mask_of
from fedguide.crypto.shamir import SHARE_BYTES, join
from fedguide.crypto.signing import make_key
from fedguide.errors import MalformedError, ProtocolError, RefusedError
from fedguide.horizontal import masked_party as defended
from fedguide.horizontal.masked_job import simulated_key, terms_of
from fedguide.horizontal.masked_messages import (
    MaskedInput,
    MaskKeys,
    MaskRoster,
    RelayedShares,
    SealedShares,
    Survivors,
    SurvivorsAgreed,
    UnmaskRequest,
    UnmaskShares,
    digest_of,
    signed,
)
from fedguide.horizontal.masked_party import masked_party, pair_mask, secrets_of
from fedguide.horizontal.masked_sum import masked_sum
from fedguide.horizontal.neighbours import Shape
from fedguide.horizontal.roster import Member, consent, sign_terms
from fedguide.horizontal.summed import SumTerms
from fedguide.protocol import Ask, run
from fedguide.ring import from_bits
from fedguide.seeds import seeded_root
from tests.horizontal.masked import (
    LENGTH,
    Start,
    collected,
    coordinator_key,
    job,
    names,
    plain_sum,
    policy_of,
    room,
    seat_of,
    vector_of,
)


class Attacker:
    """A coordinator that runs the steps by hand, with whomever it likes."""

    def __init__(self, one, parties=None):
        self.room, self.made = one, one.made
        self.parties = parties or one.made.parties
        self.key = coordinator_key(one.made)
        self.keys = {p: m for p, m in one.first().answers.items() if p in self.parties}
        self.tag_key = agreement_key(bytes(range(32)))
        roster = MaskRoster(
            0,
            terms_of(self.made).digest,
            self.tag_key.public,
            tuple(self.keys),
            tuple(self.keys.values()),
        )
        self.roster, self.digest = signed(roster, self.key), digest_of(roster)

    def ask(self, step, messages):
        """What the parties answer; who refuses is in ``room.refused``."""
        return dict(self.room.carry(step, Ask(messages, 1)).answers)

    def through_inputs(self):
        """Steps 2 and 3, played by the book."""
        shared = self.ask("shares", dict.fromkeys(self.parties, self.roster))
        relayed = {
            p: signed(
                RelayedShares(
                    0,
                    self.digest,
                    tuple(shared),
                    {q: s.boxes[p] for q, s in shared.items() if p in s.boxes},
                ),
                self.key,
            )
            for p in shared
        }
        self.inputs = self.ask("inputs", relayed)
        return self.inputs

    def agree_on(self, survivors, parties):
        named = signed(Survivors(0, self.digest, tuple(survivors)), self.key)
        return self.ask("agreed", dict.fromkeys(parties, named))

    def unmask(self, agreed, parties):
        signatures = {p: m.signature for p, m in agreed.items()}
        request = signed(UnmaskRequest(0, self.digest, signatures), self.key)
        return self.ask("unmask", dict.fromkeys(parties, request))

    def secret(self, victim, given, threshold):
        """The victim's secret from what holders gave; ``None`` if that does not do."""
        places = {p: at for at, p in enumerate(self.keys, start=1)}
        shares = {places[p]: part[victim] for p, part in given.items() if victim in part}
        return join(shares, threshold) if len(shares) >= threshold else None

    def stripped(self, victim, seed, mask_secret):
        """The victim's vector, once both of its secrets are known."""
        vector = from_bits(self.inputs[victim].vector, LENGTH, self.made.modulus_bits).copy()
        plus, minus = [], [seed]
        mine = agreement_key(mask_secret)
        for other in self.keys:
            if other != victim:
                low, high = sorted((victim, other))
                mask = pair_mask(mine, self.keys[other].mask_key, self.digest, low, high)
                (minus if victim == low else plus).append(mask)
        add_masks(vector, plus, minus)
        return vector


def both_secrets(attacker, victim, forgetful):
    """Asks for the victim as alive, then as dead; ``forgetful`` parties lose their state between.

    Gives the two secrets, ``None`` for what could not be had.
    """
    one, everybody = attacker.room, attacker.parties
    attacker.through_inputs()
    before = dict(one.states)
    alive = attacker.unmask(attacker.agree_on(everybody, everybody), everybody)
    if forgetful:
        one.states.update(before)
    others = tuple(p for p in everybody if p != victim)
    dead = attacker.unmask(attacker.agree_on(others, others), others)
    threshold = 5  # of seven
    seed = attacker.secret(victim, {p: m.seeds for p, m in alive.items()}, threshold)
    key = attacker.secret(victim, {p: m.keys for p, m in dead.items()}, threshold)
    return seed, key


def test_one_victim_as_alive_and_as_dead():
    victim = names(7)[2]
    control = Attacker(room(job(7)))
    seed, key = both_secrets(control, victim, forgetful=True)
    assert np.array_equal(control.stripped(victim, seed, key), vector_of(victim, control.made))

    attacked = Attacker(room(job(7)))
    seed, key = both_secrets(attacked, victim, forgetful=False)
    assert key is None
    assert "no place after Unmasked" in str(attacked.room.refused[names(7)[0]])


def equivocated(attacker, victim, liars):
    """Half is told that everybody survived, the others that the victim did not; ``liars`` sign both
    and hand the coordinator both shares of what they hold."""
    everybody = attacker.parties
    honest = [p for p in everybody if p not in liars and p != victim]
    attacker.through_inputs()
    held = {p: attacker.room.states[p].shares for p in liars}
    sets = {True: everybody, False: tuple(p for p in everybody if p != victim)}
    told = {True: [victim, *honest[:1]], False: honest[1:]}
    given = {}
    for alive, parties in told.items():
        agreed = attacker.agree_on(sets[alive], parties)
        agreed |= {
            p: signed(
                defended._agreed(0, attacker.digest, everybody, sets[alive]),
                simulated_key(attacker.made, p),
            )
            for p in liars
        }
        replies = attacker.unmask(agreed, parties)
        part = {p: m.seeds if alive else m.keys for p, m in replies.items()}
        cut = slice(None, SHARE_BYTES) if alive else slice(SHARE_BYTES, None)
        given[alive] = part | {
            p: {q: both[cut] for q, both in shares.items()} for p, shares in held.items()
        }
    return given


def test_survivors_told_differently_to_different_parties(monkeypatch):
    """Seven parties, of whom two work with the coordinator: fewer than a third."""
    victim, liars = names(7)[0], names(7)[5:]
    with monkeypatch.context() as patch:
        # The control: a bare majority gives a secret back, and nobody asks what others signed.
        patch.setattr(defended, "cohort_shape", lambda _terms, n: Shape(n - 1, 4, 0))
        control = Attacker(room(job(7)))
        given = equivocated(control, victim, liars)
        seed, key = (control.secret(victim, given[alive], 4) for alive in (True, False))
        assert np.array_equal(control.stripped(victim, seed, key), vector_of(victim, control.made))

    attacked = Attacker(room(job(7)))
    given = equivocated(attacked, victim, liars)
    # Three honest signers and two liars make five of seven for one set; for the other there are
    # two and two. One of the two secrets comes out, and one alone opens nothing.
    secrets = [attacked.secret(victim, given[alive], 5) for alive in (True, False)]
    assert secrets[0] is None
    refusals = {p: str(e) for p, e in attacked.room.refused.items()}
    assert set(refusals) == {victim, names(7)[1]}
    assert all("4 parties signed this set of survivors, at least 5" in t for t in refusals.values())


def man_in_the_middle(one, victim):
    """The victim's roster has the coordinator's own keys for everybody else; its vector, if had."""
    attacker = Attacker(one)
    fakes = {p: secrets_of(seeded_root(99, p)) for p in attacker.parties if p != victim}
    keys = {
        p: replace(
            attacker.keys[p],
            mask_key=fakes[p].mask_key.public,
            box_key=fakes[p].box_key.public,
            commitment=commitment(fakes[p].seed),
        )
        if p in fakes
        else attacker.keys[p]
        for p in attacker.parties
    }
    roster = replace(attacker.roster, keys=tuple(keys.values()), signature=b"")
    attacker.roster, attacker.digest, attacker.keys = (
        signed(roster, attacker.key),
        digest_of(roster),
        keys,
    )
    shared = attacker.ask("shares", {victim: attacker.roster})
    if victim not in shared:
        return None
    shares, boxes = {}, {}
    for at, party in enumerate(attacker.parties, start=1):
        if party in fakes:
            both = channel(fakes[party].box_key, keys[victim].box_key, attacker.digest)
            shares[at] = open_box(both.receiving, attacker.digest, shared[victim].boxes[party])
            boxes[party] = defended.seal(both.sending, attacker.digest, bytes(2 * SHARE_BYTES))
    relayed = RelayedShares(0, attacker.digest, attacker.parties, boxes)
    attacker.inputs = attacker.ask("inputs", {victim: signed(relayed, attacker.key)})
    seed, key = (
        join({at: both[cut] for at, both in shares.items()}, 3)
        for cut in (slice(None, SHARE_BYTES), slice(SHARE_BYTES, None))
    )
    return attacker.stripped(victim, seed, key)


def test_substituted_keys(monkeypatch):
    victim, made = names(4)[1], job(4)
    with monkeypatch.context() as patch:
        patch.setattr(defended, "keys_flaw", lambda *_: "")  # the control: keys are not signed
        assert np.array_equal(man_in_the_middle(room(made), victim), vector_of(victim, made))

    attacked = room(made)
    assert man_in_the_middle(attacked, victim) is None
    assert "are not signed by their owner" in str(attacked.refused[victim])


def test_keys_that_nobody_signed_do_not_enter_a_roster():
    liar = names(5)[4]

    def unsigned(step, party, reply):
        forged = agreement_key(bytes(range(32))).public
        return replace(reply, mask_key=forged) if (step, party) == ("keys", liar) else reply

    result = collected(room(job(5), twist_up=unsigned))
    assert [m.party for m in result.missing] == [liar]


def replayed(forgetful):
    """The same round is asked for twice, with the first roster; the difference of what was masked.

    The victim's vector is another the second time, as after more training.
    """
    victim, made = names(3)[0], job(3)
    one = room(made)
    attacker = Attacker(one)
    first = attacker.through_inputs()[victim]
    one.attempt = 0 if forgetful else 1
    changed = vector_of(victim, made) + np.uint32(5)
    state, _ = one.sums[victim].submit(0, changed, one.root(victim))
    one.states[victim] = state
    seen = {step: m for step, p, m, _ in one.seen if p == victim and not isinstance(m, Start)}
    attacker.ask("shares", {victim: seen["shares"]})
    second = attacker.ask("inputs", {victim: seen["inputs"]}).get(victim)
    if second is None:
        return one.refused[victim]
    return from_bits(second.vector, LENGTH, 32) - from_bits(first.vector, LENGTH, 32)


def test_a_replayed_round():
    # The control: masks follow from task and round alone, so they are the same again.
    assert replayed(forgetful=True).tolist() == [5] * LENGTH
    assert "a RelayedShares has no place after AwaitingRoster" in str(replayed(forgetful=False))


def test_an_old_roster_is_refused_in_a_new_attempt():
    victim, one = names(3)[0], room(job(3))
    attacker = Attacker(one)
    one.attempt = 1
    one.states[victim], _ = one.sums[victim].submit(
        0, vector_of(victim, one.made), one.root(victim)
    )
    assert attacker.ask("shares", {victim: attacker.roster}) == {}
    assert "not in the roster with the keys it sent" in str(one.refused[victim])


def test_messages_of_another_round_are_refused():
    one = room(job(3))
    collected(one)
    old = [(p, m) for _, p, m, _ in one.seen if not isinstance(m, Start)]
    fresh = room(job(3))
    fresh.first(1)
    for party, message in old:
        with pytest.raises(ProtocolError, match=r"in round 1|no place"):
            fresh.sums[party].answer(fresh.states[party], message, fresh.root(party))


def sybils(made, known):
    """A task of one real shop and three keys of the coordinator's own making."""
    victim = names(4)[0]
    terms = terms_of(made)
    fakes = {p: make_key() for p in names(4)[1:]}
    members = tuple(
        Member(m.party, m.identity if m.party == victim else fakes[m.party].public)
        for m in terms.members
    )
    signed_terms = sign_terms(replace(terms, members=members), coordinator_key(made))
    policy = policy_of(made, victim)
    if known == "whoever the task names":
        policy = replace(policy, known=signed_terms.terms.identities)
    return consent(signed_terms, policy, simulated_key(made, victim)), fakes


def test_one_real_shop_among_sybils():
    made, victim = job(4), names(4)[0]
    # The control: a shop that takes the task's word for who takes part. Three of the four parties
    # are the coordinator, so the sum less their vectors is the shop's.
    seat, fakes = sybils(made, "whoever the task names")
    seats = {victim: seat} | {p: replace(seat, party=p, key=key) for p, key in fakes.items()}
    one = room(made)
    one.sums = {p: masked_party(s) for p, s in seats.items()}
    summation = masked_sum(seat.terms, coordinator_key(made))
    steps = iter(("shares", "inputs", "agreed", "unmask"))
    ask = Ask(dict.fromkeys(made.parties, Start()), 1)
    result = run(
        summation.collect(ask, one.first(), SumTerms(0, LENGTH, seeded_root(3))),
        lambda ask: one.carry(next(steps), ask),
    )
    others = plain_sum(names(4)[1:], made)
    assert np.array_equal(result.vector - others, vector_of(victim, made))

    with pytest.raises(RefusedError, match="3 of 4 members are not known by their keys"):
        sybils(made, "those it knows from outside")


def test_fewer_known_members_than_the_shop_demands():
    made = job(4)
    signed_terms = sign_terms(terms_of(made), coordinator_key(made))
    policy = replace(policy_of(made, names(4)[0]), min_cohort=5)
    with pytest.raises(RefusedError, match="at least 5 known members, the terms have 4"):
        consent(signed_terms, policy, simulated_key(made, names(4)[0]))


def test_a_cohort_cut_down_to_two():
    """The sum of two tells each of them, and whoever works with one, the other's vector."""
    made = job(4)
    one = room(made)
    attacker = Attacker(one, parties=names(4)[:2])
    assert attacker.ask("shares", dict.fromkeys(names(4)[:2], attacker.roster)) == {}
    assert all("a cohort of at least 3, got 2" in str(e) for e in one.refused.values())


def test_a_task_that_is_swapped_after_consent():
    """Noise is promised, then left out: the roster says other terms than those agreed to."""
    made, victim = job(3), names(3)[0]
    noisy = replace(terms_of(made), noise_multiplier=1.0)
    bare = terms_of(made)

    def with_seats(seats):
        one = room(made)
        one.sums = {p: masked_party(seat) for p, seat in seats.items()}
        return Attacker(one)

    # The control: shops without a demand of their own consent to the swapped terms as well.
    assert seat_of(made, victim, bare).terms.noise_multiplier == 0
    control = with_seats({p: seat_of(made, p, bare) for p in names(3)})
    assert set(control.through_inputs()) == set(names(3))

    attacked = with_seats({p: seat_of(made, p, noisy) for p in names(3)})
    assert attacked.ask("shares", dict.fromkeys(names(3), attacked.roster)) == {}
    assert all(
        "other terms than those consented to" in str(e) for e in attacked.room.refused.values()
    )
    strict = replace(policy_of(made, victim), least_noise=1.0)
    with pytest.raises(RefusedError, match="noise multiplier of at least 1, the terms have 0"):
        consent(sign_terms(bare, coordinator_key(made)), strict, simulated_key(made, victim))


def folded(secret: bytes, size: int) -> np.ndarray:
    """The control: the public framework's way from a secret to a mask, by 32 bits of it."""
    seed = 0
    for start in range(0, len(secret), 4):
        seed ^= int.from_bytes(secret[start : start + 4], "little")
    return np.random.RandomState(seed).randint(0, 2**32, size, dtype=np.uint32)


def test_two_secrets_never_share_a_mask():
    one, other = bytes(range(32)), bytes(range(32))[::-1]
    swapped = one[4:8] + one[:4] + one[8:]  # the same fold: exclusive-or knows no order
    assert np.array_equal(folded(one, 50), folded(swapped, 50))
    masks = [mask_of(secret, 50) for secret in (one, other, swapped)]
    for i in range(3):
        for j in range(i):
            # Words that agree by chance: Binomial(50, 2^-32); two agreeing has 1e-16.
            assert np.count_nonzero(masks[i] == masks[j]) < 2


def test_a_mask_cannot_be_found_by_trying_seeds():
    """A seed of 16 bits is found at once; the mask of a key says nothing about 16 of its bits."""
    secret = bytes(30) + b"\x12\x34"
    seeds = {folded(i.to_bytes(4, "little"), 2).tobytes(): i for i in range(1 << 12)}
    assert folded((0x123).to_bytes(4, "little"), 2).tobytes() in seeds
    tried = {mask_of(i.to_bytes(32, "little"), 2).tobytes() for i in range(1 << 12)}
    assert mask_of(secret, 2).tobytes() not in tried


def test_a_masked_vector_is_no_longer_than_float32():
    size = 100_000
    made = replace(job(3), size=size - 2)
    seat = seat_of(made, names(3)[0], terms_of(made))
    vector = np.zeros(size, np.uint32)
    state, keys = masked_party(seat).submit(0, vector, seeded_root(1))
    sent = MaskedInput(0, bytes(32), vector.view(np.uint8), bytes(16))
    assert len(encode(sent)) <= 1.01 * 4 * size
    assert vector.astype(np.int64).nbytes == 2 * 4 * size  # the control: as int64
    assert isinstance(keys, MaskKeys)
    assert state is not None


def test_what_the_coordinator_relays_it_cannot_read():
    one = room(job(4))
    attacker = Attacker(one)
    shared = attacker.ask("shares", dict.fromkeys(names(4), attacker.roster))
    sender, receiver = names(4)[:2]
    box = shared[sender].boxes[receiver]
    assert isinstance(shared[sender], SealedShares)
    for key in (attacker.tag_key, agreement_key(bytes([1]) * 32)):
        for public in (attacker.keys[sender].box_key, attacker.keys[receiver].box_key):
            both = channel(key, public, attacker.digest)
            for one_way in (both.sending, both.receiving):
                with pytest.raises(MalformedError):
                    open_box(one_way, attacker.digest, box)


def test_signatures_of_one_set_do_not_count_for_another():
    attacker = Attacker(room(job(4)))
    attacker.through_inputs()
    agreed = attacker.agree_on(names(4), names(4)[:3])
    assert all(isinstance(m, SurvivorsAgreed) for m in agreed.values())
    last = names(4)[3]
    attacker.agree_on((*names(4)[:2], last), [last])
    assert not attacker.unmask(agreed, [last])
    assert "0 parties signed this set of survivors, at least 3" in str(attacker.room.refused[last])
    assert all(isinstance(m, UnmaskShares) for m in attacker.unmask(agreed, names(4)[:3]).values())
