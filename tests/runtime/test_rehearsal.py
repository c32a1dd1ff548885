"""The rehearsal's clock, fates and seeds; nobody is trained who would not answer in time."""

import math

import pytest

from fedguide.errors import ConfigError
from fedguide.protocol import Ask, Message, Replies
from fedguide.runtime.rehearsal import Habits, VirtualClock, rehearsed
from fedguide.values import PartyId

NAMES = [PartyId(f"p{i:04d}") for i in range(4000)]


def answering(asked: list[Ask]) -> object:
    def courier(ask: Ask) -> Replies:
        asked.append(ask)
        return Replies(dict.fromkeys(ask.to, Message()))

    return courier


def once(habits: Habits, ask: Ask) -> tuple[Replies, float, list[Ask]]:
    asked: list[Ask] = []
    clock = VirtualClock()
    courier = rehearsed(answering(asked), habits, clock, lambda _name: 10)  # type: ignore[arg-type]
    return courier(ask), clock(), asked


def ask_of(count: int = 4000, deadline_s: float = 1e6, first: int | None = None) -> Ask:
    return Ask(dict.fromkeys(NAMES[:count], Message()), 1, deadline_s, first)


def test_equal_parties_take_as_long_as_was_said() -> None:
    replies, seconds, _ = once(Habits(spread=1, trip_s=2, example_s=0.5), ask_of())
    assert len(replies.answers) == 4000
    assert seconds == pytest.approx(2 + 10 * 0.5)


def test_speeds_spread_evenly_in_their_logarithm_and_stay() -> None:
    habits = Habits(seed=3, spread=10)
    logs = sorted(math.log10(habits.slowness(name)) for name in NAMES)
    # Kolmogorov and Smirnov: P(D > d) < 2 exp(-2 n d^2) (Massart 1990); 1e-6 at n = 4000.
    most = math.sqrt(math.log(2e6) / (2 * len(logs)))
    gap = max(abs(value - (i + 0.5) / len(logs)) for i, value in enumerate(logs))
    assert gap < most + 1 / len(logs)
    assert habits.slowness(NAMES[0]) == Habits(seed=3, spread=10).slowness(NAMES[0])
    assert habits.slowness(NAMES[0]) != Habits(seed=4, spread=10).slowness(NAMES[0])


def test_absence_and_drop_out_come_as_often_as_was_said() -> None:
    replies, seconds, _ = once(Habits(available=0.7, dropout=0.2, spread=1), ask_of(deadline_s=300))
    reasons = [missing.detail for missing in replies.missing]
    away, dropped = reasons.count("not available"), reasons.count("dropped out")

    def close(found: int, expected: float) -> bool:
        # Hoeffding: P(|mean - p| > t) < 2 exp(-2 n t^2); 1e-6 at n = 4000.
        return abs(found / 4000 - expected) < math.sqrt(math.log(2e6) / 8000)

    assert close(away, 0.3)
    assert close(dropped, 0.7 * 0.2)
    assert {missing.reason for missing in replies.missing} == {"lost"}
    assert seconds == 300  # somebody was silent: the coordinator waited to the end


def test_who_is_too_late_is_not_trained() -> None:
    habits = Habits(spread=10, trip_s=1, example_s=1)
    replies, seconds, (asked,) = once(habits, ask_of(deadline_s=40))
    in_time = {name for name in NAMES if 1 + 10 * habits.slowness(name) <= 40}
    assert set(replies.answers) == set(asked.to) == in_time
    assert 0 < len(in_time) < 4000
    assert {missing.reason for missing in replies.missing} == {"late"}
    assert seconds == 40


def test_the_first_n_are_the_quickest_and_nobody_waits_longer() -> None:
    habits = Habits(spread=10, dropout=0.3)
    replies, seconds, (asked,) = once(habits, ask_of(first=100))
    taken = sorted(habits.slowness(name) for name in replies.answers)
    assert len(taken) == len(asked.to) == 100
    assert asked.first is None
    assert seconds == pytest.approx(1 + 0.1 * taken[-1])
    dropped = {m.party for m in replies.missing if m.detail == "dropped out"}
    left = [n for n in NAMES if n not in replies.answers and n not in dropped]
    assert min(habits.slowness(name) for name in left) >= taken[-1]


def test_the_same_seed_gives_the_same_fates_and_every_trip_another() -> None:
    def fates(seed: int) -> list[list[PartyId]]:
        courier = rehearsed(
            answering([]),  # type: ignore[arg-type]
            Habits(seed=seed, available=0.5),
            VirtualClock(),
            lambda _name: 1,
        )
        return [list(courier(ask_of(40)).answers) for _ in range(2)]

    one = fates(1)
    assert one == fates(1) != fates(2)
    assert one[0] != one[1]


def test_when_nobody_can_be_reached_nobody_is_asked() -> None:
    replies, seconds, asked = once(Habits(available=1e-9), ask_of(5))
    assert not replies.answers
    assert not asked
    assert seconds == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"spread": 0.5},
        {"available": 0},
        {"dropout": 1},
        {"trip_s": -1},
        {"example_s": math.nan},
        {"seed": -1},
    ],
)
def test_habits_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Habits(**bad)  # type: ignore[arg-type]
