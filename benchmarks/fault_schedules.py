"""10,000 random fault schedules against the masked sum.

Each is two rounds over three to six parties with up to six faults: drop-outs, delays, repeated,
reordered, old, damaged and swapped messages, substituted keys. Counted: sums that came out, rounds
that ended with a reason, and what may never happen: a wrong sum, shares of both secrets of one
party, a round of more than five trips.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from fedguide.runtime.schedules import play
from report import Bar, finish, parser, show


def main() -> None:
    """Plays the schedules one after the other; the number of a bad one is printed."""
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=10_000, help="schedules (default: 10,000)")
    args = made.parse_args()
    start, counts, bad = time.process_time(), Counter[str](), []
    for number in range(args.count):
        outcome = play(number)
        counts["sums"] += outcome.sums
        counts["ends"] += outcome.ends
        if outcome.wrong:
            bad.append((number, outcome.wrong))
            print(f"schedule {number}: {outcome.wrong}", file=sys.stderr)
        if (number + 1) % 1000 == 0:
            print(f"{number + 1} schedules, {len(bad)} wrong", file=sys.stderr)
    seconds = time.process_time() - start
    rows = [(args.count, counts["sums"], counts["ends"], len(bad), f"{seconds:.0f}")]
    show("fault schedules", ("schedules", "sums", "ends with a reason", "wrong", "CPU s"), rows)
    bars = [Bar("schedules with anything wrong", float(len(bad)), "== 0", not bad)]
    finish("fault_schedules", bars, {"counts": counts, "bad": bad, "seconds": seconds}, args.json)


if __name__ == "__main__":
    main()
