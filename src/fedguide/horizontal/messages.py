"""What crosses between the coordinator and the parties of a horizontal run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.protocol import Message
from fedguide.values import Vector


@dataclass(frozen=True)
class Train(Message):
    """Coordinator to party: train locally from these parameters and hand in the change.

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        keep_moments: go on with the optimiser's moments of the party's last fit.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    keep_moments: bool = False
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grade(Message):
    """Coordinator to party: hand in the gradient of the mean loss at these parameters.

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        figures: names of the figures about ``params`` to hand in along with the gradient.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prox(Message):
    """Coordinator to party: train, held back towards these parameters (FedProx).

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        pull: μ; the local objective is F_k(θ) + μ/2 ‖θ − params‖².
        keep_moments: go on with the optimiser's moments of the party's last fit.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    pull: float
    keep_moments: bool = False
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Normalise(Message):
    """Coordinator to party: train, and hand in the change for each step taken (FedNova).

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        momentum: ρ of the local optimiser, which makes later steps longer; 0 counts them plainly.
        unit: steps that the figure handed in with the change counts by.
        keep_moments: go on with the optimiser's moments of the party's last fit.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    momentum: float
    unit: float
    keep_moments: bool = False
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fair(Message):
    """Coordinator to party: train, and hand in the change weighed by the party's loss (q-FedAvg).

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        q: how much a high loss counts.
        lipschitz: L, one over the local learning rate.
        keep_moments: go on with the optimiser's moments of the party's last fit.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    q: float
    lipschitz: float
    keep_moments: bool = False
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Controlled(Message):
    """Coordinator to party: train, corrected by the control variates (SCAFFOLD).

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        control: c, shape ``(p,)``.
        counted: the last round in which this party's answer was counted; -1 for none.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    control: Annotated[Vector, Array("float32", "p")]
    counted: int
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Buffered(Message):
    """Coordinator to party: hand in a change that was not counted yet, or train (FedBuff).

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        counted: the last round in which this party's answer was counted; -1 for none.
        most_late: a change made from a model more rounds ago than this is not handed in.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    counted: int
    most_late: int
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Personalise(Message):
    """Coordinator to party: train, and train a model of your own near to it as well (Ditto).

    Attributes:
        round: number of the round, from 0.
        params: the model the round begins with, shape ``(p,)``.
        pull: λ; the party's own objective is F_k(v) + λ/2 ‖v − params‖².
        keep_moments: go on with the optimiser's moments of the party's last fit.
        figures: names of the figures about ``params`` to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    pull: float
    keep_moments: bool = False
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainShared(Message):
    """Coordinator to party: train these shared parameters along with your own (FedPer).

    Attributes:
        round: number of the round, from 0.
        params: the shared part the round begins with, shape ``(p,)``.
        figures: names of the figures about the whole model to hand in along with the change.
    """

    round: int
    params: Annotated[Vector, Array("float32", "p")]
    figures: tuple[str, ...] = ()


Question: TypeAlias = (
    Train | Grade | Prox | Normalise | Fair | Controlled | Buffered | Personalise | TrainShared
)
"""Any first message of a round: all have ``round``, ``params`` and ``figures``."""


@dataclass(frozen=True)
class Submission(Message):
    """Party to coordinator under the plain mean: everything in the open.

    Attributes:
        round: the round it answers.
        vector: the change of the parameters, or the gradient, shape ``(u,)``; u is p for most
            algorithms.
        examples: how many examples it was made on, at least 1.
        loss: mean loss over these examples.
        figures: the figures asked for, in the order asked, shape ``(m,)``.
    """

    round: int
    vector: Annotated[Vector, Array("float32", "p")]
    examples: int
    loss: float
    figures: Annotated[NDArray[np.float64], Array("float64", "m")]
