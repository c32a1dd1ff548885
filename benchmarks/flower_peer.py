"""The same trips over Flower's deployment engine, for ``network.py``: SuperLink and one SuperNode.

They get a venv of their own, because flwr pins other versions of what fedguide needs. Everything
runs on the loopback without TLS and without authentication, telemetry and update checks off.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

FLWR = "flwr==1.41.*"
SMALL_TRIPS, LARGE_TRIPS = 5, 2
LONGEST_S = 400.0

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
    if not (venv / "bin" / "flwr").exists():
        _install(venv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        seconds = _run(venv, folder, small, large)
    large_s = statistics.median(seconds["large"])
    return {
        "small_s": statistics.median(seconds["small"]),
        "large_s": large_s,
        "large_mb_per_s": large / 1e6 / large_s,
    }


def _install(venv: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), FLWR]
    subprocess.run(command, check=True)


def _run(venv: Path, folder: Path, small: int, large: int) -> dict[str, list[float]]:
    app, out = folder / "app", folder / "seconds.json"
    app.mkdir()
    (app / "pyproject.toml").write_text(_PYPROJECT, "utf-8")
    text = _APP.format(small_trips=SMALL_TRIPS, large_trips=LARGE_TRIPS)
    (app / "trips.py").write_text(text, "utf-8")
    link, node = _free_ports(2)
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{link}"\n'
        "insecure = true\n",
        "utf-8",
    )
    env = {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
    }
    superlink = ["flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(link)]
    supernode = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{link}",
                 "--host", "127.0.0.1", "--port", str(node)]  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(_process(venv, superlink, env, folder / "superlink.log"))
        _wait(lambda: _listens(link), folder / "superlink.log")
        stack.enter_context(_process(venv, supernode, env, folder / "supernode.log"))
        values = f"out='{out}' small={small} large={large}"
        submitted = subprocess.run(
            [str(venv / "bin" / "flwr"), "run", str(app), "here", "--run-config", values],
            env=env,
            check=False,
            capture_output=True,
            text=True,
        )
        if submitted.returncode:
            raise RuntimeError(f"flwr run: {submitted.stdout}{submitted.stderr}")
        _wait(out.exists, folder / "superlink.log")
    found: dict[str, list[float]] = json.loads(out.read_text("utf-8"))
    return found


@contextmanager
def _process(venv: Path, command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as file:
        made = subprocess.Popen(
            [str(venv / "bin" / command[0]), *command[1:]], env=env, stdout=file, stderr=file
        )
        try:
            yield
        finally:
            made.terminate()
            try:
                made.wait(20)
            except subprocess.TimeoutExpired:
                made.kill()
                made.wait()


def _wait(holds: object, log: Path) -> None:
    until = time.monotonic() + LONGEST_S
    while not holds():  # type: ignore[operator]  # a callable
        if time.monotonic() > until:
            raise TimeoutError(f"flwr did not get there: {log.read_text('utf-8')[-2000:]}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
