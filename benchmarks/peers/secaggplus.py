"""flwr's SecAgg+ on given sizes: CPU seconds of its client's and of its server's own functions.

Runs in an environment of its own, which ``benchmarks/secure_aggregation.py`` makes; prints one JSON
object. The client is timed on the functions of its four stages (less the encoding of messages),
the server on adding up the masked vectors that came in and on ``unmask_stage``. ``--work all`` lets
every client do its work and checks the result. With ``server`` one client masks and the server
gets that vector from everybody: its work is the same, its result is not looked at. With ``client``
one client works and no server.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from flwr.common import bytes_to_ndarray, ndarrays_to_parameters
from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import (
    SecAggPlusWorkflow,
    WorkflowState,
)
from flwr.supercore.task_identity import TaskIdentity

# The package exports a function of the module's own name, which hides the module.
mod = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

MOD, TARGET, CLIP, WEIGHT = 1 << 32, 1 << 22, 8.0, 1000.0


def vector_of(client: int, size: int) -> np.ndarray:
    """The same vectors as on the other side."""
    draws = np.random.default_rng([7, client])
    return (0.01 * draws.standard_normal(size)).astype(np.float32)


class Fake:
    """A grid that answers the unmask requests of the clients that are there."""

    def __init__(self, states: dict[int, Any]) -> None:
        self.states, self.seconds = states, 0.0

    def send_and_receive(self, messages: Any, **_options: Any) -> list[Any]:
        """Calls each client's own unmask stage; its time is not the server's."""
        start = time.process_time()
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            configs = message.content.config_records[RECORD_KEY_CONFIGS]
            content = RecordDict(
                {RECORD_KEY_CONFIGS: ConfigRecord(mod._unmask(self.states[node], configs))}
            )
            replies.append(
                SimpleNamespace(
                    metadata=SimpleNamespace(src_node_id=node),
                    content=content,
                    has_error=lambda: False,
                )
            )
        self.seconds += time.process_time() - start
        return replies


def main() -> None:
    """One run."""
    made = argparse.ArgumentParser()
    made.add_argument("--clients", type=int, required=True)
    made.add_argument("--size", type=int, required=True)
    made.add_argument("--dropped", type=int, required=True)
    made.add_argument("--work", choices=("all", "server", "client"), default="all")
    args = made.parse_args()
    logging.disable(logging.CRITICAL)
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    n, nodes = args.clients, list(range(1, args.clients + 1))
    threshold = max(2, round(2 / 3 * n)) if args.dropped * 3 < n else n - args.dropped
    client_s = dict.fromkeys(nodes, 0.0)
    states = {node: mod.SecAggPlusState() for node in nodes}
    setup = ConfigRecord(
        {
            Key.SAMPLE_NUMBER: n,
            Key.SHARE_NUMBER: n,
            Key.THRESHOLD: threshold,
            Key.CLIPPING_RANGE: CLIP,
            Key.TARGET_RANGE: TARGET,
            Key.MOD_RANGE: MOD,
            Key.MAX_WEIGHT: WEIGHT,
        }
    )
    public = {}
    for node, state in states.items():
        state.nid = node
        start = time.process_time()
        keys = mod._setup(state, setup)
        client_s[node] += time.process_time() - start
        public[node] = [keys[Key.PUBLIC_KEY_1], keys[Key.PUBLIC_KEY_2]]
    forward: dict[int, tuple[list[bytes], list[int]]] = {node: ([], []) for node in nodes}
    alive = nodes[args.dropped :]
    first = alive[0]
    for node, state in states.items():
        if args.work == "client" and node != first:
            continue
        configs = ConfigRecord({str(other): list(pair) for other, pair in public.items()})
        start = time.process_time()
        boxes = mod._share_keys(state, configs)
        client_s[node] += time.process_time() - start
        for to, box in zip(boxes[Key.DESTINATION_LIST], boxes[Key.CIPHERTEXT_LIST], strict=True):
            forward[to][0].append(box)
            forward[to][1].append(node)
    if args.work == "client":
        # What the others would have sent it: boxes of the same size under the keys it shares.
        key, ids = states[first].ss2_dict, [node for node in nodes if node != first]
        shares = states[first].rd_seed_share_dict[first], states[first].sk1_share_dict[first]
        plain = [mod.share_keys_plaintext_concat(node, first, *shares) for node in ids]
        forward[first] = ([mod.encrypt(key[n], p) for n, p in zip(ids, plain, strict=True)], ids)
    masked, masking, upload = {}, 0.0, 0
    # The first is timed before many vectors fill the memory.
    for node in alive:
        boxes, sources = forward[node]
        configs = ConfigRecord({Key.CIPHERTEXT_LIST: boxes, Key.SOURCE_LIST: sources})
        if args.work == "client" and node != first:
            continue
        if args.work == "server" and node != first:
            # Only what the unmask stage needs: the shares it holds.
            for source, box in zip(sources, boxes, strict=True):
                plain = mod.decrypt(states[node].ss2_dict[source], box)
                _, _, seed, key = mod.share_keys_plaintext_separate(plain)
                states[node].rd_seed_share_dict[source] = seed
                states[node].sk1_share_dict[source] = key
            masked[node] = masked[first]
            continue
        parameters = ndarrays_to_parameters([vector_of(node - 1, args.size)])
        start = time.process_time()
        out = mod._collect_masked_vectors(states[node], configs, 1000, parameters)
        taken = time.process_time() - start
        client_s[node] += taken
        masking = taken if node == first else min(taken, masking)
        masked[node] = out[Key.MASKED_PARAMETERS]
        upload = sum(map(len, masked[node]))
    server_s = error = None
    unmasking = 0.0
    if args.work != "client":
        server_s, unmasking, result = serve(states, public, masked, threshold)
        if args.work == "all":
            wanted = np.mean([vector_of(node - 1, args.size) for node in alive], axis=0)
            error = float(np.abs(result - wanted).max())
    times = [client_s[node] + unmasking for node in (alive if args.work == "all" else [first])]
    print(
        json.dumps(
            {
                "clients": n,
                "size": args.size,
                "dropped": args.dropped,
                "threshold": threshold,
                "client_s": min(times),
                "masking_s": masking,
                "server_s": server_s,
                "upload_bytes": upload,
                "worst_error": error,
            }
        )
    )


def serve(
    states: dict[int, Any],
    public: dict[int, list[bytes]],
    masked: dict[int, list[bytes]],
    threshold: int,
) -> tuple[float, float, np.ndarray]:
    """Seconds of the server, of one client's unmask stage, and the mean that comes out."""
    flow = SecAggPlusWorkflow(1.0, threshold, max_weight=WEIGHT)
    work = WorkflowState()
    work.sampled_node_ids, work.active_node_ids = set(public), set(masked)
    work.threshold, work.clipping_range, work.quantization_range = threshold, CLIP, TARGET
    work.mod_range, work.max_weight = MOD, WEIGHT
    work.nid_to_neighbours = {node: set(public) for node in public}
    work.nid_to_publickeys = public
    result = SimpleNamespace(parameters=None)
    work.legacy_results = [(None, result)]
    context = SimpleNamespace(
        state=SimpleNamespace(
            config_records={MAIN_CONFIGS_RECORD: {WorkflowKey.CURRENT_ROUND: 1}},
            array_records={},
        ),
        strategy=SimpleNamespace(aggregate_fit=lambda *_: (None, {})),
    )
    start = time.process_time()
    total = None
    for sent in masked.values():
        vector = [bytes_to_ndarray(part) for part in sent]
        total = vector if total is None else parameters_addition(total, vector)
    work.aggregate_ndarrays = parameters_mod(total, MOD)
    sum_s = time.process_time() - start
    grid = Fake(states)
    start = time.process_time()
    done = flow.unmask_stage(grid, context, work)
    unmask_s = time.process_time() - start - grid.seconds
    if not done:
        raise SystemExit("the peer's unmask stage failed")
    vector = bytes_to_ndarray(result.parameters.tensors[0])
    return sum_s + unmask_s, grid.seconds / len(masked), vector


if __name__ == "__main__":
    main()
