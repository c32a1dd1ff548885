"""The plan of ``job.py`` on Flower's simulation engine: every node is a Ray actor.

Parties, algorithm and aggregator are the same as over SuperNodes and in one process; here a node
takes the party of its partition, and Ray starts as many at a time as the machine has cores.

    python examples/flower/simulate.py --rounds 2 --aggregator masked_sum --out model.json
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation
from job import LIMITS, SHOPS, job_of, shop, train

from fedguide.horizontal.names import AGGREGATORS, WIRE
from fedguide.runtime.flower import Served, Waiting, find_parties, flower_client, over_flower
from fedguide.runtime.sqlite import SqlitePartyStore, sqlite_engine

TASK = "rehearsal"


def name_of(context):
    """The party of a node's partition."""
    return sorted(SHOPS)[int(context.node_config["partition-id"])]


def client_of(home, aggregator):
    """The nodes' half; a party's state lives in its own sealed store below ``home``."""

    def serve(context, task):
        name = name_of(context)
        folder = Path(home) / name
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "store.key"
        if not key.exists():
            key.touch(0o600)
            key.write_bytes(os.urandom(64))
        store = SqlitePartyStore(sqlite_engine(folder / "party.db"), task, key.read_bytes())
        side = AGGREGATORS[aggregator](job_of(task)).party(name)
        return Served(shop(name, task, side), store, LIMITS, WIRE)

    return flower_client(name_of, serve)


def server_of(rounds, aggregator, out):
    """The coordinator's half; writes the parameters down."""
    server = ServerApp()

    @server.main()
    def main(grid, _context):
        waiting = Waiting(time.monotonic, time.sleep)
        nodes = find_parties(grid, list(SHOPS), 300.0, waiting)
        courier = over_flower(grid, nodes, TASK, LIMITS, WIRE, waiting)
        state = train(courier, TASK, rounds, aggregator)
        Path(out).write_text(json.dumps(np.asarray(state.params).tolist()))

    return server


def main():
    """Runs the plan."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--rounds", type=int, default=2)
    made.add_argument("--aggregator", default="masked_sum")
    made.add_argument("--out", default="model.json")
    made.add_argument("--cores", type=int, default=1, help="cores that Ray keeps for a node")
    given = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedguide-ray-") as home:
        run_simulation(
            server_app=server_of(given.rounds, given.aggregator, given.out),
            client_app=client_of(home, given.aggregator),
            num_supernodes=len(SHOPS),
            backend_config={"client_resources": {"num_cpus": given.cores, "num_gpus": 0.0}},
        )


if __name__ == "__main__":
    main()
