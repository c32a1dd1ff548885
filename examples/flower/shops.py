"""Three shops fit one model over Flower, and nobody reads a single update: masked sums.

The parties, the algorithm and the aggregator are fedguide's (``job.py``); Flower carries messages.

    flower-supernode --superlink … --node-config 'party="shop-a" home="/var/lib/shop-a"'
    flwr run examples/flower --run-config "rounds=2 out='model.json'"
"""

import json
import os
import time
from pathlib import Path

import numpy as np
from flwr.serverapp import ServerApp
from job import LIMITS, SHOPS, job_of, shop, train

from fedguide.horizontal.names import AGGREGATORS, WIRE
from fedguide.runtime.flower import Served, Waiting, find_parties, flower_client, over_flower
from fedguide.runtime.sqlite import SqlitePartyStore, sqlite_engine
from fedguide.values import PartyId

server = ServerApp()


@server.main()
def main(grid, context):
    """Trains over Flower's grid and writes the parameters down."""
    config = context.run_config
    waiting = Waiting(time.monotonic, time.sleep)
    nodes = find_parties(grid, list(SHOPS), 300.0, waiting)
    courier = over_flower(grid, nodes, config["task"], LIMITS, WIRE, waiting)
    state = train(courier, config["task"], int(config["rounds"]), config["aggregator"])
    if config["out"]:
        done = Path(f"{config['out']}.part")
        done.write_text(json.dumps(np.asarray(state.params).tolist()))
        done.rename(config["out"])


def serve(context, task):
    """What this node's shop answers with; its state outlives the process."""
    name = PartyId(str(context.node_config["party"]))
    home = Path(str(context.node_config["home"]))
    home.mkdir(parents=True, exist_ok=True)
    key = home / "store.key"
    if not key.exists():
        key.touch(0o600)
        key.write_bytes(os.urandom(64))
    store = SqlitePartyStore(sqlite_engine(home / "party.db"), task, key.read_bytes())
    aggregator = AGGREGATORS[str(context.run_config["aggregator"])](job_of(task)).party(name)
    return Served(shop(name, task, aggregator), store, LIMITS, WIRE)


client = flower_client(lambda context: str(context.node_config["party"]), serve)
