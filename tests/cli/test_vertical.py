"""``fedguide align`` and ``fedguide vertical`` on CSV files of two and three parties."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fedguide.cli.app import main
from fedguide.vertical.terms import VERTICAL_TERMS

PEOPLE = 400


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's and two partners' tables: the label hangs on all three."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(3, PEOPLE))
    score = columns.sum(0)
    label = (score + rng.logistic(size=PEOPLE) > 0).astype(int)
    heads = {"shop": ["id", "y", "spend", "always"], "bank": ["id", "income"],
             "post": ["id", "parcels"]}  # fmt: skip
    for number, (name, head) in enumerate(heads.items()):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            people = range(PEOPLE) if name == "shop" else rng.permutation(PEOPLE)[: PEOPLE - 20]
            for who in people:
                cell = round(float(columns[number, who]), 4)
                writer.writerow(
                    [f"c{who}", label[who], cell, 1] if not number else [f"c{who}", cell]
                )
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    body = json.loads(capsys.readouterr().out)
    assert body["ok"]
    return body["data"]


def given(files: Path, *names: str) -> list[str]:
    pairs = [("--partner", f"{name}={files / name}.csv") for name in names]
    return [str(files / "shop.csv"), *(part for pair in pairs for part in pair)]


def test_align_counts_the_common(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", *given(files, "bank", "post"), "--json"]) == 0
    data = said(capsys)
    assert data["common"] == {"bank": PEOPLE - 20, "post": PEOPLE - 20}
    assert PEOPLE - 40 <= data["common_to_all"] <= PEOPLE - 20


def test_three_parties_train_score_report_and_explain(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    train = ["vertical", "train", *given(files, "bank", "post"), "--out", model]
    assert main([*train, "--trees", "8", "--depth", "2", "--least-node", "50", "--json"]) == 0
    data = said(capsys)
    assert data["scheme"] == "lattice"
    assert data["quality"]["auc_together"] > data["quality"]["auc_alone"]
    written = {path.relative_to(model).as_posix() for path in Path(model).rglob("*.fgc")}
    assert written == {"label.fgc", "bank/half.fgc", "post/half.fgc"}
    scores = tmp_path / "scores.csv"
    score = ["vertical", "score", model, *given(files, "bank", "post")]
    assert main([*score, "--out", str(scores), "--json"]) == 0
    scored = said(capsys)["scored"]
    lines = scores.read_text("utf-8").splitlines()
    assert len(lines) == scored + 1 == data["customers"] + 1
    one = lines[1].split(",")
    assert main([*score, "--customer", one[0], "--json"]) == 0
    assert said(capsys)["scores"] == [[one[0], pytest.approx(float(one[1]), abs=1e-5)]]
    assert main([*score, "--customer", "nobody"]) == 4
    assert "nobody" not in capsys.readouterr().err
    assert main(["vertical", "report", model]) == 0
    report = capsys.readouterr().out
    assert "NOT defended" in report
    assert main(["vertical", "report", model, "--lang", "zh"]) == 0
    assert "未防护" in capsys.readouterr().out
    assert main(["vertical", "explain", model, "--json"]) == 0
    owners = {row[0] for row in said(capsys)["features"]}
    assert owners == {"you", "bank", "post"}
    assert main(["vertical", "score", model, *given(files, "bank")]) == 4
    assert "needs post too" in capsys.readouterr().err


def test_a_glm_asks_for_consent_and_then_trains_and_scores(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    train = ["vertical", "train", *given(files, "bank", "post"), "--out", model, "--model", "glm"]
    assert main(train) == 4
    assert "--reveal-alignment" in capsys.readouterr().err
    more = ["--reveal-alignment", "--scheme", "plain", "--steps", "20"]
    assert main([*train, *more]) == 0
    assert "which of their rows" in capsys.readouterr().err
    assert main(["vertical", "score", model, *given(files, "bank", "post"), "--json"]) == 0
    assert 0 < len(said(capsys)["scores"]) <= PEOPLE - 20
    assert main(["vertical", "score", model, *given(files, "bank")]) == 4
    assert "needs post too" in capsys.readouterr().err
    assert main(["vertical", "explain", model]) == 0
    assert "you: spend" in capsys.readouterr().out


def test_a_regression_and_wrong_words(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    train = ["vertical", "train", *given(files, "bank"), "--out", model, "--scheme", "plain"]
    numbers = ["--label", "spend", "--objective", "regression", "--trees", "3", "--json"]
    assert main([*train, *numbers]) == 0
    assert "r2_together" in said(capsys)["quality"]
    for extra, text in (
        (["--label", "nothing"], "no column 'nothing'"),
        (["--label", "spend"], "two values"),
        (["--model", "net"], "gbdt or glm"),
        (["--objective", "odd"], "binary, multiclass or regression"),
        (["--key", "name"], "no column 'name'"),
    ):
        assert main([*train, *extra]) == 4
        assert text in capsys.readouterr().err
    assert main(["vertical", "report", str(tmp_path / "none")]) == 4
    assert "holds no vertical model" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["explain"], ["vertical", "explain"]])
def test_terms_are_explained_in_both_languages(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for term in ("lattice", "psi"):
        en, zh = VERTICAL_TERMS[term]
        assert main([*command, term, "--json"]) == 0
        assert said(capsys)["text"] == en
        assert main([*command, term, "--lang", "zh", "--json"]) == 0
        assert said(capsys)["text"] == zh
    assert main(["vertical", "explain"]) == 0
    assert "host-blind" in capsys.readouterr().out
    assert main(["vertical", "explain", "nonsense"]) == 4
