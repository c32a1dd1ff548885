"""Which method answers which message: a party's half of every algorithm that has one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fedguide.horizontal.ditto import Own, near
from fedguide.horizontal.fedbuff import Pending, latest
from fedguide.horizontal.fednova import normalised
from fedguide.horizontal.fedper import Mine, with_own
from fedguide.horizontal.fedprox import held_back
from fedguide.horizontal.messages import (
    Buffered,
    Controlled,
    Fair,
    Normalise,
    Personalise,
    Prox,
    TrainShared,
)
from fedguide.horizontal.qfedavg import weighed
from fedguide.horizontal.scaffold import Controls, corrected
from fedguide.horizontal.trainer import Method

METHODS: Mapping[type, Method] = MappingProxyType(
    {
        Prox: held_back,
        Normalise: normalised,
        Fair: weighed,
        Controlled: corrected,
        Buffered: latest,
        Personalise: near,
        TrainShared: with_own,
    }
)
"""The method of each kind of message; ``Train`` and ``Grade`` are the party's own."""

KEPT: tuple[type, ...] = (Controls, Pending, Own, Mine)
"""Every kind of state that a method keeps."""
