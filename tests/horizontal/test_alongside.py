"""Groups whose trips travel together."""

from dataclasses import dataclass

import pytest

from fedguide.errors import ProtocolError
from fedguide.horizontal.alongside import alongside
from fedguide.protocol import Ask, Message, Missing, QuorumLost, Replies, run
from fedguide.values import PartyId


@dataclass(frozen=True)
class Said(Message):
    number: int


def group(parties, trips, quorum=1, deadline_s=600.0):
    """Asks its parties again and again, one more than they said; gives all that came."""
    heard = []
    for number in range(trips):
        replies = yield Ask({PartyId(p): Said(number) for p in parties}, quorum, deadline_s)
        heard.append({party: said.number for party, said in replies.answers.items()})
    return heard


class Post:
    """A courier that answers ten more than it is asked, but not for the deaf."""

    def __init__(self, *deaf):
        self.asks, self.deaf = [], deaf

    def __call__(self, ask):
        self.asks.append(ask)
        answers = {p: Said(m.number + 10) for p, m in ask.to.items() if p not in self.deaf}
        return Replies(answers, tuple(Missing(p, "lost") for p in ask.to if p in self.deaf))


def test_every_group_hears_its_own_and_the_trips_are_those_of_the_longest():
    post = Post()
    outcomes = run(alongside([group("ab", 1), group("c", 3), group("de", 0)]), post)
    assert outcomes == [[{"a": 10, "b": 10}], [{"c": 10}, {"c": 11}, {"c": 12}], []]
    assert [sorted(ask.to) for ask in post.asks] == [["a", "b", "c"], ["c"], ["c"]]
    assert [ask.trip for ask in post.asks] == [0, 1, 2]


def test_no_group_is_no_trip():
    post = Post()
    assert run(alongside([]), post) == []
    assert post.asks == []


def test_one_group_loses_its_quorum_and_the_other_goes_on():
    def careful(parties):
        try:
            return (yield from group(parties, 2, quorum=2))
        except QuorumLost as lost:
            return lost.replies.missing

    post = Post("b")
    lost, fine = run(alongside([careful("ab"), careful("cd")]), post)
    assert lost == (Missing(PartyId("b"), "lost"),)
    assert fine == [{"c": 10, "d": 10}, {"c": 11, "d": 11}]
    # Nobody at all answered: both groups are told.
    deaf = Post(*"abcd")
    outcomes = run(alongside([careful("ab"), careful("cd")]), deaf)
    assert [[m.party for m in one] for one in outcomes] == [["a", "b"], ["c", "d"]]


def test_a_quorum_nobody_catches_is_lost_for_all():
    with pytest.raises(QuorumLost, match="1 of 2 parties answered"):
        run(alongside([group("ab", 1, quorum=2), group("c", 1)]), Post("b"))


def test_the_longest_deadline_counts():
    post = Post()
    run(alongside([group("a", 1, deadline_s=5), group("b", 1, deadline_s=9)]), post)
    assert post.asks[0].deadline_s == 9


def test_groups_that_cannot_travel_together_are_refused():
    with pytest.raises(ProtocolError, match="two groups of one trip asked b"):
        run(alongside([group("ab", 1), group("bc", 1)]), Post())

    def hasty():
        yield Ask({PartyId("a"): Said(0), PartyId("b"): Said(0)}, quorum=1, first=1)

    with pytest.raises(ProtocolError, match="first replies only"):
        run(alongside([hasty()]), Post())
