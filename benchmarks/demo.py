"""How long ``make demo`` takes on a fresh clone, to the compare table and to the served page.

The clone and its virtual environment are new; the packages come from the local package cache where
it has them (run it twice: the second run is with dependencies downloaded).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from report import ROOT, Bar, at_most, finish, parser, show

LIMIT_S = 600.0


def main() -> None:
    """Clones, runs, reads the demo's own output with a watch in hand, fetches the page."""
    args = parser(__doc__).parse_args()
    marks: dict[str, float] = {}
    page_bytes = 0
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "fedguide"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        start = time.perf_counter()
        child = subprocess.Popen(
            ["make", "demo", "DEMO_ARGS=--port 0"],
            cwd=clone,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="")
                now = time.perf_counter() - start
                if "together" in line:
                    marks.setdefault("compare table", now)
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
                if address:
                    with urllib.request.urlopen(address.group(), timeout=30) as answer:
                        page_bytes = len(answer.read())
                    marks["served page"] = time.perf_counter() - start
                    break
                if now > LIMIT_S:
                    break
        finally:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
    show(
        "make demo on a fresh clone",
        ("until", "seconds"),
        [(k, f"{v:.1f}") for k, v in marks.items()],
    )
    bars = [
        at_most(f"seconds to the {name}", marks[name], 60)
        if name in marks
        else Bar(f"seconds to the {name}", None, "<= 60", holds=False)
        for name in ("compare table", "served page")
    ]
    finish("demo", bars, {"seconds": marks, "page_bytes": page_bytes}, args.json)


if __name__ == "__main__":
    main()
