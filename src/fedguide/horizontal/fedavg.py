"""Federated averaging: local training, then the mean of the changes.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep
Networks from Decentralized Data", 2017, algorithm 1. The mean change may be given to a server
optimiser: Reddi et al., "Adaptive Federated Optimization", 2021, algorithm 1. Two deviations, both
optional: the server optimiser is free, and a party may keep its own optimiser's moments from round
to round instead of beginning afresh.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.averaging import averaging
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.messages import Train
from fedguide.horizontal.server import ServerOptimizer


def fedavg(
    aggregator: Aggregator,
    *,
    server: ServerOptimizer | None = None,
    keep_moments: bool = False,
    figures: Sequence[str] = (),
    waiting: Waiting | None = None,
) -> Algorithm[ServerState]:
    """Builds the algorithm.

    Args:
        aggregator: makes the mean of the changes, and says how p_k is made.
        server: what the mean change does to the model; the default adds it.
        keep_moments: parties keep their optimisers' moments from round to round.
        figures: names of figures about the model a round begins with, to be handed in.
        waiting: quorum and deadline of a round.
    """
    names = tuple(figures)
    return averaging(
        lambda number, params: Train(number, params, keep_moments, names),
        aggregator,
        server,
        waiting,
    )
