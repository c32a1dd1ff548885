"""What crosses between the coordinator and the parties of a horizontal run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

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
class Submission(Message):
    """Party to coordinator under the plain mean: everything in the open.

    Attributes:
        round: the round it answers.
        vector: the change of the parameters, or the gradient, shape ``(p,)``.
        examples: how many examples it was made on, at least 1.
        loss: mean loss over these examples.
        figures: the figures asked for, in the order asked, shape ``(m,)``.
    """

    round: int
    vector: Annotated[Vector, Array("float32", "p")]
    examples: int
    loss: float
    figures: Annotated[NDArray[np.float64], Array("float64", "m")]
