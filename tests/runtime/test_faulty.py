"""Every fault does what it says, over any courier."""

from dataclasses import dataclass

import pytest

from fedguide.codec import Limits
from fedguide.errors import ConfigError, ProtocolError
from fedguide.protocol import Ask, Message, State
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.faulty import FAULTS, Fault, faulty
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.values import PartyId

A, B, C = (PartyId(name) for name in "abc")
LIMITS = Limits(1 << 12)


@dataclass(frozen=True)
class Count(Message):
    text: str


@dataclass(frozen=True)
class Counted(State):
    """How many messages a party has had, and the order in which all were asked."""

    seen: int = 0


WIRE = (Count, Counted)


def courier_of(kind="in_process", order=None):
    def answer(env, state, message):
        if order is not None:
            order.append(env)
        if message.text == "refuse":
            raise ProtocolError("refused")
        return Counted(state.seen + 1), Count(f"{env}{state.seen}:{message.text}")

    parties = {name: Party(name, answer, Counted) for name in (A, B, C)}
    if kind == "in_process":
        return in_process(parties, lambda: 0.0)
    return through_bytes(parties, lambda: 0.0, MemoryPartyStore(), LIMITS, WIRE)


def trips(faults, kind="in_process", count=2, order=None, forge=None):
    """What comes back on each of some trips; each party gets its own text."""
    courier = faulty(courier_of(kind, order), faults, WIRE, LIMITS, forge)
    replies = [
        courier(Ask({name: Count(f"{name}{trip}") for name in (A, B, C)}, 1, trip=trip))
        for trip in range(count)
    ]
    return [
        {p: r.text for p, r in one.answers.items()}
        | {m.party: (m.reason, m.detail) for m in one.missing}
        for one in replies
    ]


CLEAN = [{A: "a0:a0", B: "b0:b0", C: "c0:c0"}, {A: "a1:a1", B: "b1:b1", C: "c1:c1"}]


@pytest.mark.parametrize("kind", ["in_process", "through_bytes"])
def test_without_faults_it_is_the_courier(kind):
    assert trips([], kind) == CLEAN
    assert trips([Fault(7, A, "drop")], kind) == CLEAN


def test_a_dropped_message_never_arrives():
    assert trips([Fault(0, B, "drop")]) == [
        {A: "a0:a0", B: ("lost", "dropped out"), C: "c0:c0"},
        {A: "a1:a1", B: "b0:b1", C: "c1:c1"},
    ]


def test_a_delayed_answer_was_given():
    first, second = trips([Fault(0, B, "delay")])
    assert first[B] == ("late", "delayed")
    assert second[B] == "b1:b1"


def test_a_message_that_comes_twice():
    assert trips([Fault(0, B, "duplicate")])[0][B] == "b1:b0"
    # Through bytes a message that comes again gets the stored answer.
    assert trips([Fault(0, B, "duplicate")], "through_bytes")[0][B] == "b0:b0"


def test_a_reordered_party_is_asked_last():
    order = []
    assert trips([Fault(0, A, "reorder")], count=1, order=order) == CLEAN[:1]
    assert order == [B, C, A]


def test_an_earlier_request_comes_again():
    assert trips([Fault(1, B, "replay_request")])[1][B] == "b2:b1"
    assert trips([Fault(1, B, "replay_request")], "through_bytes")[1][B] == "b1:b1"
    assert trips([Fault(0, B, "replay_request")]) == CLEAN  # there is none before the first


def test_an_earlier_answer_comes_instead():
    assert trips([Fault(1, B, "replay_reply")])[1][B] == "b0:b0"
    assert trips([Fault(0, B, "replay_reply")]) == CLEAN


def test_a_flipped_bit_changes_what_is_read_or_makes_it_unreadable():
    outcomes = {kind: set() for kind in ("corrupt_request", "corrupt_reply")}
    for kind, seen in outcomes.items():
        for bit in range(0, 300, 7):
            seen.add(str(trips([Fault(0, B, kind, bit)], count=1)[0][B]))
        assert str(CLEAN[0][B]) not in seen
        assert any("damaged" in one for one in seen)
        assert any("damaged" not in one for one in seen)


def test_another_partys_message():
    assert trips([Fault(0, B, "equivocate", 2)])[0][B] == "b0:c0"


def test_a_substituted_answer():
    forged = trips([Fault(0, B, "substitute")], forge=lambda m: Count(m.text.upper()))
    assert forged[0][B] == "B0:B0"
    with pytest.raises(ConfigError, match="needs a forge"):
        faulty(courier_of(), [Fault(0, B, "substitute")], WIRE, LIMITS)


def test_a_party_that_fails_by_itself_stays_missing():
    for kind in FAULTS:
        courier = faulty(
            courier_of(), [Fault(0, B, kind, 1)], WIRE, LIMITS, forge=lambda message: message
        )
        replies = courier(Ask({name: Count("refuse") for name in (A, B)}, 1, trip=0))
        assert [m.party for m in replies.missing] == [A, B]


def test_several_faults_at_once():
    first = trips([Fault(0, B, "duplicate"), Fault(0, B, "delay"), Fault(0, C, "drop")])[0]
    assert first == {A: "a0:a0", B: ("late", "delayed"), C: ("lost", "dropped out")}
