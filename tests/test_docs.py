"""The documentation is true: blocks run, links lead somewhere, the reference is the code's."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from fedguide.api.app import create_app
from fedguide.api.server import listen
from fedguide.cli.app import main
from fedguide.cli.reference import pages
from tests.guide.sample import a_card, a_guide

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "README.zh-CN.md"])
BLOCK = re.compile(r"<!-- run(?:: (\w+))? -->\n+```(\w+)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def _blocks(language: str, kind: str = "") -> list[object]:
    """Every block to run: its page, its line and its text."""
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in BLOCK.finditer(text):
            if (match[1] or "", match[2]) == (kind, language):
                line = text[: match.start()].count("\n") + 1
                found.append(pytest.param(match[3], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path_factory.mktemp("docs")
    monkeypatch.chdir(made)
    return made


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of a real server over a small shop."""
    guide = a_guide(card=a_card("north"))
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(create_app({"north": guide}), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()


@pytest.mark.parametrize("block", _blocks("console"))
def test_the_commands_run_and_print_what_is_shown(
    block: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in block.split("$ ")[1:]:
        command, *shown = step.splitlines()
        program, *arguments = command.split()
        assert program == "fedguide"
        code = main(arguments)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        for line in shown:
            assert line.strip() in printed.out + printed.err, f"{command}: {line!r} is not printed"
    assert folder.is_dir()


@pytest.mark.parametrize("block", _blocks("python"))
def test_the_python_runs(block: str, folder: Path) -> None:
    exec(compile(block, str(folder), "exec"), {"__name__": "docs"})  # noqa: S102 - our own pages


@pytest.mark.parametrize("block", _blocks("python", "served"))
def test_the_python_against_a_server_runs(block: str, served: str, folder: Path) -> None:
    exec(  # noqa: S102 - our own pages
        compile(block, str(folder), "exec"), {"__name__": "docs", "ADDRESS": served}
    )


def test_there_are_blocks_to_run() -> None:
    assert len(_blocks("console")) >= 3
    assert len(_blocks("python")) >= 4
    assert len(_blocks("python", "served")) >= 1


@pytest.mark.parametrize("name", ["cli.md", "api.md", "config.md", "errors.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    written = (DOCS / "reference" / name).read_text("utf-8")
    assert written == pages()[name], "run: make reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text("utf-8"))
    for target, anchor in LINK.findall(text):
        where = (page.parent / target).resolve() if target else page
        assert where.exists(), f"{target} is not there"
        if anchor and where.suffix == ".md":
            assert anchor[1:] in _anchors(where), f"{target}{anchor} is not there"


def test_every_benchmark_has_its_line() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "benchmarks.md").read_text("utf-8"), re.M))
    # What the others are run by, and what they measure beside, is no question of its own.
    parts = {"report", "run", "postgres", "flower_peer"}
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert listed <= scripts
    assert not scripts - listed - parts


def test_every_file_that_concepts_names_is_there() -> None:
    text = (DOCS / "concepts.md").read_text("utf-8")
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", text))
    assert len(named) >= 15
    assert not [name for name in named if not (ROOT / "src" / "fedguide" / name).is_file()]


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
