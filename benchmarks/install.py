"""How many packages an install brings, and how large it is, with and without ``[train]``.

Each is installed into a new virtual environment from the lock's versions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from report import ROOT, Bar, at_most, finish, parser, show

MIB = 1 << 20


def installed(folder: Path, extra: str) -> tuple[list[str], int]:
    """Names of the packages that came, and bytes of the environment's site-packages."""
    venv = folder / (extra or "base")
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin/python"
    target = f"{ROOT}[{extra}]" if extra else str(ROOT)
    install = [str(uv), "pip", "install", "--quiet", "--python", str(python), target]
    subprocess.run([*install, "-c", str(stripped(folder))], check=True)
    listed = subprocess.run(
        [str(uv), "pip", "list", "--python", str(python), "--format", "json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = [entry["name"] for entry in json.loads(listed.stdout)]
    files = (p for p in (venv / "lib").rglob("*") if p.is_file() and not p.is_symlink())
    return names, sum(p.stat().st_size for p in files)


def stripped(folder: Path) -> Path:
    """The lock without its hashes, to serve as constraints for a local project."""
    lines = (ROOT / "locks/train.txt").read_text("utf-8").splitlines()
    kept = [line.removesuffix("\\").rstrip() for line in lines if line[:1].isalnum()]
    path = folder / "constraints.txt"
    path.write_text("\n".join(kept), encoding="utf-8")
    return path


def main() -> None:
    """Installs twice and measures."""
    args = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        base, base_bytes = installed(Path(name), "")
        train, train_bytes = installed(Path(name), "train")
    rows = [
        ("base", len(base), f"{base_bytes / MIB:.0f}"),
        ("[train]", len(train), f"{train_bytes / MIB:.0f}"),
    ]
    show("install", ("what", "packages", "MiB"), rows)
    cuda = [n for n in train if "cuda" in n or "nvidia" in n]
    bars = [
        at_most("base packages", len(base), 45),
        at_most("base MB", base_bytes / 1e6, 350),
        at_most("[train] GB", train_bytes / 1e9, 1.2),
        Bar("CUDA packages", float(len(cuda)), "== 0", not cuda),
    ]
    finish("install", bars, {"base": base, "train": train}, args.json)


if __name__ == "__main__":
    main()
