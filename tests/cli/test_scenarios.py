"""The chapters of docs/scenarios: every command runs, and says what the page says it says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from fedguide.cli import ad_desk
from fedguide.cli.app import main

PAGES = Path(__file__).parents[2] / "docs" / "scenarios"
TRAINING = ("demo",)
"""Commands that train for a minute: their page's output is that of the shared small run's."""

SMALLER = {("audience", "build"): ["--shoppers", "700"], ("audience", "estimate"): []}
"""What makes a command small enough for a test."""


def commands(name: str) -> list[tuple[list[str], list[str]]]:
    """Every command of a page with the lines it printed."""
    text = (PAGES / name).read_text("utf-8")
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ fedguide ", block, flags=re.MULTILINE)[1:]:
            first, *printed = part.splitlines()
            found.append((shlex.split(first), [line for line in printed if line.strip()]))
    return found


def words(line: str) -> str:
    """The words of a line without figures, in the order they stand."""
    return " ".join(re.findall(r"[A-Za-z]{3,}", line))


@pytest.fixture(scope="module")
def config(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shared run in a home of its own."""
    folder = tmp_path_factory.mktemp("scenarios")
    shutil.copytree(trained.parent / "home", folder / "home")
    path = folder / "f.toml"
    path.write_text(f"home = '{folder / 'home'}'\n", "utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["cross-platform.md", "joint-marketing.md", "ads.md"])
def test_the_commands_of_a_chapter_run_and_say_what_it_says(
    name: str, config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ad_desk, "INVENTED_VIEWS", 1800)
    ran = 0
    for command, printed in commands(name):
        if command[0] in TRAINING:
            continue
        more = SMALLER.get(tuple(command[:2]), [])
        small = [one.replace("shop1-u000", "shop1-u00").replace("2000", "200") for one in command]
        small = ["0.3" if one == "0.6" else one for one in small]
        assert main([*small, *more, "--config", config]) == 0, command
        out = " ".join(words(line) for line in capsys.readouterr().out.splitlines())
        # Lines that begin a sentence or a table; titles and verdicts are of other data.
        for line in printed:
            begun = " ".join(words(line).split()[:2])
            if line[0].isalpha() or line.startswith((" tenth", " name", " #")):
                assert begun in out, (command, line)
        ran += 1
    assert ran >= 2


def test_every_page_is_listed_and_its_figures_name_their_command() -> None:
    index = (PAGES / "README.md").read_text("utf-8")
    pages = {path.name for path in PAGES.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\(([a-z-]+\.md)\)", index)) == pages
    for name in ("joint-marketing.md", "ads.md"):
        for script in re.findall(r"python (benchmarks/\w+\.py)", (PAGES / name).read_text("utf-8")):
            assert (PAGES.parents[1] / script).is_file()
