"""FedAvg in pfl-research on the work of ``simulation.py``: its simulated backend, torch inside."""

from __future__ import annotations

import sys

import clients
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch_model import Pairs


def main() -> None:
    """Arguments: clients, clients a round, rounds, folder."""
    many, size, rounds = map(int, sys.argv[1:4])
    torch.set_num_threads(1)
    data = {}
    for number in range(many):
        x, y = clients.client(number)
        data[number] = [torch.tensor(x), torch.tensor(y)]
    order = iter([int(c) for r in range(rounds) for c in clients.cohort(r, many, size)])
    watch = clients.Stopwatch()

    class Watching(TrainingProcessCallback):
        def after_central_iteration(self, *_what, **_named):
            watch()
            return False, Metrics()

    dataset = FederatedDataset(lambda number: Dataset(data[number]), lambda: next(order))
    module = Pairs()
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0))
    backend = SimulatedBackend(dataset, dataset, postprocessors=[WeightByDatapoints()])
    params = NNAlgorithmParams(
        central_num_iterations=rounds,
        evaluation_frequency=10**9,
        train_cohort_size=size,
        val_cohort_size=0,
    )
    train = NNTrainHyperParams(
        local_num_epochs=1, local_learning_rate=clients.RATE, local_batch_size=clients.BATCH
    )
    watch.last = clients.time.perf_counter()
    FederatedAveraging().run(params, backend, model, train, callbacks=[Watching()])
    clients.tell(watch, module.arrays(), sys.argv[4])


main()
