"""The examples of docs/own-model.md, really run with flax and torch in venvs of their own.

Each venv gets this checkout's training extra and one framework; made once, kept beside the
checkout. Prints what each example ends with and how long it took.

    python benchmarks/own_model.py [--only flax] [--json FILE]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from report import ROOT, at_least, finish, parser, show

NEEDS = {
    "jax": (),
    "flax": ("flax>=0.10",),
    "torch": ("torch>=2.4",),
}


def python_of(framework: str) -> Path:
    """The interpreter of the framework's venv, which is made where it is not there."""
    folder = ROOT / f".venv-own-{framework}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = [f"{ROOT}[train]", *NEEDS[framework]]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True)
        (folder / "ready").touch()
    return python


def main() -> None:
    """Runs the examples, prints one table."""
    options = parser(__doc__)
    options.add_argument("--only", choices=sorted(NEEDS), help="one framework")
    given = options.parse_args()
    page = (ROOT / "docs" / "own-model.md").read_text("utf-8")
    blocks = dict(re.findall(r"```python (\w+)\n(.*?)```", page, re.DOTALL))
    rows, bars = [], []
    for framework in NEEDS:
        if given.only not in (None, framework):
            continue
        python = Path(sys.executable) if framework == "jax" else python_of(framework)
        start = time.perf_counter()
        done = subprocess.run(
            [str(python), "-c", blocks[framework]],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        if done.returncode:
            raise SystemExit(f"{framework}: {done.stderr}")
        hit = float(done.stdout.split()[-1])
        rows.append((framework, f"{hit:.3f}", f"{time.perf_counter() - start:.1f}"))
        bars.append(at_least(f"{framework}: share of right answers", hit, 0.85))
    show("own models after 20 rounds", ("framework", "right", "seconds"), rows)
    finish("own_model", bars, {"rows": rows}, given.json)


if __name__ == "__main__":
    main()
