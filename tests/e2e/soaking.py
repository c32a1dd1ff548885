"""Mixed traffic at a rate that a server is told to bear, and what became of every request.

Requests begin when their time comes, whether or not earlier ones were answered (an open loop), on
keep-alive connections that are busy with one request each. A raw client: the measuring process
should take less of the processor than what it measures.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIX = {"recommend": 50, "search": 15, "guide": 15, "events": 10, "page": 10}
"""Parts of the traffic, in percent."""

_WISHES = ("mug under 500", "防水的越野跑鞋，不要红色", "cheapest desk lamp", "轻量登山杖 300以内")
_WORDS = ("mug", "越野跑鞋", "candle", "便携台灯")
_A_BATCH = 3
_LONGEST_S = 30.0
_IDLE_S = 30.0
"""After this a new connection is taken: a server closes one that is idle (ours after 75 s)."""


@dataclass
class Outcome:
    """What was seen of a load.

    Attributes:
        answered: latencies of 200s in milliseconds, by part of the traffic.
        refused: how many 503s with Retry-After, by part.
        wrong: any other status or failure, in words, with how often.
        accepted: ids of events that were answered with 200.
        unheard: ids of events that were refused: none of these may be kept.
        late: requests that no free connection was left to begin.
        rss_kb: the server's resident memory, every second.
    """

    answered: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in MIX})
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    late: int = 0
    rss_kb: list[int] = field(default_factory=list)

    @property
    def latencies(self) -> list[float]:
        """Of everything that was answered."""
        return [value for some in self.answered.values() for value in some]


@dataclass(frozen=True)
class Target:
    """A served market: where it listens, a shop's key, and its process."""

    port: int
    key: str
    pid: int


class _Line:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used_s = 0.0

    async def ask(self, request: bytes) -> tuple[int, bool]:
        """Status, and whether the answer says when to come back."""
        if time.monotonic() - self._used_s > _IDLE_S:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = head.index(b"content-length:") + 15
        self._used_s = time.monotonic()
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        return int(head[9:12]), b"\r\nretry-after: " in head

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def requests_of(target: Target, seed: int) -> Callable[[], tuple[str, bytes, list[str]]]:
    """Gives one request after the other: its part of the traffic, its bytes, its event ids."""
    rng = random.Random(seed)  # noqa: S311 - traffic, not a secret
    parts, weights = list(MIX), list(MIX.values())
    number = 0

    def one() -> tuple[str, bytes, list[str]]:
        nonlocal number
        number += 1
        part, user = rng.choices(parts, weights)[0], f"shopper-{rng.randrange(24):02d}"
        ids: list[str] = []
        body: Mapping[str, object] | None = None
        if part == "recommend":
            path = f"/api/v1/recommend?shop=north&user={user}"
        elif part == "search":
            path = f"/api/v1/search?shop=north&q={_quoted(rng.choice(_WORDS))}"
        elif part == "guide":
            path, body = "/api/v1/guide?shop=north", {"text": rng.choice(_WISHES), "user": user}
        elif part == "events":
            ids = [f"{seed}-{number}-{n}" for n in range(_A_BATCH)]
            item = f"sku-{rng.randrange(200):04d}"
            # People other than those who are asked about, so that the work stays the same.
            sent = [
                {"id": i, "user": f"s{rng.randrange(500)}", "kind": "view", "item": item}
                for i in ids
            ]
            path, body = "/api/v1/events?shop=north", {"events": sent}
        else:
            path = f"/?shop=north&user={user}"
        return part, _bytes(path, body, target.key), ids

    return one


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def _bytes(path: str, body: Mapping[str, object] | None, key: str) -> bytes:
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {key}\r\n"
    content = b"" if body is None else json.dumps(body).encode()
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def capacity(target: Target, seconds: float) -> float:
    """Requests a second that are answered when two connections ask one after the other.

    A busy machine may keep a request in line for longer than the server's patience: a refusal is
    no answer, and no failure either.
    """
    seen, until = Outcome(), time.monotonic() + seconds
    make = requests_of(target, seed=1)

    async def keep_asking() -> None:
        line = _Line(target.port)
        while time.monotonic() < until:
            await _once(line, *make(), seen)
        line.close()

    await asyncio.gather(keep_asking(), keep_asking())
    if seen.wrong or not seen.latencies:
        raise RuntimeError(f"a server at its ease answers or says why not: {seen.wrong}")
    return len(seen.latencies) / seconds


async def load(target: Target, rate: float, seconds: float, lines: int = 256) -> Outcome:
    """Asks ``rate`` times a second, and gives what became of it."""
    seen, make = Outcome(), requests_of(target, seed=2)
    free = [_Line(target.port) for _ in range(lines)]
    running: set[asyncio.Task[None]] = set()

    async def one(line: _Line) -> None:
        try:
            await _once(line, *make(), seen)
        finally:
            free.append(line)

    async def watch() -> None:
        while True:
            seen.rss_kb.append(rss_kb(target.pid))
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    begun, sent = time.monotonic(), 0
    while (now := time.monotonic() - begun) < seconds:
        due = int(now * rate)
        while sent < due:
            sent += 1
            if not free:
                seen.late += 1
                continue
            task = asyncio.create_task(one(free.pop()))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(0.002)
    if running:
        await asyncio.wait(running, timeout=_LONGEST_S)
    watching.cancel()
    for task in running:
        task.cancel()
        seen.wrong["never answered"] += 1
    for line in free:
        line.close()
    return seen


async def _once(line: _Line, part: str, request: bytes, ids: list[str], seen: Outcome) -> None:
    begun = time.perf_counter()
    try:
        status, told = await line.ask(request)
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        line.close()
        seen.wrong[f"{part}: {type(error).__name__}"] += 1
        return
    if status == 200:
        seen.answered[part].append(1000 * (time.perf_counter() - begun))
        seen.accepted += ids
    elif status == 503 and told:
        seen.refused[part] += 1
        seen.unheard += ids
    else:
        seen.wrong[f"{part}: {status}"] += 1


async def recovered(target: Target, deadline_s: float = 20.0) -> float:
    """Seconds after a load until one request of each part was answered with 200."""
    begun, make = time.monotonic(), requests_of(target, seed=3)
    line, seen = _Line(target.port), Outcome()
    while time.monotonic() - begun < deadline_s:
        await _once(line, *make(), seen)
        if all(seen.answered.values()):
            line.close()
            return time.monotonic() - begun
    raise TimeoutError(f"not every part was answered: {seen.refused} {seen.wrong}")


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0])
