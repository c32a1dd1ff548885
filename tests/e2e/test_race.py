"""Eight processes race for the budget and are killed: a tenth of ``benchmarks/ledger.py``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ledger.py"
CHARGES = 10_000


@pytest.mark.e2e
def test_nothing_is_overspent_or_lost(tmp_path: Path) -> None:
    # Processes die here, not the machine: in memory the same commits cost nothing.
    memory = Path("/dev/shm")  # noqa: S108
    folder = memory if os.access(memory, os.W_OK) else tmp_path
    said = tmp_path / "ledger.json"
    options = ["--charges", str(CHARGES), "--kills", "60", "--volatile"]
    subprocess.run(
        [sys.executable, str(SCRIPT), *options, "--folder", str(folder), "--json", str(said)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    data = json.loads(said.read_text())["data"]
    assert all(bar["holds"] for bar in data["bars"])
    assert [outcome["database"] for outcome in data["outcomes"]] == ["sqlite", "postgres"]
    for outcome in data["outcomes"]:
        assert outcome["charges"] >= 0.99 * CHARGES
        assert outcome["kills"] >= 50
        # The race was for something: some were refused, and nothing affordable was.
        assert outcome["refused"] > 0
        assert outcome["unused"] == 0
