"""A sealed run is the run, and whoever carries it reads nothing and changes nothing unseen."""

from dataclasses import dataclass, replace

import pytest

from fedguide.codec import Limits, encode
from fedguide.crypto.signing import make_key
from fedguide.errors import (
    MalformedError,
    ProtocolError,
    QuorumLostError,
    RefusedError,
    SignatureError,
)
from fedguide.protocol import Ask, Message, QuorumLost, State, run
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.sealed import (
    SEALED_WIRE,
    Box,
    Hello,
    SealedEnv,
    SealedState,
    Sealing,
    answer,
    sealed,
)

A, B = PartyId("bank"), PartyId("post")
LIMITS = Limits(1 << 16)
IDENTITIES = {name: make_key() for name in ("driver", A, B)}
PEERS = {name: IDENTITIES[name].public for name in (A, B)}


@dataclass(frozen=True)
class Say(Message):
    """A word."""

    word: str


@dataclass(frozen=True)
class Heard(State):
    """All words so far."""

    words: str = ""


WIRE = (Say, Heard)


def inner_answer(env, state, message):
    if message.word == "no":
        raise RefusedError("policy: no")
    heard = Heard(state.words + message.word)
    return heard, Say(f"{env}:{heard.words}")


def end(name):
    return Sealing("talk", IDENTITIES[name], seeded_root(1, name), LIMITS, WIRE)


def party(name, **changes):
    env = SealedEnv(name, end(name), IDENTITIES["driver"].public, str(name), inner_answer, Heard)
    return Party(replace(env, **changes), answer, SealedState)


def talk(*words, quorum=2):
    """Says each word to both; gives what was answered."""
    said = []
    for word in words:
        try:
            replies = yield Ask({A: Say(word), B: Say(word)}, quorum)
        except QuorumLost as lost:
            said.append([(m.party, m.reason) for m in lost.replies.missing])
            continue
        said.append([reply.word for reply in replies.answers.values()])
        said.extend([(m.party, m.reason) for m in replies.missing])
    return said


def parties(**changes):
    return {name: party(name, **changes.get(name, {})) for name in (A, B)}


def over(made, courier=None):
    carrier = courier or in_process(made, lambda: 0.0)
    return run(sealed(talk("x", "y"), end("driver"), PEERS), carrier)


EXPECTED = [["bank:x", "post:x"], ["bank:xy", "post:xy"]]


def test_it_is_the_run_through_bytes_with_forgotten_state():
    courier = through_bytes(
        parties(), lambda: 0.0, MemoryPartyStore(), LIMITS, (*SEALED_WIRE, *WIRE)
    )
    assert over(None, courier) == EXPECTED


def test_nobody_on_the_way_sees_a_word():
    direct, carried = in_process(parties(), lambda: 0.0), []

    def courier(ask):
        replies = direct(ask)
        carried.extend(encode(m) for m in [*ask.to.values(), *replies.answers.values()])
        return replies

    words = ["confidential", "restricted"]
    run(sealed(talk(*words), end("driver"), PEERS), courier)
    assert len(carried) == 12
    assert not any(word.encode() in payload for word in words for payload in carried)
    # The same words to two parties are other boxes, and never the same twice.
    boxes = [payload for payload in carried if len(payload) < 200]
    assert len(set(boxes)) == len(boxes)


def test_replayed_from_the_same_roots_it_says_the_same_bytes():
    def spoken():
        direct, carried = in_process(parties(), lambda: 0.0), []

        def courier(ask):
            carried.extend(encode(message) for message in ask.to.values())
            return direct(ask)

        over(None, courier)
        return carried

    assert spoken() == spoken()


@pytest.mark.parametrize("change", ["flip", "swap", "number", "old"])
def test_a_changed_answer_is_a_faulty_one(change):
    direct, before = in_process(parties(), lambda: 0.0), []

    def courier(ask):
        replies = direct(ask)
        answers = dict(replies.answers)
        if isinstance(answers[A], Box):
            box = answers[A]
            flipped = bytes([box.content[0] ^ 1]) + box.content[1:]
            answers[A] = {
                "flip": replace(box, content=flipped),
                "swap": answers[B],
                "number": replace(box, number=box.number + 1),
                "old": replace(before[-1], number=box.number) if before else box,
            }[change]
            before.append(box)
        return replace(replies, answers=answers)

    said = run(sealed(talk("x", "y", quorum=1), end("driver"), PEERS), courier)
    faulty = said.count((A, "faulty"))
    assert faulty == (1 if change == "old" else 2)
    assert ["post:xy"] in said


def test_below_its_quorum_the_inner_run_is_told():
    said = run(sealed(talk("x", "no", "y"), end("driver"), PEERS), in_process(parties(), lambda: 0))
    assert said == [EXPECTED[0], [(A, "refused"), (B, "refused")], EXPECTED[1]]


def test_a_driver_of_another_identity_is_refused():
    stranger = replace(end("driver"), identity=make_key())
    with pytest.raises(QuorumLostError, match="post"):
        run(sealed(talk("x"), stranger, PEERS), in_process(parties(), lambda: 0.0))


def test_a_party_of_another_identity_is_found_out():
    impostor = parties(**{A: {"sealing": replace(end(A), identity=make_key())}})
    with pytest.raises(SignatureError):
        over(impostor)


def test_somebody_without_a_key_is_not_asked():
    def stray():
        yield Ask({PartyId("stranger"): Say("x")}, 1)

    with pytest.raises(ProtocolError, match="no key is known of stranger"):
        run(sealed(stray(), end("driver"), PEERS), in_process(parties(), lambda: 0.0))


def test_a_party_opens_each_box_once_and_in_order():
    made = party(A)
    hello = next(sealed(talk("x"), end("driver"), PEERS)).to[A]
    with pytest.raises(ProtocolError, match="no key was shown"):
        answer(made.env, SealedState(), Box(0, b"x"))
    state, shown = answer(made.env, SealedState(), hello)
    assert isinstance(shown, Hello)
    with pytest.raises(ProtocolError, match="already in this task"):
        answer(made.env, state, hello)
    with pytest.raises(MalformedError):
        answer(made.env, state, Box(0, bytes(40)))
    with pytest.raises(ProtocolError, match="opened already"):
        answer(made.env, replace(state, number=2), Box(1, b"x"))
    with pytest.raises(ProtocolError, match="no place for Say"):
        answer(made.env, state, Say("x"))


def test_a_new_round_brings_a_new_key_and_an_old_one_is_not_taken_again():
    made, states = parties(), {}
    direct, hellos = in_process(made, lambda: 0.0, states), []

    def courier(ask):
        hellos.extend(m for m in ask.to.values() if isinstance(m, Hello))
        return direct(ask)

    def round_of(root):
        driver = Sealing("talk", IDENTITIES["driver"], root, LIMITS, WIRE)
        return run(sealed(talk("x"), driver, PEERS), courier)

    assert round_of(seeded_root(1, 0)) == [["bank:x", "post:x"]]
    # What a party keeps of the protocol inside goes on; its boxes begin anew.
    assert round_of(seeded_root(1, 1)) == [["bank:xx", "post:xx"]]
    assert [state.number for state in states.values()] == [1, 1]
    for hello in (hellos[0], hellos[2]):
        with pytest.raises(ProtocolError, match="shown already"):
            answer(made[A].env, states[A], hello)
