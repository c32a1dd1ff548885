"""SIGKILL a real driver at every moment, start it again, and get the same model bit for bit.

The process of ``driven_until_killed.py`` trains by FedAvg with a drawn cohort, server momentum and
kept client moments, two trips a round, on a SQLite journal and a SQLite party store: everything
that a crash could spoil.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("driven_until_killed.py")
ROUNDS, COHORT, TRIPS = 2, 2, 2
NEVER = "1000"
TRIP = [*["after put"] * COHORT, "before record", "after record"]
ROUND = ["after put_root", *TRIP * TRIPS, "after put_checkpoint"]
MARKS = ROUND * ROUNDS
DURABLE = [name for name in MARKS if name.startswith("after")]


@dataclass
class Lives:
    """Starts lives of the run in a folder, and kills them."""

    process: subprocess.Popen

    def live(self, folder: Path, stop: str) -> str:
        """One life: to the end (gives ``done N``), or SIGKILLed at its mark (gives its name)."""
        self.process.stdin.write(f"{folder} {stop}\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().split()
        assert said[:1] in (["at"], ["done"]), f"the driver died by itself: {said}"
        if said[0] == "at":
            os.kill(int(said[1]), signal.SIGKILL)
            expected = f"gone {-signal.SIGKILL}"
        else:
            expected = "gone 0"
        assert self.process.stdout.readline().strip() == expected
        return " ".join(said[2:] if said[0] == "at" else said)


@pytest.fixture(scope="module")
def lives():
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as process:
        yield Lives(process)
        process.stdin.close()
        process.wait()


@pytest.fixture(scope="module")
def undisturbed(lives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert lives.live(folder, NEVER) == f"done {len(MARKS)}"
    return result(folder)


def result(folder: Path):
    """The model's bytes, who trained with which seed, and which roots were drawn."""
    trains = (folder / "trains.txt").read_text().splitlines()
    draws = (folder / "draws.txt").read_text().splitlines()
    return (folder / "model.bin").read_bytes(), trains, draws


def test_the_undisturbed_run_trains_a_model_at_all(undisturbed):
    model, trains, draws = undisturbed
    assert len(model) == 5 * 4
    assert any(model)
    assert len(trains) == len(set(trains)) == ROUNDS * TRIPS * COHORT
    assert draws == ["task 0", "task 1"]


def test_another_run_without_a_kill_gives_the_same_bytes(lives, undisturbed, tmp_path):
    lives.live(tmp_path, NEVER)
    assert result(tmp_path) == undisturbed


@pytest.mark.parametrize("stop", range(len(MARKS)))
def test_killed_once_at_any_moment(lives, undisturbed, tmp_path, stop):
    assert lives.live(tmp_path, str(stop)) == MARKS[stop]
    assert not (tmp_path / "model.bin").exists()
    assert lives.live(tmp_path, NEVER).startswith("done")
    # Nobody trained twice, no root was drawn twice, and the model is the same bit for bit.
    assert result(tmp_path) == undisturbed


def test_killed_after_every_single_write(lives, undisturbed, tmp_path):
    deaths = []
    while not (name := lives.live(tmp_path, "d0")).startswith("done"):
        deaths.append(name)
        assert len(deaths) <= len(DURABLE)
    assert deaths == DURABLE
    assert result(tmp_path) == undisturbed
