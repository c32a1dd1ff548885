"""Jobs side by side: results in order, never too many at a time, ended by the first error."""

from __future__ import annotations

import threading

import pytest

from fedguide.runtime.beside import Breath, side_by_side


def test_results_come_in_the_order_of_the_jobs() -> None:
    """The first job waits for the second: they do run at the same time."""
    second = threading.Event()

    def waits(_: Breath) -> str:
        assert second.wait(60)
        return "first"

    def goes(_: Breath) -> str:
        second.set()
        return "second"

    assert side_by_side([waits, goes, lambda _: "third"], workers=2) == ["first", "second", "third"]


def test_one_worker_takes_one_job_after_the_other() -> None:
    running: set[int] = set()
    seen: list[int] = []

    def job(number: int) -> int:
        running.add(number)
        seen.append(len(running))
        running.remove(number)
        return number

    jobs = [lambda _, n=n: job(n) for n in range(5)]
    assert side_by_side(jobs, workers=1) == [0, 1, 2, 3, 4]
    assert seen == [1] * 5


def test_an_error_ends_the_others_at_their_next_breath() -> None:
    started = threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def endless(breathe: Breath) -> None:
        begun.append(1)
        try:
            while True:
                started.set()
                breathe()
        finally:
            ended.append(1)

    def fails(_: Breath) -> None:
        assert started.wait(60)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        side_by_side([endless, fails, endless], workers=2)
    assert len(begun) == len(ended) >= 1
