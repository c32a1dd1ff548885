"""``fedguide stats`` over tables of three clinics: figures, notes, refusals, ledgers."""

import json
import sqlite3
from pathlib import Path

import pytest

from fedguide.cli.app import main


@pytest.fixture
def clinics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("fedguide.toml").write_text('[privacy]\npurposes = ["statistics"]\n', "utf-8")
    options = []
    for number in range(3):
        rows = [f"p{i},{20 + 10 * (i % 4)},{'AB'[i % 2]}" for i in range(100 + number)]
        path = Path(f"clinic{number}.csv")
        path.write_text("\n".join(["patient,age,type", *rows]) + "\n", "utf-8")
        options += ["--data", str(path)]
    return [*options, "--person", "patient"]


def asked(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict:
    assert main([*argv, "--json"]) == code
    body = json.loads(capsys.readouterr().out)
    return body["data"] if code == 0 else body["error"]


def test_every_statistic_says_its_noise_and_its_floor(clinics, capsys):
    made = asked(capsys, "stats", "count", *clinics, "--epsilon", "1")
    assert made["cells"][0]["people"] == pytest.approx(303, abs=60)
    assert (made["epsilon"], made["floor"]) == (1.0, 50)
    assert made["cells"][0]["half_width"] > 0
    made = asked(capsys, "stats", "group-by", *clinics, "--by", "type=A,B", "--by", "age:35",
                 "--epsilon", "1")  # fmt: skip
    assert [cell["cell"] for cell in made["cells"]] == [
        ["A", "< 35"], ["A", ">= 35"], ["B", "< 35"], ["B", ">= 35"],
    ]  # fmt: skip
    made = asked(capsys, "stats", "quantile", *clinics, "--column", "age", "--low", "0",
                 "--high", "64", "--steps", "3", "--epsilon", "2")  # fmt: skip
    assert made["value"] in (28.0, 36.0)
    assert main(["stats", "heavy-hitters", *clinics, "--column", "type", "--domain", "A,C",
                 "--epsilon", "1", "--lang", "zh"]) == 0  # fmt: skip
    shown = capsys.readouterr().out
    assert "A" in shown
    assert "低于 k = 50 的数不显示" in shown
    assert len(list(Path(".fedguide/ledgers/stats").glob("*.db"))) == 3


def test_an_answer_is_charged_once_and_shown_again_free(clinics, capsys):
    command = ["stats", "count", *clinics, "--epsilon", "1"]
    made = asked(capsys, *command)
    assert made["charged"]
    for _ in range(2):
        assert asked(capsys, *command) == {**made, "charged": False}
    assert _charges() == 3  # one of each holder
    assert main([*command, "--lang", "en"]) == 0
    assert "nothing is charged now" in capsys.readouterr().err
    assert asked(capsys, *command, "--again")["charged"]
    assert _charges() == 6
    # Another question is another answer.
    assert asked(capsys, *command, "--where", "type=A")["charged"]


def _charges() -> int:
    """Records in the holders' ledgers."""
    total = 0
    for path in sorted(Path(".fedguide/ledgers/stats").glob("*.db")):
        with sqlite3.connect(path) as db:
            total += db.execute("SELECT count(*) FROM entries").fetchone()[0]
        db.close()
    return total


def test_refusals_have_their_exit_code(clinics, capsys):
    error = asked(capsys, "stats", "count", *clinics, "--where", "age=99", code=6)
    assert "no figure reaches the floor of 50" in error["message"]
    error = asked(capsys, "stats", "count", *clinics, "--purpose", "ads", code=6)
    assert "purpose 'ads' is not allowed here" in error["message"]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["count", "--where", "age"], "--where wants COLUMN=VALUE"),
        (["histogram", "--by", "age"], "--by wants COLUMN=a,b,c or COLUMN:0,10,50"),
        (["histogram", "--by", "age:x"], "edges of --by must be numbers"),
        (["histogram", "--by", "age:1", "--by", "type=A"], "a histogram has one --by"),
        (["count", "--where", "height=1"], "has no column 'height'"),
        (["count", "--floor", "3"], "floor must be at least 10"),
    ],
)
def test_bad_input_is_an_error_of_few_lines(clinics, capsys, argv, text):
    error = asked(capsys, "stats", *argv, *clinics, code=4)
    assert text in error["message"]
