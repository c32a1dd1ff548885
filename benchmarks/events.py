"""How long from sending an event to a recommendation that knows of it, and how many a second?

A real server process on the loopback, its database on disk. Each trial sends one purchase, waits
for the answer, and asks for the shopper's recommendations: the bought item must lead. Then batches
are sent as fast as they are answered. The peer, in the same run, is a bare commit of as many rows
to SQLite with the same durability: what the disk alone would take.

    python benchmarks/events.py [--json FILE] [--quick]
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from report import Bar, at_most, finish, parser, show

ROOT = Path(__file__).resolve().parents[1]
BATCH = 100
EVENTS = "/api/v1/events?shop=north"


def main() -> None:
    """Measures and prints one table."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="a tenth of the trials")
    arguments = made.parse_args()
    trials, batches = (20, 10) if arguments.quick else (200, 100)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.e2e.served", folder]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            key = json.loads(process.stdout.readline())["shop"]
            headers = {"authorization": f"Bearer {key}"}
            with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
                delays = [changed(client, number) for number in range(trials)]
                rate = sent(client, batches)
        finally:
            process.terminate()
            process.wait(20)
        bare = committed(Path(folder) / "bare.db", batches)
    middle, worst = (float(np.percentile(delays, p)) for p in (50, 99))
    show(
        "From an event to a changed recommendation",
        ("what", "measured"),
        [
            ("event sent → changed recommendation, median", f"{middle:.1f} ms"),
            ("event sent → changed recommendation, p99", f"{worst:.1f} ms"),
            (f"events a second, batches of {BATCH}", f"{rate:,.0f}"),
            ("the same rows by bare SQLite commits", f"{bare:,.0f}"),
            ("ratio", f"{rate / bare:.2f}"),
        ],
    )
    bars: list[Bar] = [at_most("event to changed recommendation, p99, ms", worst, 100.0)]
    data = {"delays_ms": delays, "events_per_s": rate, "bare_per_s": bare}
    finish("events", bars, data, arguments.json)


def changed(client: httpx.Client, number: int) -> float:
    """Milliseconds until a purchase leads its shopper's list of what to buy again."""
    user, item = f"bench-{number}", f"sku-{number % 200:04d}"
    begun = time.perf_counter()
    event = {"id": f"one-{number}", "user": user, "kind": "buy", "item": item}
    client.post(EVENTS, json={"events": [event]}).raise_for_status()
    asked = {"shop": "north", "user": user, "slate": "again", "k": 1}
    found = client.get("/api/v1/recommend", params=asked).json()["items"]
    took = 1000 * (time.perf_counter() - begun)
    assert [one["item_id"] for one in found] == [item], "the event does not count"
    return took


def sent(client: httpx.Client, batches: int) -> float:
    """Events a second over one connection."""
    begun = time.perf_counter()
    for batch in range(batches):
        events = [
            {"id": f"many-{batch}-{n}", "user": f"u{n}", "kind": "view", "item": "sku-0001"}
            for n in range(BATCH)
        ]
        client.post(EVENTS, json={"events": events}).raise_for_status()
    return batches * BATCH / (time.perf_counter() - begun)


def committed(path: Path, batches: int) -> float:
    """Rows a second by one commit a batch, as durable as the server's."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE events(id TEXT PRIMARY KEY, user TEXT, item TEXT)")
        begun = time.perf_counter()
        for batch in range(batches):
            rows = [(f"{batch}-{n}", f"u{n}", "sku-0001") for n in range(BATCH)]
            db.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
            db.commit()
    db.close()
    return batches * BATCH / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
