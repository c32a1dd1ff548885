"""Runs one benchmark by name, or every one: ``make bench BENCH=name BENCH_ARGS="--json FILE"``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOT_A_BENCHMARK = {"run", "report", "postgres"}


def main() -> int:
    """Each benchmark is a process of its own, so that one cannot warm up another."""
    names = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NOT_A_BENCHMARK)
    wanted, *rest = sys.argv[1:] or ["all"]
    if wanted == "all":
        chosen = names
    elif wanted in names:
        chosen = [wanted]
    else:
        print(f"no benchmark {wanted!r}; there are: {', '.join(names)}", file=sys.stderr)
        return 4
    codes = [
        subprocess.run([sys.executable, str(HERE / f"{name}.py"), *rest], check=False).returncode
        for name in chosen
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
