"""The README's Python runs as printed, and both READMEs show the same commands and code."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_python_of_the_readme_runs() -> None:
    (code,) = _blocks("README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("round 0, metrics={")
    accuracy = [float(re.search(r"'accuracy': ([\d.]+)", line)[1]) for line in lines]
    assert accuracy[-1] > 0.9 > accuracy[0]


def _commands(name: str) -> list[str]:
    """The command lines of a README without their comments, which are translated."""
    lines = [line for block in _blocks(name, "sh") for line in block.splitlines()]
    return [line.split(" #")[0].strip() for line in lines]


def test_both_readmes_show_the_same() -> None:
    for language in ("python", "text"):
        assert _blocks("README.md", language) == _blocks("README.zh-CN.md", language)
    assert _commands("README.md") == _commands("README.zh-CN.md")
    headings = [
        len(re.findall(r"^## ", (ROOT / name).read_text("utf-8"), re.MULTILINE))
        for name in ("README.md", "README.zh-CN.md")
    ]
    assert headings[0] == headings[1]
