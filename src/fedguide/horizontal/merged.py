"""The updates of very many simulated parties, added up where they were made.

A simulator that fits thousands of parties in one program has their sum at hand; a reply for each of
them, looked at and added one by one, costs more than the fit. So all of them share one reply, which
holds what the plain weighted mean needs of them. It is for a simulator alone: no courier between
processes allows this kind of message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.protocol import Message
from fedguide.values import PartyId


@dataclass(frozen=True)
class Merged(Message):
    """What k parties of a simulation would have sent under the plain mean, added up.

    Attributes:
        round: the round it answers.
        parties: whose updates are in it, each once; it stands as the reply of all of them.
        weighting: which weights w are in the sums: ``num_examples`` or ``uniform`` (1 each).
        weight: sum of w.
        examples: sum of n.
        vector: sum of w times the change, shape ``(p,)``.
        loss: sum of w times the mean loss.
    """

    round: int
    parties: tuple[PartyId, ...]
    weighting: str
    weight: int
    examples: int
    vector: Annotated[NDArray[np.float64], Array("float64", "p")]
    loss: float


def merged_of(answers: Mapping[PartyId, Message]) -> dict[int, tuple[Merged, list[PartyId]]]:
    """Every merged reply by its identity, with the names it stands under."""
    found: dict[int, tuple[Merged, list[PartyId]]] = {}
    for party, reply in answers.items():
        if isinstance(reply, Merged):
            found.setdefault(id(reply), (reply, []))[1].append(party)
    return found


def flaw(
    reply: Merged, names: list[PartyId], number: int, size: int, figures: int, weighting: str
) -> str:
    """Why a merged reply may not enter the mean; empty if it may."""
    if reply.round != number:
        return f"answered round {reply.round} in round {number}"
    if set(reply.parties) != set(names) or len(reply.parties) != len(names):
        return "stands under other names than those in it"
    if reply.weighting != weighting:
        return f"is weighted by {reply.weighting}, not {weighting}"
    if reply.vector.shape != (size,) or figures:
        return f"shapes must be ({size},) and (0,), got {reply.vector.shape} and ({figures},)"
    if not (reply.weight >= len(names) and reply.examples >= len(names)):
        return "has fewer examples than parties"
    is_finite = np.isfinite(reply.vector).all() and np.isfinite(reply.loss)
    return "" if is_finite else "loss or vector is not finite"
