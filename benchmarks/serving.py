"""How fast does one worker answer ``GET /api/v1/recommend`` over 100,000 items, with reasons?

A real server process on the loopback, two keep-alive connections, thousands of different
shoppers with 50 to 200 events each, no answer kept from one request to the next. In the same run
and process a plain endpoint scores every item with the scorer's own functions, as the peer to
beat; and sampled answers are compared with that brute force, rank by rank.

    python benchmarks/serving.py [--json FILE] [--items 100000] [--shoppers 3000] [--seconds 8]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from report import Bar, at_least, at_most, finish, parser, show

SEED, TASTES, DIMENSIONS, NEIGHBOURS, K = 11, 400, 64, 100, 10
SEARCHES = 0.03
PATH = "/api/v1/recommend"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
KEY = "07" * 32


def make_market(folder: Path, items: int, shoppers: int) -> None:
    """Writes a signed release of a structured random shop, and its shoppers' histories."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from fedguide.crypto.signing import SigningKey, sign
    from fedguide.models.card import Card
    from fedguide.models.encoders import SCALES_DAYS, Network, item_vectors
    from fedguide.models.release import PURPOSE, Signer, save_release
    from fedguide.models.scorer import TERMS, ShopModel, SlateWeights
    from fedguide.models.text import TextSpec
    from fedguide.values import KINDS, Catalogue

    rng = np.random.default_rng(SEED)
    taste = np.sort(rng.integers(0, TASTES, items))
    words = [f"{a}{b}" for a in ("ka", "lo", "mi", "ru", "te", "vo") for b in range(400)]
    picks = rng.integers(0, len(words), (items, 3))
    catalogue = Catalogue(
        tuple(f"i{row}" for row in range(items)),
        tuple(
            f"taste{taste[row]} {words[a]} {words[b]} {words[c]}"
            for row, (a, b, c) in enumerate(picks.tolist())
        ),
        tuple(f"brand{row}" for row in rng.integers(0, 300, items).tolist()),
        tuple(f"category{group // 10}/{group}" for group in taste.tolist()),
        np.exp(rng.normal(3, 1, items)).round(2).astype(np.float32),
    )
    text, d = TextSpec(), DIMENSIONS
    arrays = {
        "table": rng.normal(size=(text.buckets, d)) / 8,
        "item": np.eye(d) + rng.normal(size=(d, d)) / 40,
        "temperature": np.full(1, 1.0),
        "shopper": np.eye(d) + rng.normal(size=(d, d)) / 40,
        "start": rng.normal(size=d) / 40,
        "kind": rng.normal(size=len(KINDS)) / 4,
        "decay": rng.normal(size=len(SCALES_DAYS)) / 4,
        "terms": np.abs(rng.normal(size=len(TERMS))) / 10,
    }
    network = Network(text, "bag", {n: a.astype(np.float32) for n, a in arrays.items()})
    sales = np.floor(rng.pareto(1.1, items) * 3).clip(0, 20_000).astype(np.float32)
    bounds = np.searchsorted(taste, np.arange(TASTES + 1))
    neighbours = np.empty((items, NEIGHBOURS), np.int32)
    for group in range(TASTES):
        start, stop = int(bounds[group]), int(bounds[group + 1])
        near = np.arange(start, stop)
        for row in near.tolist():
            mates = rng.choice(near, min(80, len(near)), replace=False)
            far = rng.choice(items, NEIGHBOURS + 8, replace=False)
            both = np.unique(np.concatenate([mates, far[~np.isin(far, mates)]]))
            both = rng.permutation(both[both != row])[:NEIGHBOURS]
            neighbours[row] = both
    model = ShopModel(
        catalogue=catalogue,
        network=network,
        item_vectors=item_vectors(network, catalogue),
        neighbours=neighbours,
        neighbour_weights=rng.exponential(0.05, (items, NEIGHBOURS)).astype(np.float32),
        popularity=sales,
        recent_sales=np.floor(sales * rng.random(items) / 8).astype(np.float32),
        last_day=20_000,
        slates={
            "again": SlateWeights(0.2, 0.2, 1.0, 1.0, 0.2, 0.2, 0.1, 0.0),
            "discover": SlateWeights(1.0, 1.0, 0.0, 0.0, 0.0, 0.2, 0.1, 0.05),
        },
    )
    card = Card("bench", "2026-01-01T00:00:00Z", "", "", ("bench",), 0, None, synthetic=True)
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(KEY)))
    signer = Signer(key.public, lambda message: sign(key, PURPOSE, message))
    save_release(folder / "release", model, card, signer)
    np.savez(folder / "histories.npz", **make_histories(rng, bounds, shoppers))


