"""``fedguide doctor``: is this machine ready, and if not, the one command that helps."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table

LEAST_DISK_BYTES = 1 << 30
LEAST_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at; ``fix`` is one command, and empty where all is well."""

    name: str
    holds: bool
    found: str
    fix: str = ""


def doctor(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Check this machine: packages, disk, memory, database, ports; and its hub, TLS, clock."""
    from fedguide import config
    from fedguide.cli.doctor_network import network_checks

    settings = config.load(found(path))
    out = begin("doctor", as_json=as_json, lang=lang, fallback=settings.lang)
    checks = [
        _python(),
        _packages("base", ("numpy", "duckdb", "sqlalchemy", "fastapi", "uvicorn", "faiss")),
        _packages("train", ("jax", "optax")),
        _home(settings.home),
        _disk(settings.home),
        _memory(),
        _sqlite(),
        _port(settings.serve.host, settings.serve.port),
        *network_checks(settings),
    ]
    rows = [(("✓ " if c.holds else "✗ ") + c.name, c.found, c.fix) for c in checks]
    heads = (out.pick("check", "检查"), out.pick("found", "结果"), out.pick("try", "建议"))
    made = table("", heads, rows)
    for column in made.columns[1:]:
        column.justify = "left"
    out.finish({"checks": [vars(c) for c in checks]}, made)
    if not all(c.holds for c in checks):
        raise typer.Exit(1)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", sys.version_info >= (3, 11), version, "")


def _packages(extra: str, modules: tuple[str, ...]) -> Check:
    lacking = [name for name in modules if importlib.util.find_spec(name) is None]
    name = "packages" if extra == "base" else f"packages [{extra}]"
    if lacking:
        target = "fedguide" if extra == "base" else f"'fedguide[{extra}]'"
        return Check(name, False, "missing: " + ", ".join(lacking), f"pip install {target}")
    known = [n for n in modules if n != "faiss"]
    return Check(name, True, ", ".join(f"{n} {importlib.metadata.version(n)}" for n in known[:3]))


def _home(home: Path) -> Check:
    nearest = _nearest(home)
    if os.access(nearest, os.W_OK):
        return Check("home", True, str(home))
    return Check("home", False, f"{nearest} is not writable", f"chmod u+w {nearest}")


def _disk(home: Path) -> Check:
    free = shutil.disk_usage(_nearest(home)).free
    text = f"{free / (1 << 30):.1f} GiB free"
    return Check(
        "disk", free >= LEAST_DISK_BYTES, text, "" if free >= LEAST_DISK_BYTES else "df -h"
    )


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{total / (1 << 30):.1f} GiB, {os.cpu_count()} cores"
    holds = total >= LEAST_MEMORY_BYTES
    return Check("memory", holds, text, "" if holds else "free -h")


def _sqlite() -> Check:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "probe.db")
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        finally:
            connection.close()
    return Check("database", mode == "wal", f"SQLite {sqlite3.sqlite_version}, journal {mode}")


def _port(host: str, port: int) -> Check:
    name = f"port {host}:{port}"
    return _attempt(name, lambda: free_port(host, port))


def free_port(host: str, port: int) -> str:
    """Says that a port can be listened on; raises ``OSError`` where it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    return "free"


def _attempt(name: str, action: Callable[[], str]) -> Check:
    try:
        return Check(name, True, action())
    except OSError as error:
        return Check(name, False, error.strerror or str(error), "fedguide serve --port 0")


def _nearest(path: Path) -> Path:
    """The path itself or its nearest ancestor that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
