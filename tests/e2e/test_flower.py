"""The same algorithms over Flower: a SuperLink and three SuperNodes, each with its own shop."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fedguide.horizontal.names import AGGREGATORS
from fedguide.runtime.couriers import in_process

from .flower_world import flower, make_venv

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "examples" / "flower"


@pytest.fixture(scope="module")
def job():
    """The example's job, without Flower."""
    spec = importlib.util.spec_from_file_location("flower_job", APP / "job.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["flower_job"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["flower_job"]


@pytest.fixture(scope="module")
def world(job, tmp_path_factory):
    """Flower in a venv of its own, with one SuperNode a shop."""
    folder = tmp_path_factory.mktemp("flower")
    make_venv(folder / "venv", "-e", f"{ROOT}[train]")
    nodes = [f"party='{name}' home='{folder / name}'" for name in job.SHOPS]
    with flower(folder / "venv", folder, nodes) as made:
        yield made


def over_flower(world, task, aggregator, rounds):
    """The parameters that the example writes down at the end."""
    out = world.folder / f"{task}.json"
    config = f"task='{task}' rounds={rounds} aggregator='{aggregator}' out='{out}'"
    world.wait(out.exists, world.run(APP, config))
    return np.array(json.loads(out.read_text()), np.float32)


def in_one_process(job, task, aggregator, rounds):
    """What the same job ends with without any network."""
    sides = AGGREGATORS[aggregator](job.job_of(task))
    parties = {name: job.shop(name, task, sides.party(name)) for name in job.SHOPS}
    return job.train(in_process(parties, lambda: 0.0), task, rounds, aggregator).params


@pytest.mark.parametrize(
    ("task", "aggregator", "rounds", "tolerance"),
    [("spring", "masked_sum", 1, 0.0), ("summer", "weighted_mean", 1, 1e-6)],
)
def test_supernodes_train_what_one_process_trains(job, world, task, aggregator, rounds, tolerance):
    """A masked sum is exact: equal bit for bit. A plain mean of floats is equal to 1e-6."""
    found = over_flower(world, task, aggregator, rounds)
    expected = in_one_process(job, task, aggregator, rounds)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    # The truth is all ones, the first parameters are all zeros: a distance of 2.
    assert np.linalg.norm(found - 1) < 1.5, "it learned nothing"
