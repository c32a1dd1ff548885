"""How long ``fedguide --version`` and ``--help`` take beside ``python -c pass``.

Also: what ``--help`` imports (none of jax, duckdb, faiss, fastapi), and the size of the base
install (packages of ``locks/train.txt`` reached without the ``[train]`` extra).
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import Bar, at_most, finish, parser, show

RUNS = 15
HEAVY = ("jax", "duckdb", "faiss", "fastapi", "numpy")


def seconds(command: list[str]) -> float:
    """Whole-process wall time of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def imported(arguments: list[str]) -> set[str]:
    """The heavy modules that a command line imports."""
    code = (
        f"import sys; from fedguide.cli import main; sys.argv = ['fedguide', *{arguments!r}]\n"
        "try: main.run()\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name for name in HEAVY if f"'{name}'" in done.stderr.splitlines()[-1]}


def main() -> None:
    """Interleaves the commands, so that a noisy moment hits all of them."""
    args = parser(__doc__).parse_args()
    fedguide = shutil.which("fedguide", path=str(Path(sys.executable).parent)) or "fedguide"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "fedguide --version": [fedguide, "--version"],
        "fedguide --help": [fedguide, "--help"],
        "fedguide data --help": [fedguide, "data", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["python -c pass"]
    rows = [
        (
            name,
            f"{medians[name]:.3f}",
            f"{min(v):.3f}",
            f"{max(v):.3f}",
            f"{medians[name] / base:.1f}x",
        )
        for name, v in times.items()
    ]
    show("start-up, seconds", ("command", "median", "min", "max", "ratio"), rows)
    loaded = {line: sorted(imported(line.split())) for line in ("--version", "--help")}
    bars = [
        at_most("fedguide --version, s", medians["fedguide --version"], 0.25),
        at_most("fedguide --help, s", medians["fedguide --help"], 0.5),
        *(
            Bar(f"{line} imports of {', '.join(HEAVY)}", float(len(names)), "== 0", not names)
            for line, names in loaded.items()
        ),
    ]
    finish("startup", bars, {"seconds": times, "imports": loaded}, args.json)


if __name__ == "__main__":
    main()
