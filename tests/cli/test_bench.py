"""``fedguide bench``: a table is kept with where it was made, compared and drawn."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fedguide.cli.app import main

SCRIPT = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--json", type=pathlib.Path)
parser.add_argument("--value", type=float, default=2.0)
args = parser.parse_args()
bars = [{"name": "speed", "value": args.value, "bar": ">= 1", "holds": args.value >= 1},
        {"name": "peer", "value": None, "bar": ">= 5", "holds": None}]
machine = {"python": "3", "system": "x", "cores": 2, "commit": "abc1234", "versions": {}}
print("a table")
args.json.write_text(json.dumps({"command": "bench tiny", "data": {"bars": bars,
    "machine": machine}}))
"""


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Options that lead to a folder of one benchmark and to a home."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "report.py").write_text("", "utf-8")
    (folder / "tiny.py").write_text(SCRIPT, "utf-8")
    (folder / "broken.py").write_text("raise SystemExit(3)", "utf-8")
    config = tmp_path / "fedguide.toml"
    config.write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    return [str(folder), str(config)]


def data(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)["data"]
    return found


def kept(place: list[str], capsys: pytest.CaptureFixture[str], value: str) -> Path:
    command = ["bench", "run", "tiny", "--from", place[0], "--config", place[1], "--json"]
    assert main([*command, "--", "--value", value]) == 0
    return Path(str(data(capsys)["kept"]))


def test_run_compare_plot(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    first = kept(place, capsys, "2")
    body = json.loads(first.read_text("utf-8"))
    assert (body["benchmark"], body["machine"]["commit"]) == ("tiny", "abc1234")
    assert body["options"] == ["--value", "2"]
    assert "abc1234" in first.name
    other = first.with_name("tiny-later.json")
    other.write_text(json.dumps(body | {"bars": [{**body["bars"][0], "value": 3.0}]}), "utf-8")

    command = ["bench", "compare", first.stem, "tiny-later", "--config", place[1]]
    assert main([*command, "--json"]) == 0
    rows = data(capsys)["rows"]
    assert rows == [
        {"bar": "speed", "before": 2.0, "after": 3.0, "ratio": 1.5, "wanted": ">= 1"},
        {"bar": "peer", "before": None, "after": None, "ratio": None, "wanted": ">= 5"},
    ]
    assert main(command) == 0
    assert "speed" in capsys.readouterr().out

    drawing = first.with_name("out.svg")
    assert main(["bench", "plot", str(first), "--out", str(drawing), "--config", place[1]]) == 0
    tree = ElementTree.fromstring(drawing.read_text("utf-8"))  # noqa: S314 - our own file
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    assert "speed (>= 1)" in "".join(tree.itertext())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["run", "nothing"], "no benchmark 'nothing'; there are broken, tiny"),
        (["run", "broken"], "ended with code 3"),
        (["compare", "a", "b"], "no kept table 'a'"),
        (["plot", "a"], "no kept table 'a'"),
    ],
)
def test_what_is_not_there(
    place: list[str], capsys: pytest.CaptureFixture[str], command: list[str], words: str
) -> None:
    where = ["--from", place[0]] if command[0] == "run" else []
    assert main(["bench", *command, *where, "--config", place[1]]) != 0
    assert words in capsys.readouterr().err


def test_tables_of_two_benchmarks_are_not_compared(
    place: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = kept(place, capsys, "2")
    other = tmp_path / "other.json"
    other.write_text(first.read_text("utf-8").replace('"tiny"', '"other"'), "utf-8")
    assert main(["bench", "compare", str(first), str(other), "--config", place[1]]) != 0
    assert "only tables of one benchmark" in capsys.readouterr().err
    other.write_text("[]", "utf-8")
    assert main(["bench", "plot", str(other), "--config", place[1]]) != 0
    assert "has no bars" in capsys.readouterr().err
