"""The README's first steps, as they stand there: from 50,000 events of one's own to a served guide.

Cloning and ``make install`` are what made the environment these tests run in; the commands after
them are read from the README and run one after the other, in processes of their own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from itertools import takewhile
from pathlib import Path

import pytest

from tests.e2e.orders import EVENTS, write_orders

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- newcomer -->\n+```console\n(.*?)```", re.DOTALL)
READMES = ("README.md", "README.zh-CN.md")


def _steps(readme: str) -> list[tuple[str, list[str]]]:
    """Each command of the block and the lines it shows as its output."""
    found = BLOCK.search((ROOT / readme).read_text("utf-8"))
    assert found, f"{readme} has no block of first steps"
    steps: list[tuple[str, list[str]]] = []
    for line in found[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif line.strip():
            steps[-1][1].append(line)
    return steps


def _pattern(shown: str) -> str:
    """A shown line as a pattern: figures, times and addresses are of one run."""
    return re.sub(r"\\?\d[\d,.:\\-]*", r"[\\d,.:-]+", re.escape(shown.strip()))


def _environment(folder: Path) -> dict[str, str]:
    # Two rounds are as much a training as the default; what they give is not looked at here.
    small = {"FEDGUIDE_SET__TRAIN__ROUNDS": "2", "FEDGUIDE_SET__SERVE__PORT": "0"}
    return {**os.environ, **small, "HOME": str(folder)}


def _arguments(command: str) -> list[str]:
    program, *arguments = command.split()
    assert program.endswith("bin/fedguide")
    return [str(Path(sys.executable).parent / "fedguide"), *arguments]


def test_both_readmes_show_the_same_five_commands_with_their_output() -> None:
    english, chinese = map(_steps, READMES)
    assert [command for command, _ in english] == [command for command, _ in chinese]
    assert len(english) == 5
    assert [command.split()[0] for command, _ in english[:2]] == ["git", "make"]
    assert all(shown for _, shown in english[1:])


def test_the_commands_of_the_readme_serve_one_s_own_data(tmp_path: Path) -> None:
    write_orders(tmp_path / "orders.csv")
    steps = _steps(READMES[0])[2:]
    environment = _environment(tmp_path)
    for command, shown in steps[:-1]:
        done = subprocess.run(
            _arguments(command), cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed = done.stdout + done.stderr
        for line in shown:
            assert re.search(_pattern(line), printed), f"{line!r} is not in {printed!r}"
    with subprocess.Popen(
        _arguments(steps[-1][0]), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            # It prints its addresses and then how to stop it.
            printed = "".join(takewhile(lambda line: "Ctrl-C" not in line, server.stdout))
            for line in steps[-1][1]:
                assert re.search(_pattern(line), printed), f"{line!r} is not in {printed!r}"
            found = re.search(r"http://[\d.]+:\d+", printed)
            assert found
            _asked(found[0])
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _asked(address: str) -> None:
    """What is served is the file's: its items, its prices, its shoppers."""
    wish = json.dumps({"text": "red or blue mug under 30", "k": 5}).encode()
    with urllib.request.urlopen(f"{address}/api/v1/guide", wish, timeout=30) as response:
        answer = json.load(response)
    assert answer["exact"]
    assert answer["total"] > 0
    for item in answer["items"]:
        assert item["title"].split()[:2] in (["red", "mug"], ["blue", "mug"])
        assert item["price"] <= 30
    with urllib.request.urlopen(f"{address}/api/v1/recommend?user=C00007", timeout=30) as response:
        assert json.load(response)["source"] == "personal"
    with urllib.request.urlopen(f"{address}/", timeout=30) as response:
        assert response.status == 200
    assert EVENTS == 50_000
