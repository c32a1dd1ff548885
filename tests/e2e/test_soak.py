"""Twenty seconds at twice what the server can bear: it refuses, forgets nothing, and goes on.

Nothing here is timed: ``benchmarks/soak.py`` is the same for ten minutes, with its bars.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.e2e.soaking import Target, capacity, load, recovered, rss_kb
from tests.e2e.test_events_kill import a_server, kept

pytestmark = pytest.mark.e2e

T = TypeVar("T")
SECONDS, MEASURING_S = 17, 3
MOST_GROWTH_KB = 60_000
"""Every event that was taken is held in memory, a fifth of a kilobyte each; the rest is noise."""


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Runs it in a thread of its own: the browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def test_overload_is_refused_politely_and_no_event_is_lost(tmp_path: Path) -> None:
    with a_server(tmp_path) as (process, address, key):
        target = Target(int(address.rsplit(":", 1)[1]), key, process.pid)
        rate = 2 * apart(capacity(target, MEASURING_S))
        before = rss_kb(process.pid)
        seen = apart(load(target, rate, SECONDS))
        apart(recovered(target))
        grown = rss_kb(process.pid) - before
        assert process.poll() is None
    assert seen.wrong == {}
    assert all(seen.answered.values())
    assert sum(seen.refused.values()) + seen.late > 0
    assert grown < MOST_GROWTH_KB
    there = kept(tmp_path)
    assert max(there.values()) == 1
    assert set(seen.accepted) <= set(there)
    assert not set(seen.unheard) & set(there)