def make_histories(
    rng: np.random.Generator, bounds: np.ndarray, shoppers: int
) -> dict[str, np.ndarray]:
    """Each shopper has three tastes and now and then looks elsewhere."""
    lengths = rng.integers(50, 201, shoppers)
    total = int(lengths.sum())
    owner = np.repeat(np.arange(shoppers), lengths)
    tastes = rng.integers(0, TASTES, (shoppers, 3))[owner, rng.integers(0, 3, total)]
    inside = bounds[tastes] + (rng.random(total) * np.diff(bounds)[tastes]).astype(np.int64)
    items = np.where(rng.random(total) < 0.85, inside, rng.integers(0, bounds[-1], total))
    days = 20_000 - rng.integers(0, 300, total)
    order = np.lexsort((days, owner))
    # Now and then a search: one of 500 texts.
    search = rng.random(total) < SEARCHES
    kinds = np.where(search, 3, rng.choice([0, 0, 0, 1, 2], total))
    texts = rng.integers(0, 500, total)
    return {
        "offsets": np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        "items": np.where(search, -1, items[order]).astype(np.int32),
        "kinds": kinds.astype(np.uint8),
        "queries": np.where(search, texts, -1).astype(np.int32),
        "days": days[order].astype(np.int32),
    }


def open_market(folder: Path) -> Any:
    """The guide of the shop that ``make_market`` wrote, its signature checked."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from fedguide.crypto.signing import PublicKey, SigningKey, verify
    from fedguide.guide.engine import open_guide
    from fedguide.guide.histories import Histories
    from fedguide.models.release import PURPOSE, load_release

    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(KEY)))
    release = load_release(
        folder / "release",
        {key.public},
        lambda signer, message, signature: verify(PublicKey(signer), PURPOSE, message, signature),
    )
    with np.load(folder / "histories.npz") as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    histories = Histories(
        rows={f"u{row}": row for row in range(len(columns["offsets"]) - 1)},
        query_texts=tuple(f"taste{text % TASTES} ka{text}" for text in range(500)),
        **columns,
    )
    return open_guide(release, histories, lambda: 20_001)


def serve_market(folder: Path, port: int) -> None:
    """The server process: the real application, and the plain endpoint beside it."""
    from starlette.requests import Request
    from starlette.responses import Response

    from fedguide.api.app import create_app
    from fedguide.api.server import listen, loading, serve

    with loading():
        guide = open_market(folder)
    app = create_app({guide.shop: guide})

    async def plain(request: Request) -> Response:
        return Response(json.dumps(plain_answer(guide, request.query_params["user"])))

    app.add_route("/plain", plain)
    serve(app, listen("127.0.0.1", port))


def plain_answer(guide: Any, user: str) -> list[dict[str, Any]]:
    """Scores every item, sorts, and takes each event out once: no index, no shortcut."""
    from fedguide.guide.histories import history_for
    from fedguide.models.scorer import shares_many, slate_scores
    from fedguide.values import BUY

    model, history = guide.release.model, history_for(guide.histories, user)
    scores = slate_scores(model, history, guide.today(), "discover")
    scores[history.items[history.kinds == BUY]] = -np.inf
    top = np.argsort(-scores)[:K]
    parts = shares_many(model, history, guide.today(), "discover", top)
    return [
        {
            "item_id": model.catalogue.ids[row],
            "score": float(scores[row]),
            "because": [
                model.catalogue.ids[history.items[event]] for event in np.argsort(-part)[:3]
            ],
        }
        for row, part in zip(top.tolist(), parts, strict=True)
    ]


def brute_force(guide: Any, user: str) -> list[str]:
    """The ten best by scoring every item in double precision."""
    from fedguide.guide.histories import history_for
    from fedguide.models.scorer import shopper_vector, sparse_scores, total_weights
    from fedguide.values import BUY

    model, history, today = guide.release.model, history_for(guide.histories, user), guide.today()
    weights = total_weights(model, "discover")
    scores = model.item_vectors.astype(np.float64) @ shopper_vector(
        model, history, today, "discover"
    ).astype(np.float64)
    scores += np.float64(weights["recent"]) * np.log1p(model.recent_sales).astype(np.float64)
    scores += np.float64(weights["popularity"]) * np.log1p(model.popularity).astype(np.float64)
    touched, values = sparse_scores(model, history, today, "discover")
    scores[touched] += values
    scores[history.items[history.kinds == BUY]] = -np.inf
    return [model.catalogue.ids[row] for row in np.argsort(-scores, kind="stable")[:K].tolist()]


@dataclass
class Link:
    """One keep-alive connection of the client, and the times of its answers."""

    paths: Iterator[str]
    socket: socket.socket
    unread: bytes = b""
    begun: float = 0.0
    waits: list[float] = field(default_factory=list)
    good: list[float] = field(default_factory=list)

    def ask(self) -> None:
        """Sends the next request; small enough to be taken at once."""
        request = f"GET {next(self.paths)} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self.begun = time.perf_counter()
        self.socket.sendall(request)

    def hear(self) -> bool:
        """Takes in what has arrived; was it the rest of an answer?"""
        arrived = self.socket.recv(1 << 16)
        if not arrived:
            raise ConnectionError("the server closed a connection")
        self.unread += arrived
        head, end, body = self.unread.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not end or length is None or len(body) < int(length[1]):
            return False
        wait = time.perf_counter() - self.begun
        self.waits.append(wait)
        if head.startswith(b"HTTP/1.1 200 ") and body:
            self.good.append(wait)
        self.unread = b""
        return True


def measure(
    port: int, paths: Sequence[Iterator[str]], seconds: float
) -> tuple[list[Link], dict[str, float]]:
    """Every connection asks its paths, the next one as soon as it has its answer.

    One thread looks after all of them, so that the client needs little of the machine that it
    shares with the server. Gives the links, and requests a second and quantiles over all.
    """
    with selectors.DefaultSelector() as ready, ExitStack() as opened:
        links = []
        for some in paths:
            link = Link(some, opened.enter_context(socket.create_connection(("127.0.0.1", port))))
            link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(link.socket, selectors.EVENT_READ, link)
            links.append(link)
        begun = time.perf_counter()
        for link in links:
            link.ask()
        waiting = len(links)
        while waiting:
            for key, _ in ready.select():
                if not key.data.hear():
                    continue
                if time.perf_counter() - begun < seconds:
                    key.data.ask()
                else:
                    waiting -= 1
        spent = time.perf_counter() - begun
    return links, figures_of(links, spent)


def figures_of(links: Sequence[Link], spent: float) -> dict[str, float]:
    """Requests a second and quantiles, in milliseconds; what is not answered by 200 has failed."""
    every = np.concatenate([np.array(link.waits) for link in links]) * 1000
    good = np.concatenate([np.array(link.good) for link in links]) * 1000
    return {
        "rps": len(every) / spent,
        "good_rps": len(good) / spent,
        "p50": float(np.quantile(every, 0.5)),
        "p99": float(np.quantile(every, 0.99)),
        "good_p99": float(np.quantile(good, 0.99)) if len(good) else float("nan"),
        "requests": len(every),
        "failed": len(every) - len(good),
    }


def asking(path: str, users: Sequence[str], connections: int) -> list[Iterator[str]]:
    """For each connection its own share of the users, over and over."""
    return [
        cycle([f"{path}?user={user}" for user in users[at::connections]])
        for at in range(connections)
    ]


def wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns as soon as ``/readyz`` says so."""
    while process.poll() is None:
        try:
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            link.request("GET", "/readyz")
            if link.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.005)
    raise RuntimeError(f"the server ended with {process.returncode}")


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process: all of it, and what is not a mapped file."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {
        "rss": int(fields["VmRSS"].split()[0]) / 1000,
        "own": int(fields["RssAnon"].split()[0]) / 1000,
    }


