"""A torch module as a local fit: flat vectors in and out, torch inside and nowhere else.

torch is an extra (``fedguide[torch]``) and is imported when a fit is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.horizontal.fitting import Fit
from fedguide.values import Vector


@dataclass(frozen=True)
class TorchPlan:
    """How long a local fit is, and at what rate of Adam.

    Raises:
        ConfigError: a number is out of its range.
    """

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}")


@dataclass(frozen=True)
class TorchFitted:
    """What a fit gives; Adam begins afresh every round, so its state is empty."""

    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float


def torch_fit(
    module: Any,
    loss: Callable[[Any, Any], Any],
    x: NDArray[Any],
    y: NDArray[Any],
    plan: TorchPlan,
) -> tuple[Vector, Fit]:
    """The module's parameters as they are, and a party's fit on its own rows.

    The order of examples follows the seed of the call, and so does a module that draws (dropout).
    The module itself is a work place that all parties of a process may share: every fit begins by
    loading the parameters it is given.

    Args:
        module: a ``torch.nn.Module`` whose parameters are all float32.
        loss: ``loss(module(x), y)``, a mean over the batch.
        x: shape ``(n, ...)``.
        y: shape ``(n, ...)``.
        plan: how long.

    Raises:
        ConfigError: torch is not installed, the module has buffers that training would change or
            parameters of another dtype, or x and y are of different length.
    """
    torch = _torch()
    if len(x) != len(y) or not len(x):
        raise ConfigError(f"x and y must have as many rows, got {len(x)} and {len(y)}")
    kept = [name for name, _ in module.named_buffers()]
    if kept:
        raise ConfigError(
            f"the module keeps {', '.join(kept)} beside its parameters, which would not be shared",
            hint="layer norm instead of batch norm",
        )
    odd = {str(one.dtype) for one in module.parameters()} - {"torch.float32"}
    if odd:
        raise ConfigError(f"all parameters must be float32, got {', '.join(sorted(odd))}")
    inputs, targets = torch.from_numpy(np.asarray(x)), torch.from_numpy(np.asarray(y))

    def fit(params: Vector, optimizer_state: Vector | None, seed: int) -> TorchFitted:
        if optimizer_state is not None and len(optimizer_state):
            raise ConfigError("this fit begins its optimiser afresh", hint="keep_moments = false")
        load(module, params)
        torch.manual_seed(seed)
        optimizer = torch.optim.Adam(module.parameters(), lr=plan.learning_rate)
        rng, total, seen = np.random.default_rng(seed), 0.0, 0
        module.train()
        for _ in range(plan.epochs):
            order = rng.permutation(len(inputs))
            for start in range(0, len(order), plan.batch_size):
                rows = torch.from_numpy(order[start : start + plan.batch_size])
                optimizer.zero_grad()
                value = loss(module(inputs[rows]), targets[rows])
                value.backward()
                optimizer.step()
                total, seen = total + float(value.detach()) * len(rows), seen + len(rows)
        nothing = np.zeros(0, np.float32)
        return TorchFitted(flat(module), nothing, len(inputs), total / seen)

    return flat(module), fit


def flat(module: Any) -> Vector:
    """The module's parameters as one vector, shape ``(p,)``."""
    parts = [one.detach().cpu().numpy().ravel() for one in module.parameters()]
    return np.concatenate(parts).astype(np.float32)


def load(module: Any, params: Vector) -> None:
    """Puts a flat vector into the module's parameters.

    Raises:
        WrongShapeError: it has another length than the module's.
    """
    torch = _torch()
    sizes = [one.numel() for one in module.parameters()]
    if params.shape != (sum(sizes),):
        raise WrongShapeError(f"the module has {sum(sizes)} parameters, got {params.shape}")
    parts = np.split(params, np.cumsum(sizes)[:-1])
    with torch.no_grad():
        for one, part in zip(module.parameters(), parts, strict=True):
            # A copy: torch would otherwise train in place on the vector that came in.
            one.copy_(torch.from_numpy(part.reshape(tuple(one.shape)).copy()))


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a torch module needs torch, which is not installed",
            hint="pip install 'fedguide[torch]'",
        ) from error
    return torch
