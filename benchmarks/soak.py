"""Ten minutes at twice what a server can bear: what is answered, what is refused, what is lost.

A real server process on the loopback, mixed traffic: half recommendations, the rest searches,
wishes, events and pages. First its capacity is measured with two connections that ask one after
the other; then twice as many requests a second begin, whether or not earlier ones were answered.
Afterwards the store is compared with what was acknowledged.

    python benchmarks/soak.py [--seconds 600] [--json FILE]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from report import Bar, at_least, at_most, finish, parser, show

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.e2e.soaking import MIX, Outcome, Target, capacity, load, recovered
from tests.e2e.test_events_kill import a_server, kept

MEASURING_S = 10.0
SLOWEST_MS, BACK_WITHIN_S, GROWTH_MB, GROWTH_MB_PER_10_MIN = 250.0, 2.0, 20.0, 20.0


def main() -> None:
    """Measures and prints one table."""
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=600, help="how long the load lasts")
    arguments = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with a_server(Path(folder)) as (process, address, key):
            target = Target(int(address.rsplit(":", 1)[1]), key, process.pid)
            bearable = asyncio.run(capacity(target, MEASURING_S))
            begun, worked = time.monotonic(), cpu_s(process.pid)
            seen = asyncio.run(load(target, 2 * bearable, arguments.seconds))
            took, worked = time.monotonic() - begun, cpu_s(process.pid) - worked
            back = asyncio.run(recovered(target))
            crashed = process.poll() is not None
        there = kept(Path(folder))
    lost = len(set(seen.accepted) - set(there))
    wrongly = len(set(seen.unheard) & set(there))
    rows = [row(part, seen) for part in MIX]
    show(
        f"{2 * bearable:.0f} requests a second for {arguments.seconds:.0f} s, "
        f"twice the {bearable:.0f} it answers at its ease",
        ("traffic", "answered", "503", "p50, ms", "p99, ms"),
        rows,
    )
    first, last, slope = memory(seen.rss_kb)
    share = worked / took
    print(f"\nthe server had {share:.2f} of a processor; load {os.getloadavg()[0]:.1f}")
    print(f"requests that found no free connection: {seen.late}; failures: {dict(seen.wrong)}")
    print(f"resident memory: first minute {first:.1f} MB, last {last:.1f} MB")
    bars: list[Bar] = [
        at_most(
            "p99 of what is answered, ms", float(np.percentile(seen.latencies, 99)), SLOWEST_MS
        ),
        at_most("anything but 200 or 503 with Retry-After", float(seen.wrong.total()), 0),
        at_most("crashes", float(crashed), 0),
        at_least("refused", float(seen.refused.total() + seen.late), 1),
        at_most("accepted events lost", float(lost), 0),
        at_most("events kept twice", float(sum(times > 1 for times in there.values())), 0),
        at_most("refused events kept", float(wrongly), 0),
        at_most("seconds until every kind is answered again", back, BACK_WITHIN_S),
        at_most("memory, last minute less first, MB", last - first, GROWTH_MB),
        at_most("memory, slope in 10 minutes, MB", slope, GROWTH_MB_PER_10_MIN),
    ]
    data = {
        "capacity_per_s": bearable,
        "parts": rows,
        "rss_kb": seen.rss_kb,
        "processor": share,
        "events": len(there),
    }
    finish("soak", bars, data, arguments.json)


def row(part: str, seen: Outcome) -> tuple[str, int, int, str, str]:
    """One kind of traffic."""
    taken = seen.answered[part]
    p50, p99 = np.percentile(taken, [50, 99]) if taken else (np.nan, np.nan)
    return part, len(taken), seen.refused[part], f"{p50:.1f}", f"{p99:.1f}"


def memory(rss_kb: list[int]) -> tuple[float, float, float]:
    """Megabytes: the mean of the first and last minute, and the slope over ten minutes.

    Of a load shorter than two minutes the first and last half; the slope leaves out the first
    tenth, in which caches fill.
    """
    minute = min(60, max(1, len(rss_kb) // 2))
    settled = np.array(rss_kb[len(rss_kb) // 10 :]) / 1000
    slope = np.polyfit(np.arange(len(settled)), settled, 1)[0] if len(settled) > 1 else 0.0
    first, last = (float(np.mean(part)) / 1000 for part in (rss_kb[:minute], rss_kb[-minute:]))
    return first, last, float(slope) * 600


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
