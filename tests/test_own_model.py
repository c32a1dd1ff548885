"""The examples of docs/own-model.md run as printed, where their framework is there."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.runtime.torch_model import TorchPlan, torch_fit

PAGE = Path(__file__).parent.parent / "docs" / "own-model.md"
BLOCKS = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))


def test_every_framework_has_its_example():
    assert set(BLOCKS) == {"jax", "flax", "torch"}


@pytest.mark.parametrize("framework", ["jax", "flax", "torch"])
def test_the_example_runs_and_learns(framework):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is an extra and not installed; benchmarks/own_model.py runs it")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[framework]],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) > 0.85


def test_without_torch_it_says_so():
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed")
    with pytest.raises(ConfigError, match="needs torch, which is not installed"):
        torch_fit(None, None, np.zeros(1), np.zeros(1), TorchPlan())


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_numbers_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        TorchPlan(**changes)