def count_exact(guide: Any, port: int, users: list[str]) -> int:
    """How many sampled answers equal brute force, rank by rank."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    same = 0
    for user in users:
        link.request("GET", f"/api/v1/recommend?user={user}&k={K}")
        answer = json.loads(link.getresponse().read())
        same += [item["item_id"] for item in answer["items"]] == brute_force(guide, user)
    link.close()
    return same


def cpu_s(pid: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(
    items: int, shoppers: int, seconds: float, sampled: int
) -> tuple[list[Bar], dict[str, Any]]:
    """Starts a server, measures it, and gives the bars and all figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_market(folder, items, shoppers)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name, "--port", str(port)],
            env={**os.environ, **ONE_THREAD},
        )
        try:
            wait_ready(port, process)
            ready_s, ready_mb = time.perf_counter() - begun, memory_mb(process.pid)
            order = np.random.default_rng(SEED).permutation(shoppers)
            users = [f"u{row}" for row in order.tolist()]
            exact = count_exact(open_market(folder), port, users[:sampled])
            measure(port, asking(PATH, users, 2), 1.0)
            used = cpu_s(process.pid)
            _, ours = measure(port, asking(PATH, users, 2), seconds)
            ours["cpu_ms"] = 1000 * (cpu_s(process.pid) - used) / ours["requests"]
            _, peer = measure(port, asking("/plain", users, 2), seconds / 2)
            health: Iterator[str] = cycle(["/healthz"])
            links, _ = measure(port, [*asking(PATH, users, 200), health], seconds / 2)
            crowd, alive = figures_of(links[:-1], seconds / 2), figures_of(links[-1:], seconds / 2)
            after_mb = memory_mb(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    load = os.getloadavg()[0]
    show(
        f"{items:,} items, {shoppers:,} shoppers, 1 worker, {K} items an answer with reasons",
        ("endpoint", "req/s", "of them 200", "p50 ms", "p99 ms", "p99 of 200s"),
        [
            (
                label,
                *(f"{row[name]:.0f}" for name in ("rps", "good_rps")),
                *(f"{row[name]:.2f}" for name in ("p50", "p99", "good_p99")),
            )
            for label, row in (
                (f"{PATH}, 2 connections", ours),
                ("plain numpy, 2 connections", peer),
                (f"{PATH}, 200 connections", crowd),
                ("/healthz, 1 beside the 200", alive),
            )
        ],
    )
    print(
        f"\nprocessor time a request {ours['cpu_ms']:.2f} ms; ready in {ready_s:.2f} s; memory "
        f"{ready_mb['rss']:.0f} MB when ready ({ready_mb['own']:.0f} MB without mapped files), "
        f"{after_mb['rss']:.0f} MB after ({after_mb['own']:.0f} MB); "
        f"load average {load:.1f} on {os.cpu_count()} cores"
    )
    bars = [
        at_least("requests a second", ours["rps"], 500),
        at_most("p99 ms", ours["p99"], 15),
        at_most("failed requests", ours["failed"], 0),
        at_least(f"exact answers of {sampled}", exact / sampled, 1),
        at_least("times plain numpy", ours["rps"] / peer["rps"], 1),
        at_most("p99 ms, 200 connections", crowd["p99"], 250),
        at_most("p99 ms of /healthz beside them", alive["p99"], 250),
        at_most("failed /healthz", alive["failed"], 0),
        at_most("seconds until ready", ready_s, 2.5),
        at_most("MB resident when ready", ready_mb["rss"], 200),
    ]
    figures = {"ours": ours, "plain": peer, "crowd": crowd, "health": alive, "load": load}
    return bars, {**figures, "ready_s": ready_s, "ready_mb": ready_mb, "after_mb": after_mb}


def main() -> None:
    """Runs the benchmark, or the server it starts."""
    made = parser(__doc__)
    made.add_argument("--items", type=int, default=100_000)
    made.add_argument("--shoppers", type=int, default=3000)
    made.add_argument("--seconds", type=float, default=8.0)
    made.add_argument("--sampled", type=int, default=50)
    made.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.serve:
        serve_market(asked.serve, asked.port)
        return
    bars, figures = run(asked.items, asked.shoppers, asked.seconds, asked.sampled)
    finish("serving", bars, figures, asked.json)


if __name__ == "__main__":
    main()
