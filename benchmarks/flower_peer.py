"""The same trips over Flower's deployment engine, for ``network.py``: SuperLink and one SuperNode.

They get a venv of their own, because flwr pins other versions of what fedguide needs. Everything
runs on the loopback without TLS and without authentication, telemetry and update checks off.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

from tests.e2e.flower_world import flower, make_venv

SMALL_TRIPS, LARGE_TRIPS = 5, 2

_PYPROJECT = """
[project]
name = "trips"
version = "1.0.0"
dependencies = []
[tool.flwr.app]
publisher = "benchmark"
[tool.flwr.app.components]
serverapp = "trips:server"
clientapp = "trips:client"
[tool.flwr.app.config]
out = ""
small = 0
large = 0
"""

_APP = '''
"""Sends bytes to a node, and times how long its answer takes."""

import json
import time

import numpy as np
from flwr.app import ArrayRecord, Array, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

server = ServerApp()
client = ClientApp()


def record(size, wanted):
    body = np.random.default_rng(7).integers(0, 256, size, np.uint8)
    arrays = ArrayRecord({{"body": Array(body)}})
    return RecordDict({{"arrays": arrays, "config": ConfigRecord({{"wanted": wanted}})}})


@client.train()
def train(message, context):
    wanted = int(message.content["config"]["wanted"])
    return Message(record(wanted, 0), reply_to=message)


@server.main()
def main(grid, context):
    config = context.run_config
    while not list(grid.get_node_ids()):
        time.sleep(0.1)
    node = list(grid.get_node_ids())[0]
    seconds = {{}}
    plan = [("small", config["small"], config["small"], {small_trips}),
            ("large", config["large"], 8, {large_trips})]
    for name, down, up, count in plan:
        seconds[name] = []
        for number in range(count):
            message = Message(record(down, up), dst_node_id=node, message_type="train")
            start = time.perf_counter()
            (reply,) = list(grid.send_and_receive([message]))
            assert not reply.has_error(), reply.error
            seconds[name].append(time.perf_counter() - start)
    with open(config["out"], "w") as file:
        json.dump(seconds, file)
'''


def measure(venv: Path, small: int, large: int) -> dict[str, float]:
    """Median seconds of a small trip, and MB/s of a large message with a small answer."""
    make_venv(venv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        app, out = folder / "app", folder / "seconds.json"
        app.mkdir()
        (app / "pyproject.toml").write_text(_PYPROJECT, "utf-8")
        text = _APP.format(small_trips=SMALL_TRIPS, large_trips=LARGE_TRIPS)
        (app / "trips.py").write_text(text, "utf-8")
        with flower(venv, folder, [""]) as world:
            world.run(app, f"out='{out}' small={small} large={large}")
            world.wait(out.exists)
        seconds: dict[str, list[float]] = json.loads(out.read_text("utf-8"))
    large_s = statistics.median(seconds["large"])
    return {
        "small_s": statistics.median(seconds["small"]),
        "large_s": large_s,
        "large_mb_per_s": large / 1e6 / large_s,
    }
