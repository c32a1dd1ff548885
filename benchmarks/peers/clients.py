"""The clients of ``simulation.py``, the same for everybody; needs numpy alone.

A client is a shopper with about 100 samples: pairs (item, next item of its history), labelled 1,
and as many pairs (item, any item), labelled 0. All items are equally popular, which touches the
most rows.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

ITEMS, WIDTH, HIDDEN = 3700, 32, 32
BATCH, RATE = 20, 0.1
LEAST, MOST = 80, 120


def client(number: int) -> tuple[np.ndarray, np.ndarray]:
    """One client's pairs ``(n, 2)`` int32 and labels ``(n,)`` float32."""
    draws = np.random.default_rng([17, number])
    half = int(draws.integers(LEAST, MOST + 1)) // 2
    history = draws.integers(0, ITEMS, half + 1)
    wanted = np.stack([history[:-1], history[1:]], axis=1)
    unwanted = np.stack([history[:-1], draws.integers(0, ITEMS, half)], axis=1)
    order = draws.permutation(2 * half)
    x, y = np.concatenate([wanted, unwanted]), np.repeat([1.0, 0.0], half)
    return x[order].astype(np.int32), y[order].astype(np.float32)


def first_params() -> dict[str, np.ndarray]:
    """The table and the MLP 64-32-1 everybody begins with."""
    draws = np.random.default_rng(3)
    shapes = {
        "table": (ITEMS, WIDTH),
        "w1": (2 * WIDTH, HIDDEN),
        "b1": (HIDDEN,),
        "w2": (HIDDEN, 1),
        "b2": (1,),
    }
    return {
        name: (0.1 * draws.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def cohort(round_number: int, clients: int, size: int) -> np.ndarray:
    """Who takes part in a round."""
    return np.random.default_rng([5, round_number]).choice(clients, size, replace=False)


def loss_of(params: dict[str, np.ndarray], clients: int) -> float:
    """Mean loss over the samples of the first ``clients`` clients."""
    pairs = [client(number) for number in range(clients)]
    x = np.concatenate([one for one, _ in pairs])
    y = np.concatenate([one for _, one in pairs])
    seen = params["table"][x].reshape(len(x), -1)
    hidden = np.maximum(seen @ params["w1"] + params["b1"], 0)
    logit = (hidden @ params["w2"] + params["b2"])[:, 0]
    return float((np.logaddexp(0, logit) - y * logit).mean())


class Stopwatch:
    """Seconds between one call and the next, and those of this process's processor."""

    def __init__(self) -> None:
        self.last, self.seconds = time.perf_counter(), []
        self.last_cpu, self.cpu = time.process_time(), []

    def __call__(self) -> None:
        """A round is over."""
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now
        now = time.process_time()
        self.cpu.append(now - self.last_cpu)
        self.last_cpu = now


def tell(watch: Stopwatch, params: dict[str, Any], folder: str) -> None:
    """Prints what a peer measured: seconds of each round, and where its last model ended."""
    arrays = {name: np.asarray(value, np.float32) for name, value in params.items()}
    print(
        json.dumps({"seconds": watch.seconds, "cpu": watch.cpu, "loss": loss_of(arrays, 200)}),
        flush=True,
    )
    np.savez(Path(folder) / "params.npz", **arrays)
