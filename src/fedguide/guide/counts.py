"""Counts of shoppers that may leave a shop: noised, charged before the noise, with a floor.

Dwork, McSherry, Nissim and Smith, "Calibrating Noise to Sensitivity", 2006: discrete Laplace noise
on every cell, pure ε. What is protected is whether a shopper is in the counts at all, for scores
and rules held fixed: a model that was fitted on the same shoppers stays inside the shop.

A release is made once and kept: asked again, the kept answer is given and nothing is spent. A fresh
draw for every asking would let whoever asks often enough average the noise away, and the same
draw onto other counts would show what changed. The floor is judged on noised figures, so that a
refusal says nothing that the noise did not allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, RefusedError
from fedguide.models.proportion import Z
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.mechanisms import Laplace
from fedguide.privacy.noise import add_noise
from fedguide.privacy.policy import Policy, TaskTerms, charge_of, judge
from fedguide.seeds import Root

LEAST_FLOOR = 10
"""No floor may be lower: a noised count of a handful is as good as a name to who knows them."""


@dataclass(frozen=True)
class Office:
    """Who releases counts, by which rules, paid from where.

    Attributes:
        ledger: charged before noise is drawn.
        policy: purposes and budget; judged for every release.
        account: whose shoppers are counted.
        floor: smallest noised count that is shown.
        epsilon: of one release.

    Raises:
        ConfigError: a figure is out of its range.
    """

    ledger: Ledger
    policy: Policy
    account: str
    floor: int = 50
    epsilon: float = 0.25

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.floor < LEAST_FLOOR:
            raise ConfigError(f"floor must be at least {LEAST_FLOOR}, got {self.floor}")
        if not 0 < self.epsilon <= 1:
            raise ConfigError(f"epsilon of a count must be in (0, 1], got {self.epsilon}")


@dataclass(frozen=True)
class NoisyCounts:
    """Counts as they may be shown; nothing else about the exact ones is kept.

    Attributes:
        values: noised cells, perhaps below 0.
        floor: a cell or sum below it is not shown.
        epsilon: of the whole release.
        scale: of the noise on each cell.
        record: of the charge in the ledger.
    """

    values: tuple[int, ...]
    floor: int
    epsilon: float
    scale: float
    record: int

    @property
    def shown(self) -> tuple[int | None, ...]:
        """The cells, ``None`` for one below the floor."""
        return tuple(value if value >= self.floor else None for value in self.values)

    def total(self, cells: slice = slice(None)) -> int:
        """The sum of some cells.

        Raises:
            RefusedError: it is below the floor.
        """
        total = sum(self.values[cells])
        if total < self.floor:
            raise RefusedError(
                f"policy: fewer shoppers than the floor of {self.floor} are in this count",
                hint="a wider audience, or more shoppers",
            )
        return total

    def half_width(self, cells: int = 1) -> float:
        """Half of the 95 % interval of the noise in a sum of so many cells.

        Exact for one cell; for more by the normal law of the same variance.
        """
        if cells == 1:
            # P(|k| > t) = 2 e^(-(t+1)/s) / (1 + e^(-1/s))
            tail = math.log(0.05 * (1 + math.exp(-1 / self.scale)) / 2)
            return float(max(0, math.ceil(-self.scale * tail - 1)))
        ratio = math.exp(-1 / self.scale)
        return Z * math.sqrt(cells * 2 * ratio) / (1 - ratio)


def release_counts(
    counts: NDArray[np.int64],
    task: str,
    office: Office,
    root: Root,
    *,
    purpose: str,
    recipient: str,
    shoppers: int,
    most_cells: int = 1,
) -> NoisyCounts:
    """The counts with noise; charged first.

    Args:
        counts: exact, shape ``(k,)``; they are not kept.
        task: names this release in the ledger, for ever.
        office: rules and ledger.
        root: fresh, of this release alone.
        purpose: must be one that the policy allows.
        recipient: who gets the answer.
        shoppers: how many the population has.
        most_cells: by how much one shopper can move the counts in L1; whoever counts sees to it.

    Raises:
        RefusedError: purpose, budget or price are not allowed (recorded in the ledger), or the
            task was released before.
        LedgerError: the ledger cannot be used; nothing was released.
        ConfigError: counts are no vector of whole numbers from 0, or a figure is out of range.
    """
    if counts.ndim != 1 or counts.dtype != np.int64 or (counts < 0).any():
        raise ConfigError("counts must be an int64 vector of numbers from 0")
    terms = _terms(task, office, purpose, recipient, shoppers, most_cells)
    _judge(terms, office)
    receipt = office.ledger.charge(charge_of(terms, office.account, 0), office.policy.budget)
    if not receipt.fresh:
        raise RefusedError(
            f"{task} was released before, and noise is drawn once",
            hint="the answer that was kept, or another name",
        )
    mechanism = _mechanism(office, most_cells)
    noised = add_noise(counts, mechanism, root, "counts", task)
    return NoisyCounts(
        tuple(noised.tolist()), office.floor, office.epsilon, mechanism.scale, receipt.seq
    )


def require_allowed(
    task: str, office: Office, *, purpose: str, recipient: str, shoppers: int, most_cells: int = 1
) -> None:
    """Returns if such a release would be allowed now: asked before the work, not after it.

    Raises:
        RefusedError: it would not; recorded in the ledger.
        LedgerError: the ledger cannot be used.
    """
    _judge(_terms(task, office, purpose, recipient, shoppers, most_cells), office)


def _terms(
    task: str, office: Office, purpose: str, recipient: str, shoppers: int, most_cells: int
) -> TaskTerms:
    return TaskTerms(
        task=task,
        purpose=purpose,
        cohort=1,
        shoppers=shoppers,
        events=(Event(task, _mechanism(office, most_cells)),),
        clip=float(most_cells),
        rounds=1,
        norm="l1",
        recipient=recipient,
    )


def _mechanism(office: Office, most_cells: int) -> Laplace:
    """Noise for counts that one shopper moves by ``most_cells`` at most."""
    return Laplace(most_cells / office.epsilon, float(most_cells), most_cells)


def _judge(terms: TaskTerms, office: Office) -> None:
    # One shop's own count is protected by its noise, not by the company of other shops.
    judge(replace(office.policy, least_cohort=1), terms, office.ledger, office.account)
