"""Several jobs side by side in threads: the arms of a comparison on the cores of one machine.

Training spends its time in compiled loops that hold no lock of Python's, and one such loop keeps
one core busy. A job depends on nothing another does, so results are those of one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

Breath = Callable[[], None]
"""A job calls it now and then; it raises where the job is no longer wanted."""


class _UnwantedError(Exception):
    """Ends a job whose result nobody waits for any more."""


def side_by_side(jobs: Sequence[Callable[[Breath], T]], workers: int) -> list[T]:
    """The results of all jobs, in order; at most ``workers`` run at a time, the first ones first.

    An error of one job (or an interrupt) ends the others at their next breath and is raised.
    """
    unwanted = threading.Event()

    def breathe() -> None:
        if unwanted.is_set():
            raise _UnwantedError

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(job, breathe) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures]
        finally:
            unwanted.set()
            pool.shutdown(wait=False, cancel_futures=True)
