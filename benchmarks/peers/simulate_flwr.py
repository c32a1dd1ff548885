"""FedAvg in Flower's simulation engine (Ray) on the work of ``simulation.py``, torch inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
os.environ["PYTHONPATH"] = HERE  # for Ray's workers
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import clients  # noqa: E402
import torch  # noqa: E402
from flwr.app import ArrayRecord, MetricRecord, RecordDict  # noqa: E402
from flwr.app import Message as FlowerMessage  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402
from torch_model import Pairs  # noqa: E402

MANY, SIZE, ROUNDS = map(int, sys.argv[1:4]) if len(sys.argv) > 4 else (0, 0, 0)
client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message, context):
    """One client's epoch."""
    torch.set_num_threads(1)
    x, y = (torch.tensor(one) for one in clients.client(context.node_config["partition-id"]))
    module = Pairs()
    module.load_state_dict(message.content["arrays"].to_torch_state_dict())
    optimizer = torch.optim.SGD(module.parameters(), lr=clients.RATE)
    order = torch.randperm(len(x))
    for start in range(0, len(x), clients.BATCH):
        rows = order[start : start + clients.BATCH]
        optimizer.zero_grad()
        module.loss(x[rows], y[rows]).backward()
        optimizer.step()
    arrays = ArrayRecord(module.state_dict())
    metrics = MetricRecord({"num-examples": len(x)})
    return FlowerMessage(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@server_app.main()
def main(grid, _context):
    """The rounds, timed where the strategy has its mean."""
    watch = clients.Stopwatch()

    class Watching(FedAvg):
        def aggregate_train(self, server_round, replies):
            done = super().aggregate_train(server_round, replies)
            watch()
            return done

    strategy = Watching(fraction_train=SIZE / MANY, fraction_evaluate=0.0, min_available_nodes=MANY)
    watch.last = clients.time.perf_counter()
    result = strategy.start(grid, ArrayRecord(Pairs().state_dict()), num_rounds=ROUNDS)
    last = {k: v.numpy() for k, v in result.arrays.to_torch_state_dict().items()}
    clients.tell(watch, last, sys.argv[4])


if __name__ == "__main__":
    run_simulation(
        server_app,
        client_app,
        MANY,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
