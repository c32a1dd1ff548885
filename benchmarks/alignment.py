"""What does it cost to find the customers two parties share, and is the answer always right?

100,000 keys against 100,000 keys with half of them in common; 1,000 keys against the same table,
whose tags are kept; and the intersection against Python's own on thousands of random cases.
The naive way, comparing salted hashes, is timed beside it: it is what people do, and it shows
everybody's list to whoever can guess keys.

    python benchmarks/alignment.py [--json FILE] [--keys 100000] [--workers 2] [--cases 10000]
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from fedguide.errors import RefusedError
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.align import Contract, PartnerEnv, PartnerState, align, answer, tag_table
from fedguide.vertical.keys import normalised
from report import at_least, at_most, finish, parser, show

BANK = PartyId("bank")
CELLS = ("", " ", "a", "A", "a ", "ａ", "李", "é", "e\u0301", "a b", "　a", "ß", "0", "00", "é ")


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, seconds by the wall clock, and core-seconds with all its processes."""
    begun, used = time.perf_counter(), cores_s()
    result = work()
    return result, time.perf_counter() - begun, cores_s() - used


def cores_s() -> float:
    """Processor time of this process and its ended children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def check(cases: int) -> int:
    """In how many random cases the answer is the plain intersection."""
    draws = random.Random(3)  # noqa: S311 - test cases
    right = 0
    terms = Contract("cases", bytes(32), 10**6, 10**6, least_common=1)
    for number in range(cases):
        label, keys = (
            normalised(
                ["".join(draws.choices(CELLS, k=2)) for _ in range(draws.randint(0, 6))], "id"
            )
            for _ in range(2)
        )
        expected = {key for key in label if key} & set(keys)
        env = PartnerEnv(terms, tag_table(keys, terms, seeded_root(number)), seeded_root(2), drop)
        carry = in_process({BANK: Party(env, answer, PartnerState)}, time.monotonic)
        try:
            found = run(align(label, BANK, terms, seeded_root(number + 1)), carry)
            pairs = zip(found.label_rows, found.partner_rows, strict=True)
            common = {label[a] for a, b in pairs if label[a] == keys[b]}
            right += common == expected and len(common) == len(found.label_rows)
        except RefusedError:
            right += not expected
    return right


def drop(_line: object) -> None:
    """A log nobody reads."""


def main() -> int:
    """Measures and prints."""
    options = parser(__doc__)
    options.add_argument("--keys", type=int, default=100_000)
    options.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options.add_argument("--cases", type=int, default=10_000)
    args = options.parse_args()
    n, workers = args.keys, args.workers
    ours = [f"+86138{i:08d}" for i in range(n)]
    theirs = [f"+86138{i:08d}" for i in range(n // 2, n + n // 2)]
    terms = Contract("bench", bytes(range(32)), 10 * n, 10 * n)
    table, table_s, table_core_s = timed(lambda: tag_table(theirs, terms, seeded_root(5), workers))
    env = PartnerEnv(terms, table, seeded_root(5), drop, workers)
    carry = in_process({BANK: Party(env, answer, PartnerState)}, time.monotonic)
    found, look_s, look_core_s = timed(
        lambda: run(align(ours, BANK, terms, seeded_root(1), None, workers), carry)
    )
    small, small_s, small_core_s = timed(
        lambda: run(align(ours[-1000:], BANK, terms, seeded_root(2), found.kept, workers), carry)
    )
    salt = bytes(32)
    naive, naive_s, naive_core_s = timed(
        lambda: len(
            {hashlib.sha256(salt + key.encode()).digest() for key in ours}
            & {hashlib.sha256(salt + key.encode()).digest() for key in theirs}
        )
    )
    right, cases_s, cases_core_s = timed(lambda: check(args.cases))
    show(
        f"{n:,} keys against {n:,}, {workers} processes",
        ("step", "seconds", "core-seconds", "found"),
        [
            ("partner's tags, once an epoch", f"{table_s:.1f}", f"{table_core_s:.1f}", "-"),
            ("lookup of all keys", f"{look_s:.1f}", f"{look_core_s:.1f}", len(found.label_rows)),
            (
                "1,000 keys, tags kept",
                f"{small_s:.2f}",
                f"{small_core_s:.2f}",
                len(small.label_rows),
            ),
            ("salted hashes in the open", f"{naive_s:.2f}", f"{naive_core_s:.2f}", naive),
            (f"{args.cases:,} random cases", f"{cases_s:.1f}", f"{cases_core_s:.1f}", right),
        ],
    )
    sent = 32 * 2 * n + 16 * n
    print(f"\nbytes both ways {sent / 1e6:.1f} MB; load average {os.getloadavg()[0]:.1f}")
    bars = [
        at_most("core-seconds of the whole alignment", table_core_s + look_core_s, 45),
        at_most("1,000 lookups against kept tags, seconds", small_s, 0.5),
        at_least("random cases right, share", right / args.cases, 1),
        at_least("common customers found, share", len(found.label_rows) / naive, 1),
    ]
    finish("alignment", bars, {"bytes": sent, "seconds": table_s + look_s}, args.json)
    return 0 if all(bar.holds for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
