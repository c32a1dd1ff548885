"""A change of the parameters that touches only some rows of one table, and the rest.

Local training on a few items moves the rows of these items and no other row of the item table: with
a thousand clients a round, the zeros of the others would be nearly all that is computed and added
up. A patch is the same change without these zeros; spread out, it is the plain one bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.errors import ConfigError
from fedguide.protocol import Message
from fedguide.values import Vector


@dataclass(frozen=True)
class Table:
    """Where a table of rows lies in a flat vector of parameters.

    Attributes:
        start: place of its first number.
        rows: how many rows it has.
        width: numbers a row.

    Raises:
        ConfigError: a number is out of its range.
    """

    start: int
    rows: int
    width: int

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.start < 0 or self.rows < 1 or self.width < 1:
            raise ConfigError(f"a table needs start >= 0, rows and width >= 1, got {self}")

    @property
    def stop(self) -> int:
        """Place after its last number."""
        return self.start + self.rows * self.width


@dataclass(frozen=True)
class Patch:
    """A change by the rows it touches.

    Attributes:
        table: where the table lies.
        rows: ``(u,)``, the rows touched, ascending and each once.
        block: ``(u, width)``, their change.
        rest: ``(p - rows x width,)``, the change of everything outside of the table, in order.
    """

    table: Table
    rows: Annotated[NDArray[np.int64], Array("int64", "u")]
    block: Annotated[NDArray[np.float32], Array("float32", "u", "d")]
    rest: Annotated[Vector, Array("float32", "r")]

    @cached_property
    def is_finite(self) -> bool:
        """Is every number of it finite?"""
        return bool(np.isfinite(self.block).all() and np.isfinite(self.rest).all())

    @cached_property
    def is_ascending(self) -> bool:
        """Are the rows ascending, each once?"""
        return not bool((self.rows[1:] <= self.rows[:-1]).any())

    def flaw(self, size: int) -> str:
        """Why its shapes are no change of ``size`` parameters; empty if they are."""
        table, rows, block = self.table, self.rows, self.block
        inside = table.rows * table.width
        if block.shape != (len(rows), table.width) or rows.ndim != 1 or self.rest.ndim != 1:
            return f"rows {rows.shape}, block {block.shape}, rest {self.rest.shape} do not fit"
        if len(self.rest) + inside != size or table.stop > size:
            return f"a table of {inside} numbers and {len(self.rest)} more are not {size}"
        if len(rows) and not (rows[0] >= 0 and rows[-1] < table.rows):
            return f"rows must be in [0, {table.rows})"
        if not self.is_ascending:
            return "rows must be ascending, each once"
        return ""

    def spread(self, size: int) -> Vector:
        """The same change as a plain vector, shape ``(size,)``."""
        vector = np.zeros(size, np.float32)
        table = self.table
        vector[: table.start] = self.rest[: table.start]
        vector[table.stop :] = self.rest[table.start :]
        vector[table.start : table.stop].reshape(table.rows, table.width)[self.rows] = self.block
        return vector

    def add_to(self, total: NDArray[np.float64], share: float) -> None:
        """Adds ``share`` times the change to ``total``, shape ``(p,)``, in place."""
        table = self.table
        rest = np.multiply(self.rest, share, dtype=np.float64)
        total[: table.start] += rest[: table.start]
        total[table.stop :] += rest[table.start :]
        # Every row stands once, so that reading, adding and writing back leaves none out.
        inside = total[table.start : table.stop].reshape(table.rows, table.width)
        sums = inside.take(self.rows, axis=0)
        sums += np.multiply(self.block, share, dtype=np.float64)
        inside[self.rows] = sums


def patches_of(
    table: Table,
    rows: NDArray[np.int64],
    counts: NDArray[np.int64],
    blocks: NDArray[np.float32],
    rests: NDArray[np.float32],
) -> list[Patch]:
    """The changes of k parties; whether they are sound is looked at once for all.

    Args:
        table: where it lies.
        rows: ``(k, u)``, the rows each touches, ascending; filled up with anything.
        counts: ``(k,)``, how many of them it does touch.
        blocks: ``(k, u, width)``, their change.
        rests: ``(k, r)``, the change of everything else.
    """
    made = [
        Patch(table, rows[at, :count], blocks[at, :count], rests[at])
        for at, count in enumerate(counts.tolist())
    ]
    # What ``cached_property`` would keep; where one of them is not sound, each finds out itself.
    are_sound = {}
    if np.isfinite(blocks).all() and np.isfinite(rests).all():
        are_sound["is_finite"] = True
    behind = np.arange(1, rows.shape[1]) >= counts[:, None]
    if ((rows[:, 1:] > rows[:, :-1]) | behind).all():
        are_sound["is_ascending"] = True
    for patch in made:
        patch.__dict__.update(are_sound)
    return made


@dataclass(frozen=True)
class PatchFitted:
    """What a local fit gives that touched some rows only; the optimiser began afresh.

    ``examples`` is n_k; ``loss`` the mean loss over them while fitting.
    """

    patch: Patch
    examples: int
    loss: float


@dataclass(frozen=True)
class Patched(Message):
    """Party to coordinator under the plain mean: a change by the rows it touches, in the open.

    It shows which rows were touched; so do the zeros of a plain change.

    Attributes:
        round: the round it answers.
        patch: the change.
        examples: how many examples it was made on, at least 1.
        loss: mean loss over these examples.
        figures: the figures asked for, in the order asked, shape ``(m,)``.
    """

    round: int
    patch: Patch
    examples: int
    loss: float
    figures: Annotated[NDArray[np.float64], Array("float64", "m")]
