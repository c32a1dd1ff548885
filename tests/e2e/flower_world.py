"""Flower for real: a SuperLink and SuperNodes on the loopback, in a venv of their own.

flwr pins other versions of what fedguide needs. Everything runs without TLS and without
authentication, telemetry and update checks off.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

FLWR = "flwr==1.41.*"
LONGEST_S = 600.0
_LOOK_S = 10.0


def make_venv(venv: Path, *packages: str) -> None:
    """A venv with flwr and whatever else is named; one that is there stays as it is."""
    if (venv / "bin" / "flwr").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    uv = str(Path(sys.executable).parent / "uv")
    python = str(venv / "bin" / "python")
    command = [uv, "pip", "install", "--quiet", "--python", python, FLWR, *packages]
    subprocess.run(command, check=True)


@dataclass(frozen=True)
class World:
    """A SuperLink with its nodes; apps are sent to it."""

    venv: Path
    folder: Path
    env: dict[str, str]

    def run(self, app: Path, config: str) -> str:
        """Submits an app and gives its run's number; it goes on when this returns."""
        said = self._flwr("run", str(app), "here", "--run-config", config, "--format", "json")
        return str(json.loads(said)["run-id"])

    def wait(self, holds: Callable[[], bool], run: str | None = None) -> None:
        """Returns as soon as it holds; otherwise, or when the run has ended, says why not."""
        until = time.monotonic() + LONGEST_S
        look = time.monotonic() + _LOOK_S
        while not holds():
            now = time.monotonic()
            ended = False
            if run is not None and now > look:
                ended = self._ended(run) and not holds()
                look = time.monotonic() + _LOOK_S
            if ended or now > until:
                raise TimeoutError(f"flwr did not get there: {self._said(run)}")
            time.sleep(0.1)  # flwr tells nobody when a run is over: it is looked for

    def _ended(self, run: str) -> bool:
        listed = json.loads(self._flwr("list", "here", "--format", "json"))["runs"]
        return any(
            str(one["run-id"]) == run and str(one["status"]).startswith("finished")
            for one in listed
        )

    def _said(self, run: str | None) -> str:
        logs = [f"{log.name}: {log.read_text('utf-8')[-2000:]}" for log in self.logs()]
        own = [self._flwr("log", run, "here", "--show")[-4000:]] if run is not None else []
        return "\n".join([*logs, *own])

    def _flwr(self, *words: str) -> str:
        command = [str(self.venv / "bin" / "flwr"), *words]
        done = subprocess.run(command, env=self.env, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"flwr {words[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def logs(self) -> list[Path]:
        """What SuperLink and SuperNodes have said."""
        return sorted(self.folder.glob("*.log"))


@contextmanager
def flower(venv: Path, folder: Path, nodes: Sequence[str]) -> Iterator[World]:
    """A SuperLink and a SuperNode for each of ``nodes``, their ``--node-config``."""
    ports = _free_ports(3 + len(nodes))
    link, home = ports[0], folder / "home"
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
    world = World(venv, folder, env)
    local = ["--insecure", "--host", "127.0.0.1"]
    with ExitStack() as stack:
        superlink = ["flower-superlink", *local, "--port", str(link)]
        stack.enter_context(_process(world, superlink, "superlink.log"))
        world.wait(lambda: _listens(link))
        for number, config in enumerate(nodes):
            supernode = ["flower-supernode", *local, "--superlink", f"127.0.0.1:{link}",
                         "--port", str(ports[3 + number])]  # fmt: skip
            supernode += ["--node-config", config] if config else []
            stack.enter_context(_process(world, supernode, f"supernode{number}.log"))
        yield world


@contextmanager
def _process(world: World, command: list[str], log: str) -> Iterator[None]:
    with (world.folder / log).open("w") as file:
        made = subprocess.Popen(
            [str(world.venv / "bin" / command[0]), *command[1:]],
            env=world.env,
            stdout=file,
            stderr=file,
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


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
