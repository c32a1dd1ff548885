"""People in any table, counted by cells: a bounded part of each, whatever the table is about.

A statistic protects people, not rows. So a person is in at most ``most`` cells of a breakdown, and
once in each: those with most of its rows, of equal ones the first. Adding or removing one person
then changes the counts by at most ``most`` in L1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Dataset
from fedguide.data.tables import engine, quoted, readable, scan
from fedguide.errors import ConfigError, DataError
from fedguide.values import KINDS

MOST_CELLS = 1 << 16
"""Most cells of one breakdown: every one of them gets noise, and is sent."""


@dataclass(frozen=True)
class Axis:
    """One way to tell rows apart: by the declared values of a column, or by edges of a number.

    Attributes:
        column: of the table.
        values: a row with another value is in no cell.
        edges: ascending; cell i holds numbers from edge i − 1 on and below edge i.

    Raises:
        ConfigError: neither or both are there, a value stands there twice, or edges do not ascend.
    """

    column: str
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Checks that there is one way."""
        if bool(self.values) == bool(self.edges):
            raise ConfigError(f"{self.column} is cut by values or by edges, and by one of them")
        if len(set(self.values)) != len(self.values):
            raise ConfigError(f"a value of {self.column} stands there twice")
        rises = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        if not (rises and all(map(math.isfinite, self.edges))):
            raise ConfigError(f"edges of {self.column} must be finite and ascend")

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its cells."""
        if self.values:
            return self.values
        middle = [f"[{a:g}, {b:g})" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return (f"< {self.edges[0]:g}", *middle, f">= {self.edges[-1]:g}")


@dataclass(frozen=True)
class Breakdown:
    """What is counted: people by cells.

    Attributes:
        where: (column, value) pairs; only rows that have all of them count.
        axes: cells are the combinations of theirs, the last one fastest; none is one cell.
        most: cells that one person is counted in.

    Raises:
        ConfigError: ``most`` is below 1, or there are too many cells.
    """

    where: tuple[tuple[str, str], ...] = ()
    axes: tuple[Axis, ...] = ()
    most: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 1 <= self.most <= self.cells:
            raise ConfigError(f"a person is in 1 to {self.cells} cells, got {self.most}")
        if self.cells > MOST_CELLS:
            raise ConfigError(f"at most {MOST_CELLS} cells, got {self.cells}")

    @property
    def cells(self) -> int:
        """How many there are."""
        return math.prod(len(axis.labels) for axis in self.axes)

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The names of every cell, one for each axis."""
        return tuple(product(*(axis.labels for axis in self.axes)))


@dataclass(frozen=True)
class People:
    """A table by its people.

    Attributes:
        name: of who holds it.
        rows: whose each row is, shape ``(r,)``, from 0.
        count: how many people there are.
        columns: as text, shape ``(r,)`` each; ``""`` where there is nothing.
    """

    name: str
    rows: NDArray[np.int64]
    count: int
    columns: Mapping[str, NDArray[np.str_]]


def read_people(
    path: Path,
    person: str,
    columns: Sequence[str],
    allows: Callable[[str], bool] = lambda _person: True,
) -> People:
    """The table at ``path`` (CSV, JSON lines, Parquet): only these columns of it are read.

    Args:
        path: the file; its name without an ending is the holder's.
        person: the column that says whose a row is.
        columns: what else is read.
        allows: is a person to be counted at all?

    Raises:
        NotFoundError, DataError: no such file, or none of a known kind.
        ConfigError: no such column.
    """
    with engine() as connection, readable(path):
        table = scan(connection, path)
        wanted = (person, *dict.fromkeys(name for name in columns if name != person))
        unknown = [name for name in wanted if name not in table.columns]
        if unknown:
            raise ConfigError(
                f"{path.name} has no column {unknown[0]!r}, it has {', '.join(table.columns)}"
            )
        parts = ", ".join(f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" for name in wanted)
        found = table.project(parts).fetchnumpy()
    texts = {name: np.ma.filled(found[name], "").astype(np.str_) for name in wanted}
    ids = texts[person]
    keep = np.array([bool(one) and allows(str(one)) for one in ids.tolist()], np.bool_)
    if not keep.any():
        raise DataError(f"{path.name} has no row of a person who is counted")
    known, rows = np.unique(ids[keep], return_inverse=True)
    kept = {name: text[keep] for name, text in texts.items()}
    return People(path.stem, rows.astype(np.int64), len(known), kept)


def people_of(dataset: Dataset) -> People:
    """A shop's shoppers by their events: item, title, category, brand, kind, price and day."""
    events, goods = dataset.events, dataset.catalogue

    def of_items(texts: Sequence[str]) -> NDArray[np.str_]:
        return np.array([*texts, ""], np.str_)[events.items]

    columns = {
        "item": of_items(goods.ids),
        "title": of_items(goods.titles),
        "category": of_items(goods.categories),
        "brand": of_items(goods.brands),
        "kind": np.array(KINDS, np.str_)[events.kinds],
        "price": np.where(np.isnan(events.prices), "", events.prices.astype(np.str_)),
        "day": events.days.astype(np.str_),
    }
    return People(dataset.name, events.users.astype(np.int64), len(events.user_ids), columns)


def counted(people: People, breakdown: Breakdown) -> NDArray[np.int64]:
    """How many people are in each cell, shape ``(cells,)``; each in at most ``most`` of them.

    Raises:
        ConfigError: the table has no such column.
    """
    cells = np.zeros(len(people.rows), np.int64)
    inside = np.ones(len(people.rows), np.bool_)
    for name, value in breakdown.where:
        inside &= _column(people, name) == value
    for axis in breakdown.axes:
        own = _places(_column(people, axis.column), axis)
        inside &= own >= 0
        cells = cells * len(axis.labels) + np.maximum(own, 0)
    pairs, rows = np.unique(
        people.rows[inside] * breakdown.cells + cells[inside], return_counts=True
    )
    whose, cell = pairs // breakdown.cells, pairs % breakdown.cells
    order = np.lexsort((cell, -rows, whose))
    whose, cell = whose[order], cell[order]
    first = np.searchsorted(whose, whose)  # where each person's cells begin
    kept = cell[np.arange(len(whose)) - first < breakdown.most]
    return np.bincount(kept, minlength=breakdown.cells).astype(np.int64)


def _column(people: People, name: str) -> NDArray[np.str_]:
    if name not in people.columns:
        raise ConfigError(
            f"{people.name} has no column {name!r}, it has {', '.join(people.columns)}"
        )
    return people.columns[name]


def _places(text: NDArray[np.str_], axis: Axis) -> NDArray[np.int64]:
    """The cell of each row along one axis; -1 for none."""
    known, back = np.unique(text, return_inverse=True)
    if axis.values:
        place = {value: at for at, value in enumerate(axis.values)}
        return np.array([place.get(str(one), -1) for one in known], np.int64)[back]
    numbers = np.array([_number(str(one)) for one in known])
    cells = np.searchsorted(np.array(axis.edges), numbers, side="right")
    return np.where(np.isnan(numbers), -1, cells).astype(np.int64)[back]


def _number(text: str) -> float:
    """The finite number in a text; NaN for none."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
