"""``fedguide audience uplift``: from a trial's file to a list, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fedguide.cli.app import main

PEOPLE = 1500


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A trial of three arms and a config; young people are moved."""
    rng = np.random.default_rng(0)
    age = rng.normal(size=PEOPLE)
    arm = rng.choice(["mail", "none", "call"], PEOPLE, p=[0.45, 0.45, 0.1])
    bought = rng.random(PEOPLE) < 0.3 + 0.5 * ((arm == "mail") & (age < 0))
    made = {"trial": tmp_path / "trial.csv", "config": tmp_path / "fedguide.toml"}
    made["config"].write_text(f"home = '{tmp_path / 'home'}'\n", "utf-8")
    with made["trial"].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "arm", "got", "bought", "paid", "age", "city"])
        for who in range(PEOPLE):
            writer.writerow(
                [f"c{who}", arm[who], int(arm[who] == "mail"), int(bought[who]),
                 9 * int(bought[who]), round(age[who], 3), ["a", "b"][who % 2]]
            )  # fmt: skip
    return made


def command(files: dict[str, Path], *more: str) -> list[str]:
    return ["audience", "uplift", str(files["trial"]), "--config", str(files["config"]), *more]


ARMS = ["--treated", "arm", "--arm", "mail", "--control", "none", "--without", "got"]


def test_a_trial_is_judged_and_those_who_opted_out_are_not_listed(files, tmp_path, capsys) -> None:
    assert main(["shopper", "optout", "c3", "--config", str(files["config"])]) == 0
    capsys.readouterr()
    listed = tmp_path / "list.csv"
    more = [*ARMS, "--outcome", "bought", "--without", "paid", "--cost", "0.1"]
    assert main(command(files, *more, "--out", str(listed), "--json")) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert 1200 < data["people"] < 1450
    assert data["qini"][1] > 0
    assert data["addressed"]["uplift"][0] > data["effect"][0] > data["addressed"]["rest"][0]
    rows = list(csv.DictReader(listed.read_text("utf-8").splitlines()))
    assert len(rows) == data["listed"]
    scores = [float(row["uplift"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0.1
    assert "c3" not in {row["id"] for row in rows}
    assert listed.stat().st_mode & 0o077 == 0
    assert main(command(files, *more, "--lang", "zh")) == 0
    assert "随机试验" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--treated", "arm", "--outcome", "bought"], "must say 1 or 0 of everybody"),
        (["--treated", "got", "--outcome", "city"], "holds texts"),
        (["--treated", "got", "--outcome", "nothing"], "no column 'nothing'"),
        (["--treated", "got", "--outcome", "got"], "must name different columns"),
        (["--treated", "arm", "--arm", "mail", "--outcome", "bought"], "come together"),
        ([*ARMS[:3], "post", *ARMS[4:], "--outcome", "bought"], "nobody has 'post'"),
        (["--treated", "got", "--outcome", "bought"], "no random trial"),
        (["--treated", "got", "--outcome", "bought", "--key", "who"], "no column 'who'"),
    ],
)
def test_what_is_no_trial_is_refused(files, more, text, capsys) -> None:
    assert main(command(files, *more)) == 4
    assert text in capsys.readouterr().err
