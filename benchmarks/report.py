"""The one table a benchmark prints and the one JSON file it writes."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bar:
    """One figure held against its bar; ``bar`` says the bar in words, such as ``>= 1.10``."""

    name: str
    value: float | None
    bar: str
    holds: bool | None


def at_least(name: str, value: float, bar: float) -> Bar:
    """A bar that holds from ``bar`` upwards."""
    return Bar(name, round(value, 6), f">= {bar:g}", value >= bar)


def at_most(name: str, value: float, bar: float) -> Bar:
    """A bar that holds up to ``bar``."""
    return Bar(name, round(value, 6), f"<= {bar:g}", value <= bar)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    return made


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints one table in plain text."""
    texts = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    print(f"\n{title}")
    for number, row in enumerate(texts):
        cells = [row[0].ljust(widths[0])] + [
            c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)
        ]
        print("  ".join(cells))
        if number == 0:
            print("  ".join("-" * w for w in widths))


def finish(name: str, bars: Sequence[Bar], data: dict[str, Any], path: Path | None) -> None:
    """Prints the bars and writes ``{"data": {"bars": [...], ...}}`` where asked."""
    marks = {True: "yes", False: "NO", None: "-"}
    rows = [
        (b.name, "-" if b.value is None else f"{b.value:.4g}", b.bar, marks[b.holds]) for b in bars
    ]
    show(f"{name}: bars", ("bar", "value", "wanted", "holds"), rows)
    if path is None:
        return
    body = finite({"bars": [asdict(b) for b in bars], **data, "machine": machine()})
    envelope = {"ok": True, "command": f"bench {name}", "data": body}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(envelope, indent=1, allow_nan=False), encoding="utf-8")


def finite(value: Any) -> Any:
    """The value as JSON can hold it: NaN and infinities become null."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine() -> dict[str, Any]:
    """Where the figures were made: enough to judge them, nothing that identifies."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "commit": commit or None,
        "versions": {n: _version(n) for n in ("numpy", "jax", "optax", "faiss-cpu", "fastapi")},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def data_folder() -> Path | None:
    """The folder of real data, from ``FEDGUIDE_DATA`` or beside the checkout; else ``None``."""
    named = os.environ.get("FEDGUIDE_DATA")
    if named:
        return Path(named)
    beside = ROOT.parent / "shared" / "data"
    return beside if beside.is_dir() else None
