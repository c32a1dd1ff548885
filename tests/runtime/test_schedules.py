"""200 random fault schedules here, 10,000 in ``benchmarks/fault_schedules.py``."""

from fedguide.horizontal import masked_sum
from fedguide.runtime.faulty import FAULTS
from fedguide.runtime.schedules import ROUNDS, TRIPS, draw_faults, play
from fedguide.seeds import seeded_root, stream
from fedguide.values import PartyId


def test_never_a_wrong_sum_never_both_shares_never_a_hang():
    outcomes = [play(number) for number in range(200)]
    assert [one.wrong for one in outcomes if one.wrong] == []
    assert all(one.sums + one.ends == ROUNDS for one in outcomes)
    # Both ways to end are there, else the schedules would be too kind or too harsh to tell.
    assert sum(one.sums for one in outcomes) > 100
    assert sum(one.ends for one in outcomes) > 20


def test_the_same_number_gives_the_same_outcome():
    assert [play(number) for number in range(8)] == [play(number) for number in range(8)]


def test_without_faults_every_round_gives_its_sum():
    assert all(play(number, most_faults=0).sums == ROUNDS for number in range(5))


def test_the_schedules_find_a_sum_that_is_not_authenticated(monkeypatch):
    """The mutant: masked vectors are taken in without their tags.

    Of the first 200 schedules two find it; one of them is here.
    """
    monkeypatch.setattr(masked_sum, "check_tag", lambda *_: None)
    assert any("a wrong sum" in one for number in range(100, 104) for one in play(number).wrong)


def test_every_fault_is_drawn_on_every_trip():
    draws = stream(seeded_root(1), "faults")
    faults = draw_faults(draws, (PartyId("a"), PartyId("b")), 3000)
    assert {(f.trip, f.kind) for f in faults} == {
        (trip, kind) for trip in range(ROUNDS * TRIPS) for kind in FAULTS
    }
