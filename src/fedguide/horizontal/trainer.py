"""What an algorithm's local half works with, and what it gives.

Policy, order, figures, masking and the aggregator are the party's business (``party.answer``);
between them stands one function of a paper: ``method(trainer, message) -> Done``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, RefusedError
from fedguide.horizontal.fitting import Fit, Gradient, Steered
from fedguide.protocol import State
from fedguide.values import Vector


@dataclass(frozen=True)
class Personal:
    """The part of a model that is a party's own.

    Attributes:
        own: which of the model's q parameters are the party's own, shape ``(q,)``.
        first: their first values, shape ``(m,)``.

    Raises:
        ConfigError: the two do not fit together, or nothing is left to share.
    """

    own: NDArray[np.bool_]
    first: Vector

    def __post_init__(self) -> None:
        """Checks the counts."""
        count = int(self.own.sum())
        if self.first.shape != (count,) or count == len(self.own):
            raise ConfigError(
                f"{count} of {len(self.own)} parameters are personal and {len(self.first)} first "
                "values are there; some parameters have to be shared"
            )

    def whole(self, shared: Vector, mine: Vector) -> Vector:
        """The model of both parts, shape ``(q,)``.

        Raises:
            ConfigError: the shared part has another length than the party's own model leaves.
        """
        if len(shared) + len(mine) != len(self.own):
            raise ConfigError(
                f"the shared part must have {len(self.own) - len(mine)} parameters, "
                f"got {len(shared)}"
            )
        params = np.empty(len(self.own), np.float32)
        params[self.own], params[~self.own] = mine, shared
        return params


@dataclass(frozen=True)
class Trainer:
    """What a method may use of its party, all of one round.

    Attributes:
        fit: local training; ``None`` refuses to train.
        steered: local training that can be bent.
        gradient: gradient and loss over all examples.
        personal: the part of the model that is the party's own.
        moments: of its optimiser, if they are kept, shape ``(s,)``.
        kept: what the method kept after the round before.
        seed: of the round's fit.
        most_steps: that the party has time for; ``None`` is no limit.
    """

    fit: Fit | None
    steered: Steered | None
    gradient: Gradient | None
    personal: Personal | None
    moments: Vector | None
    kept: State | None
    seed: int
    most_steps: int | None = None

    def plainly(self) -> Fit:
        """The fit.

        Raises:
            RefusedError: there is none.
        """
        if self.fit is None:
            raise RefusedError("policy: this party does not train in this task")
        return self.fit

    def bent(self) -> Steered:
        """The steered fit.

        Raises:
            RefusedError: there is none.
        """
        if self.steered is None:
            raise RefusedError("policy: this party's training cannot be steered in this task")
        return self.steered


@dataclass(frozen=True)
class Done:
    """What a method gives.

    Attributes:
        vector: the update, shape ``(u,)``.
        examples: how many examples it was made on.
        loss: mean loss over them.
        figures: the method's own figures, behind those that were asked for.
        moments: of the optimiser, shape ``(s,)``.
        kept: what the party keeps for the next round.
        steps: of the optimiser, where they were counted.
    """

    vector: Vector
    examples: int
    loss: float
    figures: tuple[float, ...] = ()
    moments: Vector | None = None
    kept: State | None = None
    steps: int = 0


Method: TypeAlias = Callable[[Trainer, Any], Done]
"""``method(trainer, message)``; each takes its own kind of message."""
